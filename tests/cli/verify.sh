# needs: photos
# verify: two photos, all their faces, the decision; what cannot be used is said.
f=$FIXTURES/faces
facewash verify "$f/John_Simm/John_Simm_0001.jpg" "$f/John_Simm/John_Simm_0002.jpg" | sed 's/ box .*//'
facewash verify "$f/John_Simm/John_Simm_0001.jpg" "$f/John_Salley/John_Salley_0002.jpg" | grep -E '^decision'
echo "--- several faces: every pair, the target faces decide"
/usr/bin/python3 -c 'import sys
from PIL import Image
a, b = (Image.open(p).convert("RGB") for p in sys.argv[1:3])
big = a.resize((2 * a.width, 2 * a.height))
two = Image.new("RGB", (big.width + b.width, big.height), "grey")
two.paste(big, (0, 0)); two.paste(b, (big.width, 0)); two.save("two.png")' "$f/John_Simm/John_Simm_0001.jpg" "$f/John_Salley/John_Salley_0002.jpg"
facewash verify two.png "$f/John_Simm/John_Simm_0002.jpg" --json >two.json
/usr/bin/python3 -c 'import json
j = json.load(open("two.json"))
print(sorted(j))
print(len(j["a"]["faces"]), "faces, target", j["a"]["target"], [(p["a"], p["b"], p["decision"]) for p in j["pairs"]], j["decision"])
print(all(0 <= p["p_same"] <= 1 and -1 <= p["similarity"] <= 1 for p in j["pairs"]))'
echo "--- exit codes: 0 same, 10 different, 11 no decision; without --exit-code always 0"
facewash verify "$f/John_Simm/John_Simm_0001.jpg" "$f/John_Simm/John_Simm_0002.jpg" --exit-code >out; echo "-> $?"
facewash verify "$f/John_Simm/John_Simm_0001.jpg" "$f/John_Salley/John_Salley_0002.jpg" --exit-code >out; echo "-> $?"
facewash verify "$f/John_Shimkus/faceless.png" "$f/John_Schneider/text.jpg" --exit-code; echo "-> $?"
facewash verify nowhere.jpg "$f/John_Savage/cut.jpg"; echo "-> $?"
facewash verify "$f" "$f/John_Savage/cut.jpg" --exit-code >out; echo "-> $?"
facewash verify "$f/John_Savage/cut.jpg"; echo "-> $?"
echo "--- two models together have no calibration of their own"
cp "$ROOT/configs/models/mobilefacenet.ini" other.ini
facewash verify "$f/John_Simm/John_Simm_0001.jpg" "$f/John_Simm/John_Simm_0002.jpg" --model "$PWD/other.ini" | tail -n 2
facewash verify "$f/John_Simm/John_Simm_0001.jpg" "$f/John_Simm/John_Simm_0002.jpg" --model "$PWD/other.ini" --model mobilefacenet | tail -n 2
sed 's/"sha256": "d/"sha256": "e/' "$ROOT/configs/models/mobilefacenet.calibration.json" >other.calibration.json
facewash verify "$f/John_Simm/John_Simm_0001.jpg" "$f/John_Simm/John_Simm_0002.jpg" --model "$PWD/other.ini" | tail -n 2
echo '{"impostor": {}}' >other.calibration.json
facewash verify "$f/John_Simm/John_Simm_0001.jpg" "$f/John_Simm/John_Simm_0002.jpg" --model "$PWD/other.ini"; echo "-> $?"
