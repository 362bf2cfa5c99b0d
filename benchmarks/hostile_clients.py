"""What other clients notice of hostile ones: the 99th percentile of their answers, beside and without an attack.

    python -m benchmarks.hostile_clients [--rounds 5] [--python PATH] [--write PAGE]

One worker; 20 kept connections ask 200 times a second, at even intervals, in a process of their own. Each round
measures them alone, and then during each attack, with the memory that the server has then; what counts is the ratio
within a round. Worker and clients have a core each, which the attackers share with the clients. Five rounds take less
than five minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import resource
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .clients import Crowd
from .figures import percentile
from .installed import Installation, machine
from .server import Server
from .session import BenchmarkFailed, Session, session, told

SECONDS = 3.0
RATE, CONNECTIONS = 200, 20
MOST_RATIO = 5.0
"""What is promised of the 99th percentile."""

IDLE = 10_000
_DESCRIPTORS_NEEDED = IDLE + 1000  # of this process, and of the worker

Attack = Callable[[int, threading.Event], None]
"""Takes the port, and an event that ends it."""


class Measured(NamedTuple):
    """The 99th percentile in seconds, and the memory of the server beyond that at the beginning of the round."""

    p99: float
    added_bytes: int


def _connect(port: int, count: int, ends: contextlib.ExitStack) -> list[socket.socket]:
    return [ends.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)) for _ in range(count)]


def _trickle(count: int, beginning: bytes, piece: bytes) -> Attack:
    """`count` connections that send `piece` in each second, in turn; those that are closed are opened anew."""

    def attack(port: int, over: threading.Event) -> None:
        with contextlib.ExitStack() as ends:
            slow = _connect(port, count, ends)
            for sock in slow:
                sock.sendall(beginning)
            while not over.is_set():
                for number, sock in enumerate(slow):
                    over.wait(1 / count)
                    try:
                        sock.sendall(piece)
                    except OSError:
                        sock.close()
                        (slow[number],) = _connect(port, 1, ends)
                        slow[number].sendall(beginning)

    return attack


_AT_ONCE = 500


def _idle(count: int) -> Attack:
    """`count` connections that have each had an answer."""

    def attack(port: int, over: threading.Event) -> None:
        with contextlib.ExitStack() as ends:
            for _ in range(count // _AT_ONCE):
                some = _connect(port, _AT_ONCE, ends)
                for sock in some:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                for sock in some:
                    sock.recv(4096)
            over.wait()

    return attack


def _slow_readers(count: int) -> Attack:
    def attack(port: int, over: threading.Event) -> None:
        with contextlib.ExitStack() as ends:
            slow = _connect(port, count, ends)
            for sock in slow:
                sock.sendall(b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n")
            while not over.is_set():
                for sock in slow:
                    over.wait(0.1 / count)
                    sock.recv(1000)

    return attack


def _again(port: int, over: threading.Event, what: Callable[[socket.socket], None]) -> None:
    while not over.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            what(sock)


def _endless_head(port: int, over: threading.Event) -> None:
    def send(sock: socket.socket) -> None:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        while not over.is_set():
            sock.sendall(b"X-Name: value\r\n" * 1000)

    _again(port, over, send)


def _pipelined(port: int, over: threading.Event) -> None:
    def send(sock: socket.socket) -> None:
        requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100_000
        writer = threading.Thread(target=_send_all, args=(sock, requests), daemon=True)
        writer.start()
        while not over.is_set() and sock.recv(1 << 20):
            pass
        sock.shutdown(socket.SHUT_RDWR)
        writer.join()

    _again(port, over, send)


def _send_all(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(data)


_POST = b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ATTACKS: dict[str, Attack] = {
    f"{IDLE:,} idle connections": _idle(IDLE),  # first, while the allocator has nothing to use again
    "500 heads that trickle": _trickle(500, b"GET / HTTP/1.1\r\nX: ", b"a"),
    "500 bodies that trickle": _trickle(500, _POST, b"1\r\na\r\n"),
    "200 slow readers begin": _slow_readers(200),
    "200 slow readers, a while later": _slow_readers(200),
    "a head without end": _endless_head,
    "100,000 requests in one write, again and again": _pipelined,
}


def _normal_p99(crowd: Crowd) -> float:
    crowd.begin(RATE, in_turn=True)
    time.sleep(SECONDS)
    answers, broken, _ = crowd.end()
    if broken:
        raise BenchmarkFailed(f"{broken} connections of normal clients were closed")
    return percentile([answer.seconds for answer in answers], 0.99)


def _lead_seconds(name: str) -> float:
    """How long an attack goes on before it counts."""
    if name.endswith("begin"):
        return 0.0
    # "Later" is when the kernel has the megabytes that it takes for each slow reader.
    return 4.0 if name.endswith("later") else 0.5


def _wait_for_connections(server: Server, count: int) -> None:
    """Until a process of the server has that many sockets."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if max(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in server.processes()) >= count:
            return
        time.sleep(0.05)
    raise BenchmarkFailed(f"The server has not taken {count} connections.\n{server.log()[-2000:]}")


def measure(frame: Session, installation: Installation) -> dict[str, Measured]:
    """Alone ("") and during each attack."""
    command = [str(installation.python), "-m", "gracehttp", "serve", "benchmarks.applications:pid_or_all"]
    command += ["--bind", "127.0.0.1:{port}", "--no-access-log", "--max-connections", str(IDLE + 500)]
    with frame.part() as part:
        server = Server(part, installation.name, command, environment=installation.environment(part.bytecode))
        part.ends.enter_context(server).wait_until_ready()
        crowd = part.ends.enter_context(Crowd(server.port, connections=CONNECTIONS, processes=1, core=part.client_core))
        crowd.open()
        memory = server.memory_bytes()
        found = {"": Measured(_normal_p99(crowd), 0)}
        for name, attack in ATTACKS.items():
            over = threading.Event()
            attacker = threading.Thread(target=attack, args=(server.port, over), daemon=True)
            attacker.start()
            if "idle" in name:
                _wait_for_connections(server, IDLE)
            time.sleep(_lead_seconds(name))
            try:
                p99 = _normal_p99(crowd)
                found[name] = Measured(p99, server.memory_bytes() - memory)
            finally:
                over.set()
                attacker.join()
    return found


def missed(rounds: list[dict[str, Measured]]) -> list[str]:
    """The attacks during which the median of the ratios was above the promise."""
    return [name for name in ATTACKS if statistics.median(one[name].p99 / one[""].p99 for one in rounds) > MOST_RATIO]


def page(installation: Installation, rounds: list[dict[str, Measured]]) -> Iterator[str]:
    facts = installation.facts("gracehttp", "gracehttp", "uvloop")
    versions = ", ".join(f"{name} {facts[name]}" for name in ("gracehttp", "commit", "uvloop") if name in facts)
    yield "# Normal clients beside hostile ones"
    yield ""
    yield f"Made by `python -m benchmarks.hostile_clients --rounds {len(rounds)}` on {datetime.date.today()}:"
    yield f"one worker, Python {facts['python']}, {versions}, {machine()['cores']} cores."
    yield f"{CONNECTIONS} kept connections send {RATE} requests a second at even intervals, {SECONDS:.0f} s each time."
    yield ""
    yield "99th percentile of their answers in milliseconds, median of the rounds, and how many times as much it was as"
    yield f"without the attack, in the same round (in brackets the worst). At most {MOST_RATIO:.0f} is promised:"
    yield "it held." if not (beyond := missed(rounds)) else f"it did not hold during: {', '.join(beyond)}."
    yield "Memory is what the server has then beyond the beginning of the round, in MiB, with what attacks before have"
    yield "left to the allocator."
    yield ""
    yield "| | 99th percentile | ratio | memory |"
    yield "|---|---|---|---|"
    yield f"| alone | {1000 * statistics.median(one[''].p99 for one in rounds):.2f} | | |"
    for name in ATTACKS:
        ratios = [one[name].p99 / one[""].p99 for one in rounds]
        p99 = 1000 * statistics.median(one[name].p99 for one in rounds)
        added = statistics.median(one[name].added_bytes for one in rounds)
        share = f", {added / IDLE / 1024:.1f} KiB each" if "idle" in name else ""
        yield (
            f"| {name} | {p99:.2f} | {statistics.median(ratios):.1f} ({max(ratios):.1f}) "
            f"| {added / (1 << 20):.1f}{share} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="What other clients notice of hostile ones.")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="as --ours of `python -m benchmarks`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the result there, in Markdown")
    options = parser.parse_args()
    installation = Installation.parse(options.python)
    if (most := resource.getrlimit(resource.RLIMIT_NOFILE)[1]) < _DESCRIPTORS_NEEDED:
        raise BenchmarkFailed(f"No more than {most} open files are allowed; it takes {_DESCRIPTORS_NEEDED}.")
    with session(server_core=0, client_core=1, limit_seconds=120 * options.rounds) as frame:
        rounds = [measure(frame, installation) for _ in range(options.rounds)]
    text = "\n".join(page(installation, rounds)) + "\n"
    print(text)
    if options.write is not None:
        options.write.write_text(text)
    return 1 if missed(rounds) else 0


if __name__ == "__main__":
    sys.exit(told(main))
