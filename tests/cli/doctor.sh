# doctor: one line per check. What it says about the machine differs, what it looks at does not.
facewash doctor --work . | awk '/^(ok|warn|FAIL)/ { print $2, $3 ~ /^(Runtime|files|LIB)$/ ? $3 : "" }'
facewash doctor | tail -n 1 | sed -E 's/[0-9]+/N/g'
facewash doctor --work "$FIXTURES/kind/x" | grep -E '^FAIL'; echo "-> ${PIPESTATUS[0]}"
(ulimit -n 256; facewash doctor | grep 'open files')
facewash doctor --memory 1000000G | grep memory | sed -E 's/[0-9.]+ GB/N GB/g'
