#!/usr/bin/python3
"""Prepares the published face models for facewash: same results, free input sizes, far less time per face.

    scripts/prepare_models.py --source DIR --out DIR [--configs DIR]

reads DIR/NAME.onnx as published and writes OUT/NAME.onnx, for the two models below. All rewrites are exact in real
arithmetic; what float rounding makes of them is measured by scripts/compare_onnx.c and stated in configs/models/NAME.ini.
The output is the same byte for byte on every machine, so that the settings file can hold its SHA-256: weights are computed
elementwise in float64 and rounded once, and nothing that differs between onnx versions is written.

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


class Graph:
    """An ONNX graph as plain lists and dicts: nodes in order, constants by name."""

    def __init__(self, path):
        model = onnx.load(str(path))
        self.opset = model.opset_import[0].version
        self.nodes = [Node(n) for n in model.graph.node]
        self.consts = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.inputs = [i.name for i in model.graph.input if i.name not in self.consts]
        self.outputs = [o.name for o in model.graph.output]

    def producer(self, name):
        return next((n for n in self.nodes if n.output == name), None)

    def users(self, name):
        return [n for n in self.nodes if name in n.inputs]

    def bypass(self, node, name):
        """Takes a node out; whoever read its output reads `name` instead."""
        self.nodes.remove(node)
        for user in self.nodes:
            user.inputs = [name if i == node.output else i for i in user.inputs]
        assert node.output not in self.outputs

    def const(self, name, value):
        self.consts[name] = np.asarray(value)
        return name

    def conv_weights(self, conv):
        """Weight and bias of a Conv, as float64."""
        weight = self.consts[conv.inputs[1]].astype(np.float64)
        bias = self.consts[conv.inputs[2]].astype(np.float64) if len(conv.inputs) > 2 else np.zeros(len(weight))
        return weight, bias

    def set_conv_weights(self, conv, weight, bias):
        conv.inputs = [conv.inputs[0], self.const(conv.output + ".w", weight.astype(np.float32)),
                       self.const(conv.output + ".b", bias.astype(np.float32))]

    def save(self, path, name, input_shape, output_shapes):
        used = {i for n in self.nodes for i in n.inputs}
        graph = helper.make_graph(
            [helper.make_node(n.op, n.inputs, [n.output], name=n.output, **n.attrs) for n in self.nodes], name,
            [helper.make_tensor_value_info(i, TensorProto.FLOAT, input_shape) for i in self.inputs],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, s) for o, s in zip(self.outputs, output_shapes)],
            [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in sorted(self.consts.items()) if k in used])
        model = helper.make_model(graph, producer_name="facewash", opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 7
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString(deterministic=True))


class Node:
    def __init__(self, proto=None, op=None, inputs=(), output=None, **attrs):
        if proto is not None:
            assert len(proto.output) == 1
            op, inputs, output = proto.op_type, proto.input, proto.output[0]
            attrs = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
        self.op, self.inputs, self.output, self.attrs = op, list(inputs), output, attrs


def fold_batchnorms(g):
    """Conv, BatchNormalization -> Conv."""
    for bn in [n for n in g.nodes if n.op == "BatchNormalization"]:
        conv = g.producer(bn.inputs[0])
        assert conv.op == "Conv" and len(g.users(conv.output)) == 1
        gamma, beta, mean, var = (g.consts[i].astype(np.float64) for i in bn.inputs[1:])
        k = gamma / np.sqrt(var + bn.attrs["epsilon"])
        weight, bias = g.conv_weights(conv)
        g.set_conv_weights(conv, weight * k[:, None, None, None], (bias - mean) * k + beta)
        g.bypass(bn, conv.output)


def rewrite_prelus(g):
    """Conv, PReLU, Conv -> only Conv, Relu and Add, which ONNX Runtime keeps in its blocked (NCHWc) layout and fuses.

    PReLU has no blocked kernel there: it costs a layout change before and after, and its own is slow (61 % of the model's
    time). With slope s per channel, and for all real x,

        PReLU(x) =  x + relu((s - 1) x)     where s <= 1
       -PReLU(x) = -x + relu((s - 1)(-x))   where s >  1

    so a channel whose slope exceeds 1 is computed with the sign turned round, in the weights of the Conv before, and turned
    back in those of the Conv behind. What remains is x + relu(c x) with c = s - 1, where the Add and the Relu cost nothing when
    each fuses into a Conv. The Convs:
      - behind a depthwise Conv (cheap): the Conv itself twice, once with weights times c and the Relu, once with the Add;
      - behind any other Conv: two depthwise 1x1 Convs, with weights c and the Relu, and with weights 1 and the Add (5 % faster
        than a bare Add, which ONNX Runtime runs as a kernel of its own).
    """
    for prelu in [n for n in g.nodes if n.op == "PRelu"]:
        before, (behind,) = g.producer(prelu.inputs[0]), g.users(prelu.output)
        assert before.op == behind.op == "Conv" and len(g.users(before.output)) == 1
        slope = g.consts[prelu.inputs[1]].astype(np.float64).reshape(-1)
        sign = np.where(slope > 1, -1.0, 1.0)
        c = slope - 1

        weight, bias = g.conv_weights(before)
        weight, bias = weight * sign[:, None, None, None], bias * sign
        g.set_conv_weights(before, weight, bias)
        next_weight, next_bias = g.conv_weights(behind)
        depthwise = behind.attrs["group"] > 1
        assert not depthwise or behind.attrs["group"] == len(slope) == len(next_weight)
        g.set_conv_weights(behind, next_weight * (sign[:, None, None, None] if depthwise else sign[None, :, None, None]), next_bias)

        name, new = prelu.output, []
        if before.attrs["group"] > 1:
            plain = before
            scaled = Node(op="Conv", inputs=before.inputs[:1], output=name + ".scaled", **before.attrs)
            g.set_conv_weights(scaled, weight * c[:, None, None, None], bias * c)
        else:
            plain, scaled = (Node(op="Conv", inputs=[before.output], output=name + suffix, group=len(slope), kernel_shape=[1, 1])
                             for suffix in (".plain", ".scaled"))
            g.set_conv_weights(plain, np.ones((len(slope), 1, 1, 1)), np.zeros(len(slope)))
            g.set_conv_weights(scaled, c.reshape(-1, 1, 1, 1), np.zeros(len(slope)))
            new.append(plain)
        new += [scaled, Node(op="Relu", inputs=[scaled.output], output=name + ".relu"),
                Node(op="Add", inputs=[plain.output, name + ".relu"], output=name)]
        at = g.nodes.index(prelu)
        g.nodes[at:at + 1] = new


def mobilefacenet(source, out):
    g = Graph(source)
    rewrite_prelus(g)
    # The published tail is a Reshape to [1, 512], which fixes the batch.
    tail = g.nodes[-1]
    assert tail.op == "Reshape"
    g.nodes[-1] = Node(op="Flatten", inputs=tail.inputs[:1], output=tail.output, axis=1)
    g.save(out, "mobilefacenet", ["n", 3, 112, 112], [["n", 512]])


def pair_softmax_to_sigmoid(g):
    """The tail of the class heads -> one Conv and a Sigmoid, of the same shape and values.

    Published: channels (b0, b1, f0, f1) of a Conv, reshaped and transposed so that a Softmax runs over each pair (b, f), and
    back; two Reshapes with fixed sizes among them. A softmax over two is a sigmoid of their difference, and the differences are
    a Conv with the differences of the weights.
    """
    for softmax in [n for n in g.nodes if n.op == "Softmax"]:
        chain = [softmax]
        for _ in range(2):
            chain.insert(0, g.producer(chain[0].inputs[0]))
            chain.extend(g.users(chain[-1].output))
        assert [n.op for n in chain] == ["Reshape", "Transpose", "Softmax", "Transpose", "Reshape"]
        conv = g.producer(chain[0].inputs[0])
        weight, bias = g.conv_weights(conv)
        half = len(weight) // 2
        other = np.r_[half:2 * half, 0:half]
        g.set_conv_weights(conv, weight - weight[other], bias - bias[other])
        sigmoid = Node(op="Sigmoid", inputs=[conv.output], output=chain[-1].output)
        at = g.nodes.index(chain[-1])
        g.nodes[at] = sigmoid
        for node in chain[:-1]:
            g.nodes.remove(node)


def drop_crops(g):
    """Resize by 2, Slice to another map's size -> Resize: the sizes are equal when the input is a multiple of 32."""
    for crop in [n for n in g.nodes if n.op == "Slice"]:
        shape = g.producer(crop.inputs[2])
        assert shape.op == "Shape" and not g.consts[crop.inputs[1]].any()
        g.bypass(crop, crop.inputs[0])
        g.nodes.remove(shape)


def drop_input_scaling(g):
    """(x - 127.5) * 0.0078125 inside the model goes: facewash does it while it makes the input (mean, scale of the .ini)."""
    for op, value in (("Sub", 127.5), ("Mul", 0.0078125)):
        node = g.nodes[0]
        assert node.op == op and g.consts[node.inputs[1]] == value
        g.bypass(node, node.inputs[0])


def relu_before_concat(g):
    """Concat, Relu -> Relu, Concat: so that the Relus fuse into the Convs before."""
    for concat in [n for n in g.nodes if n.op == "Concat"]:
        (relu,) = g.users(concat.output)
        assert relu.op == "Relu"
        g.bypass(relu, concat.output)
        for k, name in enumerate(concat.inputs):
            assert len(g.users(name)) == 1
            concat.inputs[k] = name + ".relu"
            g.nodes.insert(g.nodes.index(concat), Node(op="Relu", inputs=[name], output=name + ".relu"))


def retinaface(source, out):
    g = Graph(source)
    drop_input_scaling(g)
    fold_batchnorms(g)
    drop_crops(g)
    pair_softmax_to_sigmoid(g)
    relu_before_concat(g)
    g.save(out, "retinaface", ["n", 3, "h", "w"], [["n", c, f"h{s}", f"w{s}"] for s in (32, 16, 8) for c in (4, 8, 20)])


MODELS = {"retinaface_mnet025": retinaface, "mobilefacenet": mobilefacenet}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--source", type=pathlib.Path, required=True, help="folder of the published models, NAME.onnx")
    args.add_argument("--out", type=pathlib.Path, required=True, help="folder for the prepared models")
    args.add_argument("--configs", type=pathlib.Path, help="folder of the models' settings files, to check the SHA-256 of both")
    args = args.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for name, prepare in MODELS.items():
        source, out = args.source / (name + ".onnx"), args.out / (name + ".onnx")
        prepare(source, out)
        if args.configs:
            failed |= not matches(args.configs / (name + ".ini"), source, out)
        print(f"prepare_models: {name}.onnx, {out.stat().st_size} bytes", file=sys.stderr)
    return 1 if failed else 0


def matches(config, source, out):
    ini = configparser.ConfigParser(inline_comment_prefixes=(";",))
    ini.read(config)
    good = True
    for key, path in (("source_sha256", source), ("sha256", out)):
        got = hashlib.sha256(path.read_bytes()).hexdigest()
        if got != ini["model"][key]:
            print(f"prepare_models: {path.name}: SHA-256 is {got}, but {config.name} has {key} = {ini['model'][key]}\n"
                  f"  (onnx {onnx.__version__}, numpy {np.__version__}); the model would not be loaded", file=sys.stderr)
            good = False
    return good


if __name__ == "__main__":
    sys.exit(main())
