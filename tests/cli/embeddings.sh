# Embeddings made elsewhere: the run begins at index; and what two runs differ in.
/usr/bin/python3 - <<'PY'
import numpy as np
r = np.random.default_rng(0)
people, each, dim = 60, 8, 128
centre = r.normal(size=(people, dim))
x = np.repeat(centre, each, 0) + 0.5 * r.normal(size=(people * each, dim))
label = [f"p{i // each:03d}" for i in range(len(x))]
for i in (5, 77, 200):
    label[i] = f"p{(i // each + 7) % people:03d}"
x[33] = 0
x[34, 3] = np.nan
np.save("emb.npy", x.astype("f2"))
open("labels.txt", "w").write("\n".join(label) + "\n")
np.where(np.isfinite(x), x, 0).astype("f4").tofile("f.bin")
names = sorted(set(label))
open("f.meta", "w").write("".join(f"{names.index(l)}\n" for l in label))
np.save("short.npy", x[:, :64].astype("f4"))
open("pairs.lst", "w").write("0\tp000\n5\tp000\n6\tp001\nnew\tp002\n")
PY
facewash run --input npy:emb.npy,labels.txt --work w --export x -q; echo "-> $?"
grep -v ',keep,' x/images.csv
cut -d, -f3-6,8 x/ledger.csv | sort | uniq -c | sort -rn | head -3
grep '^200,' x/ledger.csv | cut -d, -f1,3-8
facewash ingest --input npy:emb.npy,labels.txt --work w0 -q; facewash diff w0 w --out d; cat d/diff.csv
facewash diff x/keep.lst w
facewash diff pairs.lst x/keep.lst
facewash diff w nowhere; echo "-> $?"
facewash run --input npy:emb.npy,labels.txt --benchmark b=npy:short.npy --work w2 -q; echo "-> $?"
echo "--- the same as learn-to-cluster keeps them"
facewash run --input feat:f.bin,f.meta --work w3 --export y -q; echo "-> $?"
cmp <(cut -d, -f1,3,7 x/images.csv | sed '34,36d') <(cut -d, -f1,3,7 y/images.csv | sed '34,36d') && echo same verdicts
echo "--- embeddings of another width in the same place"
/usr/bin/python3 -c "import numpy as np; np.save('emb.npy', np.load('emb.npy')[:, :64])"
facewash run --input npy:emb.npy,labels.txt --work w -q; echo "-> $?"
