"""How much gracehttp costs, side by side with the servers that one would choose instead.

    pip install --editable '.[bench]'; apt install wrk nginx-light
    python -m benchmarks --json results.json
    python -m benchmarks --scenes 1 2 10 --peers uvicorn granian --rounds 5
    python -m benchmarks --ours before=../before after=.
    python -m benchmarks --list

Servers have one core, clients another one. The servers of a scene take turns under the same load, and what is compared
are ratios within a round. docs/performance.md tells what is measured, how, and how far to trust it. The exit status is
1 if something could not be measured, whether or not the targets were met.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import report
from .figures import Figure
from .installed import Installation, machine
from .peers import INTERFACES, NAMES, OURS, Contender, contenders
from .scenes.bench import Bench, Notes, Settings
from .scenes.catalogue import SCENES, USUAL
from .session import BenchmarkFailed, TimeIsOver, session, told

TOOLS = {
    "wrk": "wrk",
    "taskset": "util-linux",
    "setpriv": "util-linux",
}
"""Programs, and the package of Debian that has each."""


def options_from(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    usual = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Side by side in one run: gracehttp and other servers.",
        epilog="PATH is an interpreter, a virtual environment, or a checkout. A checkout is run by its .venv if there "
        "is one, else by the interpreter of this benchmark. NAME=PATH,VARIABLE=VALUE sets an environment variable.",
    )
    parser.add_argument("--list", action="store_true", help="tell the scenes and the commands, and measure nothing")
    parser.add_argument(
        "--scenes", nargs="+", type=int, choices=SCENES, default=USUAL, metavar="N", help="default: 1 to 16"
    )
    peers = [name for name in NAMES if name != OURS]
    parser.add_argument(
        "--peers", nargs="*", choices=peers, default=peers, metavar="NAME", help=f"default: all: {', '.join(peers)}"
    )
    parser.add_argument(
        "--ours", nargs="+", default=[sys.executable], metavar="[NAME=]PATH", help="where gracehttp is (default: here)"
    )
    parser.add_argument("--interfaces", nargs="+", choices=INTERFACES, default=INTERFACES, help="default: all three")
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="of scenes 1 to 12 (default: %(default)s)")
    parser.add_argument(
        "--seconds",
        type=int,
        default=usual.seconds,
        help="of each load (default: %(default)s)",
    )
    parser.add_argument("--connections", type=int, default=usual.connections, help="in scenes 1 to 12 (default: 64)")
    parser.add_argument("--runs", type=int, default=usual.runs, help="of scene 13 (default: 1)")
    parser.add_argument("--restarts", type=int, default=usual.restarts, help="in scene 14 (default: 3)")
    parser.add_argument("--access-log", action="store_true", help="scenes 1 to 12: each server writes its access log")
    parser.add_argument(
        "--first", action="store_true", help="servers and loads go before other programs, which then hardly run"
    )
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument(
        "--restart-cores", type=int, nargs="+", metavar="CORE", help="of the server in scene 14 (default: its one core)"
    )
    parser.add_argument(
        "--limit", type=float, default=3000, metavar="SECONDS", help="for all of it (default: %(default)g)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw results there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there (default: print them)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the picture there")
    parser.add_argument("--verbose", action="store_true", help="tell each sample as it comes, also into a file")
    return parser.parse_args(arguments)


def main() -> int:
    options = options_from()
    ours = [Installation.parse(text) for text in options.ours]
    if len({one.name for one in ours} | {*options.peers}) < len(ours) + len(options.peers):
        raise BenchmarkFailed("Give each of --ours a name of its own: --ours old=PATH new=PATH.")
    found, missing = contenders(ours, options.peers)
    if options.list:
        print("\n".join(_listed(found, missing, options.scenes)))
        return 0
    for program, package in TOOLS.items():
        if shutil.which(program) is None:
            raise BenchmarkFailed(f"{program} is not installed. On Debian: apt install {package}")
    began, results = time.monotonic(), _results(options, ours, found, missing)
    notes = Notes(results["commands"], results["failures"])
    with session(
        server_core=options.server_core, client_core=options.client_core, limit_seconds=options.limit
    ) as frame:
        bench = Bench(frame, found, _settings(options), notes)
        _run(bench, options.scenes, results)
    results["machine"]["load after"] = round(os.getloadavg()[0], 2)
    results["machine"]["seconds"] = round(time.monotonic() - began)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    page = report.write(results, options.markdown, options.svg)
    if options.markdown is None:
        print(page)
    for failure in notes.failures:
        print(f"failed: {failure}", file=sys.stderr)
    if missing:
        print(f"not installed, so not measured: {', '.join(missing)}", file=sys.stderr)
    return 1 if notes.failures else 0


def _run(bench: Bench, numbers: Sequence[int], results: dict[str, Any]) -> None:
    """All scenes, or as many as the time allows; what is measured stands in the results at once."""
    waiting = list(numbers)
    try:
        while waiting:
            scene = SCENES[waiting[0]]
            began = time.monotonic()
            try:
                for figure in scene.run(bench):
                    _add(results, figure)
            except BenchmarkFailed as failed:
                bench.failed(scene, "all", failed)
            took = results["scenes"][f"{scene.number}"]["seconds"] = round(time.monotonic() - began, 1)
            bench.say(f"scene {scene.number} took {took} s")
            del waiting[0]
    except (TimeIsOver, KeyboardInterrupt) as over:
        bench.notes.failures.append(f"scenes {', '.join(map(str, waiting))}: {over or 'interrupted'}")


def _add(results: dict[str, Any], figure: Figure) -> None:
    results["figures"].append(figure.as_json())


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Settings)})


def _results(
    options: argparse.Namespace, ours: Sequence[Installation], found: Sequence[Contender], missing: Sequence[str]
) -> dict[str, Any]:
    return {
        "machine": machine(),
        "servers": _facts(found),
        "settings": {key: value for key, value in dataclasses.asdict(_settings(options)).items() if key != "verbose"},
        "scenes": {
            f"{number}": {"title": SCENES[number].title, "measures": SCENES[number].measures}
            for number in options.scenes
        },
        "commands": {},
        "ours": [one.name for one in ours],
        "missing": list(missing),
        "failures": [],
        "figures": [],
    }


def _facts(found: Sequence[Contender]) -> list[dict[str, str]]:
    facts = {}
    for one in found:
        if one.peer is None or one.installation is None:
            said = subprocess.run(["/usr/sbin/nginx", "-v"], capture_output=True, text=True, check=False).stderr
            version = re.search(r"nginx/(\S+)", said)
            facts[one.name] = {"name": one.name, "nginx": version[1] if version else "unknown"}
        else:
            facts[one.name] = one.installation.facts(one.peer.distribution, one.peer.module, "uvloop")
            if not facts[one.name]:
                raise BenchmarkFailed(f"{one.installation.python} can't import {one.peer.module}.")
            if one.is_ours:
                facts[one.name]["says"] = _says(one.installation)
    return list(facts.values())


def _says(installation: Installation) -> str:
    """What `gracehttp --version` prints: it tells how it was built."""
    command = [str(installation.python), "-m", "gracehttp", "--version"]
    environment = installation.environment()
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()


def _listed(found: Sequence[Contender], missing: Sequence[str], numbers: Sequence[int]) -> list[str]:
    said = []
    for number in numbers:
        scene = SCENES[number]
        said += [f"{number}. {scene.title}", f"   {scene.measures}"]
        for interface in INTERFACES:
            for one in found:
                app = scene.served.application(interface)
                if one.peer is not None and app and one.takes_part(scene.served, interface, scene.needs):
                    try:
                        said.append(f"   {interface} {one.name:10} {one.command(app, scene.needs)}")
                    except BenchmarkFailed as without:
                        said.append(f"   {interface} {one.name:10} takes no part: {without}")
        said.append("")
    remarks = {one.name: one.remark for one in found if one.remark}
    said += [f"{name}: {remark}" for name, remark in remarks.items()]
    said += [f"{name}: not installed" for name in missing]
    return said


if __name__ == "__main__":
    sys.exit(told(main))
