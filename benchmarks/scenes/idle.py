"""Scene 13: what 15,000 idle connections cost, and what a few busy ones among them notice."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..clients import Crowd
from ..figures import Figure, percentile
from ..peers import Contender, Needs, Work
from ..session import BenchmarkFailed
from .bench import Bench

CONNECTIONS = 15_000
PROCESSES = 2
BUSY, BUSY_RATE, BUSY_SECONDS = 8, 800, 2.0
SETTLE_SECONDS = 0.5
BEFORE, AMONG = "without idle ones", f"among {CONNECTIONS:,} idle ones"


@dataclass(frozen=True)
class IdleScene:
    """`connections` are fewer where the scene is only tried."""

    connections: int = CONNECTIONS
    number = 13
    title = "idle connections"
    measures = (
        f"{CONNECTIONS:,} connections, idle after one GET each: the proportional set size of all processes with them, "
        f"minus without. Then {BUSY} busy ones ask {BUSY_RATE} times a second together, before and while the idle "
        "ones are there. What the kernel holds for a socket is in no process. Servers are told to be patient."
    )
    served = Work("benchmarks.applications:pid", None, 'location / { return 200 "0000000001"; }')
    needs = Needs(patient=True, first=True)

    def run(self, bench: Bench) -> Iterator[Figure]:
        memory = Figure(self.number, "asgi", "memory of an idle connection", "bytes")
        medians = Figure(self.number, "asgi", f"median answer {AMONG}", "ms")
        late = Figure(self.number, "asgi", f"99th percentile {AMONG}", "ms")
        before = Figure(self.number, "asgi", f"99th percentile {BEFORE}", "ms")
        for _ in range(bench.settings.runs):
            for one in bench.who(self.served, "asgi", self.needs):
                try:
                    found = self._measure(bench, one)
                except BenchmarkFailed as failed:
                    bench.failed(self, one.name, failed)
                    continue
                for figure, value in zip((memory, before, medians, late), found, strict=True):
                    figure.samples.setdefault(one.name, []).append(value)
                bench.say(f"13: {one.name} {found[0]:.0f} bytes, {found[1]:.2f} ms, then {found[3]:.2f} ms")
        yield from (figure for figure in (memory, medians, late, before) if figure.samples)

    def _measure(self, bench: Bench, contender: Contender) -> tuple[float, float, float, float]:
        """Bytes for each, the 99th percentile before, the median among them, the 99th percentile among them.

        The clients' processes are there before the first look: what they map is shared with the server.
        """
        with bench.session.part() as part:
            server = bench.start(part, self, contender, self.served, self.needs).wait_until_ready()
            core = bench.session.client_core
            idle = part.ends.enter_context(
                Crowd(server.port, connections=self.connections, processes=PROCESSES, core=core)
            )
            busy = part.ends.enter_context(
                Crowd(server.port, connections=BUSY, processes=1, core=core, first_source=2 + PROCESSES)
            )
            busy.open()
            before = _latencies(busy)
            time.sleep(SETTLE_SECONDS)
            empty = server.memory_bytes()
            idle.open()
            time.sleep(SETTLE_SECONDS)
            full = server.memory_bytes()
            among = _latencies(busy)
            if broken := idle.check():
                raise BenchmarkFailed(f"{contender.name} has closed {broken} idle connections.")
        each = (full - empty) / idle.connections
        return each, percentile(before, 0.99), statistics.median(among), percentile(among, 0.99)


def _latencies(crowd: Crowd) -> list[float]:
    """In milliseconds."""
    crowd.begin(BUSY_RATE, in_turn=True)
    time.sleep(BUSY_SECONDS)
    answers, broken, _ = crowd.end()
    if broken:
        raise BenchmarkFailed(f"{broken} busy connections were closed.")
    return [1000 * answer.seconds for answer in answers]
