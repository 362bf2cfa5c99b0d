"""What a request, an idle connection and a restart cost, beside uvicorn and held against targets: floor.md.

    python -m benchmarks.floor                                     # all scenes, beside uvicorn
    python -m benchmarks.floor --python old=../old --python new=.  # two checkouts and uvicorn, in turns
    python -m benchmarks.floor --scenes get tls --rounds 9

Server and client have a core each. In scenes that compare, all servers are started together and take turns; what counts
is the ratio within a round. CPU time is that of all processes of a server, in nanoseconds (Documentation/scheduler,
sched-stats), divided by the requests that wrk had answered. The exit status is 1 if something failed, whether or not
the targets were met.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import handover_drain, harness
from .clients import BROWSER_HEADERS, Crowd, wrk
from .harness import BenchmarkFailed, Candidate, Figure, Session

HELLO, PID = "benchmarks.applications:hello", "benchmarks.applications:pid"
OURS = ["serve", "{app}", "--bind", "127.0.0.1:{{port}}", "--loop", "uvloop", "--no-access-log"]
THEIRS = ["{app}", "--port", "{{port}}", "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
# An idle connection must outlive the benchmark; uvicorn closes it after 5 s by default.
PATIENT = {"gracehttp": ["--keep-alive-timeout", "10m"], "uvicorn": ["--timeout-keep-alive", "600"]}
REFERENCE = "uvicorn"
WARM_UP_SECONDS = 1
IDLE_CONNECTIONS = 10_000
IDLE_PROCESSES = 2
SETTLE_SECONDS = 0.5
BUSY_CLIENTS = 64
BUSY_RATE = 2000
"""Requests a second of all busy clients: a small part of what a core can answer, so that waiting is the server's."""
STEADY_SECONDS = 1.5
"""Before each restart, for the latency without one."""


@dataclass(frozen=True)
class Bench:
    session: Session
    ours: list[Candidate]
    reference: Candidate | None
    options: argparse.Namespace

    @property
    def all(self):
        return [*self.ours, *([self.reference] if self.reference else [])]

    @property
    def reference_name(self):
        return self.reference.name if self.reference else None

    def arguments(self, candidate, app, *more):
        template = THEIRS if candidate.module == REFERENCE else OURS
        return [argument.format(app=app) for argument in template] + list(more)

    def say(self, text):
        if sys.stderr.isatty() or self.options.verbose:
            print(text, file=sys.stderr, flush=True)


# --- scenes 1 to 4: CPU time per request ---


def small_get(bench, name):
    return _cpu_per_request(bench, name, "small GET, kept connections", 0.55)


def browser_headers(bench, name):
    return _cpu_per_request(bench, name, f"the same, {len(BROWSER_HEADERS)} request headers", 0.65, BROWSER_HEADERS)


def new_connections(bench, name):
    return _cpu_per_request(bench, name, "a new connection for each request", 0.50, ("Connection: close",))


def tls(bench, name):
    return _cpu_per_request(bench, name, "small GET over TLS, kept connections", 0.50, encrypted=True)


def _cpu_per_request(bench, name, title, target, headers=(), *, encrypted=False):
    options = bench.options
    rates, busy = {one.name: [] for one in bench.all}, {one.name: [] for one in bench.all}

    def load(server, seconds):
        return wrk(
            server.port,
            core=bench.session.client_core,
            connections=options.connections,
            seconds=seconds,
            headers=headers,
            tls=encrypted,
            first=options.first,
        )

    def measure(server):
        began, before = time.monotonic(), server.cpu_seconds()
        answered, rate = load(server, options.seconds)
        used = server.cpu_seconds() - before
        rates[server.name].append(round(rate))
        busy[server.name].append(round(used / (time.monotonic() - began), 3))
        bench.say(f"{name}: {server.name} {used / answered * 1e6:.1f} us, {rate:.0f}/s")
        return used / answered * 1e6

    with bench.session.part() as part:
        more, trust = {"gracehttp": [], REFERENCE: []}, None
        if encrypted:
            path, trust = harness.certificate(part.folder)
            more = {"gracehttp": ["--certfile", str(path)], REFERENCE: ["--ssl-certfile", str(path)]}
        servers = [
            part.start(one, bench.arguments(one, HELLO, *more[one.module]), trust=trust, first=options.first)
            for one in bench.all
        ]
        for server in servers:
            server.wait_until_ready()
            load(server, WARM_UP_SECONDS)
        samples = harness.take_turns(servers, options.rounds, measure)
    details = {"requests per second": rates, "share of the core that was used": busy}
    return [Figure(name, f"{title}: CPU", "µs", samples, target, bench.reference_name, details)]


# --- scene 5: memory of idle connections ---


def memory(bench, name):
    """The clients are there before the first look: what they map is shared with the server, and changes its part."""
    samples = {one.name: [] for one in bench.all}
    for _ in range(bench.options.runs):
        for candidate in bench.all:
            with bench.session.part() as part:
                arguments = bench.arguments(candidate, PID, *PATIENT[candidate.module])
                server = part.start(candidate, arguments).wait_until_ready()
                crowd = part.ends.enter_context(_idle_crowd(bench, server))
                for _ in range(50):
                    server.get()
                time.sleep(SETTLE_SECONDS)
                before = server.memory_bytes()
                crowd.open()
                time.sleep(SETTLE_SECONDS)
                samples[candidate.name].append((server.memory_bytes() - before) / crowd.connections)
                if broken := crowd.check():
                    raise BenchmarkFailed(f"{candidate.name} has closed {broken} idle connections.")
            bench.say(f"{name}: {candidate.name} {samples[candidate.name][-1]:.0f} bytes")
    return [Figure(name, f"memory of each of {IDLE_CONNECTIONS} idle connections", "bytes", samples, 1000)]


def _idle_crowd(bench, server):
    core = bench.session.client_core
    return Crowd(server.port, connections=IDLE_CONNECTIONS, processes=IDLE_PROCESSES, core=core)


# --- scene 6: the drain of idle connections ---


def drain(bench, name):
    runs = {one.name: [] for one in bench.ours}
    for _ in range(bench.options.runs):
        for candidate in bench.ours:
            run = handover_drain.measure(
                bench.session, candidate, connections=IDLE_CONNECTIONS, rate=BUSY_RATE, loop="uvloop"
            )
            runs[candidate.name].append(run)
            bench.say(f"{name}: {candidate.name} {run.drain_seconds:.2f} s")

    def samples(measured):
        return {one: [measured(run) for run in some] for one, some in runs.items()}

    title = f"drain of {IDLE_CONNECTIONS} idle connections"
    late = samples(lambda run: 1000 * harness.percentile(run.during, 0.99))
    return [
        Figure(name, title, "s", samples(lambda run: run.drain_seconds), 0.25),
        Figure(name, "99th percentile of requests meanwhile", "ms", late, 10),
        Figure(name, "longest of them", "ms", samples(lambda run: 1000 * max(run.during))),
        Figure(name, "connections broken", "", samples(lambda run: run.broken), 0),
    ]


# --- scene 7: latency during a restart ---


def restart(bench, name):
    cores = bench.options.restart_cores
    found = {}
    for candidate in bench.ours:
        with bench.session.part() as part:
            server = part.start(candidate, bench.arguments(candidate, PID), cores=cores, first=True).wait_until_ready()
            found[candidate.name] = _restarts(bench, name, part, server)

    def samples(key):
        return {one: figures[key] for one, figures in found.items()}

    return [
        Figure(name, "99th percentile during a restart, without one = 1", "", samples("ratio"), 2),
        Figure(name, "the same, the quietest stretch without one = 1", "", samples("ratio to the quietest")),
        Figure(name, "99th percentile without a restart", "ms", samples("steady")),
        Figure(name, "99th percentile during a restart", "ms", samples("during")),
        Figure(name, "of these, until the new worker serves", "ms", samples("starting")),
        Figure(name, "of these, from there to the end of the drain", "ms", samples("draining")),
        Figure(name, "longest during a restart", "ms", samples("longest")),
        Figure(name, "from the signal to the end of the drain", "s", samples("took")),
        Figure(name, "connections broken", "", samples("broken"), 0, details={"passed over": samples("missed")}),
    ]


def _restarts(bench, name, part, server):
    crowd = part.ends.enter_context(
        Crowd(server.port, connections=BUSY_CLIENTS, processes=1, core=bench.session.client_core)
    )
    crowd.open()
    figures = {key: [] for key in ("ratio", "steady", "during", "starting", "draining", "longest", "took")}
    windows = []
    crowd.begin(BUSY_RATE, in_turn=True)
    for number in range(1, bench.options.restarts + 1):
        time.sleep(STEADY_SECONDS)
        signalled = time.monotonic()
        os.kill(server.process.pid, signal.SIGHUP)
        serving, _ = server.wait_for_log(f"generation {number + 1} serves")
        drained, _ = server.wait_for_log("drained in|drain ended", times=number)
        server.wait_for_log(f"generation {number} is gone")
        windows.append((signalled, serving, drained))
        time.sleep(SETTLE_SECONDS)
    answers, broken, missed = crowd.end()
    for signalled, serving, drained in windows:
        steady = [one for one in answers if signalled - STEADY_SECONDS <= one.began and one.ended < signalled]
        during = [one for one in answers if one.ended >= signalled and one.began <= drained]
        figures["steady"].append(_late(steady))
        figures["during"].append(_late(during))
        figures["starting"].append(_late([one for one in during if one.began < serving]))
        figures["draining"].append(_late([one for one in during if one.ended >= serving]))
        figures["longest"].append(1000 * max(one.seconds for one in during))
        figures["took"].append(drained - signalled)
        figures["ratio"].append(figures["during"][-1] / figures["steady"][-1])
        bench.say(f"{name}: {server.name} {figures['steady'][-1]:.2f} ms, then {figures['during'][-1]:.2f} ms")
    quietest = min(figures["steady"])
    figures["ratio to the quietest"] = [one / quietest for one in figures["during"]]
    return {**figures, "broken": [broken + crowd.check()], "missed": [missed]}


def _late(answers):
    """The 99th percentile, in milliseconds."""
    return 1000 * harness.percentile([one.seconds for one in answers], 0.99)


SCENES = {
    "get": small_get,
    "headers": browser_headers,
    "new": new_connections,
    "tls": tls,
    "memory": memory,
    "drain": drain,
    "restart": restart,
}


# --- the report ---


def table(bench, figures):
    """In Markdown. In brackets what the median is of: the lowest and the highest."""
    names = [one.name for one in bench.all]
    yield "| scene | figure | target | " + " | ".join(names) + " |"
    yield "|---" * (3 + len(names)) + "|"
    for figure in figures:
        target = "" if figure.target is None else f"{figure.target:g}"
        cells = [_cell(bench, figure, name) if name in figure.samples else "" for name in names]
        yield f"| {figure.scene} | {figure.title} | {target} | " + " | ".join(cells) + " |"


def _cell(bench, figure, name):
    absolute = f"{_number(statistics.median(figure.samples[name]))} {figure.unit}".strip()
    if name == bench.reference_name:
        return absolute
    compared = figure.compared(name)
    median, spread = statistics.median(compared), f"({_number(min(compared))} to {_number(max(compared))})"
    said = f"{_number(median)} {spread}" if len(compared) > 1 else _number(median)
    met = {True: ", met", False: ", **missed**", None: ""}[figure.met(name)]
    if compared is not figure.samples[name]:
        return f"{said}, {absolute}{met}"
    return f"{said} {figure.unit}".strip() + met


def _number(value):
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def between_ours(bench, figures):
    """What changed from the first of ours to each other one, where both were measured in the same rounds."""
    first, *others = [one.name for one in bench.ours]
    for figure in figures:
        for name in others:
            if figure.reference is not None:
                ratio = statistics.median(figure.ratios(name, first))
                yield f"{figure.scene}: {name} uses {ratio:.2f} of what {first} does."


def heading(facts, machine):
    for one in facts:
        yield f"- {one['name']}: " + ", ".join(f"{key} {value}" for key, value in one.items() if key != "name")
    yield "- " + ", ".join(f"{key} {value}" for key, value in machine.items())


def _options():
    parser = argparse.ArgumentParser(
        description="What a request, an idle connection and a restart cost, beside uvicorn.",
        epilog="PATH is an interpreter, a virtual environment, or a checkout. A checkout is run by its .venv if there "
        "is one, else by the interpreter of this benchmark.",
    )
    names = ", ".join(SCENES)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES), metavar="SCENE", help=names)
    parser.add_argument(
        "--python", action="append", metavar="[NAME=]PATH", help="where gracehttp is; may be repeated (default: here)"
    )
    parser.add_argument("--uvicorn-python", default=sys.executable, metavar="PATH", help="where it is (default: here)")
    parser.add_argument("--alone", action="store_true", help="without uvicorn; nothing is compared then")
    parser.add_argument("--rounds", type=int, default=7, help="of scenes 1 to 4 (default: 7)")
    parser.add_argument("--seconds", type=int, default=2, help="of load for each server in each round (default: 2)")
    parser.add_argument("--connections", type=int, default=64, help="in scenes 1 to 4 (default: 64)")
    parser.add_argument(
        "--first", action="store_true", help="let scenes 1 to 4 go before all other programs, which then hardly run"
    )
    parser.add_argument("--runs", type=int, default=3, help="of the scenes memory and drain (default: 3)")
    parser.add_argument("--restarts", type=int, default=10, help="in the scene restart (default: 10)")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument(
        "--restart-cores",
        type=int,
        nargs="+",
        metavar="CORE",
        help="of the server in the scene restart (default: its one core, for which its workers compete then)",
    )
    parser.add_argument("--limit", type=int, default=480, metavar="SECONDS", help="for all of it (default: 480)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--verbose", action="store_true", help="tell each sample as it comes, also into a file")
    return parser.parse_args()


def main():
    options = _options()
    ours = [Candidate.parse(text) for text in options.python or [sys.executable]]
    reference = None if options.alone else Candidate.parse(options.uvicorn_python, REFERENCE)
    if len({one.name for one in ours}) < len(ours):
        raise BenchmarkFailed("Give each --python a name: --python old=PATH --python new=PATH.")
    facts = [one.facts() for one in [*ours, *([reference] if reference else [])]]
    machine, figures, failures = harness.machine(), [], {}
    began = time.monotonic()
    with harness.session(
        server_core=options.server_core, client_core=options.client_core, limit_seconds=options.limit
    ) as session:
        bench = Bench(session, ours, reference, options)
        for name in options.scenes:
            try:
                figures += SCENES[name](bench, name)
            except harness.TimeIsOver as over:
                failures[name] = f"{over}"
                break
            except BenchmarkFailed as failed:
                failures[name] = f"{failed}"
    machine["load after"] = os.getloadavg()[0]
    print("\n".join(heading(facts, machine)) + "\n")
    print("\n".join([*table(bench, figures), *between_ours(bench, figures)]))
    print(f"\nIt took {time.monotonic() - began:.0f} s.")
    for name, failure in failures.items():
        print(f"\n{name} failed: {failure}", file=sys.stderr)
    if options.json is not None:
        result = {
            "machine": machine,
            "servers": facts,
            "options": {key: str(value) for key, value in vars(options).items()},
            "figures": [figure.as_json() for figure in figures],
            "failures": failures,
        }
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(harness.told(main))
