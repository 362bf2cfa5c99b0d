"""Scene 15: from the command to the first answer, and the memory of an empty application."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..figures import Figure, collect
from ..peers import INTERFACES, Contender, Needs, Work
from ..server import pss_bytes
from ..session import BenchmarkFailed
from .bench import Bench

SETTLE_SECONDS = 0.5
START, FIRST, REST = "from the command to the first answer", "memory of the first process", "memory of its workers"


@dataclass(frozen=True)
class StartupScene:
    number = 15
    title = "start-up"
    measures = (
        "From the command to the first answer of an application that imports nothing, asked every 20 ms. Then the "
        "proportional set size of the first process, which is the supervisor where there is one, and of what is below "
        "it. uvicorn and freastal serve in their first process, if it is to be one worker."
    )
    served = Work(
        "benchmarks.applications:hello",
        "benchmarks.applications:hello_wsgi",
        'location / { return 200 "Hello, world!"; }',
    )
    needs = Needs(first=True)

    def run(self, bench: Bench) -> Iterator[Figure]:
        for interface in INTERFACES:
            figures = {
                START: Figure(self.number, interface, START, "ms"),
                FIRST: Figure(self.number, interface, FIRST, "MB"),
                REST: Figure(self.number, interface, REST, "MB"),
            }
            who = {one.name: one for one in bench.who(self.served, interface, self.needs)}
            measure = functools.partial(self._measure, bench, who)
            collect(figures, list(who), min(3, bench.settings.rounds), measure)
            yield from (figure for figure in figures.values() if figure.samples)

    def _measure(self, bench: Bench, who: dict[str, Contender], name: str) -> dict[str, float]:
        """One start. A server that fails has no samples of this and later rounds: it is taken out of `who`."""
        if name not in who:
            return {}
        try:
            with bench.session.part() as part:
                began = time.monotonic()
                server = bench.start(part, self, who[name], self.served, self.needs).wait_until_ready()
                took = 1000 * (time.monotonic() - began)
                time.sleep(SETTLE_SECONDS)
                first, *others = server.processes()
                found = {START: took, FIRST: pss_bytes(first) / 1e6, REST: sum(map(pss_bytes, others)) / 1e6}
        except BenchmarkFailed as why:
            bench.failed(self, name, why)
            del who[name]
            return {}
        bench.say(f"15 {name}: {took:.0f} ms, {found[FIRST]:.1f} MB and {found[REST]:.1f} MB")
        return found
