"""Writes the results of one run as Markdown, for docs/benchmarks.md.

usage: python3 conv1d_table.py ENGINE.csv TORCH.csv --command COMMAND [--date DATE]
"""
import argparse
import datetime

from conv1d_results import PRECISIONS, means, merge, read_ours, read_torch

HEADING = ("case", "ms", "TFLOP/s", "GB/s", "roofline", "error", "PyTorch NCL ms", "best ms", "error",
           "ours / NCL", "ours / best", "kernel")


def cells(row):
    return (row["name"], f"{row['ms']:.4f}", f"{row['tflops']:.1f}", f"{row['gbps']:.0f}", f"{row['share']:.0%}",
            f"{row['error']:.1e}", f"{row['ncl_ms']:.4f}", f"{row['best_ms']:.4f}", f"{row['torch_error']:.1e}",
            f"{row['ms'] / row['ncl_ms']:.2f}", f"{row['ms'] / row['best_ms']:.2f}",
            row["kernel"].removeprefix("conv1d_"))


def table(rows):
    lines = ["| " + " | ".join(HEADING) + " |", "|---|" + "---:|" * (len(HEADING) - 2) + "---|"]
    return lines + ["| " + " | ".join(cells(row)) + " |" for row in rows]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine")
    parser.add_argument("torch")
    parser.add_argument("--command", required=True)
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    args = parser.parse_args()
    ours, torch_rows = read_ours(args.engine), read_torch(args.torch)
    rows = merge(ours, torch_rows)
    any_ours = next(iter(ours.values()))
    rates = {our["precision"]: float(our["matrix_tflops"]) for our in ours.values()}
    print(f"{args.date}, {any_ours['device']}; PyTorch {torch_rows[0]['torch']}, cuDNN {torch_rows[0]['cudnn']}; "
          f"`{args.command}`.")
    print(f"Measured in that run: copy {float(any_ours['copy_gbps']):.0f} GB/s; matrix products "
          + ", ".join(f"{name} {rates[name]:.0f}" for name in PRECISIONS if name in rates) + " TFLOP/s.\n")
    for line in means(rows):
        print(f"- {line}")
    for precision in PRECISIONS:
        of = [row for row in rows if row["precision"] == precision]
        if of:
            print(f"\n### {precision}\n")
            print("\n".join(table(of)))


if __name__ == "__main__":
    main()
