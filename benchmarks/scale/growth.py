"""What costs how much with more open connections, and with more workers: each a line that is flat or explained."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ..clients import Crowd
from ..installed import Installation
from ..loads import wrk
from ..server import Server
from ..session import Session

OPEN = (1, 10, 100, 1_000, 10_000)
IDLE = (0, 1_000, 10_000)
WORKERS = (1, 2, 4, 8, 16)
ACTIVE = 64
"""The most connections that ask; the others are idle."""
RESTART_SECONDS = 120.0
SETTLE_SECONDS = 0.5


@dataclass
class Line:
    """`points` are x and y, by increasing x; y is a median."""

    title: str
    x: str
    unit: str
    points: list[tuple[int, float]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Growth:
    """`limits` cuts the numbers of connections for a trial."""

    frame: Session
    installation: Installation
    rounds: int
    most_connections: int
    most_workers: int
    say: Callable[[str], None]

    def lines(self) -> Iterator[Line]:
        yield self._cpu_per_request()
        yield self._restart()
        yield from self._workers()

    def _cpu_per_request(self) -> Line:
        """One worker. Of the connections at most 64 ask as fast as they can, and the others are idle."""
        line = Line("CPU time per request", "open connections", "µs")
        for count in (one for one in OPEN if one <= self.most_connections):
            with self.frame.part() as part:
                server = self._start(part, 1, [part.server_core])
                active = min(ACTIVE, count)
                if count > active:
                    self._idle(part, server, count - active)
                self._load(part, server, active)
                samples = [self._load(part, server, active) for _ in range(self.rounds)]
            self._add(line, count, statistics.median(samples))
        return line

    def _restart(self) -> Line:
        """One worker; from HUP until the old generation is gone."""
        line = Line("restart, until the old generation is gone", "idle connections", "s")
        for count in (one for one in IDLE if one <= self.most_connections):
            with self.frame.part() as part:
                server = self._start(part, 1)
                if count:
                    self._idle(part, server, count)
                samples = [self._restarted(server, number) for number in range(1, self.rounds + 1)]
            self._add(line, count, statistics.median(samples))
        return line

    def _workers(self) -> list[Line]:
        start = Line("start, until all workers serve", "workers", "s")
        restart = Line("restart, until the old generation is gone", "workers", "s")
        memory = Line("memory of all processes", "workers", "MB")
        cpu = Line("CPU time per request", "workers", "µs")
        for count in (one for one in WORKERS if one <= self.most_workers):
            with self.frame.part() as part:
                began = time.monotonic()
                server = self._start(part, count)
                serving, _ = server.wait_for_log("generation 1 serves")
                self._add(start, count, serving - began)
                time.sleep(SETTLE_SECONDS)
                self._add(memory, count, server.memory_bytes() / 1e6)
                self._load(part, server, ACTIVE)
                self._add(cpu, count, statistics.median(self._load(part, server, ACTIVE) for _ in range(self.rounds)))
                samples = [self._restarted(server, number) for number in range(1, self.rounds + 1)]
                self._add(restart, count, statistics.median(samples))
        return [start, restart, memory, cpu]

    def _add(self, line: Line, x: int, y: float) -> None:
        line.points.append((x, round(y, 4)))
        self.say(f"{line.title}, {x} {line.x}: {y:.3g} {line.unit}")

    def _start(self, part: Session, workers: int, cores: list[int] | None = None) -> Server:
        command = [str(self.installation.python), "-m", "gracehttp", "serve", "benchmarks.applications:pid"]
        command += ["--bind", "127.0.0.1:{port}", "--workers", str(workers), "--keep-alive-timeout", "1h"]
        server = Server(
            part,
            self.installation.name,
            command,
            environment=self.installation.environment(part.bytecode),
            cores=cores or sorted({part.server_core, part.client_core}),
        )
        return part.ends.enter_context(server).wait_until_ready()

    def _idle(self, part: Session, server: Server, count: int) -> None:
        crowd = Crowd(server.port, connections=count, processes=2, core=part.client_core)
        part.ends.enter_context(crowd).open()

    def _load(self, part: Session, server: Server, connections: int) -> float:
        """Microseconds of CPU for a request."""
        before = server.cpu_seconds()
        answered = wrk(server.port, part.folder, connections=connections, seconds=1, tls=False, first=False)
        return (server.cpu_seconds() - before) / answered.requests * 1e6

    def _restarted(self, server: Server, number: int) -> float:
        """Seconds."""
        signalled = server.hang_up()
        gone, _ = server.wait_for_log(f"generation {number} is gone", seconds=RESTART_SECONDS)
        time.sleep(SETTLE_SECONDS)
        return gone - signalled


def told(lines: list[Line]) -> str:
    """In Markdown."""
    said = []
    for line in lines:
        xs = " | ".join(f"{x:,}" for x, _ in line.points)
        ys = " | ".join(f"{y:.3g}" for _, y in line.points)
        said += [
            f"| {line.x} | {xs} |",
            "|---" * (1 + len(line.points)) + "|",
            f"| {line.title}, {line.unit} | {ys} |",
            "",
        ]
    return "\n".join(said)
