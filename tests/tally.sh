# For test scripts: count checks, one TAP line each. Source it; end with `tally_end`.
#   tally_name      what the closing line calls the suite
#   FW_TALLY        a file that gets "passed failed skipped" appended, for the sum of `make test`
passed=0 failed=0 skipped=0

ok() {
    passed=$((passed + 1))
    printf 'ok - %s\n' "$*"
}

not_ok() { # NAME [FILE with the reason]
    failed=$((failed + 1))
    printf 'not ok - %s\n' "$1"
    if [ $# -gt 1 ]; then head -n 40 "$2" | sed 's/^/    /'; fi
}

skip() {
    skipped=$((skipped + 1))
    printf 'ok - %s # SKIP %s\n' "$1" "$2"
}

tally_end() {
    printf '%s: %d passed, %d failed' "${tally_name:-tests}" "$passed" "$failed"
    if [ "$skipped" -gt 0 ]; then printf ', %d skipped' "$skipped"; fi
    printf '\n'
    if [ -n "${FW_TALLY:-}" ]; then echo "$passed $failed $skipped" >>"$FW_TALLY"; fi
    [ "$failed" = 0 ]
}
