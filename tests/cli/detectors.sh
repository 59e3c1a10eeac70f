# needs: photos
# Detectors one after the other, one without landmarks (the box stands in), none at all; a quality model, and an embedder whose
# length means quality.
/usr/bin/python3 "$ROOT/tests/networks.py" "$(facewash models | sed -n 's/^mobilefacenet *embed *there *//p')"
ini() { # NAME TASK: the rest of the description from stdin
    { printf '[model]\ntask = %s\nfile = %s.onnx\nsha256 = %s\n' "$2" "$1" "$(sha256sum "$1.onnx" | cut -d' ' -f1)"; cat; } >"$1.ini"
}
run() { facewash run --input "dir:$FIXTURES/faces" --work "$1" --export "e-$1" -q "${@:2}"; echo "$1 -> $?"; }
sed -e 's/^name = .*/name = strict/' -e 's/^score_threshold = .*/score_threshold = 0.9987/' \
    "$ROOT/configs/models/retinaface_mnet025.ini" >strict.ini
printf 'input_width = 320\ninput_height = 320\nscale = 1\ndecoder = scrfd\nstrides = 8,16,32\n' | ini box detect
printf 'input_width = 96\ninput_height = 96\nscale = 1\ndecoder = points\nrange = -1,1\nbox_margin = 0.5\nfive = 36-41;42-47;30;48;54\n' |
    ini points landmarks
printf 'input_width = 112\ninput_height = 112\nscale = 1\ndecoder = score\ntemplate = arcface112\nrange = 0,255\n' | ini bright quality
sed -e 's/^name = .*/name = norm/' "$ROOT/configs/models/mobilefacenet.ini" >norm.ini
echo 'norm_range = 0,40' >>norm.ini
run plain
run strict --set "detect.model=$PWD/strict.ini"
run both --set "detect.model=$PWD/strict.ini, retinaface_mnet025"
run box --set "detect.model=$PWD/box.ini"
run points --set "detect.model=$PWD/box.ini" --set "detect.landmarks=$PWD/points.ini"
run centre --set align.mode=centre
run bright --set "quality.model=$PWD/bright.ini"
run norm --model "$PWD/norm.ini"
PYTHONPATH=$ROOT/tests /usr/bin/python3 - <<'PY'
import csv
import numpy as np
from column import load
names = ("plain", "strict", "both", "box", "points", "centre", "bright", "norm")
rows = {w: list(csv.DictReader(open(f"e-{w}/images.csv"))) for w in names}
status = {w: [r["status"] for r in rows[w]] for w in names}
print("strict finds fewer:", status["strict"].count("ok") < status["plain"].count("ok"))
print("both find the same photos as the second alone:", status["both"] == status["plain"])
one = [r["det_score"] for r in rows["strict"] if r["status"] == "ok"]
print("where the first finds a face, it is its:", all(r["det_score"] == s["det_score"] for r, s in zip(rows["both"], rows["strict"]) if s["status"] == "ok"), bool(one))
for w in ("plain", "box", "centre"):
    print(w, "align.status", sorted(set(load(w, "align.status").ravel())), "points", sorted(set(load(w, "detect.points").ravel())))
there = (load("box", "detect.box")[:, 2:] == (96, 112)).all(1)  # whole boxes, not cut at a photo's edge
print("the landmark model's points lie where its input showed them:", abs(load("box", "detect.landmark") - load("points", "detect.landmark"))[there].max() < 1, there.sum() > 10)
measures, seen = load("bright", "quality.measures"), load("bright", "align.status").ravel() == 1
score = load("bright", "quality.score").ravel()
print("the quality model's word (mean of the crop) is the score:", np.corrcoef(measures[seen, 1], score[seen])[0, 1] > 0.6, 0.1 < score[seen].min() < score[seen].max() < 0.9)
length = load("norm", "embed.quality").ravel()
print("length as quality:", 0 < length[seen].min() < length[seen].max() < 1, (load("norm", "quality.score").ravel()[seen] == length[seen]).all(), (load("plain", "embed.quality") == -1).all())
PY
run bad --set detect.model=mobilefacenet
run bad --set detect.landmarks=mobilefacenet
run bad --set quality.model=mobilefacenet
run bad --set detect.model=
run cuda --provider cuda 2>&1 | sed 's/Runtime [0-9.]*/Runtime V/; s/ has no .*/ has no .../'
