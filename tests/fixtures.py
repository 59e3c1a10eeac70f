#!/usr/bin/python3
"""Makes the small datasets of the CLI and kill tests.

    tests/fixtures.py --out DIR [--photos DIR]

OUT/faces    56 photos of five people, folder by folder, shrunk to 320 pixels so that a run takes a second; with a copy, a
             truncated JPEG, a text called .jpg and a picture without a face among them. Without --photos (the demo photos of
             scripts/setup.sh) the same files with drawn patterns: the pipeline runs, but finds no face.
OUT/bench    five more photos of two of these people: a benchmark
OUT/odd      names that break careless programs, symbolic links that leave the folder, an empty file; few and faceless
OUT/kind     `photos` or `patterns`: what the pictures are

Same input, same bytes. Needs python3-pil.
"""
import argparse
import os
import pathlib
import random

from PIL import Image, ImageDraw

PEOPLE = ["John_Salley", "John_Savage", "John_Schneider", "John_Shimkus", "John_Simm"]
SIDE = 320


def pattern(seed, size=(160, 120)):
    """Some coloured ellipses; no detector takes them for a face."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        draw.ellipse([x, y, x + rng.randrange(5, 40), y + rng.randrange(5, 40)], tuple(rng.randrange(256) for _ in range(3)))
    return image


def people(photos):
    """label -> pictures, eleven each."""
    if not photos:
        return {name: [pattern(f"{name}{i}") for i in range(11)] for name in PEOPLE}
    out = {}
    for name in PEOPLE:
        out[name] = []
        for path in sorted((photos / "johns" / name).glob("*.jpg")):
            image = Image.open(path).convert("RGB")
            image.thumbnail((SIDE, SIDE))
            out[name].append(image)
    return out


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def make_faces(root, pictures):
    for name, images in pictures.items():
        for i, image in enumerate(images[:8] if name in PEOPLE[:2] else images):
            save(image, root / name / f"{name}_{i + 1:04d}.jpg", quality=90)
    first = root / PEOPLE[0] / f"{PEOPLE[0]}_0001.jpg"
    (root / PEOPLE[1] / "copy.jpg").write_bytes(first.read_bytes())
    (root / PEOPLE[1] / "cut.jpg").write_bytes(first.read_bytes()[:3000])
    (root / PEOPLE[2] / "text.jpg").write_text("not a picture\n")
    (root / PEOPLE[2] / "notes.txt").write_text("passed over\n")
    save(pattern("faceless"), root / PEOPLE[3] / "faceless.png")
    pictures[PEOPLE[4]][0].save(root / "unlabelled.bmp")


def make_bench(root, pictures):
    for name in PEOPLE[:2]:
        for i, image in enumerate(pictures[name][8:]):
            save(image, root / name / f"b{i}.png")


def make_odd(root):
    names = [b"new\nline", b"quo\"te's", b"<b onclick=1>bold&amp;", b"inv\xff\xfealid", b" blank ", b"comma,semi;colon", b"-dash",
             b"$(touch x)`touch y`", "\u674e\u56db".encode(), b"%s%n"]
    for i, name in enumerate(names):
        folder = os.path.join(os.fsencode(root), name)
        os.makedirs(folder, exist_ok=True)
        pattern(i, (48, 48)).save(os.fsdecode(os.path.join(folder, name + b".png")), format="PNG")
    (root / "empty").mkdir()
    (root / "empty" / "empty.jpg").write_bytes(b"")
    outside = root.parent / "outside"
    save(pattern("outside", (48, 48)), outside / "secret.png")
    links = root / "links"
    links.mkdir()
    save(pattern("inside", (48, 48)), links / "real.png")
    for name, target in [("inside.png", "real.png"), ("outside.png", "../../outside/secret.png"), ("folder", "../../outside"),
                         ("loop", ".."), ("broken.png", "nowhere.png"), ("absolute.png", "/etc/hostname")]:
        os.symlink(target, links / name)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--photos", type=pathlib.Path)
    args = parser.parse_args()
    photos = args.photos if args.photos and (args.photos / "johns").is_dir() else None
    pictures = people(photos)
    args.out.mkdir(parents=True)
    make_faces(args.out / "faces", pictures)
    make_bench(args.out / "bench", pictures)
    make_odd(args.out / "odd")
    for folder, _, files in os.walk(args.out):  # one time for all: a copy of a fixture is the same dataset
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.utime(path, (1700000000, 1700000000))
    (args.out / "kind").write_text("photos\n" if photos else "patterns\n")


main()
