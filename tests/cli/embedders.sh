# needs: photos
# Several embedders at once, and models that want the face cut out in another way: each similarity is the weighted mean of the
# models' own, every frame gives a usable embedding, and what cannot be is said.
model() { # NAME [FROM=TO...]: the default description with lines changed
    sed -e "s/^name = .*/name = $1/" "$ROOT/configs/models/mobilefacenet.ini" >"$1.ini"
    for edit in "${@:2}"; do sed -i -e "s#^${edit%%=*} = .*#${edit%%=*} = ${edit#*=}#" "$1.ini"; done
}
run() { facewash run --input "dir:$FIXTURES/faces" --work "$1" --export "e-$1" -q "${@:2}"; echo "$1 -> $?"; }
model rgb channels=rgb
model box template=box
printf 'box_margin = 0.3\nbox_size = 128\n' >>box.ini
model points "template=points\npoints = 40,50,72,50,56,71,42,91,70,91"
model odd template=elsewhere
model narrow template=sphereface
model facenet "template=box\nbox_size = 64"
run bgr
run rgb --model "$PWD/rgb.ini"
run both --model mobilefacenet --model "$PWD/rgb.ini"
run weighted --set "embed.model=mobilefacenet, $PWD/rgb.ini" --set embed.weights=3,1
run box --model "$PWD/box.ini"
run points --model "$PWD/points.ini"
/usr/bin/python3 - <<'PY'
import csv, numpy as np
def load(name):
    x = np.load(f"e-{name}/embeddings.npy").astype("f4")
    good = np.linalg.norm(x, axis=1) > .5
    return x, good
bgr, good = load("bgr")
label = [r["path"].split("/")[0] for r in csv.DictReader(open("e-bgr/embeddings.csv", newline=""))]
def alike(x): return x[good] @ x[good].T
rgb, both, weighted = (load(n)[0] for n in ("rgb", "both", "weighted"))
print(both.shape[1], "dimensions; unit length", bool(np.allclose(np.linalg.norm(both[good], axis=1), 1, atol=2e-3)))
print("equal weights", bool(np.allclose(alike(both), (alike(bgr) + alike(rgb)) / 2, atol=2e-3)),
      "3 to 1", bool(np.allclose(alike(weighted), .75 * alike(bgr) + .25 * alike(rgb), atol=2e-3)))
person = np.array(label)[good]
same = (person[:, None] == person[None]) & ~np.eye(len(person), dtype=bool)
for name in ("box", "points"):
    x, ok = load(name)
    print(name, "same faces", bool((ok == good).all()), "people kept apart",
          bool(np.median(alike(x)[same]) > np.percentile(alike(x)[person[:, None] != person[None]], 90)))
PY
run a --set embed.weights=1,2
run b --set embed.weights=x
run c --model "$PWD/odd.ini"
run d --model "$PWD/narrow.ini"
run e --model "$PWD/facenet.ini"
run f --set embed.model=
facewash doctor --model mobilefacenet --model "$PWD/rgb.ini" | grep -c ' embedder '
