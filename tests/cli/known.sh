# needs: photos
# Photos that were renamed or copied are not looked at again, and the result is what a fresh workspace gives.
cp -r "$FIXTURES/faces" d; rm d/*/cut.jpg d/*/text.jpg
run() { facewash run --input "dir:$1" --work "$2" --export "$3" "${@:4}" 2>&1 | grep -E '^(ingest|extract|facewash: )'; }
run d w e
echo "--- a folder and a photo have other names, a photo is there twice, one is new"
mv d/John_Salley d/Renamed; mv d/Renamed/John_Salley_0001.jpg d/Renamed/other.jpg; cp d/Renamed/other.jpg d/Renamed/copy.jpg
/usr/bin/python3 -c 'from PIL import Image; Image.open("d/Renamed/John_Salley_0002.jpg").rotate(3).save("d/Renamed/new.jpg", quality=92)'
run d w e
run d fresh f
cmp <(sort e/images.csv) <(sort f/images.csv) && echo same verdicts
/usr/bin/python3 - <<'PY'
import csv, numpy as np
def load(d):
    x = np.load(f"{d}/embeddings.npy")
    return {r["path"]: x[int(r["row"])].tobytes() for r in csv.DictReader(open(f"{d}/embeddings.csv", newline=""))}
e, f = load("e"), load("f")
print(len(e), "embeddings, the same bytes:", all(e[p] == f[p] for p in f))
PY
echo "--- a photo that could not be read is looked at again when its content comes back"
mkdir s; cp -r "$FIXTURES/faces/John_Simm" s/Simm
facewash ingest --input dir:s --work v -q; mv s/Simm/John_Simm_0001.jpg aside
for stage in detect align embed quality signature; do facewash $stage --work v -q 2>/dev/null || echo "$stage -> $?"; done
mv aside s/Simm/back.jpg; run s v g | grep -v ingest
grep -E 'back.jpg' g/images.csv | cut -d, -f1-4
echo "--- a damaged donor costs a second look"
mv d/Renamed/other.jpg d/Renamed/again.jpg; mv d/Renamed/John_Salley_0003.jpg d/Renamed/third.jpg
for f in w/out/embed/000000-*/embed.vec; do chmod u+w "$f"; truncate -s 100 "$f"; done
facewash run --input dir:d --work w -v 2>&1 | grep -E 'known|looking again' | sed 's/: column.*/: .../'
