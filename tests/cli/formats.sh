# A dataset through every format and back: the same bytes under the same labels. Nothing is decoded on the way.
/usr/bin/python3 - <<'PY'
import os, struct
magic = struct.pack("<I", 0xCED7230A)
for person in ("ann", "bob b", "J\u00f6rg", "deep/er", "back\\slash"):
    os.makedirs("src/" + person)
    for i in range(4):  # the third holds RecordIO's magic number, aligned and not
        body = (person + str(i)).encode() * (1 + 300 * i) + (b"\0" * 7 + magic * 3 if i == 2 else b"")
        open(f"src/{person}/{i}.jpg", "wb").write(b"\xff\xd8\xff" + body + b"\xff\xd9")
PY
held() { /usr/bin/python3 "$ROOT/tests/read_set.py" "$@" || echo "cannot read $*"; }
held dir src >want
convert() { # SRC FORMAT OUT
    facewash ingest --input "$1" --work "work.$3" -q && facewash export --work "work.$3" --out "$3" --format "$2" --all -q; echo "$2 -> $?"
}
convert dir:src rec a && held rec a/train.rec | cmp - want && ls a && cat a/property a/train.labels
convert rec:a/train.rec tar b && held tar 'b/*.tar' | cmp - want && ls b
convert 'tar:b/*.tar' tsv c && held tsv c/train.tsv | sed 's/\\\\/\\/' | sort | cmp - <(sort want)
convert tsv:c/train.tsv dir d && held dir d | cmp - want && echo 'round trip: the same'
convert dir:src list e && head -1 e/train.lst && facewash ingest --input list:e/train.lst --work w.e -q; echo "-> $?"
convert rec:a/train.rec list f && head -2 f/train.lst && facewash ingest --input "list:f/train.lst@rec:a/train.rec" --work w.f -q; echo "-> $?"
echo "--- links"
facewash export --work work.a --out hard --format dir --all --set export.link=hard -q; stat -c %h src/ann/1.jpg
facewash export --work work.a --out soft --format dir --all --set export.link=symbolic -q; readlink soft/ann/1.jpg
echo "--- what is there stays"
facewash export --work work.a --out a --format rec --all -q; echo "-> $?"
facewash export --work work.a --out d --format dir --all -q; echo "-> $?"
echo mine >a/notes.txt
facewash export --work work.a --out a --format rec --all --force -q; echo "-> $?"; ls -A a
facewash export --work work.a --out src --format dir --all --force; echo "-> $?"
facewash export --work work.a --out src/ann/x --format rec --all; echo "-> $?"
echo "--- a full disk leaves nothing"
(trap '' XFSZ; ulimit -f 2; facewash export --work work.a --out full --format rec --all -q; echo "-> $?"; ls -A full) 2>&1 | sed 's#writing[.][0-9]*#writing.PID#'
(trap '' XFSZ; ulimit -f 2; facewash export --work work.a --out full --format dir --all -q; echo "-> $?"; ls -A full) 2>&1 | sed 's#writing[.][0-9]*#writing.PID#'
echo "--- compressed"
/usr/bin/python3 - <<'PY'
import glob, gzip, struct
raw = open(glob.glob("b/*.tar")[0], "rb").read()
gzip.open("z.tar.gz", "wb").write(raw)
with open("z.tar.zst", "wb") as f:  # RFC 8878: a frame of raw blocks
    f.write(struct.pack("<IBI", 0xFD2FB528, 0xA0, len(raw)))
    for at in range(0, len(raw), 100000):
        block = raw[at:at + 100000]
        f.write(struct.pack("<I", len(block) << 3 | (at + 100000 >= len(raw)))[:3] + block)
PY
for z in gz zst; do
    convert "tar:z.tar.$z" rec "out.$z" && held rec "out.$z/train.rec" | sort | cmp - <(sort want)
done
echo "--- interrupted between two of its files: whoever comes next moves the rest"
mkdir half; cp -r a half/.moving; mv half/.moving/train.idx half/.moving/property half/
facewash export --work work.a --out half --format rec --all; echo "-> $?"; ls -A half; held rec half/train.rec | cmp - want
echo "--- labels and keys from someone else"
/usr/bin/python3 - <<'PY'
import io, json, tarfile
with tarfile.open("evil.tar", "w") as t:
    for i, label in enumerate(("../../outside", "/etc", "a//b", ".hidden", "..", "x/../y", None)):
        for ext, data in (("jpg", b"\xff\xd8\xff%d" % i), ("json", json.dumps({"label": label}).encode())):
            info = tarfile.TarInfo(f"../k/{i}.{ext}")
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
PY
convert tar:evil.tar dir evil; find evil -type f | sort; ls -d outside ../outside 2>/dev/null
facewash ingest --input dir:src --work flat --set ingest.label=none -q; facewash export --work flat --out flat.rec --format rec --all; echo "-> $?"
echo "--- several"
facewash ingest --input one=dir:src --input two=rec:a/train.rec --work many -q; facewash export --work many --out many.d --format dir --all; ls many.d many.d/two
facewash ingest --input dir:src --input rec:a/train.rec --work bad; echo "-> $?"
