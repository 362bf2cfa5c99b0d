"""How evenly connections and requests spread over four workers, and whether one is idle while another has a queue.

Evenly is judged by Pearson's chi-square: `p` is how likely workers that are chosen by chance would differ as much. A
small `p` says that it isn't chance, which is not bad in itself: who wakes up first takes what is there. What would be
bad is a worker that is idle while another one has a queue. That is seen from an application that blocks its worker for
20 ms: with four workers, so many requests can't take less than a quarter of their time one after the other.
"""

from __future__ import annotations

import asyncio
import collections
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..installed import Installation
from ..server import Server
from ..session import BenchmarkFailed, Session

WORKERS = 4
CONNECTIONS = 400
REQUESTS = 800
AT_A_TIME = 32
BLOCK_SECONDS = 0.02
BLOCKED = 160
ANSWER_SECONDS = 30.0
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Spread:
    """How many each worker had."""

    title: str
    counts: list[int]

    @property
    def chi_square(self) -> float:
        expected = sum(self.counts) / len(self.counts)
        return sum((count - expected) ** 2 / expected for count in self.counts)

    @property
    def p(self) -> float:
        return survival(self.chi_square)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "chi_square": round(self.chi_square, 2), "p": round(self.p, 4)}


@dataclass(frozen=True)
class Queue:
    """`ideal_seconds` is how long the requests take if no worker is ever idle."""

    title: str
    seconds: float
    ideal_seconds: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def survival(chi_square: float) -> float:
    """The probability of a larger chi-square with three degrees of freedom, in closed form."""
    half = chi_square / 2
    return math.erfc(math.sqrt(half)) + 2 * math.sqrt(half / math.pi) * math.exp(-half)


def measure(frame: Session, installation: Installation) -> tuple[list[Spread], list[Queue]]:
    with frame.part() as part:
        server, pids = _start(part, installation, "benchmarks.applications:pid")
        spreads = [
            _spread("connections that are kept, opened one by one", pids, _kept(server, 1, CONNECTIONS)),
            _spread(
                f"connections that are kept, opened {AT_A_TIME} at a time", pids, _kept(server, AT_A_TIME, CONNECTIONS)
            ),
            _spread("a new connection for each request, one by one", pids, _new(server, 1, REQUESTS)),
            _spread(
                f"a new connection for each request, {AT_A_TIME} at a time", pids, _new(server, AT_A_TIME, REQUESTS)
            ),
        ]
    with frame.part() as part:
        server, _ = _start(part, installation, "benchmarks.applications:blocking")
        ideal = BLOCKED * BLOCK_SECONDS / WORKERS
        queues = []
        for title, ask in ((f"a new connection for each, {AT_A_TIME} at a time", _new), (f"{AT_A_TIME} kept", _repeat)):
            began = time.monotonic()
            ask(server, AT_A_TIME, BLOCKED)
            queues.append(Queue(title, time.monotonic() - began, ideal))
    return spreads, queues


def _start(part: Session, installation: Installation, app: str) -> tuple[Server, list[int]]:
    command = [str(installation.python), "-m", "gracehttp", "serve", app, "--bind", "127.0.0.1:{port}"]
    server = Server(
        part,
        installation.name,
        [*command, "--workers", str(WORKERS)],
        environment=installation.environment(part.bytecode),
        cores=sorted({part.server_core, part.client_core}),
    )
    part.ends.enter_context(server).wait_until_ready()
    _, match = server.wait_for_log(r"generation 1 serves, pids ([\d, ]+)")
    return server, [int(pid) for pid in match[1].split(",")]


def _spread(title: str, pids: Sequence[int], answers: Iterable[int]) -> Spread:
    counts = collections.Counter(answers)
    if counts.keys() - {*pids}:
        raise BenchmarkFailed(f"Answers came from {sorted(counts)}, and the workers are {sorted(pids)}.")
    return Spread(title, [counts[pid] for pid in pids])


def _new(server: Server, at_a_time: int, count: int) -> list[int]:
    """A connection for each request; returns which worker answered each."""

    async def ask() -> int:
        connection = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            return await _get(connection, CLOSE)
        finally:
            connection[1].close()

    return asyncio.run(_in_lanes(at_a_time, count, ask))


def _kept(server: Server, at_a_time: int, count: int) -> list[int]:
    """Connections that stay open until all are there, one request on each."""
    opened: list[asyncio.StreamWriter] = []

    async def ask() -> int:
        connection = await asyncio.open_connection("127.0.0.1", server.port)
        opened.append(connection[1])
        return await _get(connection, GET)

    async def all_of_them() -> list[int]:
        try:
            return await _in_lanes(at_a_time, count, ask)
        finally:
            for writer in opened:
                writer.close()

    return asyncio.run(all_of_them())


def _repeat(server: Server, connections: int, count: int) -> list[int]:
    """All requests on so many connections, each asking again when it is answered."""

    async def lane(number: int) -> list[int]:
        connection = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            return [await _get(connection, GET) for _ in range(count // connections)]
        finally:
            connection[1].close()

    async def all_of_them() -> list[int]:
        return [pid for some in await asyncio.gather(*map(lane, range(connections))) for pid in some]

    return asyncio.run(all_of_them())


async def _in_lanes(lanes: int, count: int, ask: Any) -> list[int]:
    async def lane() -> list[int]:
        return [await ask() for _ in range(count // lanes)]

    return [pid for some in await asyncio.gather(*(lane() for _ in range(lanes))) for pid in some]


async def _get(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> int:
    reader, writer = connection
    writer.write(request)
    async with asyncio.timeout(ANSWER_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise BenchmarkFailed(f"{head!r}")
        return int(await reader.readexactly(10))


def told(spreads: Sequence[Spread], queues: Sequence[Queue]) -> str:
    """In Markdown."""
    lines = [f"Over {WORKERS} workers:", "", "| | each worker | chi-square | p |", "|---|---|---|---|"]
    lines += [
        f"| {one.title} | {', '.join(map(str, sorted(one.counts)))} | {one.chi_square:.1f} | {one.p:.3f} |"
        for one in spreads
    ]
    lines += ["", f"{BLOCKED} requests that block their worker for {1000 * BLOCK_SECONDS:g} ms each:", ""]
    lines += [
        f"- {one.title}: {one.seconds:.2f} s, {one.seconds / one.ideal_seconds:.2f} of the time in which no worker is "
        f"ever idle ({one.ideal_seconds:.2f} s)"
        for one in queues
    ]
    return "\n".join(lines)
