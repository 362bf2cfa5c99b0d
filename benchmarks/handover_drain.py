"""How long it takes to hand over thousands of idle connections, and what clients notice of it meanwhile.

    python -m benchmarks.handover_drain --runs 3 [--connections 10000] [--rate 2000] [--python PATH] [--write PAGE]

One worker has the connections of two client processes and is restarted. During the restart requests come at an even
rate on connections chosen at random, and each answer tells which process gave it. The drain is that of the old
generation, as its own log tells. At the end every connection must answer, and none may have been closed; the exit
status is 1 if that did not hold. Server and clients may use both cores: two workers are at work at once.

`python -m benchmarks.scale` does the same with as many connections as the machine lets.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .clients import Crowd
from .figures import percentile
from .installed import Installation, machine
from .server import Server
from .session import Session, session, told

PROCESSES = 2
AROUND_SECONDS = 0.5
"""For which requests are sent before the restart, and after its drain."""


@dataclass(frozen=True)
class Run:
    """One restart. `groups` has the seconds of each answer."""

    connections: int
    broken: int
    drain_seconds: float
    groups: dict[str, list[float]]

    @property
    def during(self) -> list[float]:
        return self.groups["during, not handed over yet"] + self.groups["during, handed over"]

    def figures(self, name: str) -> tuple[int, float, float, float]:
        """Count, median, 99th percentile and longest, in milliseconds."""
        values = self.groups[name] or [float("nan")]
        return (
            len(self.groups[name]),
            1000 * statistics.median(values),
            1000 * percentile(values, 0.99),
            1000 * max(values),
        )


def measure(
    frame: Session, installation: Installation, *, connections: int = 10_000, rate: float = 2000, loop: str = "auto"
) -> Run:
    """One restart of a server of its own."""
    command = [str(installation.python), "-m", "gracehttp", "serve", "benchmarks.applications:pid"]
    command += ["--bind", "127.0.0.1:{port}", "--loop", loop, "--no-access-log", "--keep-alive-timeout", "10m"]
    command += ["--log-level", "debug"]  # it tells when a drain begins and ends
    with frame.part() as part:
        server = Server(
            part,
            installation.name,
            command,
            environment=installation.environment(part.bytecode),
            cores=(part.server_core, part.client_core),
            first=True,
        )
        part.ends.enter_context(server).wait_until_ready()
        crowd = part.ends.enter_context(
            Crowd(server.port, connections=connections, processes=PROCESSES, core=part.client_core)
        )
        old = int(server.wait_for_log(r"generation 1 serves, pids (\d+)")[1][1])
        crowd.open()
        crowd.begin(rate, in_turn=False)
        time.sleep(AROUND_SECONDS)
        server.hang_up()
        began, _ = server.wait_for_log("draining")
        ended, drained = server.wait_for_log(r"drained in ([\d.]+) s|drain ended after ([\d.]+) s")
        server.wait_for_log("generation 1 is gone")
        time.sleep(AROUND_SECONDS)
        answers, broken, _ = crowd.end()
        broken += crowd.check()
    during = [answer for answer in answers if began <= answer.ended and answer.began <= ended]
    return Run(
        connections=crowd.connections,
        broken=broken,
        drain_seconds=float(drained[1] or drained[2]),
        groups={
            "before and after the drain": [
                answer.seconds for answer in answers if answer.ended < began or answer.began > ended
            ],
            "during, not handed over yet": [answer.seconds for answer in during if answer.pid == old],
            "during, handed over": [answer.seconds for answer in during if answer.pid != old],
        },
    )


def page(options: argparse.Namespace, installation: Installation, runs: list[Run]) -> Iterator[str]:
    """What was measured, in Markdown: the median over the runs, and each run."""
    facts = installation.facts("gracehttp", "gracehttp", "uvloop")
    command = f"--connections {options.connections} --rate {options.rate} --runs {len(runs)}"
    versions = ", ".join(f"{name} {facts[name]}" for name in ("gracehttp", "commit", "uvloop") if name in facts)
    yield "# Handing over idle connections"
    yield ""
    yield f"Made by `python -m benchmarks.handover_drain {command}` on {datetime.date.today()}:"
    yield f"{runs[0].connections} idle keep-alive connections, one worker, loop {options.loop},"
    yield f"Python {facts['python']}, {versions}, {machine()['cores']} cores that others used as well."
    yield f"{PROCESSES} client processes send {options.rate} requests a second meanwhile, at even intervals, on"
    yield "connections chosen at random."
    yield ""
    broken = ", ".join(str(run.broken) for run in runs)
    yield f"Connections broken, in each run: {broken}. Drain of the old worker, median of the runs: " + (
        f"{statistics.median(run.drain_seconds for run in runs):.2f} s"
    )
    yield f"(each: {', '.join(f'{run.drain_seconds:.2f} s' for run in runs)})."
    yield ""
    yield "How long an answer took, in milliseconds, medians of the runs (in brackets the worst run):"
    yield ""
    yield "| requests | count | median | 99th percentile | longest |"
    yield "|---|---|---|---|---|"
    for name in runs[0].groups:
        columns = list(zip(*(run.figures(name) for run in runs), strict=True))
        count, *times = columns
        cells = [f"{statistics.median(one):.2f} ({max(one):.2f})" for one in times]
        yield f"| {name} | {statistics.median(count):.0f} | " + " | ".join(cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description="How long it takes to hand over idle connections.")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="as --ours of `python -m benchmarks`")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=2000, help="requests a second")
    parser.add_argument("--loop", default="auto")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the result there, in Markdown")
    options = parser.parse_args()
    installation = Installation.parse(options.python)
    with session(server_core=0, client_core=1, limit_seconds=60 * options.runs) as frame:
        runs = [
            measure(frame, installation, connections=options.connections, rate=options.rate, loop=options.loop)
            for _ in range(options.runs)
        ]
    text = "\n".join(page(options, installation, runs)) + "\n"
    print(text)
    if options.write is not None:
        options.write.write_text(text)
    return 1 if any(run.broken for run in runs) else 0


if __name__ == "__main__":
    sys.exit(told(main))
