#!/usr/bin/env bash
# Runs unit test programs (cmocka) and counts their tests:  tests/unit/run.sh PROGRAM...
# A program that dies without naming a failed test (a crash, a sanitizer's report) counts as one failure.
set -uo pipefail
export tally_name=unit
. "$(dirname "${BASH_SOURCE[0]}")/../tally.sh"
out=$(mktemp)
trap 'rm -f "$out"' EXIT

for program in "$@"; do
    CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$program" >"$out" 2>&1
    status=$?
    good=$(grep -c '^ok [0-9]' "$out") left_out=$(grep -ciE '^ok [0-9]+.*# skip' "$out") bad=$(grep -c '^not ok [0-9]' "$out")
    if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    passed=$((passed + good - left_out)) failed=$((failed + bad)) skipped=$((skipped + left_out))
    if [ "$bad" = 0 ]; then
        printf 'ok - %s (%d tests)\n' "${program##*/}" "$good"
    else
        printf 'not ok - %s (%d of %d tests failed, exit status %d)\n' "${program##*/}" "$bad" $((good + bad)) "$status"
        grep -vE '^ok [0-9]' "$out" | head -n 60 | sed 's/^/    /'
    fi
done
tally_end
