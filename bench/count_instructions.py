#!/usr/bin/env python3
"""Counts the instructions that the engine takes for a run of a model on one CPU thread, which no other load changes.

usage: python3 count_instructions.py [MODEL.yaml ...] [--runs N] [--engine PROGRAM]

Runs `engine bench` under valgrind's callgrind, once with one run and once with N more, and divides what is collected
within Session::run_into between the two by the calls between the two: the first run, which readies kernels, drops out.

Prints a Markdown table: instructions for each multiply-add beside the least that vector products of the machine's
width leave room for. Needs valgrind.
"""
import argparse
import json
import os
import re
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = [os.path.join(HERE, "..", "graphs", name) for name in ("m5.yaml", "keywords.yaml")]
FUNCTION = "engine::Session::run_into"


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def bench(program, model, runs):
    return (program, "bench", model, "--device", "cpu", "--threads", "1", "--warmup", "0", "--runs", str(runs))


def collected(program, model, runs):
    """Instructions within Session::run_into, and its calls."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "callgrind.out")
        output_of("valgrind", "--tool=callgrind", f"--toggle-collect={FUNCTION}*", f"--callgrind-out-file={path}",
                  *bench(program, model, runs))
        tree = output_of("callgrind_annotate", "--inclusive=yes", "--tree=caller", path)
    total = re.search(r"([\d,]+) \(100\.0%\)\s+PROGRAM TOTALS", tree)
    calls = max(int(count) for count in re.findall(rf"< .*{FUNCTION}\(.*\((\d+)x\)", tree))
    return int(total[1].replace(",", "")), calls


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", default=os.path.join(HERE, "..", "build", "release", "apps", "engine", "engine"))
    args = parser.parse_args()
    print("| model | input | multiply-adds | instructions | for each multiply-add |")
    print("|---|---|---:|---:|---:|")
    for model in args.models:
        report = json.loads(output_of(*bench(args.engine, model, 1), "--json"))
        products = sum(layer["flops"] for layer in report["layers"]) / 2
        first, more = collected(args.engine, model, 1), collected(args.engine, model, 1 + args.runs)
        instructions = (more[0] - first[0]) / (more[1] - first[1])
        print(f"| {report['model']} | {report['inputs'][0]['shape']} | {products:,.0f} | {instructions:,.0f} "
              f"| {instructions / products:.3f} |", flush=True)


if __name__ == "__main__":
    main()
