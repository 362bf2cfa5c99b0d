"""From the raw results of a run, pages: a table in Markdown and a picture.

    python -m benchmarks.report results.json --markdown results.md --svg results.svg
    python -m benchmarks.report results.json --into README.md    # the targets, a line for each scene
    python -m benchmarks.report results.json --into docs/comparison.md    # scene 17, a column for each server

What goes into a page is told by the comments that it has.

The file alone decides: the same results give the same pages, wherever they are made.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .figures import Figure, Target
from .peers import CALLED, NAMES
from .picture import picture
from .scenes.deploys import SILENT, SILENT_SECONDS, SILENT_TITLE, SITUATIONS
from .scenes.requests import CPU
from .session import BenchmarkFailed
from .targets import TARGETS


class Results:
    """The raw results of a run. `ours` are the names of the installations of gracehttp, the first one compared."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.machine: dict[str, Any] = data["machine"]
        self.servers: list[dict[str, str]] = data["servers"]
        self.settings: dict[str, Any] = data["settings"]
        self.scenes: dict[str, dict[str, str]] = data["scenes"]
        self.commands: dict[str, dict[str, str]] = data["commands"]
        self.missing: list[str] = data["missing"]
        self.failures: list[str] = data["failures"]
        self.ours: list[str] = data["ours"]
        self.figures = [Figure.from_json(one) for one in data["figures"]]

    def figure(self, target: Target) -> Figure | None:
        key = (target.scene, target.interface, target.title)
        return next((one for one in self.figures if one.key == key), None)

    def names(self) -> list[str]:
        """Of all servers that have a sample, ours first."""
        measured = {name for figure in self.figures for name in figure.samples}
        others = [name for name in NAMES if name not in self.ours]
        return [name for name in (*self.ours, *others) if name in measured]


def markdown(results: Results) -> str:
    return (
        "\n".join(
            [
                *_heading(results),
                "",
                *_table(results),
                "",
                *_targets(results),
                "",
                *_commands(results),
            ]
        )
        + "\n"
    )


def _heading(results: Results) -> Iterator[str]:
    machine = ", ".join(f"{key} {value}" for key, value in results.machine.items())
    yield f"One run: {machine}."
    yield "Settings: " + ", ".join(f"{key} {value}" for key, value in results.settings.items()) + "."
    yield ""
    for facts in results.servers:
        yield f"- {facts['name']}: " + ", ".join(f"{key} {value}" for key, value in facts.items() if key != "name")
    if results.missing:
        yield f"- not installed, so not measured: {', '.join(results.missing)}"
    for failure in results.failures:
        yield f"- failed: {failure}"


def _table(results: Results) -> Iterator[str]:
    """Medians. In brackets the ratio to the first of ours, the median of the ratios round by round."""
    ours, names = results.ours[0], results.names()
    yield f"Medians; in brackets the server's figure divided by that of {ours}, round by round, of which the median."
    yield ""
    yield "| scene | figure | " + " | ".join(names) + " |"
    yield "|---" * (2 + len(names)) + "|"
    for figure in results.figures:
        title = results.scenes[str(figure.scene)]["title"]
        cells = [_cell(figure, name, ours) for name in names]
        unit = f", {figure.unit}" if figure.unit else ""
        yield f"| {figure.scene} {title} | {CALLED[figure.interface]}: {figure.title}{unit} | {' | '.join(cells)} |"


def _cell(figure: Figure, name: str, ours: str) -> str:
    if not figure.samples.get(name):
        return ""
    said = number(figure.median(name))
    ratio = figure.ratio(name, ours)
    return said if name == ours or math.isnan(ratio) or not figure.unit else f"{said} ({number(ratio)})"


def _targets(results: Results) -> Iterator[str]:
    yield "| scene | figure | of | target | reached | |"
    yield "|---|---|---|---|---|---|"
    for target in TARGETS:
        figure = results.figure(target)
        if figure is None:
            continue
        reached = target.reached(figure, results.ours[0])
        if math.isnan(reached):
            continue
        bound = f"at {'least' if target.at_least else 'most'} {target.bound:g}"
        of = f"{target.peer} = 1" if target.peer else figure.unit
        met = "met" if target.met(reached) else "**missed**"
        title = results.scenes[str(target.scene)]["title"]
        yield (
            f"| {target.scene} {title} | {CALLED[target.interface]}: {target.title} | {of} | {bound} "
            f"| {number(reached)} | {met} |"
        )


def brief(results: Results) -> str:
    """The targets, a line for each scene."""
    lines: dict[str, list[str]] = {}
    for target in TARGETS:
        figure = results.figure(target)
        reached = target.reached(figure, results.ours[0]) if figure is not None else math.nan
        if figure is None or math.isnan(reached):
            continue
        said = number(reached) if target.peer else f"{number(reached)} {figure.unit}".strip()
        if target.met(reached):
            said = f"**{said}**"
        title = f"{target.scene} {results.scenes[str(target.scene)]['title']}"
        if not title.endswith(CALLED[target.interface]):
            title += f", {CALLED[target.interface]}"
        what = f"{title}: {target.title}" if target.title != CPU else title
        bound = f"{'at least ' if target.at_least else ''}{target.bound:g}"
        lines.setdefault(what, []).append(f"{target.peer} {said} ({bound})".strip())
    return "\n".join(
        ["| scene | reached (target) |", "|---|---|", *(f"| {a} | {', '.join(b)} |" for a, b in lines.items())]
    )


_FOUR, _BROKEN, _SLOW = (one.name for one in SITUATIONS)
_NEWEST = "newest code answered in the end, 1 = yes"
_DEPLOYS = {
    "lost, connection kept": f"{_FOUR}: lost or reset on kept connections",
    "lost, new connection": f"{_FOUR}: lost or reset on new connections",
    "refused": f"{_FOUR}: refused",
    "answered with an error": f"{_FOUR}: answered with an error",
    "connections opened again": f"{_FOUR}: reconnects",
    "longest time without any answer, s": f"{_FOUR}: longest without any answer",
    f"connected before, first byte {SILENT_SECONDS:g} s after: answered of {SILENT}": SILENT_TITLE,
    "code that doesn't start, and good code 5 s later: refused": f"{_BROKEN}: refused",
    "code that doesn't start, and good code 5 s later: served in the end": f"{_BROKEN}: {_NEWEST}",
    "an import of 10 s: longest time without any answer, s": f"{_SLOW}: longest without any answer",
}


def deploys(results: Results) -> str:
    """What scene 17 has found with ASGI, a column for each server. Raises `BenchmarkFailed` if it wasn't run."""
    found = {one.title: one for one in results.figures if one.scene == 17 and one.interface == "asgi"}
    if not found:
        raise BenchmarkFailed("These results have no scene 17 with ASGI.")
    names = [name for name in results.names() if any(name in figure.samples for figure in found.values())]
    versions = {one["name"]: _version(one) for one in results.servers}
    commit = next((one["commit"] for one in results.servers if one["name"] == results.ours[0] and "commit" in one), "")
    of = f", commit {commit}" if commit else ""
    lines = [
        f"Measured by `python -m benchmarks --scenes 17` on {results.machine['date'][:10]} (gracehttp{of}):",
        *(f"- {failure}" for failure in results.failures if failure.startswith("scene 17")),
        "",
        "| | " + " | ".join(f"{name} {versions.get(name, '')}".strip() for name in names) + " |",
        "|---" * (1 + len(names)) + "|",
    ]
    for label, title in _DEPLOYS.items():
        medians = [found[title].median(name) if found[title].samples.get(name) else math.nan for name in names]
        cells = [
            number(one) if math.isnan(one) or not title.endswith(_NEWEST) else ("yes" if one else "no")
            for one in medians
        ]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _version(facts: Mapping[str, str]) -> str:
    """Of a server: what is told of the distribution that has its name, or begins with it."""
    return next((value for key, value in facts.items() if key != "name" and key.startswith(facts["name"])), "")


SECTIONS: Mapping[str, Callable[[Results], str]] = {"targets": brief, "deploys": deploys}
"""What may stand in a page between `<!-- NAME -->` and `<!-- end of NAME -->`."""


def put_into(page: Path, results: Results) -> None:
    """In the place of what stands in `page` between two comments."""
    text = page.read_text(encoding="utf-8")
    there = {name: say for name, say in SECTIONS.items() if f"<!-- {name} -->" in text}
    for name, say in there.items():
        before, begin, rest = text.partition(f"<!-- {name} -->")
        _, end, behind = rest.partition(f"<!-- end of {name} -->")
        if not end:
            raise BenchmarkFailed(f"{page} has no <!-- end of {name} --> behind {begin}.")
        text = f"{before}{begin}\n{say(results)}\n{end}{behind}"
    if not there:
        raise BenchmarkFailed(f"{page} has none of {', '.join(f'<!-- {name} -->' for name in SECTIONS)}.")
    page.write_text(text, encoding="utf-8")


def _commands(results: Results) -> Iterator[str]:
    yield "The commands, as each server documents them:"
    yield ""
    yield "```"
    for part, commands in results.commands.items():
        scene, interface = part.split()
        yield f"# scene {scene} ({results.scenes[scene]['title']}), {CALLED[interface]}"
        yield from commands.values()
    yield "```"


def number(value: float) -> str:
    """Three digits that count."""
    if math.isnan(value):
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def write(data: Mapping[str, Any], page: Path | None, svg: Path | None) -> str:
    """Returns the page."""
    results = Results(data)
    said = markdown(results)
    if page is not None:
        page.write_text(said)
    if svg is not None:
        svg.write_text(picture(results.figures, results.ours, _caption(results)))
    return said


def _caption(results: Results) -> str:
    python = results.servers[0].get("python", "") if results.servers else ""
    return f"One worker on one core, Python {python}, {results.machine['processor']}, {results.machine['date'][:10]}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Makes pages from the raw results of a run.")
    parser.add_argument("results", type=Path, help="what `python -m benchmarks --json` wrote")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="(default: print it)")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    parser.add_argument("--into", type=Path, metavar="FILE", help="a page with a place for them")
    options = parser.parse_args(arguments)
    data = json.loads(options.results.read_text())
    said = write(data, options.markdown, options.svg)
    if options.into is not None:
        put_into(options.into, Results(data))
    elif options.markdown is None:
        print(said)


if __name__ == "__main__":
    main()
