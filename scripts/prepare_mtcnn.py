#!/usr/bin/python3
"""Turns the published MTCNN weights into three ONNX files: the proposal, refinement and output networks of K. Zhang, Z. Zhang,
Z. Li, Y. Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE SPL 23(10), 2016.

    scripts/prepare_mtcnn.py --source mtcnn_model.weights --out DIR [--configs DIR]

The source is a bare list of 495,850 float32: per network, the layers from input to output; a convolution's weights (height,
width, in, out) and bias, a fully connected layer's (in, out) and bias, a PReLU's slopes. The networks were trained on pictures
with x and y exchanged (they come from MATLAB, column by column). Here x and y are exchanged in the weights instead, so that the
ONNX files take pictures as they are: n x 3 x height x width, (pixel - 127.5) / 128. Outputs:

    mtcnn_pnet   any size from 12: face n x 1 x h x w, box n x 4 x h x w    cell (i, j): the 12 x 12 pixels from (2j, 2i)
    mtcnn_rnet   24 x 24:          face n x 1, box n x 4
    mtcnn_onet   48 x 48:          face n x 1, box n x 4, points n x 10
    box: x0 y0 x1 y1, how far each edge lies from the window's, in window sides; points: 5 x, then 5 y, in window sides

`face` is the softmax over (no face, face), written as a sigmoid of the difference. Same bytes on every machine, as in
prepare_models.py. It is a file of its own so that a change of it does not prepare the default models again.

Needs python3-onnx and python3-numpy, of Debian 12 or later.
"""
import argparse
import configparser
import hashlib
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

COUNT = 495850


class Weights:
    """The list, taken from the front."""

    def __init__(self, path):
        data = path.read_bytes()
        if len(data) != 4 * COUNT:
            sys.exit(f"prepare_mtcnn: {path}: {len(data)} bytes, expected {4 * COUNT}")
        self.rest = np.frombuffer(data, "<f4")

    def take(self, *shape):
        count = int(np.prod(shape))
        out, self.rest = self.rest[:count].reshape(shape), self.rest[count:]
        return out


class Net:
    def __init__(self, weights):
        self.weights, self.nodes, self.consts, self.at = weights, [], [], "input"

    def add(self, op, consts, out, source=None, **attrs):
        """A node behind `source` (default: the last one) with its constants; what it puts out becomes the last one."""
        names = []
        for k, value in enumerate(consts):
            names.append(f"{out}.{k}")
            self.consts.append(numpy_helper.from_array(np.ascontiguousarray(value, "<f4"), names[-1]))
        self.nodes.append(helper.make_node(op, [source or self.at] + names, [out], name=out, **attrs))
        self.at = out

    def conv(self, name, cin, cout, k):
        """height, width, in, out with x and y exchanged -> out, in, height, width."""
        weight = self.weights.take(k, k, cin, cout).transpose(3, 2, 1, 0)
        self.add("Conv", [weight, self.weights.take(cout)], name, kernel_shape=[k, k])

    def prelu(self, name, channels, flat=False):
        slope = self.weights.take(channels)
        self.add("PRelu", [slope if flat else slope.reshape(-1, 1, 1)], name)

    def pool(self, name, k, ceil):
        """ceil: TensorFlow's "same" for the sizes that occur, where it pads behind only."""
        self.add("MaxPool", [], name, kernel_shape=[k, k], strides=[2, 2], ceil_mode=int(ceil))

    def full(self, name, channels, side, cout):
        """Rows (x, y, channel) of the published list -> (channel, y, x), as Flatten orders them here."""
        weight = self.weights.take(side, side, channels, cout).transpose(2, 1, 0, 3).reshape(-1, cout)
        self.add("Flatten", [], name + ".flat", axis=1)
        self.add("Gemm", [weight, self.weights.take(cout)], name)

    def face(self, weight, bias, source, op, **attrs):
        """Two class outputs -> probability of the second."""
        self.add(op, [weight, bias], "face.difference", source, **attrs)
        self.add("Sigmoid", [], "face")

    def heads(self, source, cin, parts):
        for k, (name, cout) in enumerate(parts):
            weight, bias = self.weights.take(cin, cout), self.weights.take(cout)
            if k == 0:
                self.face(weight[:, 1:].astype("f8") - weight[:, :1], bias[1:].astype("f8") - bias[:1], source, "Gemm")
            else:
                self.add("Gemm", [weight, bias], name, source)

    def save(self, path, name, side, outputs):
        shape = ["n", 3, side or "h", side or "w"]
        graph = helper.make_graph(self.nodes, name, [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
                                  [helper.make_tensor_value_info(o, TensorProto.FLOAT, s) for o, s in outputs], self.consts)
        model = helper.make_model(graph, producer_name="facewash", opset_imports=[helper.make_opsetid("", 12)])
        model.ir_version = 7
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString(deterministic=True))


def pnet(weights, out):
    n = Net(weights)
    for k, (cin, cout) in enumerate(((3, 10), (10, 16), (16, 32)), 1):
        n.conv(f"conv{k}", cin, cout, 3)
        n.prelu(f"prelu{k}", cout)
        if k == 1:
            n.pool("pool1", 2, True)
    weight, bias = weights.take(1, 1, 32, 2).transpose(3, 2, 1, 0), weights.take(2)
    last = n.at
    n.face(weight[1:].astype("f8") - weight[:1], bias[1:].astype("f8") - bias[:1], last, "Conv", kernel_shape=[1, 1])
    n.add("Conv", [weights.take(1, 1, 32, 4).transpose(3, 2, 1, 0), weights.take(4)], "box", last, kernel_shape=[1, 1])
    n.save(out, "mtcnn_pnet", None, [("face", ["n", 1, "ho", "wo"]), ("box", ["n", 4, "ho", "wo"])])


def rnet(weights, out):
    n = Net(weights)
    for k, (cin, cout, size) in enumerate(((3, 28, 3), (28, 48, 3), (48, 64, 2)), 1):
        n.conv(f"conv{k}", cin, cout, size)
        n.prelu(f"prelu{k}", cout)
        if k < 3:
            n.pool(f"pool{k}", 3, k == 1)
    n.full("fc", 64, 3, 128)
    n.prelu("prelu4", 128, flat=True)
    n.heads(n.at, 128, (("face", 2), ("box", 4)))
    n.save(out, "mtcnn_rnet", 24, [("face", ["n", 1]), ("box", ["n", 4])])


def onet(weights, out):
    n = Net(weights)
    for k, (cin, cout, size) in enumerate(((3, 32, 3), (32, 64, 3), (64, 64, 3), (64, 128, 2)), 1):
        n.conv(f"conv{k}", cin, cout, size)
        n.prelu(f"prelu{k}", cout)
        if k < 4:
            n.pool(f"pool{k}", 2 if k == 3 else 3, k != 2)
    n.full("fc", 128, 3, 256)
    n.prelu("prelu5", 256, flat=True)
    n.heads(n.at, 256, (("face", 2), ("box", 4), ("points", 10)))
    n.save(out, "mtcnn_onet", 48, [("face", ["n", 1]), ("box", ["n", 4]), ("points", ["n", 10])])


def matches(config, files):
    ini = configparser.ConfigParser(inline_comment_prefixes=(";",))
    ini.read(config)
    good = True
    for key, path in files.items():
        got = hashlib.sha256(path.read_bytes()).hexdigest()
        if got != ini["model"].get(key):
            print(f"prepare_mtcnn: {path.name}: SHA-256 is {got}, but {config.name} has {key} = {ini['model'].get(key)}\n"
                  f"  (onnx {onnx.__version__}, numpy {np.__version__}); the model would not be loaded", file=sys.stderr)
            good = False
    return good


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--source", type=pathlib.Path, required=True, help="the published list of weights")
    args.add_argument("--out", type=pathlib.Path, required=True, help="folder for the three networks")
    args.add_argument("--configs", type=pathlib.Path, help="folder of the models' descriptions, to check the SHA-256 of all")
    args = args.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    weights = Weights(args.source)
    files = {"source_sha256": args.source}
    for key, make in (("sha256", pnet), ("sha256_2", rnet), ("sha256_3", onet)):
        files[key] = args.out / f"mtcnn_{make.__name__}.onnx"
        make(weights, files[key])
        print(f"prepare_mtcnn: {files[key].name}, {files[key].stat().st_size} bytes", file=sys.stderr)
    assert not weights.rest.size
    return 0 if not args.configs or matches(args.configs / "mtcnn.ini", files) else 1


if __name__ == "__main__":
    sys.exit(main())
