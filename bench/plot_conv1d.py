"""Draws the share of the roofline of every case that is more than a launch, the engine's beside PyTorch's, as an SVG.

usage: python3 plot_conv1d.py ENGINE.csv TORCH.csv OUT.svg [--precision tf32,fp16]
"""
import argparse

from conv1d_results import LEAST_ROOFLINE_MS, merge, read_ours, read_torch
from roofline_chart import write_chart


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine")
    parser.add_argument("torch")
    parser.add_argument("output")
    parser.add_argument("--precision", default="tf32,fp16")
    args = parser.parse_args()
    ours = read_ours(args.engine)
    rows = [row for row in merge(ours, read_torch(args.torch)) if row["roofline_ms"] >= LEAST_ROOFLINE_MS]
    panels = []
    for precision in args.precision.split(","):
        shares = {row["name"]: (row["share"], row["torch_share"]) for row in rows if row["precision"] == precision}
        if shares:
            panels.append((precision, shares))
    # Algorithms with fewer operations than the direct sum may pass the roofline; the axis then ends at 125 %.
    scale = 1.25 if any(row["share"] > 1.0 for row in rows) else 1.0
    device = next(iter(ours.values()))["device"]
    write_chart(args.output, f"Conv1d on one {device}: share of the roofline",
                "PyTorch, the better one of NCL and channels-last", list(dict.fromkeys(row["name"] for row in rows)),
                panels, scale, ["Roofline: the larger of compulsory bytes over copy bandwidth and operations",
                                "over the rate of matrix products, both measured in the same run."])


if __name__ == "__main__":
    main()
