"""Reads columns of a workspace (lib/column.h): load("W", "align.status") is all shards' values, one row per image or face."""
import glob

import numpy as np

TYPES = ["u1", "i1", "<u2", "<f2", "<i4", "<u4", "<f4", "<i8", "<u8", "<f8"]


def load(work, column):
    parts = []
    for path in sorted(glob.glob(f"{work}/out/{column.split('.')[0]}/*/{column}")):
        with open(path, "rb") as f:
            head = f.read(64)
        kind, width = head[6], int.from_bytes(head[8:12], "little")
        parts.append(np.fromfile(path, TYPES[kind], offset=64).reshape(-1, width))
    return np.concatenate(parts)
