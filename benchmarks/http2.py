"""How much of a server a request over HTTP/2 costs, beside others: 16 connections over TLS, 10 streams on each.

    apt install nghttp2-client
    pip install granian peregrine-server                       # whichever of them you want to see
    python -m benchmarks.http2 --rounds 7

Each server runs one worker on one core, with the application of scene 1; the client, h2load on another core, has one
request on its way on each stream. The servers take turns, and what is compared is the CPU time of a server's processes
for one request, by the ratio within a round; the median of the ratios is what noise of the machine disturbs least.
`--peers-in` names the interpreter that has the other servers, if it isn't this one. Linux only.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from .figures import turns
from .installed import Installation
from .server import Server
from .session import BenchmarkFailed, Certificate, certificate, orphan_ends, session, told

APP = "benchmarks.applications:hello"
COMMANDS = {
    "gracehttp": "serve {app} --bind 127.0.0.1:{{port}} --certfile {chain} --keyfile {key} --no-access-log",
    "granian": "{app} --port {{port}} --interface asgi --no-access-log --ssl-certificate {chain} --ssl-keyfile {key}",
    "peregrine": "{app} --port {{port}} --tls-cert {chain} --tls-key {key}",
    "h2corn": "{app} --port {{port}} --certfile {chain} --keyfile {key}",
}
OURS = "gracehttp"
_SUCCEEDED = re.compile(r"(\d+) succeeded, (\d+) failed, (\d+) errored")


def load(server: Server, core: int, seconds: int, options: argparse.Namespace) -> int:
    """How many requests were answered with 200."""
    program = shutil.which("h2load")
    if program is None:
        raise BenchmarkFailed("h2load is missing (apt install nghttp2-client).")
    streams = ["-c", str(options.connections), "-m", str(options.streams), "-D", str(seconds)]
    command = ["taskset", "-c", str(core), program, *streams, f"https://127.0.0.1:{server.port}/"]
    done = subprocess.run(orphan_ends(*command), capture_output=True, text=True, timeout=seconds + 60, check=False)
    found = _SUCCEEDED.search(done.stdout)
    if "Application protocol: h2\n" not in done.stdout or found is None or int(found[1]) == 0 or int(found[2]):
        raise BenchmarkFailed(f"{server.name} was not asked over HTTP/2:\n{done.stdout[-2000:]}{done.stderr}")
    return int(found[1])


def command_of(name: str, here: Installation, own: Certificate) -> list[str]:
    arguments = COMMANDS[name].format(app=APP, chain=own.chain, key=own.key).split()
    program = here.python.parent / name
    return [str(program), *arguments] if program.exists() else [str(here.python), "-m", name, *arguments]


def measure(names: list[str], options: argparse.Namespace) -> dict[str, list[float]]:
    """CPU microseconds for a request, a sample for each round, by name."""
    used: dict[str, list[float]] = {name: [] for name in names}
    limit = 180 + 4 * len(names) * (1 + options.rounds * (options.seconds + 1))
    with session(server_core=options.server_core, client_core=options.client_core, limit_seconds=limit) as running:
        own = certificate(running.folder)
        servers = []
        for name in names:
            here = Installation(name, options.peers_in) if name != OURS else Installation.here(name)
            server = Server(running, name, command_of(name, here, own), environment=here.environment(), trust=own.trust)
            servers.append(running.ends.enter_context(server))
        for server in servers:
            server.wait_until_ready()
            load(server, options.client_core, 1, options)
        for turn in turns(servers, options.rounds):
            for server in turn:
                before = server.cpu_seconds()
                answered = load(server, options.client_core, options.seconds, options)
                used[server.name].append((server.cpu_seconds() - before) / answered * 1e6)
    return used


def report(used: dict[str, list[float]], options: argparse.Namespace) -> None:
    print(f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections over TLS, ", end="")
    print(f"{options.streams} streams on each, Python {sys.version.split()[0]}.\n")
    print("| server | CPU per request | CPU of gracehttp, this server = 1 |")
    print("|---|---|---|")
    for name, samples in used.items():
        ratio = statistics.median(a / b for a, b in zip(used[OURS], samples, strict=True))
        print(f"| {name} | {statistics.median(samples):.1f} µs | {ratio:.2f} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compares servers that answer over HTTP/2.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of load for each server in each round")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--streams", type=int, default=10, help="on each connection")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--peers", nargs="*", default=["granian", "peregrine"], choices=sorted(COMMANDS))
    parser.add_argument("--peers-in", type=Path, default=Path(sys.executable), help="the interpreter that has them")
    return parser.parse_args()


def main() -> None:
    options = _options()
    report(measure([OURS, *options.peers], options), options)


if __name__ == "__main__":
    sys.exit(told(main))
