"""What TLS connections cost in memory, and whether it stays level: waves of them, one after the other.

    python -m benchmarks.tls_memory  # 20 waves of 600 idle connections and of 1,000 hung handshakes, on both loops
    python -m benchmarks.tls_memory --waves 5 --loop asyncio

A wave of idle connections has its answers and stays silent; one of hung handshakes has sent its whole ClientHello, or
the first bytes of it, and sends nothing more until the server gives it up. Memory is the proportional set size of all
processes of the server (proc_pid_smaps(5)). The allocator keeps what was freed, so the first wave of each kind shows
the cost and the others must add nothing. The exit status is 1 if an idle connection costs more than 60 KiB, or if the
second half of the waves has added more than a KiB for each connection.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import ssl
import sys
from collections.abc import Callable

from .installed import Installation
from .server import Server
from .session import Session, certificate, session, told

MOST_KIB = 60
GROWTH_KIB = 1
HANDSHAKE_SECONDS = 2


Connect = Callable[[Server, ssl.SSLContext], socket.socket]


def hello() -> bytes:
    """The first message of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def idle(server: Server, trust: ssl.SSLContext) -> socket.socket:
    stream = trust.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="localhost")
    stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stream.recv(4096)
    return stream


def hung(said: bytes) -> Connect:
    def connect(server: Server, _trust: ssl.SSLContext) -> socket.socket:
        stream = socket.create_connection(("127.0.0.1", server.port))
        stream.sendall(said)
        return stream

    return connect


def wave(
    server: Server, trust: ssl.SSLContext, connect: Connect, count: int, *, until_given_up: bool
) -> tuple[float, float]:
    """Memory in KiB when all are open, and when they are gone."""
    streams = [connect(server, trust) for _ in range(count)]
    server.get()  # all that came before is read
    most = server.memory_bytes() / 1024
    for stream in streams:
        stream.settimeout(30)
        with contextlib.suppress(OSError):
            while until_given_up and stream.recv(4096):
                pass
        stream.close()
    server.get()
    return most, server.memory_bytes() / 1024


def measure(running: Session, loop: str, title: str, connect: Connect, count: int, waves: int) -> bool:
    own = certificate(running.folder)
    here = Installation.here("gracehttp")
    command = [str(here.python), "-m", "gracehttp", "serve", "benchmarks.applications:hello"]
    command += ["--bind", "127.0.0.1:{port}", "--loop", loop, "--header-timeout", f"{HANDSHAKE_SECONDS}s"]
    command += ["--certfile", str(own.chain), "--keyfile", str(own.key)]
    with (
        running.part() as part,
        Server(part, "gracehttp", command, environment=here.environment(), trust=own.trust) as server,
    ):
        server.wait_until_ready()
        before = server.memory_bytes() / 1024
        seen = [wave(server, own.trust, connect, count, until_given_up=connect is not idle) for _ in range(waves)]
    peaks = [max(pair) for pair in seen]
    cost, growth = (peaks[0] - before) / count, (peaks[-1] - peaks[waves // 2]) / count
    settled = (peaks[-1] - before) / count
    print(f"| {loop} | {count} {title} | {cost:.1f} | {settled:.1f} | {growth:+.2f} |", flush=True)
    return growth <= GROWTH_KIB and (connect is not idle or settled <= MOST_KIB)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--waves", type=int, default=20)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], action="append")
    parser.add_argument("--idle", type=int, default=600)
    parser.add_argument("--hung", type=int, default=1000)
    options = parser.parse_args()
    whole = hello()
    kinds = [
        ("idle connections", idle, options.idle),
        ("handshakes that hang after the whole ClientHello", hung(whole), options.hung),
        ("handshakes that hang after its first 100 bytes", hung(whole[:100]), options.hung),
    ]
    print("| loop | each wave | KiB for each, first wave | last wave | grown in the second half |")
    print("|---|---|---|---|---|")
    with session(server_core=0, client_core=1, limit_seconds=3600) as running:
        held = [
            measure(running, loop, *kind, options.waves)
            for loop in options.loop or ["asyncio", "uvloop"]
            for kind in kinds
        ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(told(main))
