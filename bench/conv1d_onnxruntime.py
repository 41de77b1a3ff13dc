#!/usr/bin/env python3
"""Compares the engine's Conv1d with ONNX Runtime's on the CPU, on the same cases and threads, in turns.

usage: python3 conv1d_onnxruntime.py [SUITE.csv] [--threads N,...] [--rounds N] [--shape NAME,...] [--engine PROGRAM]
                                     [--svg FILE]

Prints a Markdown table for each number of threads, and draws both programs' shares of the roofline. ONNX Runtime runs a
model of one Conv, or ConvTranspose, over [N, C, L] and over [N, C, 1, L], which it computes by different kernels; the
better of the two counts. In every round each of the three takes its turn on a case: the engine through
`engine bench --conv1d`, ONNX Runtime bound to inputs and outputs that go round several buffers, so that they are as
cold as the engine's. A turn's time is the median of its calls, a case's time the lowest of all rounds.
Calls of ONNX Runtime go through Python, which takes about 2 us.

Needs the Python packages onnx and onnxruntime.
"""
import argparse
import csv
import math
import os
import statistics
import subprocess
import tempfile
import time

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from conv1d_suite import SuiteCase
from roofline_chart import write_chart

HERE = os.path.dirname(os.path.abspath(__file__))
BUFFER_BYTES = 64 << 20
MOST_SETS = 1024
TURN_SECONDS = 0.1


class Case(SuiteCase):
    """One row of a suite, with the weights of its layer."""

    def __init__(self, row):
        super().__init__(row)
        self.random = numpy.random.default_rng(1)
        reduction = self.in_channels // self.groups * self.kernel_size
        if self.transposed:  # each output sums the products of one phase's taps
            reduction /= self.stride
            self.weight = self.draw(self.in_channels, self.out_channels // self.groups, self.kernel_size)
        else:
            self.weight = self.draw(self.out_channels, self.in_channels // self.groups, self.kernel_size)
        self.weight /= numpy.float32(math.sqrt(reduction))
        self.bias = self.draw(self.out_channels)

    def draw(self, *shape):
        return self.random.standard_normal(shape, dtype=numpy.float32)

    def sets(self):
        return max(1, min(MOST_SETS, BUFFER_BYTES // (4 * self.elements())))


class OnnxRuntime:
    """A Conv or ConvTranspose over [N, C, L], or over [N, C, 1, L] where `height` is [1]."""

    def __init__(self, case, height, threads):
        ones, zeros = height, [0] * len(height)
        shape = [case.batch, case.in_channels, *height, case.length]
        weight = case.weight.reshape(*case.weight.shape[:2], *height, case.kernel_size)
        node = helper.make_node("ConvTranspose" if case.transposed else "Conv", ["x", "w", "b"], ["y"],
                                kernel_shape=[*ones, case.kernel_size], strides=[*ones, case.stride],
                                dilations=[*ones, case.dilation], group=case.groups,
                                pads=[*zeros, case.padding, *zeros, case.padding])
        graph = helper.make_graph([node], "conv", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                                  [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(case.bias, "b")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                                    providers=["CPUExecutionProvider"])
        self.bindings = [self.bind(case, shape) for _ in range(case.sets())]

    def bind(self, case, shape):
        binding = self.session.io_binding()
        binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(case.draw(*shape)))
        outputs = [*shape[:1], case.out_channels, *shape[2:-1], case.out_length]
        binding.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_numpy(
            numpy.zeros(outputs, dtype=numpy.float32)))
        return binding

    def milliseconds(self):
        times = []
        end = time.perf_counter() + TURN_SECONDS
        while len(times) < 3 or time.perf_counter() < end:
            start = time.perf_counter()
            self.session.run_with_iobinding(self.bindings[len(times) % len(self.bindings)])
            times.append(time.perf_counter() - start)
        return 1e3 * statistics.median(times)


def run_engine(engine, suite, name, threads):
    """The row of the case in what the engine's benchmark writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "engine.csv")
        subprocess.run([engine, "bench", "--conv1d", suite, "--shape", name, "--device", "cpu", "--threads",
                        str(threads), "--seconds", str(TURN_SECONDS), "--csv", path],
                       check=True, stdout=subprocess.DEVNULL)
        with open(path, newline="") as file:
            return next(csv.DictReader(file))


def measure(case, threads, args):
    flat, high = OnnxRuntime(case, [], threads), OnnxRuntime(case, [1], threads)
    ours, flat_ms, high_ms = [], [], []
    for _ in range(args.rounds):
        ours.append(run_engine(args.engine, args.suite, case.name, threads))
        flat_ms.append(flat.milliseconds())
        high_ms.append(high.milliseconds())
    best = min(ours, key=lambda row: float(row["ms"]))
    return best, min(flat_ms), min(high_ms)


def name_of(threads):
    return f"{threads} thread{'s' if threads > 1 else ''}"


def compare(cases, threads, args):
    """Prints the table of all cases; gives both shares of the roofline of each."""
    print("| case | ms | GFLOP/s | GB/s | roofline | ONNX Runtime [N, C, L] ms | [N, C, 1, L] ms | ratio | kernel |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---|")
    ratios, shares = [], {}
    for case in cases:
        ours, flat_ms, high_ms = measure(case, threads, args)
        ms, share = float(ours["ms"]), float(ours["roofline_share"])
        ratios.append(min(flat_ms, high_ms) / ms)
        shares[case.name] = (share, share / ratios[-1])
        print(f"| {case.name} | {ms:.4f} | {1e3 * float(ours['tflops']):.0f} | {float(ours['gbps']):.1f} | {share:.0%} "
              f"| {flat_ms:.4f} | {high_ms:.4f} | {ratios[-1]:.2f} "
              f"| {ours['kernel'].removeprefix('conv1d_')} |", flush=True)
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"\nONNX Runtime {onnxruntime.__version__} takes {mean:.2f} times as long in the geometric mean over "
          f"{len(ratios)} cases, {name_of(threads)}.\n")
    return shares


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite", nargs="?", default=os.path.join(HERE, "conv1d_cpu.csv"))
    parser.add_argument("--threads", default="1", help="several by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", default="", help="only the cases of these names, by commas")
    parser.add_argument("--engine", default=os.path.join(HERE, "..", "build", "release", "apps", "engine", "engine"))
    parser.add_argument("--svg", help="where the picture goes")
    args = parser.parse_args()
    with open(args.suite, newline="") as file:
        cases = [Case(row) for row in csv.DictReader(file)
                 if not args.shape or row["name"] in args.shape.split(",")]
    panels = []
    for threads in map(int, args.threads.split(",")):
        panels.append((name_of(threads), compare(cases, threads, args)))
    if args.svg:
        write_chart(args.svg, "Conv1d on the CPU: share of the roofline",
                    "ONNX Runtime, the better one of [N, C, L] and [N, C, 1, L]", [case.name for case in cases], panels,
                    1.5, ["Roofline: the larger of compulsory bytes over copy bandwidth and operations over peak rate, both",
                          "measured in the same run. Kernels with fewer operations than plain sums pass it; bars end at 150 %."])


if __name__ == "__main__":
    main()
