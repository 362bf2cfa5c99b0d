"""The picture of growth.py: a panel for each line. x grows by factors, y begins at 0."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ..picture import GREY, INK, OURS, text
from .growth import Line

WIDTH, HEIGHT, MARGIN, TOP, BOTTOM = 330, 190, 30, 46, 40
COLUMNS = 2


def plot(lines: Sequence[Line], caption: str) -> str:
    """The SVG."""
    rows = math.ceil(len(lines) / COLUMNS)
    width, height = COLUMNS * (WIDTH + MARGIN) + MARGIN, 40 + rows * (HEIGHT + MARGIN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        text(MARGIN, 24, caption, size=12, fill=GREY),
    ]
    for place, line in enumerate(lines):
        left = MARGIN + (place % COLUMNS) * (WIDTH + MARGIN)
        parts += _panel(line, left, 40 + (place // COLUMNS) * (HEIGHT + MARGIN))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(line: Line, left: float, top: float) -> Iterator[str]:
    floor, ceiling = top + HEIGHT - BOTTOM, top + TOP
    most = max((y for _, y in line.points), default=1.0) or 1.0
    last = math.log10(max((x for x, _ in line.points), default=0) + 1) or 1.0

    def place(x: int, y: float) -> tuple[float, float]:
        return left + 10 + (WIDTH - 40) * math.log10(x + 1) / last, floor - (floor - ceiling) * y / most

    yield text(left, top + 16, f"{line.title}, {line.unit}", size=14, weight="bold")
    yield f'<line x1="{left}" y1="{floor}" x2="{left + WIDTH}" y2="{floor}" stroke="{GREY}"/>'
    spots = [place(x, y) for x, y in line.points]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    yield f'<polyline points="{points}" fill="none" stroke="{OURS}" stroke-width="2"/>'
    for (x, y), (across, down) in zip(line.points, spots, strict=True):
        yield f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{OURS}"/>'
        yield text(across, down - 8, f"{y:.3g}", size=11, anchor="middle", fill=INK)
        yield text(across, floor + 15, f"{x:,}", size=11, anchor="middle", fill=GREY)
    yield text(left + WIDTH, floor + 32, line.x, size=11, anchor="end", fill=GREY)
