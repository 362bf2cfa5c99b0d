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
from pathlib import Path

from . import harness
from .harness import Candidate

MOST_KIB = 60
GROWTH_KIB = 1
HANDSHAKE_SECONDS = 2


def hello():
    """The first message of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def idle(server, trust):
    stream = trust.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="localhost")
    stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stream.recv(4096)
    return stream


def hung(said):
    def connect(server, _trust):
        stream = socket.create_connection(("127.0.0.1", server.port))
        stream.sendall(said)
        return stream

    return connect


def wave(server, trust, connect, count, *, until_given_up):
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


def measure(session, loop, title, connect, count, waves):
    certificate, trust = harness.certificate(session.folder)
    arguments = ["serve", "benchmarks.applications:hello", "--bind", "127.0.0.1:{port}", "--loop", loop]
    arguments += ["--certfile", str(certificate), "--header-timeout", f"{HANDSHAKE_SECONDS}s"]
    ours = Candidate("gracehttp", "gracehttp", Path(sys.executable), harness.ROOT / "src")
    with session.part() as part:
        server = part.start(ours, arguments, trust=trust).wait_until_ready()
        before = server.memory_bytes() / 1024
        seen = [wave(server, trust, connect, count, until_given_up=connect is not idle) for _ in range(waves)]
    peaks = [max(pair) for pair in seen]
    cost, growth = (peaks[0] - before) / count, (peaks[-1] - peaks[waves // 2]) / count
    settled = (peaks[-1] - before) / count
    print(f"| {loop} | {count} {title} | {cost:.1f} | {settled:.1f} | {growth:+.2f} |", flush=True)
    return growth <= GROWTH_KIB and (connect is not idle or settled <= MOST_KIB)


def main():
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
    with harness.session(server_core=0, client_core=1, limit_seconds=3600) as session:
        held = [
            measure(session, loop, *kind, options.waves)
            for loop in options.loop or ["asyncio", "uvloop"]
            for kind in kinds
        ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(harness.told(main))
