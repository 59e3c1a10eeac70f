# needs: photos
# The main job on real faces: what is planted in the fixtures (a copy under another name, a cut JPEG, a text called .jpg, a
# picture without a face, a benchmark with two of the people) is found.
facewash run --input "dir:$FIXTURES/faces" --work w --benchmark "bench=dir:$FIXTURES/bench" --export e 2>&1 | grep -E '^(ingest|extract|facewash)'
ls e
csv() { /usr/bin/python3 -c 'import csv, sys
for row in csv.DictReader(open(sys.argv[1], newline="", encoding="utf-8")):
    print(*(row[c] for c in sys.argv[2:]))' "$@"; }
echo "--- images"
csv e/images.csv path label status verdict new_label reasons
echo "--- duplicates"
csv e/duplicates.csv group path kind kept
echo "--- identities"
csv e/identities.csv label images kept action other_label
echo "--- overlap"
csv e/overlap.csv label benchmark benchmark_label rule | sort | uniq -c
echo "--- lists"
wc -l e/keep.lst e/remove.lst e/relabel.lst | sed 's/^ *//'
echo "--- for numpy"
/usr/bin/python3 -c 'import numpy as n
x = n.load("e/embeddings.npy"); print(x.shape, x.dtype, (abs(n.linalg.norm(x.astype("f4"), axis=1) - 1) < 1e-2).sum())'
