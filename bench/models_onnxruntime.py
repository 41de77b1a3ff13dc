#!/usr/bin/env python3
"""Compares whole models on the CPU with ONNX Runtime: the same graph and weights, the same threads, in turns.

usage: python3 models_onnxruntime.py [MODEL.yaml ...] [--threads N,...] [--rounds N] [--size NAME=N,...]
                                     [--engine PROGRAM]

Without models: the keyword spotter, M5 and the TCN of graphs/. Each becomes an ONNX graph, layer by layer as PyTorch
exports it, from the weights that the engine runs it with; ONNX Runtime folds and fuses what it can when it loads. It is
tried over [N, C, L], as an export has it, and over [N, C, 1, L], which it computes by other kernels. The outputs have
to agree with the engine's before anything is timed. In every round each of the three takes its turn: the engine
through `engine bench`, ONNX Runtime bound to an input and an output. A turn's time is the median of its runs, a model's
time the lowest of all rounds. Runs of ONNX Runtime go through Python, which takes about 2 us.

Prints a Markdown table. Needs the Python packages numpy, onnx, onnxruntime, pyyaml and safetensors.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import tempfile
import time

import numpy
import onnxruntime
import yaml
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

HERE = os.path.dirname(os.path.abspath(__file__))
GRAPHS = os.path.join(HERE, "..", "graphs")
MODELS = [os.path.join(GRAPHS, name) for name in ("keywords.yaml", "m5.yaml", "tcn.yaml")]
TURN_SECONDS = 0.3
MOST_DIFFERENCE = 1e-4  # of the largest value of an output


class Exporter:
    """An ONNX graph of a model file; `height` is [] for [N, C, L] and [1] for [N, C, 1, L]."""

    def __init__(self, model, weights, height):
        self.model, self.weights, self.height = model, weights, height
        self.zeros = [0] * len(height)
        self.nodes, self.constants = [], []

    def export(self, shape):
        (name,) = self.model["inputs"]
        above = name
        values = {name: name}
        if self.height:
            values[name] = self.add("Unsqueeze", [name, self.constant(numpy.array([2]))])
        for layer in self.model["layers"]:
            inputs = layer.get("inputs", [above])
            inputs = [inputs] if isinstance(inputs, str) else inputs
            values[layer["name"]] = getattr(self, layer["type"])(layer, *(values[i] for i in inputs))
            above = layer["name"]
        (output,) = self.model["outputs"].values()
        graph = helper.make_graph(
            self.nodes, self.model["name"], [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(values[output], TensorProto.FLOAT, None)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        return model.SerializeToString()

    def add(self, op, inputs, **attributes):
        value = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [value], **attributes))
        return value

    def constant(self, array):
        self.constants.append(numpy_helper.from_array(array, f"constant{len(self.constants)}"))
        return self.constants[-1].name

    def weight(self, layer, name):
        return self.weights[f"{layer['name']}.{name}"].astype(numpy.float32)

    def window(self, kernel_size, stride, padding, dilation):
        left, right = padding if isinstance(padding, (list, tuple)) else (padding, padding)
        ones = self.height
        window = {"kernel_shape": [*ones, kernel_size], "strides": [*ones, stride],
                  "pads": [*self.zeros, left, *self.zeros, right]}
        return {**window, "dilations": [*ones, dilation]} if dilation > 1 else window

    def Conv1d(self, layer, x):
        kernel_size, dilation = layer["kernel_size"], layer.get("dilation", 1)
        padding = layer.get("padding", 0)
        if padding == "causal":
            padding = [dilation * (kernel_size - 1), 0]
        weight = self.weight(layer, "weight")
        weight = weight.reshape(*weight.shape[:2], *self.height, kernel_size)
        inputs = [x, self.constant(weight)]
        if layer.get("bias", True):
            inputs.append(self.constant(self.weight(layer, "bias")))
        return self.add("Conv", inputs, group=layer.get("groups", 1),
                        **self.window(kernel_size, layer.get("stride", 1), padding, dilation))

    def BatchNorm1d(self, layer, x):
        names = ("weight", "bias", "running_mean", "running_var")
        return self.add("BatchNormalization", [x, *(self.constant(self.weight(layer, name)) for name in names)],
                        epsilon=float(layer.get("eps", 1e-5)))

    def InstanceNorm1d(self, layer, x):
        # Known for the model's input alone, which is where the models have one.
        ((_, channels, _),) = (port["shape"] for port in self.model["inputs"].values())
        ones = numpy.ones(channels, dtype=numpy.float32)
        return self.add("InstanceNormalization", [x, self.constant(ones), self.constant(0 * ones)],
                        epsilon=float(layer.get("eps", 1e-5)))

    def ReLU(self, layer, x):
        return self.add("Relu", [x])

    def MaxPool1d(self, layer, x):
        kernel_size = layer["kernel_size"]
        stride = layer.get("stride", kernel_size)
        return self.add("MaxPool", [x], **self.window(kernel_size, stride, layer.get("padding", 0), 1))

    def AdaptiveMaxPool1d(self, layer, x):
        return self.global_pool(layer, "GlobalMaxPool", x)

    def AdaptiveAvgPool1d(self, layer, x):
        return self.global_pool(layer, "GlobalAveragePool", x)

    def global_pool(self, layer, op, x):
        if layer["output_size"] != 1:
            raise ValueError(f"layer '{layer['name']}': only an output_size of 1 has an ONNX operation")
        return self.add(op, [x])

    def Add(self, layer, *inputs):
        return self.add("Add", inputs)

    def Concat(self, layer, *inputs):
        return self.add("Concat", inputs, axis=layer.get("dim", 1))

    def Flatten(self, layer, x):
        return self.add("Flatten", [x], axis=1)

    def Linear(self, layer, x):
        parameters = (self.constant(self.weight(layer, name)) for name in ("weight", "bias"))
        return self.add("Gemm", [x, *parameters], transB=1)

    def Softmax(self, layer, x):
        return self.add("Softmax", [x], axis=layer["dim"])

    def LogSoftmax(self, layer, x):
        return self.add("LogSoftmax", [x], axis=layer["dim"])


class OnnxRuntime:
    """A session on one exported model, bound to an input and to outputs of its own."""

    def __init__(self, graph, input_name, x, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        (self.result,) = self.session.run(None, {input_name: x})
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input(input_name, onnxruntime.OrtValue.ortvalue_from_numpy(x))
        self.binding.bind_ortvalue_output(self.session.get_outputs()[0].name,
                                          onnxruntime.OrtValue.ortvalue_from_numpy(numpy.zeros_like(self.result)))

    def milliseconds(self):
        times = []
        end = time.perf_counter() + TURN_SECONDS
        while len(times) < 3 or time.perf_counter() < end:
            start = time.perf_counter()
            self.session.run_with_iobinding(self.binding)
            times.append(time.perf_counter() - start)
        return 1e3 * statistics.median(times)


class Engine:
    """The engine's program on one model, sizes and threads."""

    def __init__(self, program, path, sizes, threads):
        self.program, self.path = program, path
        self.sizes = [part for name, size in sizes.items() for part in ("--size", f"{name}={size}")]
        self.options = ["--device", "cpu", "--threads", str(threads)]

    def call(self, command, *arguments):
        return subprocess.run([self.program, command, self.path, *arguments], check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout

    def weights(self, model, folder):
        """Those of the model's file, or the ones that the engine draws where it names none."""
        if "weights" in model:
            return load_file(os.path.join(os.path.dirname(self.path), model["weights"]))
        path = os.path.join(folder, "weights.safetensors")
        self.call("init", "--output", path)
        return load_file(path)

    def result(self, x, folder):
        paths = [os.path.join(folder, name) for name in ("x.npy", "y.npy")]
        numpy.save(paths[0], x)
        self.call("run", *self.options, "--input", paths[0], "--output", paths[1])
        return numpy.load(paths[1])

    def milliseconds(self):
        report = json.loads(self.call("bench", *self.options, *self.sizes, "--json", "--seconds", str(TURN_SECONDS)))
        return 1e3 * report["latency_seconds"]["p50"]


def expect_agreement(ours, theirs, name):
    """Stops where two results differ by more than rounding; one may have a height of one."""
    difference = numpy.abs(ours - theirs.reshape(ours.shape)).max() / numpy.abs(ours).max()
    if not difference <= MOST_DIFFERENCE:
        raise SystemExit(f"{name}: the outputs differ by {difference:.1e} of the largest value")


def compare(path, threads, args):
    """The model's name, its input's shape, and milliseconds of the engine and of both forms in ONNX Runtime."""
    with open(path, encoding="utf-8") as file:
        model = yaml.safe_load(file)
    ((input_name, port),) = model["inputs"].items()
    sizes = {**model["sizes"], **args.size}
    shape = [sizes.get(size, size) for size in port["shape"]]
    x = numpy.random.default_rng(1).standard_normal(shape, dtype=numpy.float32)
    engine = Engine(args.engine, path, sizes, threads)
    with tempfile.TemporaryDirectory() as folder:
        weights = engine.weights(model, folder)
        result = engine.result(x, folder)
    sides = [engine]
    for height in ([], [1]):
        sides.append(OnnxRuntime(Exporter(model, weights, height).export(shape), input_name, x, threads))
        expect_agreement(result, sides[-1].result, model["name"])
    rounds = [[side.milliseconds() for side in sides] for _ in range(args.rounds)]
    return model["name"], shape, [min(times) for times in zip(*rounds)]


def parse_sizes(text):
    return {name: int(size) for name, size in (item.split("=") for item in text.split(","))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--threads", default="1,2", help="several by commas")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--size", type=parse_sizes, default={}, help="of the inputs, such as batch=8,length=4000")
    parser.add_argument("--engine", default=os.path.join(HERE, "..", "build", "release", "apps", "engine", "engine"))
    args = parser.parse_args()
    print("| model | input | threads | ms | ONNX Runtime [N, C, L] ms | [N, C, 1, L] ms | ratio [N, C, L] "
          "| [N, C, 1, L] |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    ratios = []
    for path in args.models:
        for threads in map(int, args.threads.split(",")):
            name, shape, (ours, flat, high) = compare(path, threads, args)
            ratios.append((flat / ours, high / ours))
            print(f"| {name} | {shape} | {threads} | {ours:.4f} | {flat:.4f} | {high:.4f} | {flat / ours:.2f} "
                  f"| {high / ours:.2f} |", flush=True)
    flat, high = (math.exp(sum(map(math.log, column)) / len(column)) for column in zip(*ratios))
    print(f"\nIn the geometric mean ONNX Runtime {onnxruntime.__version__} takes {flat:.2f} times as long over "
          f"[N, C, L], {high:.2f} times over [N, C, 1, L].")


if __name__ == "__main__":
    main()
