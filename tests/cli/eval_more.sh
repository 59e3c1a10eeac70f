# needs: photos
# eval identification, clustering and calibration; verification without people who are in the training set too.
facewash run --input "$FIXTURES/faces" --work w --benchmark "b=$FIXTURES/bench" -q 2>/dev/null
facewash eval identification --work w
printf '%s\n' John_Simm/John_Simm_0003.jpg John_Simm/John_Simm_0004.jpg John_Salley/John_Salley_0003.jpg >gallery.txt
facewash eval identification --work w --gallery gallery.txt --json | /usr/bin/python3 -c 'import json, sys
j = json.load(sys.stdin)
print(sorted(j), j["gallery_images"], j["gallery_people"], j["mated"], "of", j["probes"], j["rank1"], len(j["cmc"]), j["open_set"][2])'
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
echo "--- a calibration wants more than 56 photos"
facewash eval calibration --work w; echo "-> $?"
facewash eval nonsense --work w; echo "-> $?"
