"""How long it takes to hand over thousands of idle connections, and what clients notice of it meanwhile.

    python benchmarks/handover_drain.py [--connections 10000] [--clients 2] [--loop auto] [--runs 3] [--write PAGE]

Starts one worker, opens the connections from several client processes (each may open only so many files), restarts,
and measures the drain of the old generation from its own log. During the restart each client process sends requests
on connections chosen at random, one after the other, and notes how long each answer takes and which process gave it.
At the end every connection must answer, and none may have been closed; the exit status is 1 if that did not hold.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

APPLICATION = """
import os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
"""
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def ask(sock):
    """One request; returns seconds and the PID that answered."""
    began = time.perf_counter()
    sock.sendall(GET)
    answer = sock.recv(4096)
    if not answer:
        raise ConnectionError("closed by the server")
    return time.perf_counter() - began, int(answer.rpartition(b"\r\n\r\n")[2])


def client(port, count, pipe):
    """Open `count` connections, ask on random ones from "go" to "stop", and in the end ask on each."""
    socks = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        ask(sock)
        socks.append(sock)
    pipe.send("open")
    pipe.recv()
    asked = []
    while not pipe.poll():
        asked.append((time.time(), *ask(random.choice(socks))))
    pipe.recv()
    broken = 0
    for sock in socks:
        try:
            ask(sock)
        except OSError:
            broken += 1
    pipe.send((asked, broken))


class Server:
    def __init__(self, folder, loop):
        Path(folder, "application.py").write_text(APPLICATION)
        self._lines = []
        self._changed = threading.Condition()
        command = [sys.executable, "-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0"]
        self.process = subprocess.Popen([*command, "--loop", loop], cwd=folder, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stderr:
            with self._changed:
                self._lines.append((time.time(), line))
                self._changed.notify_all()

    def wait_for(self, pattern):
        with self._changed:
            while True:
                for when, line in self._lines:
                    if match := re.search(pattern, line):
                        return when, match
                if not self._changed.wait(60):
                    raise TimeoutError(f"no {pattern!r} in {[line for _, line in self._lines]}")


def percentile(values, share):
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else float("nan")


def measure(arguments):
    context = get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder, arguments.loop)
        clients = []
        try:
            port = int(server.wait_for(r"listening on \S*:(\d+)")[1][1])
            old = int(server.wait_for(r"generation 1 serves, pids (\d+)")[1][1])
            for _ in range(arguments.clients):
                ours, theirs = context.Pipe()
                count = arguments.connections // arguments.clients
                process = context.Process(target=client, args=(port, count, theirs))
                process.start()
                clients.append((process, ours))
            for _, pipe in clients:
                pipe.recv()
            for _, pipe in clients:
                pipe.send("go")
            os.kill(server.process.pid, signal.SIGHUP)
            began, _ = server.wait_for("draining")
            ended, drained = server.wait_for(r"drained in ([\d.]+) s|drain ended")
            server.wait_for("generation 1 is gone")
            for _, pipe in clients:
                pipe.send("stop")
            results = [pipe.recv() for _, pipe in clients]
        finally:
            for process, _ in clients:
                process.terminate()
            server.process.terminate()
            server.process.wait(60)
    asked = [one for answers, _ in results for one in answers]
    during = [(seconds, pid) for when, seconds, pid in asked if began <= when + seconds and when <= ended]
    return Run(
        connections=arguments.connections // arguments.clients * arguments.clients,
        broken=sum(broken for _, broken in results),
        drain_seconds=float(drained[1]) if drained[1] else ended - began,
        groups={
            "before and after the drain": [
                seconds for when, seconds, _ in asked if when > ended or when + seconds < began
            ],
            "during, not handed over yet": [seconds for seconds, pid in during if pid == old],
            "during, handed over": [seconds for seconds, pid in during if pid != old],
        },
    )


@dataclass(frozen=True)
class Run:
    """One restart. `groups` has the seconds of each answer."""

    connections: int
    broken: int
    drain_seconds: float
    groups: dict[str, list[float]]

    def figures(self, name):
        """Count, median, 99th percentile and longest, in milliseconds."""
        values = self.groups[name] or [float("nan")]
        seconds = (statistics.median(values), percentile(values, 0.99), max(values))
        return len(self.groups[name]), *(1000 * one for one in seconds)


def page(arguments, runs):
    """What was measured, in Markdown: the median over the runs, and each run."""
    yield "# Handing over idle connections"
    yield ""
    yield (
        f"Made by `python benchmarks/handover_drain.py --connections {arguments.connections} --runs {len(runs)}` on "
        f"{datetime.date.today()}: {runs[0].connections} idle keep-alive"
    )
    python, cores = platform.python_version(), os.cpu_count()
    yield f"connections, one worker, loop {arguments.loop}, Python {python}, {cores} cores that others used as well,"
    yield f"and the {arguments.clients} processes of the clients, which ask on connections chosen at random meanwhile."
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--loop", default="auto")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the result there, in Markdown")
    arguments = parser.parse_args()
    runs = [measure(arguments) for _ in range(arguments.runs)]
    text = "\n".join(page(arguments, runs)) + "\n"
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(text)
    return 1 if any(run.broken for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
