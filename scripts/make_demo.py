#!/usr/bin/python3
"""Makes the demo dataset, with trouble planted in it, and afterwards checks what facewash found.

    scripts/make_demo.py --photos DIR --out DIR           OUT/train, OUT/bench and OUT/truth.json (what was planted)
    scripts/make_demo.py --out DIR --check EXPORT         prints planted against found; exits 1 if anything was missed

The photos are those of dlib's examples: five people with eleven photos each (johns/), and photos of groups (faces/). Nothing
is drawn at random: the tables below say which photo becomes what, so that every line of truth.json was looked at by a person.
Needs python3-pil for making; nothing for checking.
"""
import argparse
import csv
import io
import json
import pathlib
import shutil
import sys

# Photos of these two people make the benchmark, so their labels in the training set overlap with it.
BENCH = {
    "John_Salley": ["000179_02159509", "000183_02159543", "000186_02159346", "000190_02159501"],
    "John_Simm": ["000288_00470387", "000305_00470162", "000306_00470222", "000309_00470287"],
}
# One person under two labels: these photos of John_Schneider are labelled J_Schneider.
SPLIT = ("John_Schneider", "J_Schneider",
         ["000326_00926128", "000326_00926139", "000329_00925859", "000329_00925963", "000331_00926012"])
# Labels swapped, two by two.
SWAPPED = [
    (("John_Savage", "000274_01099061"), ("John_Shimkus", "000385_03227766")),
    (("John_Savage", "000296_01099007"), ("John_Schneider", "000302_00925785")),
]
# Copies: (how, whose photo, which, under which label, as which file).
COPIES = [
    ("re-encoded", "John_Savage", "000277_01099000", "John_Savage", "img_0001.jpg"),
    ("resized", "John_Schneider", "000329_00925859", "J_Schneider", "img_0002.png"),
    ("cropped", "John_Schneider", "000329_00925963", "J_Schneider", "img_0003.jpg"),
    ("mirrored", "John_Shimkus", "000388_03227773", "John_Shimkus", "img_0004.jpg"),
    ("exact, same label", "John_Savage", "000290_01099067", "John_Savage", "000290 (copy).jpg"),
    ("exact, under a second label", "John_Shimkus", "000394_02340150", "J_Schneider", "img_0005.jpg"),
]
TRUNCATED = ("John_Savage", "000299_01099008")
# Photos that the collection has twice (found by eye and by pixel correlation > 0.99): either may go, none must.
TWICE = [
    ("John_Salley", ["000189_02159361", "000192_02159531"]),
    ("John_Shimkus", ["000375_03227651", "000376_02340068"]),
    ("John_Shimkus", ["000378_02340151", "000378_03227610"]),
    ("John_Simm", ["000297_00470170", "000300_00470148", "000304_00470122"]),
]
# Photos of groups. Nobody in them is in another photo, so each is an identity with a single photo.
GROUPS = ["2007_007763", "2008_001009", "2008_001322", "2008_002079", "2008_002470", "2008_002506", "2008_004176",
          "2008_007676", "2009_004587", "bald_guys"]
# For a group photo these are policy, not mistakes.
GROUP_REASONS = {"small_identity", "multi_face", "low_quality"}


# --- Making --------------------------------------------------------------------------------------------------------------

class Maker:
    def __init__(self, photos, out):
        self.photos, self.out = photos, out
        self.label = {}      # path in train/ -> the person in it
        self.planted = []
        self.original = {}   # (person, stem) -> path in train/

    def plant(self, kind, path, **facts):
        self.planted.append({"kind": kind, "path": path, **facts})

    def put(self, person, stem, label):
        path = f"{label}/{stem}.jpg"
        self.write(path, (self.photos / "johns" / person / (stem + ".jpg")).read_bytes())
        self.original[person, stem] = path
        self.label[path] = person

    def write(self, path, data):
        path = self.out / "train" / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def encode(image, name):
    data = io.BytesIO()
    image.save(data, "PNG" if name.endswith(".png") else "JPEG", **({} if name.endswith(".png") else {"quality": 92}))
    return data.getvalue()


def make(photos, out):
    for part in ("train", "bench"):
        shutil.rmtree(out / part, ignore_errors=True)
    m = Maker(photos, out)
    place_people(m)
    plant_wrong_labels(m)
    plant_copies(m)
    plant_bad_files(m)
    for stem in GROUPS:
        m.write(f"Group_{stem}/{stem}.jpg", (photos / "faces" / (stem + ".jpg")).read_bytes())

    bad = {p["path"] for p in m.planted}
    truth = {
        "planted": m.planted,
        "split": [SPLIT[:2]],
        "overlap": sorted(BENCH),
        "twice": [[f"{person}/{stem}.jpg" for stem in stems] for person, stems in TWICE],
        "person": m.label,
        "groups": [f"Group_{stem}/{stem}.jpg" for stem in GROUPS],
        "clean": sorted(p for p in m.label if p not in bad and m.label[p] not in BENCH),
    }
    (out / "truth.json").write_text(json.dumps(truth, indent=1, sort_keys=True) + "\n")
    count = sum(1 for p in (out / "train").rglob("*") if p.is_file())
    print(f"demo dataset: {count} files in {out / 'train'}, {len(m.planted)} of them planted trouble")


def place_people(m):
    swapped = dict(sum(([(a, b[0]), (b, a[0])] for a, b in SWAPPED), []))
    for folder in sorted((m.photos / "johns").iterdir()):
        person = folder.name
        for file in sorted(folder.glob("*.jpg")):
            if file.stem in BENCH.get(person, ()):
                target = m.out / "bench" / person / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
            elif (person, file.stem) != TRUNCATED:
                own = SPLIT[1] if person == SPLIT[0] and file.stem in SPLIT[2] else person
                m.put(person, file.stem, swapped.get((person, file.stem), own))


def plant_wrong_labels(m):
    from PIL import Image
    for pair in SWAPPED:
        for person, stem in pair:
            m.plant("swapped label", m.original[person, stem], person=person)
    # A man who is nobody's: there is no right label for him here.
    image = Image.open(m.photos / "faces" / "Tom_Cruise_avp_2014_4.jpg")
    m.write("John_Shimkus/img_0006.jpg", encode(image.resize((image.width // 2, image.height // 2), Image.BICUBIC), ".jpg"))
    m.plant("stranger", "John_Shimkus/img_0006.jpg", person="Tom_Cruise")


def plant_copies(m):
    from PIL import Image, ImageOps
    for how, person, stem, label, name in COPIES:
        source, path = m.original[person, stem], f"{label}/{name}"
        image = Image.open(m.out / "train" / source).convert("RGB")
        if how == "re-encoded":
            data = io.BytesIO()
            image.save(data, "JPEG", quality=35)
            data = data.getvalue()
        elif how == "resized":
            data = encode(image.resize((112, 112), Image.BICUBIC), name)
        elif how == "cropped":
            data = encode(image.crop((8, 5, 140, 141)), name)
        elif how == "mirrored":
            data = encode(ImageOps.mirror(image), name)
        else:
            data = (m.out / "train" / source).read_bytes()
        m.write(path, data)
        m.label[path] = person
        kind, how = ("exact duplicate", how[len("exact, "):]) if how.startswith("exact") else ("near duplicate", how)
        m.plant(kind, path, how=how, of=source, person=person)


def plant_bad_files(m):
    from PIL import Image
    person, stem = TRUNCATED
    data = (m.photos / "johns" / person / (stem + ".jpg")).read_bytes()
    m.write(f"{person}/{stem}.jpg", data[:len(data) * 2 // 5])
    m.plant("truncated JPEG", f"{person}/{stem}.jpg")
    m.write("John_Shimkus/img_0007.jpg", b"This is a text file; somebody gave it the wrong name.\n" * 20)
    m.plant("text named .jpg", "John_Shimkus/img_0007.jpg")
    # Nobody is in this corner of a group photo: leaves, a roof, dark windows.
    corner = Image.open(m.photos / "faces" / "2008_001322.jpg").convert("RGB").crop((0, 0, 190, 130))
    m.write("John_Schneider/img_0008.jpg", encode(corner.resize((380, 260), Image.BICUBIC), ".jpg"))
    m.plant("no face", "John_Schneider/img_0008.jpg")
    # Four dogs. A face detector may take one for a face; nobody should take it for John Savage.
    m.write("John_Savage/img_0009.jpg", (m.photos / "faces" / "dogs.jpg").read_bytes())
    m.plant("no person", "John_Savage/img_0009.jpg", how="dogs")


# --- Checking ------------------------------------------------------------------------------------------------------------

def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Export:
    def __init__(self, folder):
        self.images = {r["path"]: r for r in rows(folder / "images.csv")}
        self.identities = {r["label"]: r for r in rows(folder / "identities.csv")}
        self.overlap = rows(folder / "overlap.csv")
        self.groups, self.spare = {}, set()
        for r in rows(folder / "duplicates.csv"):
            self.groups.setdefault(r["group"], set()).add(r["path"])
            if r["kept"] != "yes":
                self.spare.add(r["path"])

    def image(self, path):
        return self.images.get(path, {"verdict": "missing", "status": "missing", "reasons": "", "new_label": "", "score": ""})

    def reasons(self, path):
        return set(filter(None, self.image(path)["reasons"].split(";")))

    def grouped(self, a, b):
        return any(a in g and b in g for g in self.groups.values())


def same_person(truth, a, b):
    return a == b or any(a in s and b in s for s in truth["split"])


def found(e, truth, p):
    """Whether facewash did the right thing about one planted image."""
    image, reasons, kind = e.image(p["path"]), e.reasons(p["path"]), p["kind"]
    if kind == "swapped label":
        if image["verdict"] == "relabel":
            return same_person(truth, image["new_label"], p["person"])
        return image["verdict"] in ("remove", "review") and bool(reasons & {"mislabeled", "outlier"})
    if kind in ("stranger", "no person"):
        return image["verdict"] in ("remove", "review")
    if kind == "near duplicate":  # listed, one of the two at most as the one to keep; removed only on request
        return e.grouped(p["path"], p["of"]) and bool({p["path"], p["of"]} & e.spare)
    if kind == "exact duplicate":
        kept = [q for q in (p["path"], p["of"]) if e.image(q)["verdict"] in ("keep", "relabel")]
        return (e.grouped(p["path"], p["of"]) and len(kept) == 1 and
                same_person(truth, e.image(kept[0])["new_label"] or kept[0].split("/")[0], p["person"]))
    if kind in ("truncated JPEG", "text named .jpg"):
        return image["verdict"] == "remove" and image["status"] in ("unreadable", "unsupported")
    if kind == "no face":
        return image["verdict"] == "remove" and image["status"] == "no_face"
    raise ValueError(kind)


def wrong_about_clean(e, truth, path):
    """What is wrong with the verdict on an image that is all right; None if nothing is."""
    image, reasons = e.image(path), e.reasons(path)
    verdict, label, person = image["verdict"], path.split("/")[0], truth["person"].get(path)
    if verdict in ("keep", "review"):
        if image["new_label"] and not same_person(truth, image["new_label"], person or label):
            return f"moved to '{image['new_label']}'"
        return None
    if verdict == "relabel":
        return None if same_person(truth, image["new_label"], person) else f"relabelled '{image['new_label']}'"
    if verdict == "remove":
        twins = [set(g) for g in truth["twice"]] + [{p["path"], p["of"]} for p in truth["planted"] if "of" in p]
        if reasons <= {"exact_duplicate", "near_duplicate"} and any(
                path in g and any(e.image(q)["verdict"] == "keep" for q in g - {path}) for g in twins):
            return None
        if path in truth["groups"] and reasons <= GROUP_REASONS:
            return None
        return "removed"
    return f"verdict '{verdict}'"


def check(out, folder):
    truth, e = json.loads((out / "truth.json").read_text()), Export(folder)
    table, notes, missed = [], [], 0

    def row(what, planted, hits):
        nonlocal missed
        missed += planted - hits
        table.append((what, planted, hits))

    kinds = {}
    for p in truth["planted"]:
        kinds.setdefault(p["kind"] + (f" ({p['how']})" if "how" in p else ""), []).append(p)
    for kind, planted in kinds.items():
        good = [found(e, truth, p) for p in planted]
        row(kind, len(planted), sum(good))
        for p, ok in zip(planted, good):
            if not ok:
                i = e.image(p["path"])
                notes.append(f"missed: {p['path']} ({kind}): status {i['status']}, verdict {i['verdict']} {i['new_label']}, "
                             f"score {i['score']}, reasons {i['reasons'] or 'none'}")
    for a, b in truth["split"]:
        ok = any(e.identities.get(x, {}).get("action") == "merge" and e.identities[x]["other_label"] == y
                 for x, y in ((a, b), (b, a)))
        row("person under two labels", 1, int(ok))
        if not ok:
            notes.append(f"missed: '{a}' and '{b}' are one person: " + ", ".join(
                f"{x} -> {e.identities.get(x, {}).get('action')} {e.identities.get(x, {}).get('other_label')}" for x in (a, b)))
    hit = {r["label"] for r in e.overlap if r["benchmark_label"] == r["label"]}
    row("person in the benchmark", len(truth["overlap"]), len(hit & set(truth["overlap"])))
    notes += [f"missed: '{x}' is in the benchmark too" for x in truth["overlap"] if x not in hit]

    wrong = {p: why for p in truth["clean"] + truth["groups"] if (why := wrong_about_clean(e, truth, p))}
    notes += [f"wrong: {p} is all right, but was {why} (score {e.image(p)['score']}, reasons {e.image(p)['reasons'] or 'none'})"
              for p, why in wrong.items()]

    width = max(len(t[0]) for t in table) + 2
    print(f"\n{'trouble':{width}}planted  found")
    for what, planted, hits in table:
        print(f"{what:{width}}{planted:7}{hits:7}" + ("" if hits == planted else "  <- missed"))
    total = len(truth["clean"]) + len(truth["groups"])
    print(f"{'total':{width}}{sum(t[1] for t in table):7}{sum(t[2] for t in table):7}")
    print(f"\nphotos that are all right: {total}, of which wrongly removed or relabelled: {len(wrong)}")
    for note in notes:
        print("  " + note)
    return 1 if missed or wrong else 0


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--photos", type=pathlib.Path, help="folder with johns/ and faces/")
    args.add_argument("--out", type=pathlib.Path, required=True, help="folder of the demo dataset")
    args.add_argument("--check", type=pathlib.Path, metavar="EXPORT", help="folder of facewash's export")
    parsed = args.parse_args()
    if parsed.check:
        return check(parsed.out, parsed.check)
    if not parsed.photos:
        args.error("--photos or --check is needed")
    make(parsed.photos, parsed.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
