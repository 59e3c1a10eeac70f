#!/usr/bin/python3
"""Makes networks for the CLI tests from the shipped embedder, in the current folder. Needs python3-onnx.

box.onnx       a detector with SCRFD's six outputs (no landmarks): one face, from (32, 32) to (96, 112) of a 320 x 320 look
points.onnx    a landmark model of 68 points: always the same, the mean face of a box that the input shows with .5 around
bright.onnx    a quality model: the mean of the input
nhwc.onnx      the embedder with n x 112 x 112 x 3 float16 in, float16 out, four crops a run, and a second output
random.onnx    no face embedding: 128 random sums of the pixels
memory.onnx    asks for 256 GB while it is opened
external.onnx  its weights lie in another file
"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper


def const(name, value, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def save(path, nodes, weights, inputs, outputs, opset=12):
    def value(v):
        return v if isinstance(v, onnx.ValueInfoProto) else h.make_tensor_value_info(v[0], v[2] if len(v) > 2 else T.FLOAT, v[1])
    graph = h.make_graph(nodes, "test", [value(v) for v in inputs], [value(v) for v in outputs], weights)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)])
    model.ir_version = 7
    with open(path, "wb") as f:
        f.write(model.SerializeToString())


def box():
    nodes, weights, outputs = [], [], []
    for part, width in (("score", 1), ("bbox", 4)):
        for stride in (8, 16, 32):
            rows = np.zeros((2 * (320 // stride) ** 2, width), np.float32)
            if stride == 32:  # cell (2, 2): 32 pixels to the left, right and up, 48 down
                rows[2 * (2 * 10 + 2)] = [0.9] if width == 1 else [1, 1, 1, 1.5]
            name = f"{part}_{stride}"
            weights.append(const(name + ".c", rows))
            nodes.append(h.make_node("Identity", [name + ".c"], [name]))
            outputs.append((name, rows.shape))
    save("box.onnx", nodes, weights, [("input.1", [1, 3, 320, 320])], outputs)


def points():
    """iBUG's numbers; the mean face's places (lib/landmarks.c) seen from a square 1.5 times the box's height, the box's width being
    64 of 80 pixels. Coordinates from -1 to 1."""
    place = {36: (.278, .379), 42: (.722, .379), 30: (.5, .572), 48: (.308, .727), 54: (.692, .727)}
    at = np.zeros((68, 2), np.float32)
    for first, (x, y) in place.items():
        u, v = (x - .5) * 64 / (80 * 1.5), (y - .5) / 1.5
        at[first:first + 6] = 2 * u, 2 * v
    nodes = [h.make_node("Flatten", ["x"], ["f"]), h.make_node("ReduceMin", ["f"], ["low"], axes=[1], keepdims=1),
             h.make_node("Mul", ["low", "zero"], ["none"]), h.make_node("Add", ["none", "at"], ["y"])]
    save("points.onnx", nodes, [const("zero", [0]), const("at", at.reshape(1, 136))], [("x", [1, 3, 96, 96])], [("y", [1, 136])])


def bright():
    nodes = [h.make_node("Flatten", ["x"], ["f"]), h.make_node("ReduceMean", ["f"], ["y"], axes=[1], keepdims=1)]
    save("bright.onnx", nodes, [], [("x", ["n", 3, 112, 112])], [("y", ["n", 1])])


def nhwc(source):
    model = onnx.load(source)
    g = model.graph
    before = [h.make_node("Cast", ["image"], ["image.f"], to=T.FLOAT),
              h.make_node("Transpose", ["image.f"], [g.input[0].name], perm=[0, 3, 1, 2])]
    after = [h.make_node("Cast", [g.output[0].name], ["embedding"], to=T.FLOAT16),
             h.make_node("ReduceMean", ["image.f"], ["light"], axes=[1, 2, 3], keepdims=0)]
    save("nhwc.onnx", before + list(g.node) + after, g.initializer, [("image", [4, 112, 112, 3], T.FLOAT16)],
         [("light", [4]), ("embedding", [4, 512], T.FLOAT16)], model.opset_import[0].version)


def others():
    flat = [h.make_node("Flatten", ["x"], ["f"])]
    x, y = ("x", ["n", 3, 112, 112]), ("y", ["n", 128])
    w = const("w", np.random.RandomState(0).randn(3 * 112 * 112, 128))
    save("random.onnx", flat + [h.make_node("MatMul", ["f", "w"], ["y"])], [w], [x], [y])
    huge = [h.make_node("ConstantOfShape", ["s"], ["c"]), h.make_node("ReduceSum", ["c"], ["r"], keepdims=0),
            h.make_node("MatMul", ["f", "w"], ["z"]), h.make_node("Add", ["z", "r"], ["y"])]
    save("memory.onnx", flat + huge, [w, const("s", [1 << 20, 1 << 16], np.int64)], [x], [y])
    outside = onnx.TensorProto(name="w", data_type=T.FLOAT, dims=[3 * 112 * 112, 128], data_location=T.EXTERNAL)
    outside.external_data.add(key="location", value="../../../../etc/passwd")
    save("external.onnx", flat + [h.make_node("MatMul", ["f", "w"], ["y"])], [outside], [x], [y])


if __name__ == "__main__":
    box()
    points()
    bright()
    nhwc(sys.argv[1])
    others()
    assert all(os.path.exists(n + ".onnx") for n in ("box", "bright", "nhwc", "random", "memory", "external"))
