#!/usr/bin/python3
"""The MTCNN cascade as published, in Python: an independent second opinion on lib/detector_mtcnn.c.

    tests/mtcnn_reference.py --weights mtcnn_model.weights PHOTO...

prints, per photo, name, then a line per face: score, x0 y0 x1 y1, five landmarks, in pixels, best first. It follows the
authors' MATLAB code step by step (1-based inclusive boxes, whole-pixel windows, area resizing). The networks are computed in
numpy from the published list of weights as it is, on pictures with x and y exchanged, so that the exchange of the weights in
scripts/prepare_mtcnn.py is checked too. Needs python3-opencv (to read and shrink photos) and python3-numpy.
"""
import argparse
import pathlib
import sys

import cv2
import numpy as np

FACTOR, MIN_FACE, THRESHOLDS = 0.709, 20, (0.6, 0.7, 0.7)


def nms(boxes, limit, smaller=False):
    x1, y1, x2, y2, score = boxes.T[:5]
    area, order, keep = (x2 - x1 + 1) * (y2 - y1 + 1), np.argsort(-score, kind="stable"), []
    while order.size:
        i, order = order[0], order[1:]
        keep.append(i)
        w = np.maximum(0, np.minimum(x2[i], x2[order]) - np.maximum(x1[i], x1[order]) + 1)
        h = np.maximum(0, np.minimum(y2[i], y2[order]) - np.maximum(y1[i], y1[order]) + 1)
        common = w * h
        share = common / (np.minimum(area[i], area[order]) if smaller else area[i] + area[order] - common)
        order = order[share <= limit]
    return np.array(keep, int)


class Net:
    """One network of the list. convs: kernel, channels, size of the pooling behind (0: none), padded; fc: 0 for none."""

    def __init__(self, take, convs, fc, heads):
        self.convs, cin = [], 3
        for k, cout, pool, same in convs:
            self.convs.append((take(k, k, cin, cout), take(cout), take(cout), pool, same))
            cin = cout
        self.fc = None
        if fc:
            self.fc = take(9 * cin, fc), take(fc), take(fc)
            cin = fc
        self.heads = [(take(cin, n), take(n)) for n in heads]

    def __call__(self, pixels):
        """n x height x width x 3 pixels -> the heads' outputs, n x (y x x x) channels."""
        x = ((pixels.astype(np.float32) - 127.5) * 0.0078125).transpose(0, 2, 1, 3)
        for weight, bias, slope, pool, same in self.convs:
            k = len(weight)
            seen = np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))
            x = np.tensordot(seen, weight, ([4, 5, 3], [0, 1, 2])) + bias
            x = np.where(x > 0, x, slope * x)
            if pool:
                x = pooled(x, pool, same)
        if self.fc:
            x = x.reshape(len(x), -1) @ self.fc[0] + self.fc[1]
            x = np.where(x > 0, x, self.fc[2] * x)
        out = [x @ w + b for w, b in self.heads]
        e = np.exp(out[0] - out[0].max(-1, keepdims=True))
        out[0] = (e / e.sum(-1, keepdims=True))[..., 1:]
        return [o.transpose(0, 2, 1, 3) if o.ndim == 4 else o for o in out]


def pooled(x, k, same):
    """TensorFlow's max pooling of stride 2; "same" pads what is missing, most of it behind."""
    if same:
        pads = [max(0, (-(-n // 2) - 1) * 2 + k - n) for n in x.shape[1:3]]
        x = np.pad(x, [(0, 0)] + [(p // 2, p - p // 2) for p in pads] + [(0, 0)], constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))[:, ::2, ::2].max((4, 5))


def load(path):
    data, at = np.fromfile(path, "<f4"), 0

    def take(*shape):
        nonlocal at
        at += int(np.prod(shape))
        return data[at - int(np.prod(shape)):at].reshape(shape)

    nets = [Net(take, [(3, 10, 2, True), (3, 16, 0, 0), (3, 32, 0, 0)], 0, (2, 4)),
            Net(take, [(3, 28, 3, True), (3, 48, 3, False), (2, 64, 0, 0)], 128, (2, 4)),
            Net(take, [(3, 32, 3, True), (3, 64, 3, False), (3, 64, 2, True), (2, 128, 0, 0)], 256, (2, 4, 10))]
    assert at == len(data)
    return nets


def square(b):
    w, h = b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]
    side = np.maximum(w, h)
    b[:, 0] += w * 0.5 - side * 0.5
    b[:, 1] += h * 0.5 - side * 0.5
    b[:, 2:4] = b[:, 0:2] + side[:, None]
    return b


def calibrated(b, reg):
    w, h = b[:, 2] - b[:, 0] + 1, b[:, 3] - b[:, 1] + 1
    b = b.copy()
    b[:, :4] += reg * np.stack([w, h, w, h], 1)
    return b


def windows(image, boxes, size):
    out = []
    for x1, y1, x2, y2 in np.fix(boxes[:, :4]).astype(int):
        tmp = np.zeros((max(1, y2 - y1 + 1), max(1, x2 - x1 + 1), 3), np.uint8)
        left, top, right, bottom = max(x1, 1), max(y1, 1), min(x2, image.shape[1]), min(y2, image.shape[0])
        if right >= left and bottom >= top:
            tmp[top - y1:bottom - y1 + 1, left - x1:right - x1 + 1] = image[top - 1:bottom, left - 1:right]
        out.append(cv2.resize(tmp, (size, size), interpolation=cv2.INTER_AREA))
    return np.array(out)


def proposals(nets, image):
    h, w = image.shape[:2]
    scale, found = 12 / MIN_FACE, []
    while min(h, w) * scale >= 12:
        small = cv2.resize(image, (int(np.ceil(w * scale)), int(np.ceil(h * scale))), interpolation=cv2.INTER_AREA)
        face, reg = nets[0](small[None])
        y, x = np.where(face[0, :, :, 0] >= THRESHOLDS[0])
        at = np.stack([x, y], 1)
        b = np.concatenate([np.fix((2 * at + 1) / scale), np.fix((2 * at + 12) / scale), face[0, y, x],
                            reg[0, y, x]], 1)
        found.append(b[nms(b, 0.5)])
        scale *= FACTOR
    b = np.concatenate(found) if found else np.zeros((0, 9))
    b = b[nms(b, 0.7)]
    w, h = b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]
    return np.concatenate([b[:, :4] + b[:, 5:] * np.stack([w, h, w, h], 1), b[:, 4:5]], 1)


def detect(nets, image):
    b = proposals(nets, image)
    if not len(b):
        return b, np.zeros((0, 10))
    b = np.fix(square(b))
    face, reg = nets[1](windows(image, b, 24))
    good = face[:, 0] > THRESHOLDS[1]
    b, reg = np.concatenate([b[good, :4], face[good]], 1), reg[good]
    keep = nms(b, 0.7)
    b = np.fix(square(calibrated(b[keep], reg[keep])))
    if not len(b):
        return b, np.zeros((0, 10))
    face, reg, points = nets[2](windows(image, b, 48))
    good = face[:, 0] > THRESHOLDS[2]
    b, reg, points = np.concatenate([b[good, :4], face[good]], 1), reg[good], points[good]
    w, h = b[:, 2] - b[:, 0] + 1, b[:, 3] - b[:, 1] + 1
    marks = np.empty((len(b), 10))
    marks[:, 0::2] = w[:, None] * points[:, :5] + b[:, :1] - 1
    marks[:, 1::2] = h[:, None] * points[:, 5:] + b[:, 1:2] - 1
    b = calibrated(b, reg)
    keep = nms(b, 0.7, smaller=True)
    b[:, :4] -= 1  # MATLAB counts from 1
    return b[keep], marks[keep]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--weights", required=True)
    args.add_argument("photo", nargs="+")
    args = args.parse_args()
    cv2.setNumThreads(1)
    nets = load(args.weights)
    for name in args.photo:
        image = np.ascontiguousarray(cv2.imread(name)[:, :, ::-1])
        boxes, marks = detect(nets, image)
        print(pathlib.Path(name).name, len(boxes))
        for b, m in sorted(zip(boxes, marks), key=lambda x: -x[0][4]):
            print(f"{b[4]:.4f} " + " ".join(f"{v:.1f}" for v in [*b[:4], *m]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
