"""How much of a server an echoed WebSocket message and an idle WebSocket cost, beside uvicorn: websocket.md.

    pip install 'uvicorn[standard]' granian                       # whichever of them you want to see
    python -m benchmarks.websocket --rounds 7
    python -m benchmarks.websocket --rounds 7 --bytes 1000 --deflate

Each server that can be imported runs one worker on one core, with an application that sends each message back. The
client, on another core, has one message on its way on each of its connections. The servers take turns, and what is
compared is the CPU time of a server's processes for one message, by the ratio within a round; the median of the ratios
is what noise of the machine disturbs least. With `--deflate`, messages are compressed in both directions; without, no
server is offered to. `--idle` opens that many WebSockets afterwards, has one message echoed on each, and tells how much
memory they have added. Linux only.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import importlib.metadata
import importlib.util
import os
import select
import socket
import statistics
import sys
import time
import zlib

from .figures import turns
from .installed import Installation
from .server import Server
from .session import BenchmarkFailed, Session, session, told

APP = "benchmarks.applications:echo"
COMMANDS = {
    "gracehttp": "serve {app} --bind 127.0.0.1:{{port}} --loop uvloop --ws-deflate {deflate}",
    "uvicorn": "{app} --port {{port}} --loop uvloop --no-access-log --log-level warning",
    "granian": "{app} --port {{port}} --loop uvloop --interface asgi --no-access-log",
}
REFERENCE = "uvicorn"
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12\r\n"
AGREED = {b"permessage-deflate", b"server_max_window_bits=12", b"client_max_window_bits=12"}
"""What each server must answer to that, so that all of them compress alike. (The memory level, 5, can't be seen.)"""
MASK = b"mask"


def connect(port: int, deflate: bool) -> socket.socket:
    """A WebSocket, after its handshake."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\n" + f"Sec-WebSocket-Key: {key}\r\n{OFFER if deflate else ''}\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    if not head.startswith(b"HTTP/1.1 101") or _extension(head) != (AGREED if deflate else set()):
        raise BenchmarkFailed(f"The handshake was answered with {head!r}.")
    return sock


def _extension(head: bytes) -> set[bytes]:
    """The extension that the answer to a handshake names, and its parameters."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-extensions":
            return {part.strip() for part in value.split(b";")}
    return set()


def masked(first: int, payload: bytes) -> bytes:
    """A frame of the client."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    masking = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    return bytes([first]) + size + MASK + bytes(a ^ b for a, b in zip(payload, masking, strict=True))


def message(size: int, deflate: bool) -> bytes:
    """A text message of so many bytes, as a frame that may be sent again and again."""
    text = (b'{"number": 12345, "text": "the quick brown fox"} ' * (size // 40 + 1))[:size]
    if not deflate:
        return masked(0x81, text)
    encoder = zlib.compressobj(wbits=-12)  # it refers to nothing before
    return masked(0xC1, (encoder.compress(text) + encoder.flush(zlib.Z_SYNC_FLUSH))[:-4])


def frames_in(data: bytes) -> tuple[int, int]:
    """How many whole frames of a server `data` has, and how many bytes they take."""
    count = at = 0
    while len(data) - at >= 2:
        size, header = data[at + 1], 2
        if size == 126:
            size, header = int.from_bytes(data[at + 2 : at + 4], "big"), 4
        if len(data) < at + header + size:
            break
        at += header + size
        count += 1
    return count, at


def echoes(port: int, connections: int, seconds: float, frame: bytes, deflate: bool) -> int:
    """How many messages came back."""
    with contextlib.ExitStack() as opened:
        epoll = opened.enter_context(select.epoll())
        clients: dict[int, socket.socket] = {}
        unread: dict[int, bytes] = {}
        for _ in range(connections):
            sock = opened.enter_context(connect(port, deflate))
            epoll.register(sock.fileno(), select.EPOLLIN)
            clients[sock.fileno()], unread[sock.fileno()] = sock, b""
        for sock in clients.values():
            sock.sendall(frame)
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            for fd, _ in epoll.poll(1):
                data = unread[fd] + clients[fd].recv(65536)
                found, used = frames_in(data)
                unread[fd] = data[used:]
                if found:
                    count += found
                    clients[fd].sendall(frame)
        return count


Samples = dict[str, list[float]]


def measure(
    session: Session, names: list[str], options: argparse.Namespace
) -> tuple[Samples, Samples, dict[str, float]]:
    """CPU microseconds for a message, messages in a second, and bytes for an idle WebSocket: samples by name."""
    frame = message(options.bytes, options.deflate)
    rates: Samples = {name: [] for name in names}
    used: Samples = {name: [] for name in names}
    servers = []
    for name in names:
        command = COMMANDS[name].format(app=APP, deflate="on" if options.deflate else "off").split()
        here = Installation.here(name)
        server = Server(session, name, [str(here.python), "-m", name, *command], environment=here.environment())
        servers.append(session.ends.enter_context(server))
    for server in servers:
        server.wait_until_ready()
        echoes(server.port, options.connections, 0.5, frame, options.deflate)
    for turn in turns(servers, options.rounds):
        for server in turn:
            before = server.cpu_seconds()
            count = echoes(server.port, options.connections, options.seconds, frame, options.deflate)
            rates[server.name].append(count / options.seconds)
            used[server.name].append((server.cpu_seconds() - before) / count * 1e6)
    memory = {}
    for server in servers if options.idle else ():
        empty = server.memory_bytes()
        with contextlib.ExitStack() as opened:
            for _ in range(options.idle):
                sock = opened.enter_context(connect(server.port, options.deflate))
                sock.sendall(frame)
                sock.recv(65536)  # with the first message zlib takes its memory
            memory[server.name] = (server.memory_bytes() - empty) / options.idle
    return rates, used, memory


def report(rates: Samples, used: Samples, memory: dict[str, float], options: argparse.Namespace) -> None:
    reference = REFERENCE if REFERENCE in used else next(iter(used))
    print(f"{options.rounds} rounds of {options.seconds} s, {options.connections} WebSockets, {options.bytes} bytes,")
    facts = Installation.here("gracehttp").facts("gracehttp", "gracehttp", "websockets", "uvloop")
    versions = ", ".join(f"{name} {facts[name]}" for name in ("commit", "websockets", "uvloop") if name in facts)
    print(f"{'with' if options.deflate else 'without'} permessage-deflate, Python {facts['python']}, {versions}.\n")
    print(f"| server | messages/s | CPU per message | CPU, {reference} = 1 | bytes per idle WebSocket |")
    print("|---|---|---|---|---|")
    for name in used:
        rate, cpu = statistics.median(rates[name]), statistics.median(used[name])
        ratio = statistics.median(a / b for a, b in zip(used[name], used[reference], strict=True))
        idle = f"{memory[name]:.0f}" if memory else ""
        print(f"| {name} {_version(name)} | {rate:.0f} | {cpu:.1f} µs | {ratio:.2f} | {idle} |")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compares servers that echo WebSocket messages.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2, help="of load for each server in each round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--bytes", type=int, default=64, help="of a message")
    parser.add_argument("--deflate", action="store_true", help="compress the messages; granian can't")
    parser.add_argument("--idle", type=int, default=0, metavar="N", help="open so many WebSockets for their memory")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--servers", nargs="+", help="default: all that can be imported")
    return parser.parse_args()


def main() -> None:
    options = _options()
    if unknown := set(options.servers or ()) - COMMANDS.keys():
        raise BenchmarkFailed(f"{', '.join(unknown)}: there are {', '.join(COMMANDS)}.")
    found = [name for name in options.servers or COMMANDS if importlib.util.find_spec(name) is not None]
    if not found:
        raise BenchmarkFailed("None of these servers is installed.")
    limit = 120 + 2 * len(found) * (1 + options.rounds * options.seconds)
    with session(server_core=options.server_core, client_core=options.client_core, limit_seconds=limit) as running:
        rates, used, memory = measure(running, found, options)
    report(rates, used, memory, options)


if __name__ == "__main__":
    sys.exit(told(main))
