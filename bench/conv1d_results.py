"""Reads what `engine bench --conv1d --csv` and conv1d_torch.py wrote, and puts the two together."""
import csv
import math

PRECISIONS = ("fp32", "tf32", "fp16", "bf16")
# Below this the launch decides, not the machine's ceilings: such cases are left out of means.
LEAST_ROOFLINE_MS = 0.01


def read_ours(path):
    """The rows of the kernels that the engine chose, by (name, precision)."""
    with open(path, newline="") as file:
        return {(row["name"], row["precision"]): row for row in csv.DictReader(file) if row["chosen"] == "1"}


def read_torch(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def merge(ours, torch_rows):
    """One dictionary of numbers for each case that both measured."""
    merged = []
    for theirs in torch_rows:
        our = ours.get((theirs["name"], theirs["precision"]))
        if our is None:
            continue
        ncl, nlc = float(theirs["ncl_ms"]), float(theirs["nlc_ms"])
        roofline = float(our["roofline_ms"])
        merged.append({
            "name": our["name"], "precision": our["precision"], "kernel": our["kernel"],
            "ms": float(our["ms"]), "tflops": float(our["tflops"]), "gbps": float(our["gbps"]),
            "error": float(our["relative_error"]), "roofline_ms": roofline, "share": float(our["roofline_share"]),
            "ncl_ms": ncl, "nlc_ms": nlc, "best_ms": min(ncl, nlc), "torch_share": roofline / min(ncl, nlc),
            "torch_error": float(theirs["ncl_error"]),
        })
    return merged


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def means(rows):
    """A line for each precision."""
    lines = []
    for precision in PRECISIONS:
        of = [row for row in rows if row["precision"] == precision and row["roofline_ms"] >= LEAST_ROOFLINE_MS]
        if not of:
            continue
        lines.append(
            f"{precision}: ours / PyTorch {geometric_mean([r['ms'] / r['ncl_ms'] for r in of]):.3f} (NCL), "
            f"{geometric_mean([r['ms'] / r['best_ms'] for r in of]):.3f} (its best layout); share of the roofline: "
            f"ours {geometric_mean([r['share'] for r in of]):.1%}, PyTorch's best layout "
            f"{geometric_mean([r['torch_share'] for r in of]):.1%}; geometric means over {len(of)} cases")
    return lines
