#!/usr/bin/env bash
# The demo: sets up, builds, makes a dataset of real photos with trouble planted in it, runs the main job on it, and prints
# what was planted against what was found. Ends with 0 only if all of it was found and no photo that is all right was removed.
#
#   scripts/demo.sh [FACEWASH-RUN-OPTION...]        for example: scripts/demo.sh --set threads=1
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
out=build/demo
python=/usr/bin/python3

scripts/setup.sh demo
make --no-print-directory -j "$(nproc)" all
photos=$(sed -n 's/^DEMO_DIR := //p' build/deps.mk)

# The dataset is made anew only when its recipe or the photos changed; the workspace then follows by itself.
recipe=$(cat scripts/make_demo.py "$photos/.stamp" | sha256sum)
mkdir -p "$out"
if [ "$(cat "$out/recipe" 2>/dev/null)" != "$recipe" ]; then
    rm -rf "$out/recipe" "$out/work" "$out/export"
    "$python" scripts/make_demo.py --photos "$photos" --out "$out"
    printf '%s\n' "$recipe" >"$out/recipe"
fi

# 3: finished with more bad images than allowed; a few are planted.
status=0
build/facewash run --input "dir:$out/train" --work "$out/work" --benchmark "demo=dir:$out/bench" --export "$out/export" "$@" ||
    status=$?
[ "$status" = 0 ] || [ "$status" = 3 ] || exit "$status"

status=0
"$python" scripts/make_demo.py --out "$out" --check "$out/export" || status=$?
report=$(find "$out/work" "$out/export" -name 'index.html' -o -name 'report.html' 2>/dev/null | sed -n 1p)
[ -z "$report" ] || printf '\nreport: %s\n' "$root/$report"
exit "$status"
