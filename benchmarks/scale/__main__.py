"""Scale on one machine: many idle connections through a restart, balance over workers, how cost grows.

    python -m benchmarks.scale                                    # all three
    python -m benchmarks.scale --parts idle --connections 98000   # on a larger machine: more
    python -m benchmarks.scale --json scale.json --svg scale.svg

The exit status is 1 if a connection broke, or if something could not be measured. Linux only.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..installed import Installation, machine
from ..session import BenchmarkFailed, Session, TimeIsOver, session, told
from . import balance, growth, idle
from .plot import plot

PARTS = ("idle", "balance", "growth")


def main() -> int:
    options = _options()
    installation = Installation.parse(options.ours)
    facts = installation.facts("gracehttp", "gracehttp", "uvloop")
    if not facts:
        raise BenchmarkFailed(f"{installation.python} can't import gracehttp.")
    results: dict[str, Any] = {"machine": machine(), "server": facts, "failures": []}
    broken = 0
    with session(
        server_core=options.server_core, client_core=options.client_core, limit_seconds=options.limit
    ) as frame:
        for part in options.parts:
            try:
                broken += _measure(part, frame, installation, options, results)
            except (BenchmarkFailed, TimeIsOver) as failed:
                results["failures"].append(f"{part}: {failed}")
                if isinstance(failed, TimeIsOver):
                    break
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    for failure in results["failures"]:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if broken or results["failures"] else 0


def _measure(
    part: str, frame: Session, installation: Installation, options: argparse.Namespace, results: dict[str, Any]
) -> int:
    """Tells what was found; returns how many connections broke."""
    if part == "idle":
        found = idle.measure(frame, installation, connections=options.connections, workers=options.workers)
        results["idle"] = found.as_json()
        print(idle.told(found) + "\n", flush=True)
        return found.broken
    if part == "balance":
        spreads, queues = balance.measure(frame, installation)
        results["balance"] = {
            "spreads": [one.as_json() for one in spreads],
            "queues": [one.as_json() for one in queues],
        }
        print(balance.told(spreads, queues) + "\n", flush=True)
        return 0
    say = (lambda text: print(text, file=sys.stderr, flush=True)) if options.verbose else (lambda text: None)
    grows = growth.Growth(frame, installation, options.rounds, options.most_connections, options.most_workers, say)
    lines = list(grows.lines())
    results["growth"] = [line.as_json() for line in lines]
    print(growth.told(lines), flush=True)
    if options.svg is not None:
        caption = f"gracehttp {results['server'].get('gracehttp', '')}, {results['machine']['date'][:10]}"
        options.svg.write_text(plot(lines, caption))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description="Scale on one machine.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--ours", default=sys.executable, metavar="PATH", help="as of `python -m benchmarks`")
    parser.add_argument("--connections", type=int, default=98_000, help="idle ones (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="of each program with idle ones (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each point of the growth (default: %(default)s)")
    parser.add_argument("--most-connections", type=int, default=max(growth.OPEN), help="in the growth")
    parser.add_argument("--most-workers", type=int, default=max(growth.WORKERS), help="in the growth")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--limit", type=float, default=1200, metavar="SECONDS", help="for all of it")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="the lines of the growth")
    parser.add_argument("--verbose", action="store_true", help="tell each point as it comes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(told(main))
