# Answers to the machine's findings move the threshold for those that nobody answered: up, by kind, told in log and summary, and back
# when the answers are taken back. The set: strangers and look-alikes of every degree, so that P takes many values; what
# the truth is was chosen so that the machine is too sure (odd photos up to p129 are right, only q00 to q14 are one person).
/usr/bin/python3 - <<'PY'
import numpy as np
r = np.random.default_rng(5)
unit = lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True)
x, y = [], []
def add(centre, label, n=1):
    for _ in range(n):
        x.append(unit(centre + 0.075 * r.normal(size=128))); y.append(label)
for p in range(150):
    centre, stranger, t = unit(r.normal(size=128)), unit(r.normal(size=128)), 0.6 + 0.4 * p / 149
    add(centre, f"p{p:03d}", 10)
    add((1 - t) * centre + t * stranger, f"p{p:03d}")
for p in range(60):
    centre, t = unit(r.normal(size=128)), 0.2 + 0.3 * p / 59
    add(centre, f"q{p:02d}a", 6)
    add((1 - t) * centre + t * unit(r.normal(size=128)), f"q{p:02d}b", 5)
np.save("x.npy", np.array(x, "f4"))
open("y.txt", "w").write("".join(f"{label}\n" for label in y))
PY
cat >say.py <<'PY'
import csv, json, sys
rows = lambda name: list(csv.DictReader(open(f"{sys.argv[1]}/{name}.csv", newline="")))
content = {r["path"]: r["content"] for r in rows("ledger")}
flags = sorted((r for r in rows("images") if r["reasons"] == "outlier"), key=lambda r: (float(r["score"]), r["path"]))
merges = sorted((r for r in rows("identities") if r["action"] == "merge"), key=lambda r: (float(r["score"]), r["label"]))
claims = [{"face": content[r["path"]], "label": r["label"], "is": r["label"] < "p130"} for r in flags[::2]]
claims += [{"labels": [r["label"], r["other_label"]], "same_person": r["label"] < "q15"} for r in merges[::2]]
for k, c in enumerate(claims):
    print(json.dumps({"format": "facewash-decision-1", "id": f"d{k}", "when": "2026-01-31T12:00:00Z", "who": "anna", "queue": "q", "item": f"i{k}", "answer": "n", "claims": [c]}))
PY
cat >look.py <<'PY'
import csv, json, sys
images, labels = ({r[k]: r for r in csv.DictReader(open(f"{sys.argv[1]}/{n}.csv", newline=""))} for n, k in (("images", "path"), ("identities", "label")))
by = {r["path"]: r["by"] for r in csv.DictReader(open(f"{sys.argv[1]}/ledger.csv", newline=""))}
print("flagged", sum(r["reasons"] == "outlier" for r in images.values()), "merges", sum(r["action"] == "merge" for r in labels.values()),
      "merges to look at", sum(r["action"] == "review" and r["other_label"] != "" for r in labels.values()), "decided by curators", sum(b == "curator" for b in by.values()))
queue = open("w/report/data/queue_merge.js").read()
print("merges in the report's queue", len(json.loads(queue[queue.index("{"):queue.rindex(")")])["a"]))
before = {r["path"]: r for r in csv.DictReader(open("e0/images.csv", newline=""))}
wrong = lambda r: r["label"] >= "p130" and int(r["path"]) % 11 == 10
mistakes = lambda rows: sum((rows[p]["verdict"] != "keep") != wrong(r) for p, r in before.items() if r["label"] < "q" and by[p] == "machine")
print("mistakes among photos without an answer:", mistakes(before), "->", mistakes(images))
kept = [p for p, r in before.items() if r["reasons"] == "outlier" and images[p]["reasons"] != "outlier" and by[p] == "machine"]
new = [p for p, r in before.items() if r["reasons"] != "outlier" and images[p]["reasons"] == "outlier"]
print("kept without an answer of their own:", len(kept), "by scores under", "0.5" if all(float(images[p]["score"]) <= 0.5 for p in kept) else "?", "newly flagged:", len(new))
for kind, s in json.load(open(f"{sys.argv[1]}/summary.json"))["decisions"]["shifts"].items():
    print(kind, s["answers"], "answers,", s["agreed"], "agreed, threshold", s["threshold"]["machine"], "->", round(s["threshold"]["now"], 2), "changed", s["changed"])
PY
run() { facewash run --input npy:x.npy,y.txt --work w --export "$1" 2>&1 | grep "curators' [0-9]* answers"; /usr/bin/python3 look.py "$1"; }
run e0
mkdir -p w/review && /usr/bin/python3 say.py e0 >w/review/decisions
echo "--- every second finding is answered, truly"
run e1
echo "--- the answers are taken back"
rm w/review/decisions
run e2
cmp e0/images.csv e2/images.csv && cmp e0/identities.csv e2/identities.csv && echo "as before"
