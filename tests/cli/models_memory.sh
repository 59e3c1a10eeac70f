# needs: photos
# needs: plain
# A network that asks for 256 GB while it is opened is refused, and takes no machine down with it.
/usr/bin/python3 "$ROOT/tests/networks.py" "$(facewash models | sed -n 's/^mobilefacenet *embed *there *//p')"
facewash models add memory.onnx --input "$FIXTURES/faces" 2>&1 | grep -oE 'error: run model|Failed to allocate memory'; echo "-> ${PIPESTATUS[0]}"
