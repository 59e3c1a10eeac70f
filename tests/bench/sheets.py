#!/usr/bin/env python3
"""Contact sheets of what went wrong: one picture for every run that accuracy.py --keep left in a folder.

  sheets.py KEPT OUT [word ...]      only runs whose name holds one of the words

Every line of a sheet is one mistake: the photo or photos in question, a gap, photos that they should be compared with. Needs
python3-pil. The rules of what a mistake is are score.py's.
"""
import collections, csv, itertools, os, sys

from PIL import Image, ImageDraw

SIDE, MOST, LEFT = 96, 40, 330  # of a photo; mistakes on a sheet; room for the words


def read(*path):
    with open(os.path.join(*path), newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


class Run:
    def __init__(self, folder):
        self.data, self.export = os.path.join(folder, "data"), os.path.join(folder, "export")
        self.truth = read(self.data, "truth.csv")
        self.photos = collections.defaultdict(list)  # of a label, by side for overlap
        self.right = collections.defaultdict(list)   # those among them that are rightly there
        for t in self.truth:
            key = (t["path"].split("/")[0], t["label"]) if t["path"].startswith(("train/", "bench/")) else t["label"]
            self.photos[key].append(t["path"])
            if t["kind"] == "clean":
                self.right[key].append(t["path"])

    def table(self, name):
        return read(self.export, name + ".csv")


# Each gives (words, photos in question, photos to compare).

def noise(run):
    image = {r["path"]: r for r in run.table("images")}
    for t in run.truth:
        r = image.get(t["path"])
        if not r or r["status"] != "ok":
            continue
        found, wrong = r["verdict"] in ("remove", "relabel"), t["kind"] != "clean"
        if found != wrong:
            others = [p for p in run.right[t["label"]] if p != t["path"]][:4]
            yield ("%s: %s, score %s%s" % ("missed" if wrong else "wrongly flagged", t["kind"], r["score"],
                                           ", to " + r["new_label"] if r["new_label"] else ""),
                   [t["path"]], others + run.right.get(r["new_label"], [])[:2])


def overlap(run):
    kind = {t["label"]: t["kind"] for t in run.truth if t["path"].startswith("train/")}
    person = {t["label"]: t["true_label"] for t in run.truth}
    bench = {person[l]: l for side, l in run.photos if side == "bench"}
    found = set()
    for r in run.table("overlap"):
        if r["label"] in found:
            continue
        found.add(r["label"])
        if kind.get(r["label"]) != "overlap":
            yield ("wrongly shared: %s %s, %s" % (r["label"] or "(photo)", r["benchmark_label"], r["similarity"]),
                   ["train/" + r["path"]] + run.photos["train", r["label"]][:2],
                   ["bench/" + r["benchmark_path"]] + run.photos["bench", r["benchmark_label"]][:2])
    for label, k in sorted(kind.items()):
        if k == "overlap" and label not in found:
            yield "missed: " + label, run.photos["train", label][:3], run.photos["bench", bench[person[label]]][:3]


def pairs(groups):
    return {frozenset(p) for g in groups.values() for p in itertools.combinations(g, 2)}


def dups(run):
    truth, found = collections.defaultdict(list), collections.defaultdict(list)
    kind = {t["path"]: t["kind"] for t in run.truth}
    for t in run.truth:
        if t["group"]:
            truth[t["group"]].append(t["path"])
    for r in run.table("duplicates"):
        found[r["group"]].append(r["path"])
    want, got = pairs(truth), pairs(found)
    alias = {t["path"]: t["ignore"] or t["path"] for t in run.truth}
    for p in sorted(map(sorted, want ^ got)):
        if len({alias[x] for x in p}) == 2 or frozenset(p) in want:
            yield ("missed: " if frozenset(p) in want else "wrongly joined: ") + " ".join(kind[x] for x in p), p[:1], p[1:]


def merge(run):
    twin = collections.defaultdict(set)
    two = set()
    for t in run.truth:
        if t["kind"] == "split_person":
            twin[t["group"]].add(t["label"])
        if t["kind"] == "two_people":
            two.add(t["label"])
    ids = run.table("identities")
    want = {frozenset(v) for v in twin.values() if len(v) == 2}
    got = {frozenset((r["label"], r["other_label"])) for r in ids if r["action"] == "merge"}
    split = {r["label"] for r in ids if r["action"] == "split"}
    for p in sorted(map(sorted, want ^ got)):
        yield ("merge missed" if frozenset(p) in want else "wrongly merged"), run.photos[p[0]][:4], run.photos[p[-1]][:4]
    for label in sorted(two ^ split):
        yield ("split missed" if label in two else "wrongly split"), run.photos[label][:4], run.photos[label][4:8]


def plain(run):
    cluster = {r["path"]: r["cluster"] for r in run.table("clusters")}
    people, parts = collections.defaultdict(dict), collections.defaultdict(dict)
    for t in run.truth:
        c = cluster.get(t["path"], "-1")
        people[c].setdefault(t["true_label"], []).append(t["path"])
        parts[t["true_label"]].setdefault(c, []).append(t["path"])
    for words, groups in (("two people in one cluster", people), ("one person in two clusters", parts)):
        bad = [sorted(g.values(), key=len) for k, g in groups.items() if len(g) > 1 and k != "-1"]
        for g in sorted(bad, key=lambda g: -len(g[-2]))[:MOST // 2]:
            yield "%s: %s photos" % (words, " + ".join(str(len(x)) for x in g[::-1][:4])), g[-2][:3], g[-1][:3]


KINDS = (("overlap", overlap), ("dups", dups), ("merge", merge), ("plain", plain), ("", noise))


def sheet(run, mistakes, path):
    image = Image.new("RGB", (LEFT + 9 * SIDE, (SIDE + 4) * len(mistakes)), "white")
    draw = ImageDraw.Draw(image)
    for y, (words, photos, others) in enumerate(mistakes):
        draw.text((4, y * (SIDE + 4) + SIDE // 2), words[:52], fill="black")
        for x, name in enumerate((photos + [None] + others)[:9]):
            if name:
                with Image.open(os.path.join(run.data, name)) as photo:
                    image.paste(photo.convert("RGB").resize((SIDE, SIDE)), (LEFT + x * SIDE, y * (SIDE + 4)))
    image.save(path)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    kept, out, words = sys.argv[1], sys.argv[2], sys.argv[3:]
    os.makedirs(out, exist_ok=True)
    for name in sorted(os.listdir(kept)):
        folder = os.path.join(kept, name)
        if not os.path.exists(os.path.join(folder, "export", "summary.json")) or (words and not any(w in name for w in words)):
            continue
        run = Run(folder)
        mistakes = list(next(f for start, f in KINDS if name.startswith(start))(run))
        print(f"{name}: {len(mistakes)} mistakes")
        if mistakes:
            sheet(run, mistakes[:MOST], os.path.join(out, name + ".png"))


if __name__ == "__main__":
    main()
