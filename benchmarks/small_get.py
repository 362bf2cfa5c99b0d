"""How much of a server a small GET costs, side by side with other servers: the figures of small_get.md.

    pip install uvicorn granian hypercorn gunicorn waitress      # whichever of them you want to see
    python -m benchmarks.small_get --rounds 7
    python -m benchmarks.small_get --rounds 7 --interface wsgi

Each server that can be imported runs one worker on one core, with the same application. What differs from its default
stands in `COMMANDS`. All are started at once and take turns: one round is a few seconds of load for each. The client
is wrk on another core; it keeps its connections unless `--new-connections` is given. With `--access-log` each server
writes its log, in the format that it has by itself, to a file.

Two figures: requests per second, which need a quiet machine, and the CPU time that the server's processes took for one
request, which noise disturbs less. What is compared are medians over the rounds. Linux only.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import statistics
import sys
from pathlib import Path

from . import harness
from .clients import wrk
from .harness import BenchmarkFailed, Candidate

APPS = {"asgi": "benchmarks.applications:hello", "wsgi": "benchmarks.applications:hello_wsgi"}
WARM_UP_SECONDS = 1
LOG_SWITCH = "--access-log", "--no-access-log"
LOG_FILE = "--access-logfile -", ""

# By interface and name: the command, what makes it log each request (None: nothing does), and what makes it not.
COMMANDS = {
    "asgi": {
        "gracehttp": ("serve {app} --bind 127.0.0.1:{{port}} --loop uvloop", *LOG_SWITCH),
        "uvicorn": ("{app} --port {{port}} --loop uvloop --http httptools", *LOG_SWITCH),
        "granian": ("{app} --port {{port}} --loop uvloop --interface asgi", *LOG_SWITCH),
        "hypercorn": ("{app} --bind 127.0.0.1:{{port}} --worker-class uvloop", *LOG_FILE),
    },
    "wsgi": {
        "gracehttp": ("serve {app} --bind 127.0.0.1:{{port}} --threads 4", *LOG_SWITCH),
        "gunicorn": ("{app} --bind 127.0.0.1:{{port}} --worker-class gthread --threads 4", *LOG_FILE),
        "granian": ("{app} --port {{port}} --interface wsgi --blocking-threads 4", *LOG_SWITCH),
        "waitress": ("--listen 127.0.0.1:{{port}} --threads 4 {app}", None, ""),
    },
}
REFERENCES = {"uvicorn", "gunicorn"}
BASELINE = "gracehttp (baseline)"


def measure(session, candidates, options):
    """Requests per second and CPU microseconds for each request: two dicts of samples by name."""
    headers = ("Connection: close",) if options.new_connections else ()
    rates = {one.name: [] for one in candidates}

    def load(server, seconds):
        return wrk(
            server.port,
            core=session.client_core,
            connections=options.connections,
            seconds=seconds,
            headers=headers,
        )

    def sample(server):
        before = server.cpu_seconds()
        answered, rate = load(server, options.seconds)
        rates[server.name].append(rate)
        return (server.cpu_seconds() - before) / answered * 1e6

    servers = []
    for candidate in candidates:
        command, logging, silent = COMMANDS[options.interface][candidate.module]
        arguments = f"{command} {logging if options.access_log else silent}".format(app=APPS[options.interface])
        servers.append(session.start(candidate, arguments.split()))
    for server in servers:
        server.wait_until_ready()
        load(server, WARM_UP_SECONDS)
    used = harness.take_turns(servers, options.rounds, sample)
    return rates, used


def report(rates, used, options):
    reference = next((name for name in used if name in REFERENCES), next(iter(used)))
    kind = "new connections" if options.new_connections else "connections"
    log = "with" if options.access_log else "without"
    versions = ", ".join(f"{name} {_version(name)}" for name in ("httptools", "uvloop"))
    print(f"{options.interface}, {log} access log, {options.rounds} rounds of {options.seconds} s, client: wrk,")
    print(f"{options.connections} {kind}, Python {sys.version.split()[0]}, {versions}.\n")
    print(f"| server | requests/s | CPU per request | requests/s, {reference} = 1 | CPU, {reference} = 1 |")
    print("|---|---|---|---|---|")
    for name in used:
        rate, cpu = statistics.median(rates[name]), statistics.median(used[name])
        ratios = f"{rate / statistics.median(rates[reference]):.2f} | {cpu / statistics.median(used[reference]):.2f}"
        print(f"| {name} {_version(name)} | {rate:.0f} | {cpu:.1f} µs | {ratios} |")


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _options():
    parser = argparse.ArgumentParser(description="Compares servers that answer a small GET.")
    parser.add_argument("--interface", choices=COMMANDS, default="asgi")
    parser.add_argument("--access-log", action="store_true", help="let each server log each request, to a file")
    parser.add_argument("--new-connections", action="store_true", help="one for each request")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of load for each server in each round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--servers", nargs="+", help="default: all that can be imported")
    parser.add_argument("--baseline", metavar="PATH", help="another gracehttp to compare with, as of benchmarks.floor")
    return parser.parse_args()


def main():
    options = _options()
    commands = COMMANDS[options.interface]
    if unknown := set(options.servers or ()) - commands.keys():
        raise BenchmarkFailed(f"{', '.join(unknown)}: for {options.interface} there are {', '.join(commands)}.")
    found = [name for name in options.servers or commands if importlib.util.find_spec(name) is not None]
    python = Path(sys.executable)
    candidates = [
        Candidate(name, name, python) for name in found if not options.access_log or commands[name][1] is not None
    ]
    if options.baseline is not None:
        candidates.append(Candidate.parse(f"{BASELINE}={options.baseline}"))
    if not candidates:
        raise BenchmarkFailed("None of these servers is installed.")
    limit = 60 + 2 * len(candidates) * (WARM_UP_SECONDS + options.rounds * options.seconds)
    with harness.session(
        server_core=options.server_core, client_core=options.client_core, limit_seconds=limit
    ) as session:
        rates, used = measure(session, candidates, options)
    report(rates, used, options)


if __name__ == "__main__":
    sys.exit(harness.told(main))
