#!/usr/bin/env python3
"""Seeds for fuzz_source and fuzz_onnx: seeds.py DIR writes DIR/READER/*. Small files of tests/make_sources.py and of this one, laid out as
fuzz_source.c reads them, and what tests/fuzz/corpus.txt keeps of earlier runs (lines "READER base64")."""
import base64, bz2, glob, gzip, io, lzma, os, struct, subprocess, sys, tarfile, tempfile, zipfile

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1]
count = {}


def seed(reader, data):
    os.makedirs(f"{out}/{reader}", exist_ok=True)
    count[reader] = count.get(reader, 0) + 1
    with open(f"{out}/{reader}/{count[reader]:03d}", "wb") as f:
        f.write(data)


def files(reader, first, second=None, third=None, options=0):
    options |= (second is not None) | (third is not None) << 1
    second, third = second or b"", third or b""
    seed(reader, struct.pack("<BHH", options, len(second), len(third)) + first + second + third)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def made(kind):
    """{name: bytes} of the files that make_sources.py writes, the large ones left out."""
    with tempfile.TemporaryDirectory() as d:
        subprocess.run([sys.executable, f"{here}/../make_sources.py", kind, d], check=True)
        return {os.path.basename(p): read(p) for p in sorted(glob.glob(d + "/*")) if os.path.getsize(p) < 20000}


# ---- RecordIO -----------------------------------------------------------------------------------------------------------------

for kind in ("rec", "badrec"):
    group = made(kind)
    for name, data in group.items():
        if name.endswith(".rec"):
            files("rec", data, group.get(name[:-3] + "idx"), group.get(name[:-3] + "labels"))

# ---- archives -----------------------------------------------------------------------------------------------------------------

wds = [("0.cls", b"3"), ("0.jpg", b"\xff\xd8"), ("1.jpg", b"x"), ("1.png", b"yy"), ("1.json", b'{"label":"ann","who":{"id":7}}'), ("a/2.jpg", b""),
       ("./a/2.jpg", b"again"), ("readme", b"no"), ("__MACOSX/a/1.jpg", b"no"), ("a/.x.jpg", b"no"), ("J\u00f6rg.x/" + "l" * 120 + ".jpg", b"long")]


def tar(members, fmt):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w", format=fmt) as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("a/link.jpg")
        link.type, link.linkname = tarfile.LNKTYPE, "a/2.jpg"
        t.addfile(link)
    return b.getvalue().rstrip(b"\0") + bytes(2048 - len(b.getvalue().rstrip(b"\0")) % 512)  # not Python's 10 KB of zeros


def zstd(data):
    """RFC 8878: a frame of one raw block."""
    return struct.pack("<IBI", 0xFD2FB528, 0xA0, len(data)) + struct.pack("<I", len(data) << 3 | 1)[:3] + data


packers = (gzip.compress, bz2.compress, lzma.compress, zstd)
for fmt in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
    members = wds[:-1] if fmt == tarfile.USTAR_FORMAT else wds
    whole = tar(members, fmt)
    for options in (0, 4):
        files("tar", whole, options=options)
        files("tar", tar(members[:4], fmt), tar(members[3:], fmt), options=options)
for pack in packers:
    files("tar", pack(tar(wds[:5], tarfile.USTAR_FORMAT)))
    files("tar", pack(tar(wds[:3], tarfile.USTAR_FORMAT)), pack(tar(wds[3:6], tarfile.USTAR_FORMAT)))
for name, data in made("badtar").items():
    if len(data) < 12000:
        files("tar", data)


def zipped(members, how):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w", how) as z:
        for name, data in members:
            z.writestr(zipfile.ZipInfo(name), data, how)
    return b.getvalue()


for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
    for options in (0, 4):
        files("zip", zipped(wds, how), options=options)
    files("zip", zipped(wds[:4], how), zipped(wds[3:], how))
for data in made("zip").values():
    files("zip", data)

# ---- TSV ----------------------------------------------------------------------------------------------------------------------

for name, data in made("tsv").items():
    if len(data) < 8000 and not name.startswith(("big", "zeros", "cut")):  # 300 rows: slow, and no more to see than in three
        files("tsv", data)
        files("tsv", data, options=4)
text = b"ann\tk1\tYQ==\tx\nbob\tk2\tYmI=\r\n\n\\x09\tk\\\\3\tY2Nj\nann\tk1\t%%\n"
for data in (text, text[:40]):
    for options in (0, 4):
        files("tsv", data, options=options)
        for pack in packers:
            files("tsv", pack(data), options=options)

# ---- the others ---------------------------------------------------------------------------------------------------------------

for name, data in made("bin").items():
    if len(data) < 8000:
        files("bin", data)

group = made("npy")
for name, data in group.items():
    if name.endswith(".npy") and len(data) < 8000:
        files("npy", data)
        files("npy", data, group["labels.txt"])
for meta in ("f.meta", "five.meta", "short.txt"):
    files("feat", group["f.bin"], group[meta])
files("feat", bytes(64), b"a\n\n")
files("feat", group["f.bin"])

table = b"ann\tk1\tYQ==\nann\tk2\tYmI=\n"
for lines in (b"ann/k1\tann\nann/k2\tb\\x09b\r\n\nmissing\tc\nx\n", b"/dev/null\tn\n/\troot\n", b"\tlabel\n", b"a\0b\tc\n", b"\\\\\t\\\\\n"):
    for options in (0, 4):
        files("list", lines, options=options)
        files("list", lines, table, options=options)


# ---- ONNX: the wire format of protocol buffers by hand ------------------------------------------------------------------------

def varint(v):
    v &= (1 << 64) - 1
    return bytes([v & 127 | (128 if v > 127 else 0)]) + (varint(v >> 7) if v > 127 else b"")


def pb(*fields):
    """(number, int | bytes | str | message) ... as a message"""
    b = b""
    for number, value in fields:
        if isinstance(value, int):
            b += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            b += varint(number << 3 | 2) + varint(len(value)) + value
    return b


def network(*parts):
    """A Conv with packed and single attributes, its weights, an If with a graph inside, and `parts` more."""
    weights = pb((1, 2), (1, 1), (1, 1), (1, 1), (2, 1), (8, "w"), (9, struct.pack("<2f", 1, 2)))
    bias = pb((1, b"\x02"), (2, 1), (4, struct.pack("<2f", 3, 4)), (8, "b"))
    conv = pb((1, "x"), (1, "w"), (1, "b"), (2, "y"), (4, "Conv"), (5, pb((1, "pads"), (8, b"\0\1\0\1"), (20, 7))), (5, pb((1, "group"), (3, 1), (20, 2))),
              (5, pb((1, "strides"), (8, 2), (8, 2))))
    inner = pb((1, pb((1, "y"), (2, "z"), (4, "Relu"), (5, pb((1, "value"), (5, weights), (10, bias))))), (5, bias))
    nested = pb((1, "y"), (2, "z"), (4, "If"), (5, pb((1, "then_branch"), (6, inner), (11, inner))))
    graph = pb((1, conv), (1, nested), (2, "g"), (5, weights), (5, bias), (11, pb((1, "w"))), (11, pb((1, "x"))), (12, pb((1, "z"))), *parts)
    return pb((1, 7), (7, graph), (8, pb((2, 12))))


seed("onnx", network())
seed("onnx", network((5, pb((1, 1 << 62), (1, 8), (2, 1), (8, "huge"), (9, b"1234")))))
seed("onnx", network((5, pb((1, -1), (2, 1), (8, "negative"), (9, b"1234")))))
seed("onnx", network((5, pb((1, 4), (2, 1), (8, "outside"), (13, pb((1, "location"), (2, "/etc/passwd"))), (14, 1)))))
seed("onnx", network((5, pb((1, 3), (2, 10), (8, "half"), (9, b"123456")))))
seed("onnx", network()[:100])
seed("onnx", pb((7, pb((5, pb((2, 1))))), (7, pb((1, pb((2, "y"), (4, "Relu"))), (5, pb((8, "w"))), (11, pb((1, "x"))), (12, pb((1, "y")))))))  # two graphs
deep = pb((1, pb((1, "y"), (2, "z"), (4, "If"))))
for _ in range(20):
    deep = pb((1, pb((2, "z"), (4, "If"), (5, pb((1, "then_branch"), (6, deep))))))
seed("onnx", pb((7, deep)))

# ---- found by earlier runs ------------------------------------------------------------------------------------------------------

for line in open(f"{here}/corpus.txt"):
    if line[0] != "#":
        reader, text = line.split()
        seed(reader, base64.b64decode(text))
