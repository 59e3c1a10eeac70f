#!/usr/bin/env python3
"""What an exported set holds, read without our code: read_set.py rec|tar|tsv|dir PATH -> sorted lines "label sha256"."""
import base64, glob, hashlib, json, os, struct, sys, tarfile


def rec(path):
    data = open(path, "rb").read()
    index = dict(tuple(map(int, line.split("\t"))) for line in open(path[:-3] + "idx"))
    names = [line.rstrip("\n").split("\t")[1].replace("\\\\", "\\") for line in open(path[:-3] + "labels")]

    def record(number):
        at, out = index[number], b""
        while True:
            magic, word = struct.unpack_from("<II", data, at)
            assert magic == 0xCED7230A
            kind, n = word >> 29, word & (1 << 29) - 1
            out += (struct.pack("<I", magic) if kind > 1 else b"") + data[at + 8:at + 8 + n]
            at += 8 + (n + 3) // 4 * 4
            if kind in (0, 3):
                flag, label, ident, _ = struct.unpack_from("<IfQQ", out)
                assert ident == number
                return (struct.unpack_from("<%df" % flag, out, 24) if flag else label), out[24 + 4 * flag:]
    (first, end), empty = record(0)
    assert empty == b"" and sorted(index) == list(range(int(end))) and end - first == len(names)
    seen = {}
    for number in range(1, int(first)):
        label, image = record(number)
        seen.setdefault(int(label), []).append(number)
        yield names[int(label)], image
    for i in range(len(names)):  # the identity records: first image, and the one behind the last
        assert list(range(*map(int, record(int(first) + i)[0]))) == seen[i], i
    classes = int(open(os.path.dirname(path) + "/property").read().split(",")[0])
    assert classes == len(names) == len(seen)


def tar(pattern):
    numbers = {}
    for path in sorted(glob.glob(pattern)):
        samples = {}
        for member in tarfile.open(path):
            key, ext = member.name.split(".")
            samples.setdefault(key, {})[ext] = tarfile.open(path).extractfile(member).read()
        for parts in samples.values():
            info = json.loads(parts["json"])
            assert numbers.setdefault(parts.get("cls"), info["label"]) == info["label"]
            image = [data for ext, data in parts.items() if ext not in ("cls", "json")]
            assert len(image) == 1
            yield info["label"] or "", image[0]


def tsv(path):
    for line in open(path):
        label, _, image = line.rstrip("\n").split("\t")
        yield label, base64.b64decode(image, validate=True)


def dir(path):
    for folder, _, names in os.walk(path):
        for name in names:
            label = os.path.relpath(folder, path)
            yield "" if label == "." else label, open(os.path.join(folder, name), "rb").read()


if __name__ == "__main__":
    print("\n".join(sorted(f"{label} {hashlib.sha256(image).hexdigest()}" for label, image in globals()[sys.argv[1]](sys.argv[2]))))
