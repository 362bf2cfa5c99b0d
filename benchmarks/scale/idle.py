"""As many idle connections as asked for, and a restart while they are open.

A program of gracehttp admits no more connections than one process may open files, however many workers it has. So for
more there are several programs, each on a port of its own, and all are restarted at the same moment.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..clients import Answer, Crowd
from ..figures import percentile
from ..installed import Installation
from ..server import Server
from ..session import BenchmarkFailed, Session

BUSY, BUSY_RATE = 4, 100.0
"""Connections of each program that are busy, and how often they ask in a second together."""
AROUND_SECONDS = 2.0
SETTLE_SECONDS = 1.0
CLIENT_PROCESSES = 2
"""For each program. Each has an address of its own, as ports of one address wouldn't suffice."""
RESTART_SECONDS = 120.0


@dataclass(frozen=True)
class Found:
    """`memory_bytes` is the proportional set size of all programs. `kernel_bytes` is what the machine had less of
    beyond that: sockets of both sides, and the processes of the clients.
    """

    connections: int
    programs: int
    workers: int
    open_seconds: float
    broken: int
    restart_seconds: list[float]
    pauses_ms: dict[str, float]
    late_ms: dict[str, float]
    memory_bytes: dict[str, int]
    kernel_bytes: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(frame: Session, installation: Installation, *, connections: int, workers: int) -> Found:
    """Raises `BenchmarkFailed` if they can't be opened. That connections broke is part of the result."""
    began = time.monotonic()
    with frame.part() as part:
        first = _start(part, installation, workers)
        room = _admitted(first) - BUSY
        count = math.ceil(connections / room)
        servers = [first, *(_start(part, installation, workers) for _ in range(count - 1))]
        idle = [_crowd(part, server, min(room, math.ceil(connections / count))) for server in servers]
        busy = [
            part.ends.enter_context(
                Crowd(server.port, connections=BUSY, processes=1, core=part.client_core, first_source=9)
            )
            for server in servers
        ]
        for one in busy:
            one.open()
        time.sleep(SETTLE_SECONDS)
        memory = {"without connections": _memory(servers)}
        available, own = _available_bytes(), memory["without connections"]
        opening = time.monotonic()
        for one in idle:
            one.open()
        opened = time.monotonic() - opening
        time.sleep(SETTLE_SECONDS)
        memory["with connections"] = _memory(servers)
        kernel = available - _available_bytes() - (memory["with connections"] - own)
        signalled, gone, answers, broken = _restart(servers, busy)
        time.sleep(SETTLE_SECONDS)
        memory["after the restart"] = _memory(servers)
        broken += sum(one.check() for one in idle) + sum(one.check() for one in busy)
    before = [one.seconds for one in answers if one.ended < signalled]
    during = [one.seconds for one in answers if one.ended >= signalled and one.began <= max(gone)]
    return Found(
        connections=sum(one.connections for one in idle),
        programs=count,
        workers=workers,
        open_seconds=opened,
        broken=broken,
        restart_seconds=[at - signalled for at in gone],
        pauses_ms={"before": 1000 * max(before), "during the restart": 1000 * max(during)},
        late_ms={"before": 1000 * percentile(before, 0.99), "during the restart": 1000 * percentile(during, 0.99)},
        memory_bytes=memory,
        kernel_bytes=kernel,
        seconds=time.monotonic() - began,
    )


def _start(part: Session, installation: Installation, workers: int) -> Server:
    command = [str(installation.python), "-m", "gracehttp", "serve", "benchmarks.applications:pid"]
    command += ["--bind", "127.0.0.1:{port}", "--workers", str(workers), "--keep-alive-timeout", "1h"]
    server = Server(
        part,
        installation.name,
        command,
        environment=installation.environment(part.bytecode),
        cores=sorted({part.server_core, part.client_core}),
    )
    return part.ends.enter_context(server).wait_until_ready()


def _admitted(server: Server) -> int:
    """How many connections it admits, as its log says."""
    _, match = server.wait_for_log(r"at most (\d+) connections")
    return int(match[1])


def _crowd(part: Session, server: Server, connections: int) -> Crowd:
    crowd = Crowd(server.port, connections=connections, processes=CLIENT_PROCESSES, core=part.client_core)
    return part.ends.enter_context(crowd)


def _restart(servers: Sequence[Server], busy: Sequence[Crowd]) -> tuple[float, list[float], list[Answer], int]:
    """When the signal went, when each old generation was gone, all answers to the busy clients, broken connections."""
    for one in busy:
        one.begin(BUSY_RATE, in_turn=True)
    time.sleep(AROUND_SECONDS)
    signalled = min(server.hang_up() for server in servers)
    gone = [server.wait_for_log("generation 1 is gone", seconds=RESTART_SECONDS)[0] for server in servers]
    time.sleep(AROUND_SECONDS)
    ended = [one.end() for one in busy]
    answers = [answer for some, _, _ in ended for answer in some]
    if not answers:
        raise BenchmarkFailed("The busy clients had no answer.")
    return signalled, gone, answers, sum(broken for _, broken, _ in ended)


def _memory(servers: Sequence[Server]) -> int:
    return sum(server.memory_bytes() for server in servers)


def _available_bytes() -> int:
    found = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    return int(found[1]) * 1024 if found else 0


def told(found: Found) -> str:
    """In Markdown."""
    each = (found.memory_bytes["with connections"] - found.memory_bytes["without connections"]) / found.connections
    memory = ", ".join(f"{value / 1e6:.0f} MB {when}" for when, value in found.memory_bytes.items())
    return "\n".join(
        [
            f"{found.connections:,} idle connections of {found.programs} program(s) with {found.workers} workers each:",
            "",
            f"- opened in {found.open_seconds:.1f} s",
            f"- broken by the restart: {found.broken} (no client connects again)",
            f"- from HUP until the old generations were gone: {max(found.restart_seconds):.2f} s",
            f"- longest answer to a busy client: {found.pauses_ms['before']:.1f} ms before, "
            f"{found.pauses_ms['during the restart']:.1f} ms during the restart "
            f"(99th percentile {found.late_ms['before']:.1f} and {found.late_ms['during the restart']:.1f} ms)",
            f"- memory of all processes: {memory}; {each:.0f} bytes for each connection",
            f"- of the machine's memory beyond that, kernel and clients: "
            f"{found.kernel_bytes / found.connections:.0f} bytes for each connection",
            f"- it took {found.seconds:.0f} s",
        ]
    )
