#!/bin/bash
# Tests of the HTML report in a real browser. Usage: tests/browser/run.sh [report.test.mjs ...]
# Needs Chromium (CHROMIUM, default /usr/bin/chromium) and node with npm; says so and passes where they are missing.
# playwright-core and axe-core are fetched once, at the versions of package-lock.json, into DEPS/browser.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
deps=${FACEWASH_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/facewash}/browser
skip() { echo "browser tests: skipped: $1"; exit 0; }
[ -x "$CHROMIUM" ] || skip "no Chromium at $CHROMIUM (apt-get install chromium)"
command -v node >/dev/null || skip "no node (apt-get install nodejs npm)"
if ! cmp -s "$here/package-lock.json" "$deps/package-lock.json" || [ ! -d "$deps/node_modules/axe-core" ]; then
    command -v npm >/dev/null || skip "no npm (apt-get install npm)"
    mkdir -p "$deps"
    cp "$here/package.json" "$here/package-lock.json" "$deps/"
    (cd "$deps" && npm ci --ignore-scripts --no-audit --no-fund --silent) || skip "npm could not fetch playwright-core and axe-core"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export BROWSER_DEPS=$deps/node_modules BROWSER_WORK=$work
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=("$here"/*.test.mjs)
node --test --test-concurrency=1 "${tests[@]}"
