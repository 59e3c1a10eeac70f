#!/usr/bin/python3
"""Are two lists of faces the same? tests/compare_faces.py A B: each as tests/mtcnn_reference.py prints. Faces are matched by
their boxes (overlap above .5 of the union); prints how many of each were matched, the least overlap, and the greatest distance
of a landmark in shares of the box."""
import sys

import numpy as np


def read(path):
    photos, name = {}, None
    for line in open(path, encoding="utf-8"):
        words = line.split()
        if len(words) == 2:
            name = photos.setdefault(words[0], [])
        else:
            name.append([float(w) for w in words])
    return photos


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(0, w) * max(0, h)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def main():
    a, b = read(sys.argv[1]), read(sys.argv[2])
    overlap, away, score = [], [], []
    for name in sorted(a.keys() | b.keys()):
        left = list(b.get(name, []))
        for face in a.get(name, []):
            best = max(left, key=lambda other: iou(face[1:5], other[1:5]), default=None)
            if best is None or iou(face[1:5], best[1:5]) <= 0.5:
                print(f"{name}: only the first has {face[:5]}")
                continue
            left.remove(best)
            overlap.append(iou(face[1:5], best[1:5]))
            score.append(abs(face[0] - best[0]))
            side = max(best[3] - best[1], best[4] - best[2])
            away.append(np.hypot(*(np.array(face[5:]) - best[5:]).reshape(5, 2).T).max() / side)
        for face in left:
            print(f"{name}: only the second has {face[:5]}")
    print(f"{sum(map(len, a.values()))} and {sum(map(len, b.values()))} faces, {len(overlap)} in both; overlap mean "
          f"{np.mean(overlap):.3f} least {min(overlap):.3f}; landmarks apart mean {np.mean(away):.4f} most {max(away):.4f}; "
          f"score apart mean {np.mean(score):.4f} most {max(score):.4f}")


if __name__ == "__main__":
    main()
