#!/usr/bin/env python3
"""Compares how long a model takes from its file to its first result on the CPU, in the engine and in ONNX Runtime.

usage: python3 first_result_onnxruntime.py [MODEL.yaml] [--rounds N] [--threads N] [--engine PROGRAM]

Without a model: the keyword spotter. The engine's time is that of a whole `engine run`, from the start of its process
to its end, with reading the input and writing the output; ONNX Runtime's is that of a session from a graph in memory,
and of its first run, in a process that has already loaded it. Both take turns; the medians are printed.
"""
import argparse
import os
import statistics
import tempfile
import time

import numpy
import onnxruntime
import yaml

from models_onnxruntime import HERE, MODELS, Engine, Exporter, OnnxRuntime


def milliseconds(call):
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=MODELS[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engine", default=os.path.join(HERE, "..", "build", "release", "apps", "engine", "engine"))
    args = parser.parse_args()
    with open(args.model, encoding="utf-8") as file:
        model = yaml.safe_load(file)
    ((name, port),) = model["inputs"].items()
    shape = [model["sizes"].get(size, size) for size in port["shape"]]
    x = numpy.random.default_rng(1).standard_normal(shape, dtype=numpy.float32)
    engine = Engine(args.engine, args.model, model["sizes"], args.threads)
    with tempfile.TemporaryDirectory() as folder:
        weights = engine.weights(model, folder)
        graphs = [Exporter(model, weights, height).export(shape) for height in ([], [1])]
        sides = [lambda: engine.result(x, folder),
                 *(lambda graph=graph: OnnxRuntime(graph, name, x, args.threads) for graph in graphs)]
        rounds = [[milliseconds(side) for side in sides] for _ in range(args.rounds)]
    ours, flat, high = (statistics.median(times) for times in zip(*rounds))
    print(f"{model['name']} {shape}, {args.threads} threads: engine {ours:.1f} ms, ONNX Runtime "
          f"{onnxruntime.__version__} over [N, C, L] {flat:.1f} ms, over [N, C, 1, L] {high:.1f} ms")


if __name__ == "__main__":
    main()
