# needs: photos
# export: again from a finished workspace, as JSON lines, and --all for every image under its first label.
facewash run --input "dir:$FIXTURES/faces" --work w --export first -q
facewash export --work w --out second; echo "-> $?"
diff -r -x summary.json first second && echo same
facewash export --work w --out json --format json; echo "-> $?"
ls json
/usr/bin/python3 - <<'PY'
import csv, json
rows = list(csv.DictReader(open("first/images.csv", newline="", encoding="utf-8")))
lines = [json.loads(line) for line in open("json/images.jsonl", encoding="utf-8")]
print(len(rows), len(lines), [r["path"] for r in rows] == [l["path"] for l in lines], sorted(lines[0]))
PY
facewash export --work w --out all --all; echo "-> $?"
wc -l all/keep.lst | sed 's/^ *//'
cut -f2 all/keep.lst | sort | uniq -c
facewash export --work w --out x --format xml; echo "-> $?"
facewash export --work w --out x --set embed.flip=yes; echo "-> $?"
echo "--- what this export does not write is not left from an older one, and a half moved export is finished"
facewash export --work w --out second --set export.embeddings=no; echo "-> $?"
ls second
mkdir half; cp first/*.csv first/*.lst half; mkdir half/.moving half/.writing.4999999
mv half/keep.lst half/images.csv half/.moving; echo embeddings.csv >half/.moving/.gone
echo damaged >half/images.csv
facewash export --work nowhere --out half; facewash export --work w --out half; echo "-> $?"
diff -r -x summary.json -x 'embeddings.npy' first half && find half -mindepth 1 -name '.*'
