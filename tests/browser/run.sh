#!/usr/bin/env bash
# Tests of the HTML report and its server in a real browser:  tests/browser/run.sh [FILE.test.mjs ...]
# Needs Chromium (CHROMIUM, default /usr/bin/chromium) and node with npm; says so and passes where they are missing.
# playwright-core and axe-core are fetched once, at the versions of package-lock.json, into DEPS/browser.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export tally_name=browser
. "$here/../tally.sh"
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
deps=${FACEWASH_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/facewash}/browser
leave_out() {
    skip "browser tests" "$1"
    tally_end
    exit
}

[ -x "$CHROMIUM" ] || leave_out "no Chromium at $CHROMIUM (apt-get install chromium)"
command -v node >/dev/null || leave_out "no node (apt-get install nodejs npm)"
if ! cmp -s "$here/package-lock.json" "$deps/package-lock.json" || [ ! -d "$deps/node_modules/axe-core" ]; then
    command -v npm >/dev/null || leave_out "no npm (apt-get install npm)"
    mkdir -p "$deps"
    cp "$here/package.json" "$here/package-lock.json" "$deps/"
    (cd "$deps" && npm ci --ignore-scripts --no-audit --no-fund --silent) || {
        rm -f "$deps/package-lock.json"
        leave_out "npm could not fetch playwright-core and axe-core"
    }
fi
node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' || leave_out "node is older than 18"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export BROWSER_DEPS=$deps/node_modules BROWSER_WORK=$work
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=("$here"/*.test.mjs)
for file in "${tests[@]}"; do
    timeout 900 node --test --test-reporter=tap "$file" >"$work/out" 2>&1 || true
    good=$(grep -c '^ok [0-9]' "$work/out") || true
    out=$(grep -ci '^ok [0-9].*# skip' "$work/out") || true
    bad=$(grep -c '^not ok [0-9]' "$work/out") || true
    [ $((good + bad)) -gt 0 ] || bad=1
    passed=$((passed + good - out)) failed=$((failed + bad)) skipped=$((skipped + out))
    grep -E '^(not )?ok [0-9]|^#   [a-z]+: .*[0-9]' "$work/out" | sed 's/^/    /'
    [ "$bad" = 0 ] || grep -vE '^ok ' "$work/out" | head -n 120 | sed 's/^/    /'
done
tally_end
