# needs: photos
# eval identification, clustering and calibration; verification without people who are in the training set too.
facewash run --input "$FIXTURES/faces" --work w --benchmark "b=$FIXTURES/bench" -q 2>/dev/null
facewash eval identification --work w
echo "--- the people of the cleaned set: two of five are in the benchmark, and left out"
facewash eval identification --work w --cleaned
facewash eval identification --work w --cleaned --benchmark b; echo "-> $?"
facewash eval clustering --work w --cleaned; echo "-> $?"
printf '%s\n' John_Simm/John_Simm_0003.jpg John_Simm/John_Simm_0004.jpg John_Salley/John_Salley_0003.jpg >gallery.txt
facewash eval identification --work w --gallery gallery.txt --json | /usr/bin/python3 -c 'import json, sys
j = json.load(sys.stdin)
print(sorted(j), j["gallery_images"], j["gallery_people"], j["mated"], "of", j["probes"], j["rank1"], len(j["cmc"]))
for o in j["open_set"]: print(o["fpir"], o.get("dir"), sorted(o["stated"]), o["stated"]["fpir"], [round(x, 4) for x in o["stated"]["fpir_interval95"]])'
echo "--- clusters, against labels and against the truth"
facewash eval clustering --work w | head -n 4
(cd "$FIXTURES/faces" && find . -name 'John_*.jpg' -printf '%P\t%h\n' | sed 's#\./##g') >truth.txt
printf 'John_Savage/copy.jpg\tJohn_Salley\nunlabelled.bmp\tJohn_Simm\n' >>truth.txt
facewash eval clustering --work w --truth truth.txt
facewash eval clustering --work w --truth truth.txt --json | /usr/bin/python3 -c 'import json, sys
j = json.load(sys.stdin)
print(sorted(j), sorted(j["clusters"]), j["cleaned"]["pairwise_f"]["value"])'
echo "--- overlap: the benchmark holds two people, both in the dataset"
cat >pairs.txt <<'PAIRS'
2	1
John_Salley	1	2
John_Salley	1	John_Savage	1
John_Savage	0	1
John_Salley	2	John_Savage	2
PAIRS
mkdir b; for p in Salley Savage; do mkdir "b/John_$p"; for i in 0 1 2; do cp "$FIXTURES/bench/John_$p/b$i.png" "b/John_$p/John_${p}_000$i.png"; done; done
mkdir t; cp -r "$FIXTURES/faces/John_Salley" "$FIXTURES/faces/John_Simm" t
facewash run --input t --work o --benchmark b=b -q
facewash eval verification --work o --benchmark b --pairs pairs.txt | head -n 3
facewash eval verification --work o --benchmark b --pairs pairs.txt --without-overlap; echo "-> $?"
/usr/bin/python3 - <<'PY'
# more people, of whom one only is in the dataset: drawn copies will not do, so photos of three Johns
import os, shutil
src = os.environ["FIXTURES"] + "/faces"
for p in ("John_Savage", "John_Schneider", "John_Shimkus", "John_Salley"):
    os.makedirs(f"c/{p}")
    for i in range(1, 7): shutil.copy(f"{src}/{p}/{p}_{i:04d}.jpg", f"c/{p}")
PY
cat >more.txt <<'PAIRS'
2	2
John_Savage	1	2
John_Salley	1	2
John_Savage	1	John_Schneider	3
John_Salley	4	John_Shimkus	3
John_Schneider	1	2
John_Salley	3	4
John_Savage	1	John_Shimkus	3
John_Schneider	4	John_Salley	3
PAIRS
facewash run --input t --work o2 --benchmark c=c -q
facewash eval verification --work o2 --benchmark c --pairs more.txt --without-overlap | grep -E '^(---|pairs)'
facewash eval verification --work o2 --benchmark c --pairs more.txt --without-overlap --json | /usr/bin/python3 -c 'import json, sys
j = json.load(sys.stdin); print(sorted(j), j["pairs_left_out"], j["without_overlap"]["pairs"])'
facewash eval verification --work o2 --pairs more.txt --without-overlap; echo "-> $?"
facewash eval verification --work o2 --benchmark x --pairs more.txt; echo "-> $?"
echo "--- pairs of a .bin are photos of that benchmark"
/usr/bin/python3 - <<'PY'
import os, pickle
read = lambda p, i: open(f"{os.environ['FIXTURES']}/faces/John_{p}/John_{p}_{i:04d}.jpg", "rb").read()
pairs = [(("Simm", 3), ("Simm", 4), True), (("Simm", 3), ("Savage", 3), False), (("Savage", 3), ("Savage", 4), True), (("Savage", 4), ("Simm", 5), False)]
pickle.dump(([read(*x) for a, b, _ in pairs for x in (a, b)], [s for _, _, s in pairs]), open("v.bin", "wb"), protocol=4)
PY
facewash run --input t --work o3 --benchmark v=bin:v.bin -q
facewash eval verification --work o3 --benchmark v --pairs bin:v.bin | head -n 3
facewash eval verification --work o3 --pairs bin:v.bin; echo "-> $?"
facewash eval verification --work o2 --pairs bin:v.bin; echo "-> $?"
facewash eval verification --work o2 --benchmark c --pairs bin:v.bin; echo "-> $?"
printf '1\t1\nNobody\t1\t2\nNobody\t1\tNoone\t1\n' >nobody.txt
facewash eval verification --work o2 --pairs nobody.txt; echo "-> $?"
echo "--- a calibration wants more than 56 photos"
facewash eval calibration --work w; echo "-> $?"
facewash eval nonsense --work w; echo "-> $?"
