# needs: photos
# needs: mtcnn
# MTCNN finds what an independent run of the published cascade finds: tests/mtcnn_faces.txt is what tests/mtcnn_reference.py printed
# for the photos of Debian's dlib. Sizes are the photos' own, because that is what the reference looks at.
photos=$(facewash models | sed -n 's/^network files: //p')/../demo-photos/faces
[ -d "$photos" ] || photos=$(sed -n 's/^DEMO_DIR := //p' "$ROOT/build/deps.mk")/faces
mkdir photos && cp "$photos"/*.jpg photos
facewash run --input photos --work w -q --set detect.model=mtcnn --set detect.size=4096 --set detect.second_size=0 --set image.decode_side=0 \
    --set detect.max_faces=256
echo "-> $?"
PYTHONPATH=$ROOT/tests /usr/bin/python3 - >faces.txt <<'PY'
import os
import numpy as np
from column import load
box, mark, score = (load("w", f"detect.{c}") for c in ("box", "landmark", "score"))
off = load("w", "detect.box.off").ravel()
for i, name in enumerate(sorted(os.listdir("photos"))):
    print(name, off[i + 1] - off[i])
    for k in range(off[i], off[i + 1]):
        print(*(f"{v:.4f}" for v in (score[k, 0], *box[k], *mark[k])))
PY
/usr/bin/python3 "$ROOT/tests/compare_faces.py" faces.txt "$ROOT/tests/mtcnn_faces.txt" >compared.txt
/usr/bin/python3 - <<'PY'
import re
line = open("compared.txt").read().splitlines()[-1]
ours, theirs, both, mean, least, apart, most = map(float, re.match(r"(\d+) and (\d+) faces, (\d+) in both; overlap mean ([\d.]+) "
    r"least ([\d.]+); landmarks apart mean ([\d.]+) most ([\d.]+)", line).groups())
# measured: 68 and 70 faces, all 68 in both, overlap .996 and .893, landmarks .0015 and .0160 of the box's side
print("the same faces:", both >= theirs - 3 and ours - both <= 1, "boxes:", mean > 0.98 and least > 0.8, "landmarks:", apart < 0.005 and most < 0.05)
PY
