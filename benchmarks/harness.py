"""Starts the servers that are compared, and reads what they use.

A `Candidate` is an installation of a server, a `Server` one that runs. All that a benchmark starts is started within
`session()`, which ends it, whatever happens: on an error, on Ctrl-C, on SIGTERM, when the time is over; and should the
benchmark itself be killed, the kernel tells its servers (PR_SET_PDEATHSIG in prctl(2)). Linux only.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import platform
import random
import re
import resource
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30
STOP_SECONDS = 5
LOOK_SECONDS = 0.005
"""How often a log is looked at by `Server.wait_for_log`."""
PORTS = range(20_000, 32_000)
"""Below those that the kernel gives to clients (ip_local_port_range in ip(7)), of which tens of thousands are used."""


class BenchmarkFailed(Exception):
    """Nothing was measured; the message says why."""


class TimeIsOver(BenchmarkFailed):
    """The benchmark took longer than it was given."""


def told(main):
    """Run the main function of a benchmark; an error of ours is told without its traceback."""
    try:
        return main()
    except BenchmarkFailed as failed:
        return str(failed)


# --- installations ---

_ASK_VERSIONS = """
import importlib.metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
module = __import__(sys.argv[1])
found["file"] = module.__file__
found[sys.argv[1]] = getattr(module, "__version__", found.get(sys.argv[1], "unknown"))
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Candidate:
    """A server as it is installed: `python -m module` runs it. `source` goes before what the interpreter has."""

    name: str
    module: str
    python: Path
    source: Path | None = None

    @classmethod
    def parse(cls, text, module="gracehttp"):
        """From `[NAME=]PATH`, where the path is an interpreter, a virtual environment, or a checkout.

        A checkout with a virtual environment in .venv is run by that, one without by the interpreter of the benchmark.
        """
        name, separator, path = text.partition("=")
        name, path = (name, Path(path)) if separator else (module, Path(text))
        path = path.expanduser().absolute()  # not resolved: the interpreter of a virtual environment is a link
        if path.is_file():
            return cls(name, module, path)
        source = path / "src" if (path / "src" / module).is_dir() else None
        for python in (path / "bin" / "python", path / ".venv" / "bin" / "python"):
            if python.is_file():
                return cls(name, module, python, source)
        if source is None:
            raise BenchmarkFailed(f"{path} is no interpreter, no virtual environment and no checkout of {module}.")
        return cls(name, module, Path(sys.executable), source)

    def facts(self):
        """The versions of what is installed, and the commit if it runs from a checkout."""
        command = [self.python, "-c", _ASK_VERSIONS, self.module, "httptools", "uvloop"]
        asked = subprocess.run(command, env=self.environment(), cwd=ROOT, capture_output=True, text=True, check=False)
        if asked.returncode != 0:
            raise BenchmarkFailed(f"{self.python} can't import {self.module}:\n{asked.stderr}")
        found = json.loads(asked.stdout)
        commit = _commit(Path(found.pop("file")).parent)
        return {"name": self.name, **found, **({"commit": commit} if commit else {})}

    def environment(self, cache=None):
        """Of its processes: no option of a server by a variable, and bytecode is kept, as it is for a user."""
        ours = ("PYTHON", "GRACEHTTP_", "UVICORN_", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        if cache is not None:
            kept["PYTHONPYCACHEPREFIX"] = str(cache)
        if self.source is not None:
            kept["PYTHONPATH"] = str(self.source)
        return kept


def _commit(folder):
    """The commit of a checkout, with a plus if its files differ from it; None outside of one."""

    def git(*arguments):
        return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=False)

    if git("ls-files", "--error-unmatch", "__init__.py").returncode != 0:
        return None
    changed = "+" if git("status", "--porcelain", "--untracked-files=no", ".").stdout else ""
    return git("rev-parse", "--short", "HEAD").stdout.strip() + changed


def machine():
    """What the figures depend on, beside the servers."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    with contextlib.suppress(FileNotFoundError):
        said = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load before": os.getloadavg()[0],
        "client": " ".join(said.split()[:2]) if said else "without wrk",
    }


# --- the frame of a benchmark ---


@dataclass(frozen=True)
class Session:
    """What the parts of a benchmark share. `ends` calls back at the end, the last one first."""

    folder: Path
    ends: contextlib.ExitStack
    server_core: int
    client_core: int

    def start(self, candidate, arguments, **options):
        """Start a server, which `ends` stops."""
        return self.ends.enter_context(Server(self, candidate, arguments, **options))

    @contextlib.contextmanager
    def part(self):
        """A session for a part of the benchmark, at whose end its servers and clients are stopped."""
        with contextlib.ExitStack() as ends:
            yield Session(self.folder, ends, self.server_core, self.client_core)


@contextlib.contextmanager
def session(*, server_core, client_core, limit_seconds):
    """Yields a Session. The benchmark itself, and so what it starts, stands on the client's core from here on."""
    available = os.sched_getaffinity(0)
    if not {server_core, client_core} <= available:
        raise BenchmarkFailed(f"There are the cores {sorted(available)}; choose of these for server and clients.")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def stop(number, _):
        if number == signal.SIGALRM:
            raise TimeIsOver(f"It took longer than {limit_seconds} s.")
        raise SystemExit(128 + number)

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_seconds)
    os.sched_setaffinity(0, {client_core})
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, contextlib.ExitStack() as ends:
        try:
            yield Session(Path(folder), ends, server_core, client_core)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def free_port():
    """One of which nothing listens."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as attempt, contextlib.suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port
    raise BenchmarkFailed("100 ports were tried, and none of them was free.")


def orphan_ends(*command):
    """The command, made to end when this process does."""
    return ["setpriv", "--pdeathsig", "TERM", *command]


def session_goes_first(pid):
    """Let the session of a process go before others of the machine, if that is allowed.

    Where sessions are scheduled as groups, a niceness counts within its session only, and each session has one of its
    own (sched(7), the autogroup feature). Where they aren't, it is that of the process and what it starts.
    """
    with contextlib.suppress(OSError):
        if Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip() == "1":
            Path(f"/proc/{pid}/autogroup").write_text("-20")
            return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, -20)


# --- running servers ---


class Server:
    """A server that runs; a context manager. `{port}` in its arguments is replaced.

    `cores` are those on which it may run. With `trust`, a context that trusts its certificate, it is asked over TLS.
    `first` lets its processes go before others of the machine, if that is allowed: for figures in seconds. Among
    themselves they stay equal.
    """

    def __init__(self, session, candidate, arguments, *, cores=None, trust=None, first=False):
        self.name = candidate.name
        self.port = free_port()
        self._trust = trust
        self._log = (session.folder / f"{candidate.name}-{self.port}.log").open("w+")
        cores = ",".join(map(str, cores or [session.server_core]))
        self.process = subprocess.Popen(
            [
                *orphan_ends("taskset", "-c", cores, candidate.python, "-m", candidate.module),
                *(argument.format(port=self.port) for argument in arguments),
            ],
            cwd=ROOT,
            env=candidate.environment(session.folder / "bytecode"),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        if first:
            session_goes_first(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        finally:  # whatever interrupts the wait; and workers that outlived their supervisor
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self._log.close()

    def wait_until_ready(self):
        """Until it answers 200."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if self.get().startswith(b"HTTP/1.1 200"):
                    return self
            time.sleep(0.05)
        raise BenchmarkFailed(f"{self.name} doesn't answer:\n{self.log()}")

    def get(self):
        """The response to a GET on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain:
            stream = self._trust.wrap_socket(plain, server_hostname="localhost") if self._trust else plain
            with stream:
                stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return stream.recv(4096)

    def log(self):
        return Path(self._log.name).read_text()

    def wait_for_log(self, pattern, *, times=1, seconds=60):
        """Until the log has it so many times; returns when, by time.monotonic, and the last match.

        When is what the line says at its beginning, if it says it as gracehttp does, else when it was seen.
        """
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline:
            text = self.log()
            found = list(re.finditer(pattern, text))
            if len(found) >= times:
                match = found[times - 1]
                return _logged_at(text[text.rfind("\n", 0, match.start()) + 1 :]) or now, match
            if self.process.poll() is not None:
                break
            time.sleep(LOOK_SECONDS)
        raise BenchmarkFailed(f"{self.name}: no {pattern!r} in\n{self.log()}")

    def cpu_seconds(self):
        """What its processes have used, supervisors included, to the nanosecond."""
        return sum(map(_cpu_nanoseconds, _descendants(self.process.pid))) / 1e9

    def memory_bytes(self):
        """Of its processes: the proportional set size, in which a page counts once over all that share it (proc(5))."""
        return sum(map(_pss_bytes, _descendants(self.process.pid)))


def _logged_at(line):
    """The time at the beginning of a line, as time.monotonic would tell it; None if there is none."""
    try:
        return datetime.datetime.fromisoformat(line[:23]).timestamp() - time.time() + time.monotonic()
    except ValueError:
        return None


def _cpu_nanoseconds(pid):
    """Of all threads. A thread that runs at this moment may lack the last milliseconds, an idle one lacks nothing."""
    used = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            used += int(thread.read_text().split()[0])  # "time spent on the cpu", Documentation/scheduler
    return used


def _pss_bytes(pid):
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) * 1024


def _descendants(pid):
    """The process and all below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:  # grows meanwhile
        found += parents.get(one, [])
    return found


def certificate(folder):
    """A P-256 certificate for localhost: the file of chain and key, and a context that trusts it."""
    import trustme

    path = folder / "certificate.pem"
    authority = trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return path, trust


# --- figures ---


def take_turns(servers, rounds, measure):
    """Let each server be measured once in each round, each round begun by another; returns the samples by name."""
    samples = {server.name: [] for server in servers}
    for number in range(rounds):
        first = number % len(servers)
        for server in servers[first:] + servers[:first]:
            samples[server.name].append(measure(server))
    return samples


def percentile(values, share):
    """The smallest value that at least this share of them doesn't exceed; nan if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


@dataclass
class Figure:
    """One row of the result: samples of each candidate, in the order of the rounds.

    With `reference`, a candidate's name, what is compared with the target are the ratios to that one's sample of the
    same round; else the samples. Of either, the median. A figure without a target is only told.
    """

    scene: str
    title: str
    unit: str
    samples: dict[str, list[float]]
    target: float | None = None
    reference: str | None = None
    details: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def ratios(self, name, reference):
        return [a / b for a, b in zip(self.samples[name], self.samples[reference], strict=True)]

    def compared(self, name):
        """What is held against the target, round by round."""
        if self.reference is None or self.reference not in self.samples:
            return self.samples[name]
        return self.ratios(name, self.reference)

    def met(self, name):
        if self.target is None or (self.reference and self.reference not in self.samples):
            return None
        return statistics.median(self.compared(name)) <= self.target

    def as_json(self):
        names = [name for name in self.samples if name != self.reference]
        return {
            "scene": self.scene,
            "figure": self.title,
            "unit": self.unit,
            "target": self.target,
            "compared with": self.reference,
            "medians": {name: statistics.median(values) for name, values in self.samples.items()},
            "median of what is compared": {name: statistics.median(self.compared(name)) for name in names},
            "met": {name: self.met(name) for name in names},
            "samples": self.samples,
            **self.details,
        }
