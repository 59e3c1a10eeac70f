#!/usr/bin/env bash
# After tests of a build with COV=1: lines reached, per file (least first) and in all.   tests/coverage.sh BUILD-FOLDER
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
for source in lib/*.c index/*.c stages/*.c; do
    gcov -n -o "$1/${source%.c}.o" "$source" 2>/dev/null | grep -A1 "^File '$source'" |
        sed -n "s#^Lines executed:\([0-9.]*\)% of \([0-9]*\)#$source \1 \2#p"
done | sort -k2n | awk '
    { hit += $2 * $3 / 100; all += $3; if (NR <= 12) printf "  %-28s %5.1f %% of %d lines\n", $1, $2, $3 }
    END { if (!all) { print "coverage: nothing was measured"; exit 1 }
          printf "coverage: %.1f %% of %d lines (the 12 files with the least are shown)\n", 100 * hit / all, all }'
