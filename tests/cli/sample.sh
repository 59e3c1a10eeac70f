# needs: photos
# A random sample of the kept images measures the noise that is left; with reviewed flags, the machine's precision and recall.
facewash run --quiet --input "dir:$FIXTURES/faces" --work w --export e 2>/dev/null; echo "-> $?"
draw() { # start the server with arguments, end it at once; what an earlier one wrote is not to be taken for its word
    rm -f address log
    facewash review --work w "$@" 0 >address 2>log &
    for _ in $(seq 100); do [ -s address ] && break; sleep 0.1; done
    kill -INT $! && wait $!
    grep '^sample' log
}
draw --sample 10 --seed 7
cp w/review/sample.json first.json
draw --sample 10 --seed 7
cmp first.json w/review/sample.json && echo "same seed, same sample"
draw --sample 10 --seed 8
cmp -s first.json w/review/sample.json || echo "other seed, other sample"
draw --sample 1000
draw --sample 20 --seed 7
echo "--- judged: two of twenty wrong; the flag confirmed"
/usr/bin/python3 - <<'PY'
import csv, json
sample = json.load(open("w/review/sample.json"))["images"]
rows = list(csv.DictReader(open("e/ledger.csv", newline="")))
content = {r["path"]: r["content"] for r in rows}
assert len({h for h, _ in sample}) == len(sample), "without replacement"
kept = {r["content"] for r in rows if r["action"] in ("kept", "relabeled")}
assert all(h in kept for h, _ in sample)
flagged = [r for r in csv.DictReader(open("e/images.csv", newline="")) if {"mislabeled", "outlier"} & set(r["reasons"].split(";"))]
print(len(flagged), "flagged")
with open("d.jsonl", "w") as f:
    def say(item, hash, label, right):
        f.write(json.dumps({"format": "facewash-decision-1", "id": item, "when": "2026-01-31T12:00:00Z", "who": "anna", "queue": "sample",
                            "item": item, "answer": "y" if right else "n", "claims": [{"face": hash, "label": label, "is": right}]}) + "\n")
    for k, (hash, label) in enumerate(sample):
        say(f"s{k}", hash, bytes.fromhex(label).decode(), k not in (3, 11))
    for k, r in enumerate(flagged[:2]):
        say(f"f{k}", content[r["path"]], r["label"], k == 1)
PY
facewash apply --quiet --work w --decisions d.jsonl; echo "-> $?"
facewash export --quiet --work w --out e
/usr/bin/python3 - <<'PY'
import json
for name, value in json.load(open("e/summary.json"))["assess"].items():
    print(name, {k: round(v, 4) if isinstance(v, float) else [round(x, 4) for x in v] if isinstance(v, list) else v for k, v in value.items()} if value else value)
PY
echo "--- mistakes"
facewash review --work w --sample 0; echo "-> $?"
facewash review --work w --sample x; echo "-> $?"
facewash review --work w --sample 5 --seed -1; echo "-> $?"
echo '{}' >w/review/sample.json
facewash export --work w --out e2 2>&1 | grep -o 'sample.json.*'
