"""Draws shares of the roofline, the engine's beside another program's, as an SVG."""
import html

NAME_WIDTH, PANEL_WIDTH, PANEL_GAP, ROW_HEIGHT, TOP, BOTTOM = 150, 330, 40, 26, 98, 48
BAR_HEIGHT = 9
OURS, THEIRS, TEXT, FAINT, LINE = "#1f6feb", "#a8b0ba", "#24292f", "#57606a", "#d8dee4"


def text(x, y, content, size=12, anchor="start", color=TEXT, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{color}" '
            f'font-weight="{weight}">{html.escape(content)}</text>')


def bar(x, y, share, scale, color):
    width = max(1.0, min(share, scale) / scale * PANEL_WIDTH)
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR_HEIGHT}" rx="1.5" fill="{color}"/>'


def panel(left, title, names, shares, bottom, scale):
    """Gridlines, and a pair of bars for each case that `shares` has: {name: (ours, theirs)}."""
    parts = [text(left, TOP - 24, title, 14, weight="bold")]
    for percent in range(0, round(scale * 100) + 1, 25):
        x = left + percent / 100 / scale * PANEL_WIDTH
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}" stroke="{LINE}"/>')
        parts.append(text(x, TOP - 9, f"{percent} %", 10, "middle", FAINT))
    for i, name in enumerate(names):
        if name not in shares:
            continue
        ours, theirs = shares[name]
        y = TOP + i * ROW_HEIGHT + 3
        parts.append(bar(left, y, ours, scale, OURS))
        parts.append(bar(left, y + BAR_HEIGHT + 1, theirs, scale, THEIRS))
        end = left + min(ours, scale) / scale * PANEL_WIDTH
        parts.append(text(end + 4, y + BAR_HEIGHT - 1, f"{ours:.0%}", 9, color=FAINT))
    return parts


def write_chart(path, title, theirs, names, panels, scale, notes):
    """`panels` has a title and shares for each; the axis ends at `scale`, which longer bars are cut at."""
    bottom = TOP + len(names) * ROW_HEIGHT
    width = NAME_WIDTH + len(panels) * (PANEL_WIDTH + PANEL_GAP) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{bottom + BOTTOM}" '
        f'viewBox="0 0 {width} {bottom + BOTTOM}" font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{width}" height="{bottom + BOTTOM}" fill="white"/>',
        text(14, 26, title, 16, weight="bold"),
        f'<rect x="14" y="39" width="11" height="11" rx="1.5" fill="{OURS}"/>',
        text(30, 49, "engine"),
        f'<rect x="90" y="39" width="11" height="11" rx="1.5" fill="{THEIRS}"/>',
        text(106, 49, theirs),
    ]
    for i, name in enumerate(names):
        parts.append(text(NAME_WIDTH - 8, TOP + i * ROW_HEIGHT + 16, name, 11, "end"))
    for i, (panel_title, shares) in enumerate(panels):
        parts += panel(NAME_WIDTH + i * (PANEL_WIDTH + PANEL_GAP), panel_title, names, shares, bottom, scale)
    for i, note in enumerate(notes):
        parts.append(text(14, bottom + 22 + 14 * i, note, 10, color=FAINT))
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts + ["</svg>"]) + "\n")
