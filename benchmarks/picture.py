"""The picture of a run: CPU time per request, a bar for each server, a panel for each scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from .figures import Figure
from .scenes.requests import CPU

SHOWN = ((1, "asgi"), (2, "asgi"), (6, "asgi"), (7, "asgi"), (8, "wsgi"), (10, "asgi"))
TITLES = {
    1: "Small GET (ASGI)",
    2: "GET with 12 header fields (ASGI)",
    6: "New connection for each (ASGI)",
    7: "FastAPI, validated POST",
    8: "Django view (WSGI)",
    10: "Small GET over TLS (ASGI)",
}
OURS, THEIRS, LIMIT, INK, GREY = "#2f9e6e", "#3b6fb6", "#b3bcc7", "#222b36", "#7a8594"
PANEL, BAR, GAP, LEFT, VALUE = 380, 18, 5, 84, 52
COLUMNS, TOP, MARGIN, HEAD = 2, 64, 24, 30


def picture(figures: Sequence[Figure], ours: Sequence[str], caption: str) -> str:
    """The SVG. Scenes that weren't measured are left out."""
    by_key = {figure.key: figure for figure in figures}
    found = [by_key[scene, part, CPU] for scene, part in SHOWN if (scene, part, CPU) in by_key]
    bars = max((len(figure.samples) for figure in found), default=0)
    height_of_panel = HEAD + bars * (BAR + GAP) + MARGIN
    rows = -(-len(found) // COLUMNS)
    width, height = COLUMNS * (PANEL + MARGIN) + MARGIN, TOP + rows * height_of_panel + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        text(MARGIN, 28, "CPU time per request, in microseconds: less is better", size=18, weight="bold"),
        text(MARGIN, 48, caption, size=12, fill=GREY),
    ]
    for place, figure in enumerate(found):
        x = MARGIN + (place % COLUMNS) * (PANEL + MARGIN)
        y = TOP + (place // COLUMNS) * height_of_panel
        parts += _panel(figure, ours, x, y)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(figure: Figure, ours: Sequence[str], x: float, y: float) -> Iterator[str]:
    yield text(x, y + 18, TITLES[figure.scene], size=14, weight="bold")
    medians = sorted((figure.median(name), name) for name in figure.samples)
    longest = medians[-1][0]
    for place, (value, name) in enumerate(medians):
        top = y + HEAD + place * (BAR + GAP)
        colour = OURS if name in ours else LIMIT if name == "nginx" else THEIRS
        length = max(1.0, (PANEL - LEFT - VALUE) * value / longest)
        yield text(x + LEFT - 8, top + 14, name, anchor="end", weight="bold" if name in ours else "")
        yield f'<rect x="{x + LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{colour}" rx="2"/>'
        yield text(x + LEFT + length + 6, top + 14, f"{value:.0f}" if value >= 10 else f"{value:.1f}", fill=GREY)


def text(
    x: float, y: float, words: str, *, size: int = 13, fill: str = INK, anchor: str = "start", weight: str = ""
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"{bold}>'
        f"{escape(words)}</text>"
    )
