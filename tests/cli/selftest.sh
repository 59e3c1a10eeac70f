# needs: photos
# Noise planted into a copy of the labels is found, nothing is written, and the same seed gives the same figures.
facewash run --quiet --input "dir:$FIXTURES/faces" --work w 2>/dev/null; echo "-> $?"
find w -type f -newer w/WORKSPACE -printf '%p %s %T@\n' | sort >before
facewash selftest --work w --set selftest.rate=0.3 --json >a.json; echo "-> $?"
facewash selftest --work w --set selftest.rate=0.3 --json >b.json; cmp a.json b.json && echo "same twice"
find w -type f -newer w/WORKSPACE -printf '%p %s %T@\n' | sort | cmp - before && echo "nothing written"
/usr/bin/python3 - <<'PY'
import json
j = json.load(open("a.json"))
print(*("%s planted or clean: %s" % (k, j[k]["photos"] > 0) for k in ("clean", "flip")), sep="\n")
print("flips found:", j["flip"]["flagged"], "of", j["flip"]["photos"])
print("clean flagged:", j["clean"]["flagged"])
roc = j["roc"]
print("recall falls with the threshold:", all(a["found"] >= b["found"] for a, b in zip(roc, roc[1:])))
PY
facewash selftest --work w --set selftest.rate=0.3 | head -4
mkdir one && cp "$FIXTURES"/faces/John_Simm/*.jpg one/ && facewash run --quiet --input dir:one --work w1; facewash selftest --work w1; echo "-> $?"
