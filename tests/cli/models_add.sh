# needs: photos
# A description for a network that somebody brings: what the file says, what trials on faces say, and what is refused. Figures
# depend on the processor, so only what they lead to is shown.
hide() {
    sed -E -e 's/ +[0-9]+\.[0-9]+% +[0-9.]+ +-?[0-9.]+/ .../; s/AUC [0-9.]+/AUC A/g; s/accuracy [0-9.]+ %/accuracy A %/g; s/apart [0-9.]+/apart D/g' \
        -e 's/\([0-9.]+ %, [0-9.]+, [0-9.]+\)/(...)/; s#HERE/##g; s#/[^ ]*/models/##g; s/(Status Message: ).*/\1.../; s/verification$/verification .../' \
        -e 's/^sha256.*/sha256 = .../; s/claim.*/claim .../'
}
add() { facewash models add "$@" --input people 2>&1 | hide; echo "-> ${PIPESTATUS[0]}"; }
shipped=$(facewash models | sed -n 's/^mobilefacenet *embed *there *//p')
/usr/bin/python3 "$ROOT/tests/networks.py" "$shipped"
cp "$shipped" shipped.onnx
cp -r "$FIXTURES/faces" people
echo "--- the shipped network, as if nobody knew it"
add shipped.onnx --out shipped.ini
sed 's#^file = .*/#file = #; s/^sha256.*/sha256 = .../; s/accuracy.*AUC/AUC/; s/AUC [0-9.]*/AUC A/' shipped.ini
add shipped.onnx --out shipped.ini
facewash run --input "dir:$FIXTURES/faces" --work a -q --model "$PWD/shipped.ini"; echo "-> $?"
facewash run --input "dir:$FIXTURES/faces" --work b -q; echo "-> $?"
PYTHONPATH=$ROOT/tests /usr/bin/python3 -c '
from column import load
print("as by the shipped description:", (load("a", "embed.vec") == load("b", "embed.vec")).all())'
echo "--- nhwc, float16, batches of four, two outputs"
add nhwc.onnx --out nhwc.ini | grep -E 'input|output|best|wrote|->'
facewash run --input "dir:$FIXTURES/faces" --work c -q --model "$PWD/nhwc.ini"; echo "-> $?"
PYTHONPATH=$ROOT/tests /usr/bin/python3 -c '
from column import load
a, c = (load(w, "embed.vec").astype("f4") for w in "ac")
seen = load("a", "embed.valid").ravel() == 1
print("the same embeddings but for float16:", ((a * c).sum(1)[seen] > 0.999).all())'
echo "--- a wrong order, a wrong scale"
facewash models check --faces --input people | hide; echo "-> ${PIPESTATUS[0]}"
sed 's/^channels = .*/channels = rgb/' shipped.ini >order.ini
sed 's/^scale = .*/scale = 0.5/' shipped.ini >scale.ini
for m in order scale; do facewash models check --faces --input people --model "$PWD/$m.ini" 2>&1 | hide; echo "-> ${PIPESTATUS[0]}"; done
echo "--- what is none"
add random.onnx | grep -vE '\.\.\.$|^best'
add box.onnx
add bright.onnx
add external.onnx
head -c 100000 shipped.onnx >cut.onnx
add cut.onnx
add nothing.onnx
facewash models add; echo "-> $?"
facewash models add shipped.onnx --input "$FIXTURES/faces/John_Salley" 2>&1 | tail -1 | hide
