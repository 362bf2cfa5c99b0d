"""A server that runs, and what its processes use of the machine. The figures come from /proc (proc(5))."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .session import ROOT, BenchmarkFailed, Session, free_port, orphan_ends, session_goes_first

START_SECONDS = 30.0
STOP_SECONDS = 5.0
LOOK_SECONDS = 0.005
"""How often a log is looked at by `Server.wait_for_log`."""


class Server:
    """A context manager.

    `cores` are those on which it may run. With `trust`, a context that trusts its certificate, it is asked over TLS.
    `first` lets its processes go before others of the machine, if that is allowed: for figures in seconds. Among
    themselves they stay equal.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        port: int | None = None,
        cores: Sequence[int] | None = None,
        trust: ssl.SSLContext | None = None,
        first: bool = False,
        folder: Path = ROOT,
    ) -> None:
        """`{port}` in the command is replaced. It runs in `folder`."""
        self.name = name
        self.port = port or free_port()
        self.trust = trust
        self._log = (session.folder / f"{name}-{self.port}.log").open("w+")
        on = ",".join(map(str, cores or [session.server_core]))
        self.process = subprocess.Popen(
            orphan_ends("taskset", "-c", on, *(argument.replace("{port}", str(self.port)) for argument in command)),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        if first:
            session_goes_first(self.process.pid)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        family = {pid: _started(pid) for pid in self.processes()}
        try:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        finally:  # whatever interrupts the wait; and workers that outlived their supervisor
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            for pid, started in family.items():  # those that made a session of their own
                if pid != self.process.pid and started is not None and _started(pid) == started:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self._log.close()

    def ask_to_end(self) -> None:
        """Send SIGTERM, so that several end at the same time."""
        self.process.terminate()

    def wait_until_ready(self, seconds: float = START_SECONDS) -> Server:
        """Until it answers 200."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if self.get().startswith(b"HTTP/1.1 200"):
                    return self
            time.sleep(0.02)
        raise BenchmarkFailed(f"{self.name} doesn't answer:\n{self.log()[-2000:]}")

    def get(self, path: str = "/") -> bytes:
        """The first part of the response to a GET on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain:
            stream = self.trust.wrap_socket(plain, server_hostname="localhost") if self.trust else plain
            with stream:
                stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                return stream.recv(4096)

    def hang_up(self) -> float:
        """Send SIGHUP to its first process; returns when, by time.monotonic."""
        at = time.monotonic()
        os.kill(self.process.pid, signal.SIGHUP)
        return at

    def log(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def wait_for_log(self, pattern: str, *, times: int = 1, seconds: float = 60.0) -> tuple[float, re.Match[str]]:
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
        raise BenchmarkFailed(f"{self.name}: no {pattern!r} in\n{self.log()[-2000:]}")

    def processes(self) -> list[int]:
        """The first process and all below it."""
        return processes_of(self.process.pid)

    def cpu_seconds(self) -> float:
        """What its processes have used, supervisors included, to the nanosecond."""
        return sum(map(_cpu_nanoseconds, self.processes())) / 1e9

    def memory_bytes(self) -> int:
        """Of its processes: the proportional set size, in which a page counts once over all that share it."""
        return sum(map(pss_bytes, self.processes()))

    def forget_peak(self) -> None:
        """Let `peak_bytes` begin anew."""
        for pid in self.processes():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """The most resident memory that each of its processes has had, summed."""
        return sum(_status_bytes(pid, "VmHWM") for pid in self.processes())


def _logged_at(line: str) -> float | None:
    """The time at the beginning of a line, as time.monotonic would tell it; None if there is none."""
    try:
        return datetime.datetime.fromisoformat(line[:23]).timestamp() - time.time() + time.monotonic()
    except ValueError:
        return None


def _cpu_nanoseconds(pid: int) -> int:
    """Of all threads. A thread that runs at this moment may lack the last milliseconds, an idle one lacks nothing."""
    used = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            used += int(thread.read_text().split()[0])  # "time spent on the cpu", Documentation/scheduler
    return used


def pss_bytes(pid: int) -> int:
    """0 for a process that has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


def _status_bytes(pid: int, field: str) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


def _started(pid: int) -> str | None:
    """When a process began, which together with its ID names it for good; None if it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return None


def processes_of(pid: int) -> list[int]:
    """The process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:  # grows meanwhile
        found += parents.get(one, [])
    return found
