"""A long run: keep-alive clients in a closed loop and a restart every few seconds, while the supervisor is watched.

    python benchmarks/soak.py --minutes 60 --every 10 --write benchmarks/soak.md

Memory, descriptors and permits of the supervisor have to stay level, no request may be lost, and no client may have to
connect again. The exit status is 1 if any of that did not hold. Linux only: the figures come from /proc (proc(5)).
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "process"), str(ROOT / "tests" / "chaos")]

from callers import Callers  # noqa: E402  the clients of the tests are the clients here
from chaos_server import ChaosServer  # noqa: E402  (as above)

LIMIT = 10_000
SHOWN_ROWS = 12
PATIENCE_SECONDS = 300.0
"""How long a restart may take: the machine may be busy with other things, and this runs at low priority."""
WARM_SHARE = 0.2
"""The part at the beginning in which memory may still grow: allocators and caches fill."""
LEVEL_KIB = 1024
"""How much more memory at the end than after the warm part counts as level."""


@dataclass(frozen=True)
class Sample:
    """The supervisor at one moment, when a restart is over and the older generation is gone."""

    seconds: float
    restarts: int
    memory_kib: int
    descriptors: int
    permits_missing: int
    answered: int
    restart_seconds: float


def memory_kib(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise OSError(f"process {pid} has no memory")


def soak(
    seconds: float, every_seconds: float, clients: int, pause_seconds: float
) -> tuple[list[Sample], Any, list[str]]:
    """Run; returns the samples, the accounts of the clients and the errors in the log."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        server = ChaosServer(Path(folder), limit=LIMIT)
        try:
            server.wait_until_serving()
            samples: list[Sample] = []
            with Callers(server.port, clients, pause_seconds=pause_seconds) as callers:
                callers.wait_for_answers(clients)
                began = time.monotonic()
                while (passed := time.monotonic() - began) < seconds:
                    samples.append(restart_and_look(server, len(samples) + 1, began, callers, clients))
                    print(samples[-1], flush=True)
                    rest = every_seconds * (len(samples)) - (time.monotonic() - began)
                    threading.Event().wait(max(0.0, min(rest, seconds - passed)))
                    forget_counters_of_the_dead(server)
            server.wait_until_all_permits_are_free()
            errors = [line for line in server.log.splitlines() if " ERROR " in line]
            server.stop_and_leave_nothing()
        finally:
            server.end()
    return samples, callers.accounts, errors


def restart_and_look(server: Any, number: int, began: float, callers: Any, clients: int) -> Sample:
    before = time.monotonic()
    server.send_signal(signal.SIGHUP)
    server.wait_for(rf"generation {number} is gone", seconds=PATIENCE_SECONDS)
    took = time.monotonic() - before
    return Sample(
        seconds=time.monotonic() - began,
        restarts=number,
        memory_kib=memory_kib(server.pid),
        descriptors=server.descriptors(),
        permits_missing=LIMIT - server.free_permits() - clients,
        answered=callers.accounts.answered,
        restart_seconds=took,
    )


def forget_counters_of_the_dead(server: Any) -> None:
    """The application leaves a file for each process that ever was; an hour would leave hundreds."""
    living = {str(pid) for pid in server.workers()}
    for path in (server.folder / "counters").iterdir():
        if path.name not in living:
            path.unlink()


def judge(samples: list[Sample], accounts: Any, clients: int, errors: list[str]) -> list[str]:
    """The sentences of what did not hold."""
    warm = samples[int(len(samples) * WARM_SHARE)]
    last = samples[-1]
    wrong = [f"the log has errors: {line}" for line in errors[:5]]
    if accounts.failures:
        wrong.append(f"{len(accounts.failures)} connections failed, the first: {accounts.failures[0]}")
    if accounts.connects != clients:
        wrong.append(f"{clients} clients connected {accounts.connects} times")
    if accounts.sent != accounts.answered:
        wrong.append(f"{accounts.sent} requests had {accounts.answered} answers")
    if last.memory_kib - warm.memory_kib > LEVEL_KIB:
        wrong.append(f"memory grew from {warm.memory_kib} to {last.memory_kib} KiB")
    if len({one.descriptors for one in samples}) > 1:
        wrong.append(f"descriptors: {sorted({one.descriptors for one in samples})}")
    if any(one.permits_missing for one in samples):
        wrong.append(f"permits missing: {[one.permits_missing for one in samples]}")
    return wrong


def report(
    samples: list[Sample],
    accounts: Any,
    clients: int,
    every_seconds: float,
    pause_seconds: float,
    wrong: list[str],
) -> str:
    """The page, in Markdown."""
    step = max(1, len(samples) // SHOWN_ROWS)
    shown = [*samples[:-1:step], samples[-1]]
    took = [one.restart_seconds for one in samples]
    verdict = "All of it held." if not wrong else "It did **not** hold:\n\n" + "\n".join(f"- {one}" for one in wrong)
    rows = "\n".join(
        f"| {one.seconds:.0f} | {one.restarts} | {one.memory_kib} | {one.descriptors} | {one.permits_missing} "
        f"| {one.answered} |"
        for one in shown
    )
    return f"""# A long run

Made by `python benchmarks/soak.py` on {time.strftime("%Y-%m-%d")}: {samples[-1].seconds / 60:.1f} minutes, \
{len(samples)} restarts, one every {every_seconds:g} s.
{clients} keep-alive clients in a closed loop with {pause_seconds * 1000:g} ms between an answer and the next request,
2 workers, Python {platform.python_version()}, {os.cpu_count()} cores that other programs used as well.

What was looked for: no request lost, no client that had to connect again, and the supervisor's memory, descriptors and
permits level. {verdict}

- {accounts.sent} requests, {accounts.answered} answered; {accounts.connects} TCP connections for {clients} clients.
- From the signal until the older generation was gone: median {statistics.median(took):.2f} s,
  longest {max(took):.2f} s.

The supervisor, whenever an older generation was gone:

| seconds | restarts | memory, KiB | descriptors | permits missing | answered so far |
|---|---|---|---|---|---|
{rows}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="A long run with a restart every few seconds.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between restarts")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--pause", type=float, default=0.01, help="seconds between an answer and the next request")
    parser.add_argument("--write", type=Path, help="the page to write the result to")
    options = parser.parse_args()
    samples, accounts, errors = soak(options.minutes * 60, options.every, options.clients, options.pause)
    wrong = judge(samples, accounts, options.clients, errors)
    page = report(samples, accounts, options.clients, options.every, options.pause, wrong)
    print(page)
    if options.write is not None:
        options.write.write_text(page)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
