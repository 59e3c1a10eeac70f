#!/usr/bin/env bash
# Runs unit test programs (cmocka) and counts their tests:  tests/unit/run.sh PROGRAM...
# A program that dies without naming a failed test (a crash, a sanitizer's report) counts as one failure.
set -uo pipefail
export tally_name=unit
. "$(dirname "${BASH_SOURCE[0]}")/../tally.sh"
out=$(mktemp)
trap 'rm -f "$out"' EXIT

limit=300
[ -z "${SANITIZED:-}" ] || limit=1200 # beside other work test_knn took more than 300 s
for program in "$@"; do
    CMOCKA_MESSAGE_OUTPUT=TAP timeout "$limit" "$program" >"$out" 2>&1
    status=$?
    # cmocka 1.1 calls a test that was left out "not ok 1 # SKIP name"
    left_out=$(grep -cE '^(not )?ok [0-9]+.*# SKIP' "$out")
    good=$(grep -E '^ok [0-9]' "$out" | grep -cv '# SKIP') bad=$(grep -E '^not ok [0-9]' "$out" | grep -cv '# SKIP')
    if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left_out))
    if [ "$bad" = 0 ]; then
        printf 'ok - %s (%d tests)\n' "${program##*/}" "$good"
    else
        printf 'not ok - %s (%d of %d tests failed, exit status %d)\n' "${program##*/}" "$bad" $((good + bad)) "$status"
        grep -vE '^ok [0-9]' "$out" | head -n 60 | sed 's/^/    /'
    fi
done
tally_end
