#!/usr/bin/env bash
# Runs test suites (make targets) one after the other and ends with one line that sums them up:
#   12 passed, 0 failed, 1 skipped
# A suite tells its counts through the file $FW_TALLY (tests/tally.sh); one that fails without a count is one failure.
set -uo pipefail
FW_TALLY=$(mktemp)
export FW_TALLY
trap 'rm -f "$FW_TALLY"' EXIT
suites=("$@")

for suite in "${suites[@]}"; do
    printf '\n--- %s\n' "$suite"
    before=$(wc -l <"$FW_TALLY") start=$SECONDS
    "${MAKE:-make}" --no-print-directory "$suite"
    status=$?
    if [ "$status" != 0 ] && ! tail -n "+$((before + 1))" "$FW_TALLY" | awk '$2 > 0 { found = 1 } END { exit !found }'; then
        echo "0 1 0" >>"$FW_TALLY"
        echo "$suite: failed with exit status $status"
    fi
    echo "($((SECONDS - start)) s)"
done
echo
awk '{ p += $1; f += $2; s += $3 }
    END { printf "%d passed, %d failed", p, f; if (s) printf ", %d skipped", s; print ""; exit f > 0 || p == 0 }' "$FW_TALLY"
