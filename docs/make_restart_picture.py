"""Writes docs/restarts.svg: what happened to each kind of connection in a restart that was run for it.

    python docs/make_restart_picture.py

Prints what was seen, too. Needs gracehttp installed, and openssl for a certificate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from html import escape
from pathlib import Path

from restart_run import AFTER_SECONDS, BEFORE_SECONDS, DRAIN_SECONDS, LANES, Request, Seen, TcpConnection, watch

PAGE = Path(__file__).parent / "restarts.svg"

LEFT, RIGHT, TOP, BOTTOM = 250, 30, 112, 84
SECOND = 66  # pixels
ROW, LANE_GAP = 16, 30
OLD, NEW, RED, INK, GREY, PALE = "#3b6fb6", "#2f9e6e", "#d13438", "#222b36", "#7a8594", "#eef1f5"
WIDTH = LEFT + RIGHT + int((BEFORE_SECONDS + AFTER_SECONDS) * SECOND)


def x_of(at: float) -> float:
    return round(LEFT + (min(max(at, -BEFORE_SECONDS), AFTER_SECONDS) + BEFORE_SECONDS) * SECOND, 1)


def picture(seen: Seen) -> str:
    """The SVG of a run."""
    tops, y = {}, TOP
    for lane, _, _, rows in LANES:
        tops[lane] = y
        y += rows * ROW + LANE_GAP
    height = y + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        text(16, 28, "What a restart does to each kind of connection", size=18, weight="bold"),
        *seconds(y),
        *moments(seen, y),
        *(line for lane, top in tops.items() for line in lane_lines(seen, lane, top)),
        *legend(y + 46),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def text(
    x: float, y: float, words: str, *, size: int = 13, fill: str = INK, anchor: str = "start", weight: str = ""
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"{bold}>{escape(words)}</text>'


def seconds(bottom: float) -> Iterator[str]:
    for second in range(-int(BEFORE_SECONDS), int(AFTER_SECONDS) + 1):
        x = x_of(second)
        yield f'<line x1="{x}" y1="{TOP - 16}" x2="{x}" y2="{bottom}" stroke="{PALE}"/>'
        yield text(x, bottom + 16, f"{second} s", size=11, fill=GREY, anchor="middle")


def moments(seen: Seen, bottom: float) -> Iterator[str]:
    """What the server logged, as vertical lines."""
    began, ended = seen.logged_at("DrainStarted"), seen.logged_at("RequestsCut")
    quarter = began + DRAIN_SECONDS * 0.75
    yield (
        f'<rect x="{x_of(quarter)}" y="{TOP - 16}" width="{x_of(ended) - x_of(quarter):.1f}" '
        f'height="{bottom - TOP + 16}" fill="#fdf3df"/>'
    )
    yield text(x_of(ended) - 4, TOP - 22, "last quarter of the drain", fill=GREY, anchor="end", size=12)
    serves = seen.logged_at("GenerationPromoted", "generation 2")
    rows = (
        (0.0, 50, "HUP", "end"),
        (began, 50, f"{serves:.2f} s: the new code serves, the old one drains", "start"),
        (ended, 50, f"{ended:.2f} s: the old worker ends", "end" if ended > AFTER_SECONDS - 2.5 else "start"),
    )
    for at, y, words, anchor in rows:
        x = x_of(at)
        yield f'<line x1="{x}" y1="{y + 6}" x2="{x}" y2="{bottom}" stroke="{INK}" stroke-dasharray="3 3"/>'
        yield text(x - 4 if anchor == "end" else x + 4, y + 4, words, anchor=anchor, size=12)


def lane_lines(seen: Seen, lane: str, top: float) -> Iterator[str]:
    connections = [one for one in seen.connections if one.lane == lane]
    requests = [one for one in seen.requests if one.lane == lane and one.code]  # those that had no time are left out
    yield text(16, top + 9, lane, weight="bold")
    yield text(16, top + 25, summary(lane, connections, requests), fill=GREY, size=12)
    for connection in connections:
        yield from connection_lines(connection, top + connection.row * ROW + 6)
    for request in requests:
        yield from request_lines(request, top + request.row * ROW)


def summary(lane: str, connections: list[TcpConnection], requests: list[Request]) -> str:
    cut = sum(not request.whole for request in requests)
    if lane == "new connections":
        return f"{len(connections)} connections, {sum(one.whole for one in requests)} answers"
    rows = len({one.row for one in connections})
    told = any(one.told for one in connections)
    if cut:
        return "cut at the end, and named in the log"
    if rows > 1:
        return "closed one after the other"
    if len(connections) == 1:
        return "one TCP connection throughout"
    return "told Connection: close, once" if told else f"{len(connections)} TCP connections"


def connection_lines(connection: TcpConnection, y: float) -> Iterator[str]:
    begin, end = x_of(connection.opened_at), x_of(connection.closed_at)
    yield f'<line x1="{begin}" y1="{y}" x2="{end}" y2="{y}" stroke="{GREY}" stroke-width="2"/>'
    if connection.lane != "new connections":
        yield f'<line x1="{begin}" y1="{y - 6}" x2="{begin}" y2="{y + 6}" stroke="{GREY}" stroke-width="2"/>'
        if connection.closed_by:
            yield f'<line x1="{end}" y1="{y - 6}" x2="{end}" y2="{y + 6}" stroke="{GREY}" stroke-width="2"/>'


def request_lines(request: Request, top: float) -> Iterator[str]:
    begin, end = x_of(request.began_at), x_of(request.ended_at)
    colour = NEW if request.code == 2 else OLD
    width = max(end - begin, 4)
    yield f'<rect x="{begin}" y="{top + 1}" width="{width:.1f}" height="10" rx="2" fill="{colour}"/>'
    for at in request.events:
        yield f'<circle cx="{x_of(at) + 2.5}" cy="{top + 6}" r="1.8" fill="white"/>'
    if not request.whole:
        cross = f"M{end - 5} {top + 1} l10 10 m0 -10 l-10 10"
        yield f'<path d="{cross}" stroke="{RED}" stroke-width="2.5" fill="none"/>'


def legend(y: float) -> Iterator[str]:
    bar = '<rect x="{}" y="{}" width="26" height="10" rx="2" fill="{}"/>'
    yield bar.format(16, y - 9, OLD)
    yield text(48, y, "answered by the old code")
    yield bar.format(230, y - 9, NEW)
    yield text(262, y, "answered by the new code")
    yield f'<path d="M446 {y - 4} h26 M446 {y - 10} v12 M472 {y - 10} v12" stroke="{GREY}" stroke-width="2"/>'
    yield text(480, y, "a TCP connection, from beginning to end")
    yield f'<circle cx="770" cy="{y - 4}" r="3" fill="white" stroke="{GREY}"/>'
    yield text(780, y, "an event of a stream")
    yield f'<path d="M934 {y - 9} l10 10 m0 -10 l-10 10" stroke="{RED}" stroke-width="2.5"/>'
    yield text(952, y, "cut")
    yield text(16, y + 22, f"One real run, seen by its clients; drain timeout {DRAIN_SECONDS:g} s.", fill=GREY, size=12)


def report(seen: Seen) -> Iterator[str]:
    """What was seen, as lines."""
    for at, _, message in seen.log:
        yield f"{at:7.2f}  log: {message}"
    for lane, *_ in LANES:
        yield lane
        for one in (one for one in seen.connections if one.lane == lane and lane != "new connections"):
            end = f"closed by the {one.closed_by}" if one.closed_by else "open at the end"
            told = ", told before" if one.told else ""
            yield f"   connection {one.row}, {one.opened_at:6.2f} to {one.closed_at:6.2f}, {end}{told}"
        of_lane = [one for one in seen.requests if one.lane == lane]
        for code in (1, 2):
            times = [one.ended_at for one in of_lane if one.code == code]
            if times:
                yield f"   {len(times)} answers by code {code}, from {min(times):.2f} to {max(times):.2f}"


def main() -> None:
    seen = asyncio.run(watch())
    print("\n".join(report(seen)))
    PAGE.write_text(picture(seen))


if __name__ == "__main__":
    main()
