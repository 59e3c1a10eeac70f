#!/usr/bin/env bash
# CLI tests: NAME.sh is run by bash in an empty folder, what it prints (both streams) is compared with NAME.out.
#
#   tests/cli/run.sh [NAME...]            all tests, or those named
#   UPDATE=1 tests/cli/run.sh [NAME...]   writes NAME.out instead; look at the difference before you commit it
#
# A test may use $FIXTURES (tests/fixtures.py; read only), $ROOT (the repository) and calls `facewash`. What depends on time or
# place is replaced before comparing, see normalise below. `# needs: photos`, `# needs: mtcnn`, `# needs: plain` in a test: skipped
# without the demo photos, without that model, or in a sanitizer build.
set -uo pipefail
export LC_ALL=C TZ=UTC
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
FIXTURES=${FIXTURES:-$ROOT/build/tests/fixtures}
program=${FACEWASH:-$ROOT/build/facewash}
export ROOT FIXTURES
tally_name=cli
. "$ROOT/tests/tally.sh"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/facewash-cli-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$program" >"$scratch/bin/facewash"
chmod +x "$scratch/bin/facewash"
export PATH="$scratch/bin:$PATH"

normalise() {
    sed -E -e '/^libgcov profiling error/d' -e "s# in [0-9]+\\.[0-9] s# in T s#g; s#$scratch/work#HERE#g; s#$FIXTURES#FIXTURES#g; s#(/[^/ ']+)*/configs/models/#CONFIGS/#g; s#$ROOT#ROOT#g" \
        -e 's#[0-9]+\.[0-9]+ s([ )]|$)#T s\1#g; s# \([0-9]+/s\)# (RATE)#; s#[0-9.]+ images/s#RATE images/s#; s#peak [0-9]+ MB#peak M MB#' \
        -e 's#process [0-9]+ on .* since [0-9-]+ [0-9:]+#process PID on HOST since TIME#' \
        -e 's#^facewash [0-9]+\.[0-9]+\.[0-9]+#facewash VERSION#' -e 's#-[0-9a-f]{32}#-KEY#g; s#\b[0-9]+\.[0-9] (k|M|G)B\b#SIZE#g'
}

for test in "$ROOT"/tests/cli/*.sh; do
    name=$(basename "$test" .sh)
    [ "$name" != run ] || continue
    if [ $# -gt 0 ]; then [[ " $* " == *" $name "* ]] || continue; fi
    if grep -q '^# needs: photos' "$test" && [ "$(cat "$FIXTURES/kind")" != photos ]; then
        skip "$name" "no demo photos on this machine"
        continue
    fi
    if grep -q '^# needs: mtcnn' "$test" && facewash models | grep -q '^mtcnn .* not here'; then
        skip "$name" "no MTCNN on this machine; \`scripts/setup.sh models-extra\` fetches it"
        continue
    fi
    if grep -q '^# needs: plain' "$test" && [ -n "${SANITIZED:-}" ]; then
        skip "$name" "not with a sanitizer, which takes over the allocation of memory"
        continue
    fi
    rm -rf "$scratch/work"
    mkdir "$scratch/work"
    (cd "$scratch/work" && timeout 120 bash "$test" </dev/null 2>&1) | normalise >"$scratch/got"
    if [ -n "${UPDATE:-}" ]; then
        cp "$scratch/got" "${test%.sh}.out"
        ok "$name (written)"
    elif diff -u "${test%.sh}.out" "$scratch/got" >"$scratch/diff" 2>&1; then
        ok "$name"
    else
        not_ok "$name" "$scratch/diff"
    fi
done
tally_end
