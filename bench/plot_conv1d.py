"""Draws the share of the roofline of every case that is more than a launch, the engine's beside PyTorch's, as an SVG.

usage: python3 plot_conv1d.py ENGINE.csv TORCH.csv OUT.svg [--precision tf32,fp16]
"""
import argparse
import html

from conv1d_results import LEAST_ROOFLINE_MS, merge, read_ours, read_torch

NAME_WIDTH, PANEL_WIDTH, PANEL_GAP, ROW_HEIGHT, TOP, BOTTOM = 150, 330, 40, 26, 98, 48
BAR_HEIGHT = 9
OURS, THEIRS, TEXT, FAINT, LINE = "#1f6feb", "#a8b0ba", "#24292f", "#57606a", "#d8dee4"


def text(x, y, content, size=12, anchor="start", color=TEXT, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{color}" '
            f'font-weight="{weight}">{html.escape(content)}</text>')


def bar(x, y, share, scale, color):
    width = max(1.0, min(share, scale) / scale * PANEL_WIDTH)
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR_HEIGHT}" rx="1.5" fill="{color}"/>'


def panel(left, precision, names, rows, bottom, scale):
    """One precision: gridlines, and a pair of bars for each case."""
    parts = [text(left, TOP - 24, precision, 14, weight="bold")]
    for percent in range(0, round(scale * 100) + 1, 25):
        x = left + percent / 100 / scale * PANEL_WIDTH
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}" stroke="{LINE}"/>')
        parts.append(text(x, TOP - 9, f"{percent} %", 10, "middle", FAINT))
    for i, name in enumerate(names):
        row = rows.get((name, precision))
        if row is None:
            continue
        y = TOP + i * ROW_HEIGHT + 3
        parts.append(bar(left, y, row["share"], scale, OURS))
        parts.append(bar(left, y + BAR_HEIGHT + 1, row["torch_share"], scale, THEIRS))
        end = left + min(row["share"], scale) / scale * PANEL_WIDTH
        parts.append(text(end + 4, y + BAR_HEIGHT - 1, f"{row['share']:.0%}", 9, color=FAINT))
    return parts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine")
    parser.add_argument("torch")
    parser.add_argument("output")
    parser.add_argument("--precision", default="tf32,fp16")
    args = parser.parse_args()
    ours = read_ours(args.engine)
    merged = [row for row in merge(ours, read_torch(args.torch)) if row["roofline_ms"] >= LEAST_ROOFLINE_MS]
    rows = {(row["name"], row["precision"]): row for row in merged}
    precisions = [name for name in args.precision.split(",") if any(key[1] == name for key in rows)]
    names = list(dict.fromkeys(row["name"] for row in merged))
    # Algorithms with fewer operations than the direct sum may pass the roofline; the axis then ends at 125 %.
    scale = 1.25 if any(row["share"] > 1.0 for row in merged) else 1.0
    bottom = TOP + len(names) * ROW_HEIGHT
    width = NAME_WIDTH + len(precisions) * (PANEL_WIDTH + PANEL_GAP) + 10
    device = next(iter(ours.values()))["device"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{bottom + BOTTOM}" '
        f'viewBox="0 0 {width} {bottom + BOTTOM}" font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{width}" height="{bottom + BOTTOM}" fill="white"/>',
        text(14, 26, f"Conv1d on one {device}: share of the roofline", 16, weight="bold"),
        f'<rect x="14" y="39" width="11" height="11" rx="1.5" fill="{OURS}"/>',
        text(30, 49, "engine"),
        f'<rect x="90" y="39" width="11" height="11" rx="1.5" fill="{THEIRS}"/>',
        text(106, 49, "PyTorch, the better one of NCL and channels-last"),
    ]
    for i, name in enumerate(names):
        parts.append(text(NAME_WIDTH - 8, TOP + i * ROW_HEIGHT + 16, name, 11, "end"))
    for i, precision in enumerate(precisions):
        parts += panel(NAME_WIDTH + i * (PANEL_WIDTH + PANEL_GAP), precision, names, rows, bottom, scale)
    parts.append(text(14, bottom + 22, "Roofline: the larger of compulsory bytes over copy bandwidth and operations", 10,
                      color=FAINT))
    parts.append(text(14, bottom + 36, "over the rate of matrix products, both measured in the same run.", 10, color=FAINT))
    with open(args.output, "w") as file:
        file.write("\n".join(parts + ["</svg>"]) + "\n")


if __name__ == "__main__":
    main()
