"""How much of a server a small GET costs, side by side with other servers: the figures of small_get.md.

    pip install uvicorn granian hypercorn gunicorn waitress      # whichever of them you want to see
    python benchmarks/small_get.py --rounds 7
    python benchmarks/small_get.py --rounds 7 --interface wsgi

Each server that can be imported runs one worker on one core, with the same application. What differs from its default
stands in `COMMANDS`. All are started at once and take turns: one round is a few seconds of load for each. The client is
wrk where it is found, else a small one of our own, on another core; it keeps its connections unless `--new-connections`
is given. With `--access-log` each server writes its log, in the format that it has by itself, to a file.

Two figures: requests per second, which need a quiet machine, and the CPU time that the server's processes took for one
request (proc_pid_stat(5)), which noise disturbs less. What is compared are medians over the rounds. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

APPS = {
    "asgi": """
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"13")]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"Hello, world!"})
""",
    "wsgi": """
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "13")]


def app(environ, start_response):
    start_response("200 OK", HEADERS)
    return [b"Hello, world!"]
""",
}
START_SECONDS = 20
WARM_UP_SECONDS = 1
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
LOG_SWITCH = "--access-log", "--no-access-log"
LOG_FILE = "--access-logfile -", ""

# By interface and name: the command, what makes it log each request (None: nothing does), and what makes it not.
COMMANDS = {
    "asgi": {
        "gracehttp": ("gracehttp serve {app} --bind 127.0.0.1:{port} --loop uvloop", *LOG_SWITCH),
        "uvicorn": ("uvicorn {app} --port {port} --loop uvloop --http httptools", *LOG_SWITCH),
        "granian": ("granian {app} --port {port} --loop uvloop --interface asgi", *LOG_SWITCH),
        "hypercorn": ("hypercorn {app} --bind 127.0.0.1:{port} --worker-class uvloop", *LOG_FILE),
    },
    "wsgi": {
        "gracehttp": ("gracehttp serve {app} --bind 127.0.0.1:{port} --threads 4", *LOG_SWITCH),
        "gunicorn": ("gunicorn {app} --bind 127.0.0.1:{port} --worker-class gthread --threads 4", *LOG_FILE),
        "granian": ("granian {app} --port {port} --interface wsgi --blocking-threads 4", *LOG_SWITCH),
        "waitress": ("waitress --listen 127.0.0.1:{port} --threads 4 {app}", None, ""),
    },
}
BASELINE = "gracehttp (baseline)"


class Server:
    """One server, from its start to its end; `samples` are pairs of requests per second and CPU microseconds."""

    def __init__(self, name, folder, core, arguments, source=None):
        self.name = name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = arguments.format(port=self.port, app="small_get_app:app").split()
        paths = [str(folder), *([str(source)] if source else []), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.log = (folder / f"{name}.log").open("w+")
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), sys.executable, "-m", *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self.samples = []

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                sock.settimeout(5)
                if sock.recv(4096).startswith(b"HTTP/1.1 200"):
                    return
            time.sleep(0.1)
        self.log.seek(0)
        raise SystemExit(f"{self.name} doesn't answer:\n{self.log.read()}")

    def cpu_seconds(self):
        """Of the process and all below it: each server has a supervisor of some kind."""
        return sum(_cpu_ticks(pid) for pid in _descendants(self.process.pid)) / CLOCK_TICKS

    def measure(self, load, seconds):
        before = self.cpu_seconds()
        requests, per_second = load(self.port, seconds)
        self.samples.append((per_second, (self.cpu_seconds() - before) / requests * 1e6))

    def median(self, which):
        return statistics.median(sample[which] for sample in self.samples)

    def end(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
                break
        self.log.close()


def _stat(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_ticks(pid):
    try:
        fields = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(fields[11]) + int(fields[12])  # utime, stime


def _descendants(pid):
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parents.setdefault(int(_stat(entry.name)[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:  # grows meanwhile
        found += parents.get(one, [])
    return found


# --- the clients: each takes a port and seconds, and returns how many requests were answered, and how many a second ---


def wrk(core, connections, header):
    def load(port, seconds):
        command = f"taskset -c {core} wrk -t 1 -c {connections} -d {seconds} http://127.0.0.1:{port}/".split()
        command += ["-H", header] if header else []
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in said or "Socket errors" in said:
            raise SystemExit(f"not all was answered:\n{said}")
        answered = re.search(r"(\d+) requests in", said)
        rate = re.search(r"Requests/sec: +([\d.]+)", said)
        return int(answered[1]), float(rate[1])

    return load


class OwnClient(asyncio.Protocol):
    """Asks again when it has the whole answer."""

    REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    END = b"Hello, world!"

    def __init__(self, deadline, counts, gone):
        self.deadline, self.counts, self.gone, self.received = deadline, counts, gone, b""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.REQUEST)

    def data_received(self, data):
        self.received += data
        if not self.received.endswith(self.END):
            return
        self.counts[0] += self.received.startswith(b"HTTP/1.1 200")
        self.received = b""
        if time.monotonic() < self.deadline:
            self.transport.write(self.REQUEST)
        else:
            self.transport.close()

    def connection_lost(self, exc):
        self.gone.release()


def own_client(core, connections):
    async def run(port, seconds):
        counts, gone, loop = [0], asyncio.Semaphore(0), asyncio.get_running_loop()
        began = time.monotonic()
        for _ in range(connections):
            await loop.create_connection(lambda: OwnClient(began + seconds, counts, gone), "127.0.0.1", port)
        for _ in range(connections):
            await gone.acquire()
        return counts[0], counts[0] / (time.monotonic() - began)

    def load(port, seconds):
        import uvloop

        os.sched_setaffinity(0, {core})
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(port, seconds))

    return load


# --- the report ---


def report(servers, options, client):
    reference = next((server for server in servers if server.name in ("uvicorn", "gunicorn")), servers[0])
    kind = "new connections" if options.new_connections else "connections"
    log = "with" if options.access_log else "without"
    versions = ", ".join(f"{name} {_version(name)}" for name in ("httptools", "uvloop"))
    print(f"{options.interface}, {log} access log, {options.rounds} rounds of {options.seconds} s, client: {client},")
    print(f"{options.connections} {kind}, Python {sys.version.split()[0]}, {versions}.\n")
    print(f"| server | requests/s | CPU per request | requests/s, {reference.name} = 1 | CPU, {reference.name} = 1 |")
    print("|---|---|---|---|---|")
    for server in servers:
        rate, cpu = server.median(0), server.median(1)
        ratios = f"{rate / reference.median(0):.2f} | {cpu / reference.median(1):.2f}"
        print(f"| {server.name} {_version(server.name)} | {rate:.0f} | {cpu:.1f} µs | {ratios} |")


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _options():
    parser = argparse.ArgumentParser(description="Compares servers that answer a small GET.")
    parser.add_argument("--interface", choices=COMMANDS, default="asgi")
    parser.add_argument("--access-log", action="store_true", help="let each server log each request, to a file")
    parser.add_argument("--new-connections", action="store_true", help="one for each request; needs wrk")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of load for each server in each round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--servers", nargs="+", help="default: all that can be imported")
    parser.add_argument("--baseline", type=Path, help="the src folder of another gracehttp to compare with")
    return parser.parse_args()


def _client(options):
    """How load is made, and by what."""
    if shutil.which("wrk") is not None:
        header = "Connection: close" if options.new_connections else ""
        return wrk(options.client_core, options.connections, header), "wrk"
    if options.new_connections:
        raise SystemExit("--new-connections needs wrk, which is not found.")
    return own_client(options.client_core, options.connections), "our own"


def main():
    options = _options()
    load, client = _client(options)
    commands = COMMANDS[options.interface]
    if unknown := set(options.servers or ()) - commands.keys():
        raise SystemExit(f"{', '.join(unknown)}: for {options.interface} there are {', '.join(commands)}.")
    found = [name for name in options.servers or commands if importlib.util.find_spec(name) is not None]
    chosen = [(name, name, None) for name in found if not options.access_log or commands[name][1] is not None]
    if options.baseline is not None:
        chosen.append((BASELINE, "gracehttp", options.baseline.resolve()))
    if not chosen:
        raise SystemExit("None of these servers is installed.")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ends:
        folder = Path(folder)
        (folder / "small_get_app.py").write_text(APPS[options.interface])
        servers = []
        for name, module, source in chosen:
            command, logging, silent = commands[module]
            arguments = f"{command} {logging if options.access_log else silent}"
            servers.append(Server(name, folder, options.server_core, arguments, source))
            ends.callback(servers[-1].end)
        for server in servers:
            server.wait_until_ready()
            load(server.port, WARM_UP_SECONDS)
        for number in range(options.rounds):
            for server in servers[number % len(servers) :] + servers[: number % len(servers)]:
                server.measure(load, options.seconds)
        report(servers, options, client)


if __name__ == "__main__":
    main()
