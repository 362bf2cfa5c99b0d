"""How many of the idle workers wake up for one new connection: the figures of docs/decisions/0003.

    python benchmarks/accept_wakeups.py

Four processes share a listening socket, once through an epoll of their own with EPOLLEXCLUSIVE (epoll_ctl(2)) inside
the loop's epoll, once watched by the loop itself; the two take turns. A wake-up is a voluntary context switch
(proc_pid_status(5)), whether or not there was something left to accept. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import select
import socket
import statistics
import time
from multiprocessing.synchronize import Event, Semaphore
from pathlib import Path

import uvloop

WORKERS = 4
ACCEPTS_PER_WAKE_UP = 16
BETWEEN_CONNECTIONS_SECONDS = 0.002
SETTLE_SECONDS = 0.5


def work(listener: socket.socket, exclusive: bool, ready: Semaphore, end: Event) -> None:
    """One worker: accept and close."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()

        def on_acceptable() -> None:
            with contextlib.suppress(BlockingIOError):
                for _ in range(ACCEPTS_PER_WAKE_UP):
                    connection, _ = listener.accept()
                    connection.close()

        watched: socket.socket | select.epoll = listener
        if exclusive:
            watched = select.epoll()
            watched.register(listener.fileno(), select.EPOLLIN | select.EPOLLEXCLUSIVE)
        loop.add_reader(watched.fileno(), on_acceptable)
        ready.release()
        await loop.run_in_executor(None, end.wait)
        loop.remove_reader(watched.fileno())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def wake_ups(pid: int | None) -> int:
    """How often a process has slept until something woke it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise OSError(f"process {pid} has ended")


def measure(exclusive: bool, connections: int) -> float:
    """The wake-ups of all workers together, for one connection of many, one after the other."""
    context = multiprocessing.get_context("fork")
    ready, end = context.Semaphore(0), context.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        listener.setblocking(False)
        arguments = (listener, exclusive, ready, end)
        workers = [context.Process(target=work, args=arguments) for _ in range(WORKERS)]
        for one in workers:
            one.start()
        for _ in workers:
            ready.acquire()
        time.sleep(SETTLE_SECONDS)
        before = sum(wake_ups(one.pid) for one in workers)
        for _ in range(connections):
            socket.create_connection(listener.getsockname()).close()
            time.sleep(BETWEEN_CONNECTIONS_SECONDS)
        woken = sum(wake_ups(one.pid) for one in workers) - before
        end.set()
        for one in workers:
            one.join()
    return round(woken / connections, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description="How many workers wake up for one new connection.")
    parser.add_argument("--connections", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(options.rounds):
        for exclusive, counts in found.items():
            counts.append(measure(exclusive, options.connections))
    for exclusive, counts in found.items():
        how = "an own epoll with EPOLLEXCLUSIVE" if exclusive else "watched by the loop"
        print(f"{how:34} wake-ups per connection: median {statistics.median(counts):g} of {counts}")


if __name__ == "__main__":
    main()
