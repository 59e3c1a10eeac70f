#!/usr/bin/env python3
"""Datasets in other people's formats, written without our code: make_sources.py KIND DIR

Image i is the text of image(i) (no decoder looks at it); its label is person i // 3.
"""
import base64, gzip, io, json, os, pickle, struct, sys, tarfile, zipfile

MAGIC = struct.pack("<I", 0xCED7230A)


def image(i):
    return b"\xff\xd8image %d " % i + bytes((i * 7 + k) % 251 for k in range(40 + 13 * i))


def person(i):
    return "person %d" % (i // 3)


# ---- RecordIO -------------------------------------------------------------------------------------------------------

def part(flag, data):
    return MAGIC + struct.pack("<I", flag << 29 | len(data)) + data + b"\0" * (-len(data) % 4)


def record(body):
    """As dmlc-core's writer: cut where the magic stands at a multiple of 4."""
    cuts = [i for i in range(0, len(body) - 3, 4) if body[i:i + 4] == MAGIC]
    if not cuts:
        return part(0, body)
    out, start = b"", 0
    for k, cut in enumerate(cuts):
        out += part(1 if k == 0 else 2, body[start:cut])
        start = cut + 4
    return out + part(3, body[start:])


def header(label, number):
    if isinstance(label, (list, tuple)):
        return struct.pack("<IfQQ", len(label), 0.0, number, 0) + struct.pack("<%df" % len(label), *label)
    return struct.pack("<IfQQ", 0, label, number, 0)


def write_rec(folder, name, records, idx=True):
    """records: (number, label, image bytes), in the order in which they stand in the file"""
    with open(f"{folder}/{name}.rec", "wb") as rec:
        lines = []
        for number, label, data in records:
            lines.append(f"{number}\t{rec.tell()}\n")
            rec.write(record(header(label, number) + data))
    if idx:
        with open(f"{folder}/{name}.idx", "w") as f:
            f.writelines(lines)


def face_set(images, people):
    """As InsightFace lays it out: images 1..n, one range per identity, record 0 written last."""
    out = [(1 + i, float(i // 3), image(i)) for i in range(images)]
    out += [(1 + images + p, [1 + 3 * p, 1 + min(3 * p + 3, images)], b"") for p in range(people)]
    return out + [(0, [1 + images, 1 + images + people], b"")]


def make_rec(d):
    write_rec(d, "train", face_set(9, 3))
    write_rec(d, "noidx", face_set(9, 3), idx=False)
    write_rec(d, "sameids", [(0, 1.0, image(0)), (0, 1.0, image(1)), (0, 2.0, image(2))], idx=False)
    write_rec(d, "bigids", [((1 << 64) - 1, 1.0, image(0)), (10**19, 2.0, image(1))], idx=False)
    write_rec(d, "gaps", [(5, [7.0, 1.5, 2.5], image(0)), (17, 8.0, image(1)), (9, 0.25, image(2)), (100, float("nan"), image(3))])
    tricky = [MAGIC, b"abcd" + MAGIC * 3, b"a" + MAGIC + b"xyz" + MAGIC + b"end", MAGIC + b"abc"]
    write_rec(d, "parts", [(i, float(i), t) for i, t in enumerate(tricky)])
    with open(f"{d}/parts.labels", "w") as f:
        f.write("0\tAnna\n1\tB\\\\b\n2\tCarl \\x09x\n")
    big = 5 << 30  # a hole in front of the second record: past 4 GiB without the disk space
    with open(f"{d}/big.rec", "wb") as rec:
        rec.write(record(header(1.0, 0) + image(0)))
        rec.seek(big)
        rec.write(record(header(2.0, 1) + image(1)))
    with open(f"{d}/big.idx", "w") as f:
        f.write(f"0\t0\n1\t{big}\n")


def make_badrec(d):
    def save(name, data, idx=None):
        with open(f"{d}/{name}.rec", "wb") as f:
            f.write(data)
        if idx is not None:
            with open(f"{d}/{name}.idx", "w") as f:
                f.write(idx)
    good = record(header(1.0, 0) + image(0))
    save("notrec", b"hello world, this is text")
    save("truncated", good + good[:len(good) // 2], f"0\t0\n1\t{len(good)}\n")
    save("truncated_noidx", good + good[:len(good) // 2])
    save("hugelabels", good + part(0, struct.pack("<IfQQ", 0xFFFFFFFF, 0, 1, 0)), f"0\t0\n1\t{len(good)}\n")
    save("short", good + part(0, b"1234"), f"0\t0\n1\t{len(good)}\n")
    save("outside", good, f"0\t0\n1\t{1 << 62}\n2\t4\n")
    save("middle", good + part(2, header(1.0, 1)) + part(1, header(1.0, 2)), f"0\t0\n1\t{len(good)}\n2\t{len(good) + 32}\n")
    save("kind", good + MAGIC + struct.pack("<I", 7 << 29), f"0\t0\n1\t{len(good)}\n")
    save("badidx", good, "0\t0\nx\t-5\n")
    save("negidx", good, "0\t-5\n")
    save("twice", good, "0\t0\n0\t0\n")


# ---- tar and zip ----------------------------------------------------------------------------------------------------

def people(count=9):
    out = [(f"./{person(i)}/{i:03d}.jpg" if i % 2 else f"{person(i)}/{i:03d}.jpg", image(i)) for i in range(count)]
    out += [("J\u00f6rg/" + "x" * 120 + ".jpg", image(20)), ("top.png", image(21)), ("a.b/c.d.jpg", image(22)), ("a.b/c.e.jpg", image(23))]
    return out + [("._001.jpg", b"junk"), ("__MACOSX/p/001.jpg", b"junk"), ("readme.txt", b"text"), (".DS_Store", b"x")]


def write_tar(path, members, mode="w", fmt=tarfile.PAX_FORMAT):
    with tarfile.open(path, mode, format=fmt) as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("person 0/link.jpg")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        t.addfile(link)


def make_tar(d):
    write_tar(f"{d}/people.tar", people())
    write_tar(f"{d}/gnu.tar", people(), fmt=tarfile.GNU_FORMAT)
    for end in ("gz", "xz", "bz2"):
        write_tar(f"{d}/people.tar.{end}", people(), f"w:{end}")
    write_tar(f"{d}/twice.tar", [("a/1.jpg", image(1)), ("a/1.jpg", image(2))])
    twice = bytearray(open(f"{d}/twice.tar", "rb").read())  # a second member that no tar could begin with: a gap in its mode
    twice[1024:1029] = b"a/2.j"
    twice[1024 + 100:1024 + 108] = b"0\0\0\0" b"0644"
    twice[1024 + 148:1024 + 156] = b" " * 8
    twice[1024 + 148:1024 + 156] = b"%06o\0 " % sum(twice[1024:1536])
    open(f"{d}/oddmode.tar", "wb").write(twice)
    with tarfile.open(f"{d}/bytes.tar", "w", format=tarfile.GNU_FORMAT, errors="surrogateescape", encoding="utf-8") as t:
        info = tarfile.TarInfo("odd\udcff\udcfe/1.jpg")
        info.size = len(image(1))
        t.addfile(info, io.BytesIO(image(1)))
    for shard in range(3):
        members = []
        for i in range(3 * shard, 3 * shard + 3):
            members.append((f"{i:06d}.cls", str(i // 3).encode() + b"\n"))
            members.append((f"{i:06d}.jpg", image(i)))
            if shard:
                members.append((f"{i:06d}.json", json.dumps({"label": person(i), "who": {"id": 70 + i}, "f": 0.5}).encode()))
        write_tar(f"{d}/wds-{shard:06d}.tar", members)
        write_tar(f"{d}/wdz-{shard:06d}.tar.gz", members, "w:gz")


def make_zip(d):
    for name, how in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(f"{d}/{name}.zip", "w", how) as z:
            z.writestr("person 0/", b"")
            for member, data in people():
                z.writestr(member.removeprefix("./"), data)

    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        for i in range(3):
            z.writestr(f"{person(i)}/{i}.jpg", image(i))
    parts = b.getvalue().split(b"PK\3\4")  # what a download manager or a hostile hand leaves between members
    open(f"{d}/gap.zip", "wb").write(b"PK\3\4" + parts[1] + b"PK\3\4" + parts[2] + b"PKjunkPK" + b"PK\3\4" + parts[3])

    class Pipe(io.RawIOBase):
        def __init__(self, f):
            self.f = f

        def writable(self):
            return True

        def write(self, b):
            return self.f.write(b)
    with open(f"{d}/piped.zip", "wb") as f, zipfile.ZipFile(Pipe(f), "w", zipfile.ZIP_DEFLATED) as z:
        for i in range(3):
            with z.open(f"{person(i)}/{i}.jpg", "w") as m:
                m.write(image(i))


def make_badtar(d):
    write_tar(f"{d}/good.tar", people())
    good = open(f"{d}/good.tar", "rb").read()
    open(f"{d}/cut.tar", "wb").write(good[:512 + 30])
    open(f"{d}/text.tar", "wb").write(b"this is no archive " * 100)
    open(f"{d}/empty.tar", "wb").close()
    gz = gzip.compress(good)
    open(f"{d}/cut.tar.gz", "wb").write(gz[:len(gz) // 2])

    def with_size(name, field):
        head = bytearray(good[:512])
        head[124:136] = field
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        open(f"{d}/{name}.tar", "wb").write(bytes(head) + good[512:])
    with_size("huge", b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7)
    with_size("negative", b"\xff" * 12)
    with_size("toolong", b"77777777777\0")
    sparse = bytearray(good[:512])  # GNU sparse: two pieces, the second in front of the first
    sparse[156:157], sparse[257:265], sparse[124:136], sparse[345:512] = b"S", b"ustar  \0", b"00000001024\0", bytes(167)
    for k, place in enumerate((4096, 0)):
        sparse[386 + 24 * k:386 + 24 * k + 24] = b"%011o\0%011o\0" % (place, 512)
    sparse[483:495] = b"%011o\0" % 8192
    sparse[148:156] = b" " * 8
    sparse[148:156] = b"%06o\0 " % sum(sparse)
    open(f"{d}/sparse.tar", "wb").write(bytes(sparse) + b"x" * 1024 + bytes(1024))


# ---- TSV ------------------------------------------------------------------------------------------------------------

def make_tsv(d):
    rows = []
    for i in range(9):
        rows.append("\t".join([f"m.0{i // 3}", str(i % 3), f"http://x/{i}.jpg", "http://page", f"FaceId-{i}", "AAAA",
                               base64.b64encode(image(i)).decode()]))
    text = "\n".join(rows) + "\n"
    open(f"{d}/celeb.tsv", "w").write(text)
    open(f"{d}/crlf.tsv", "w").write("\r\n".join(rows))  # and no newline at the end
    open(f"{d}/celeb.tsv.gz", "wb").write(gzip.compress(text.encode()))
    open(f"{d}/gaps.tsv", "w").write("a\tk1\t" + base64.b64encode(image(1)).decode() + "\n\nb\tk3\t%%%%\nc\tk4\nd\tk5\t\n")
    open(f"{d}/first.tsv", "w").write(base64.b64encode(image(1)).decode().rstrip("=") + "\tann\n" + base64.b64encode(image(2)).decode() + "\tbob")
    big = [(f"p{i}", "x" * (i % 50), base64.b64encode(bytes([i % 256]) * (1000 + 37 * i)).decode()) for i in range(300)]
    open(f"{d}/big.tsv", "w").write("".join("\t".join(r) + "\n" for r in big))  # lines across chunks
    open(f"{d}/big.tsv.gz", "wb").write(gzip.compress(open(f"{d}/big.tsv", "rb").read()))
    open(f"{d}/zeros.tsv", "wb").write(bytes(200000))
    gz = gzip.compress(open(f"{d}/big.tsv", "rb").read())
    open(f"{d}/cut.tsv.gz", "wb").write(gz[:len(gz) // 2])


# ---- verification sets ----------------------------------------------------------------------------------------------

def python2_pickle(images, same):
    """What cPickle of Python 2 wrote: byte strings as (SHORT_)BINSTRING, memo from 1."""
    out, memo = b"\x80\x02]q\x01(", 2
    for data in images:
        out += b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data
        out += b"q" + bytes([memo])
        memo += 1
    out += b"e]q" + bytes([memo]) + b"(" + b"".join(b"\x88" if s else b"\x89" for s in same) + b"e\x86q" + bytes([memo + 1]) + b"."
    return out


def make_bin(d):
    images, same = [image(i) for i in range(8)] , [True, False, False, True]
    images[7] = bytes(range(256)) * 300
    for protocol in (3, 4, 5):
        with open(f"{d}/p{protocol}.bin", "wb") as f:
            pickle.dump((images, same), f, protocol=protocol)
    many = [b"%d" % i for i in range(6000)]
    with open(f"{d}/many.bin", "wb") as f:
        pickle.dump((many, [i % 2 == 0 for i in range(3000)]), f, protocol=4)
    shared = [many[0]] * 4
    with open(f"{d}/shared.bin", "wb") as f:
        pickle.dump((shared, [1, 0]), f, protocol=4)
    open(f"{d}/python2.bin", "wb").write(python2_pickle(images, same))

    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {d}/PWNED",))
    bad = {"evil": pickle.dumps(Evil(), 4), "evil_inside": pickle.dumps(([b"a", b"b"], [Evil()]), 4),
           "global2": pickle.dumps(([b"a", b"b"], [True]), 2), "text0": pickle.dumps((["a", "b"], [True]), 0),
           "odd": pickle.dumps(([b"a", b"b", b"c"], [True]), 4), "strings": pickle.dumps((["a", "b"], [True]), 4),
           "dict": pickle.dumps({"a": 1}, 4), "swapped": pickle.dumps(([True], [b"a", b"b"]), 4), "list": pickle.dumps([b"a"], 4),
           "nested": pickle.dumps(([[b"a"], b"b"], [True]), 4), "three": pickle.dumps(([b"a", b"b"], [True], []), 4),
           "empty": b"", "nopairs": pickle.dumps(([], []), 4),
           "huge": b"\x80\x04]\x94(\x8e" + b"\xff" * 8, "huge32": b"\x80\x04](B\xff\xff\xff\xff", "marks": b"\x80\x04" + b"(" * 100000,
           "memo": b"\x80\x04]r\xff\xff\xff\xff", "recall": b"\x80\x04]j\xff\xff\xff\xff", "loop": b"\x80\x04]\x94h\x00a.",
           "cut": pickle.dumps((images, same), 4)[:700], "marktuple": b"\x80\x04(]](\x86."}
    for name, data in bad.items():
        open(f"{d}/bad_{name}.bin", "wb").write(data)


# ---- embeddings -----------------------------------------------------------------------------------------------------

def make_npy(d):
    import numpy
    rows = numpy.random.default_rng(1).normal(size=(6, 8))
    rows[2] = 0
    rows[3, 4] = numpy.nan
    rows[4, 1] = numpy.inf
    rows[5] *= 1e-30
    for name in ("float16", "float32", "float64"):
        numpy.save(f"{d}/{name}.npy", rows.astype(name))
    with numpy.errstate(all="ignore"):
        unit = rows / numpy.linalg.norm(rows, axis=1, keepdims=True)
    unit.astype("<f4").tofile(f"{d}/want")
    open(f"{d}/labels.txt", "w").write("ann\nann\nx.jpg\tbob\n\ncarl\r\ncarl")
    open(f"{d}/short.txt", "w").write("ann\nann\n")
    rows.astype("<f4").tofile(f"{d}/f.bin")
    open(f"{d}/f.meta", "w").write("0\n0\n1\n1\n2\n2\n")
    open(f"{d}/five.meta", "w").write("0\n0\n1\n1\n2\n")
    numpy.save(f"{d}/fortran.npy", numpy.asfortranarray(rows.astype("f4")))
    numpy.save(f"{d}/bigendian.npy", rows.astype(">f4"))
    numpy.save(f"{d}/ints.npy", rows.astype("i4") if False else numpy.zeros((6, 8), "i4"))
    numpy.save(f"{d}/flat.npy", numpy.zeros(48, "f4"))
    numpy.save(f"{d}/wide.npy", numpy.zeros((1, 4097), "f4"))
    numpy.save(f"{d}/objects.npy", numpy.array([[{}]], dtype=object), allow_pickle=True)
    good = open(f"{d}/float32.npy", "rb").read()
    open(f"{d}/cut.npy", "wb").write(good[:-10])
    open(f"{d}/text.npy", "wb").write(b"hello, world, hello")
    def lie(name, shape):
        text = ("{'descr': '<f4', 'fortran_order': False, 'shape': %s, }" % shape).ljust(117) + "\n"
        open(f"{d}/{name}.npy", "wb").write(b"\x93NUMPY\x01\x00\x76\x00" + text.encode() + good[128:])
    lie("huge", "(9223372036854775807, 8)")
    lie("overflow", "(99999999999999999999999, 8)")
    lie("negative", "(-1, 8)")
    open(f"{d}/longhead.npy", "wb").write(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100)


if __name__ == "__main__":
    globals()["make_" + sys.argv[1]](sys.argv[2])
