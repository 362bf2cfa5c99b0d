"""All living worker processes: starting, telling, killing and burying them. Decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from typing import Any

from gracehttp.channel import ChannelClosed, Message
from gracehttp.listeners.permits import MAX_WORKERS
from gracehttp.observe.patient_writer import PatientWriter
from gracehttp.supervisor.command_line import CommandLine
from gracehttp.supervisor.processes import WorkerProcess, reap


class Crew:
    """The processes by worker number.

    `on_message(process, message)` is called for what a worker says, `on_exit(process, reason, details)` once when its
    process is gone; `reason` completes the sentence "the worker ...".
    """

    def __init__(
        self,
        command_line: CommandLine,
        stderr: int,
        *,
        on_message: Callable[[WorkerProcess, Message], None],
        on_exit: Callable[[WorkerProcess, str, str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._command_line = command_line
        self._stderr = PatientWriter(stderr)
        self._on_message = on_message
        self._on_exit = on_exit
        self._processes: dict[int, WorkerProcess] = {}
        self._loop.add_signal_handler(signal.SIGCHLD, self._bury)

    def pid(self, worker: int) -> int:
        """The PID of a worker, 0 if it has no process."""
        process = self._processes.get(worker)
        return process.pid if process else 0

    def slots(self) -> list[int]:
        """The places of all living workers in the ledgers."""
        return [process.slot for process in self._processes.values()]

    def all_deaf(self) -> bool:
        """True when no living worker accepts connections any more."""
        return all(process.deaf for process in self._processes.values())

    def start(self, worker: int, generation: int) -> WorkerProcess:
        """Start the process of `worker`. Raises `OSError`."""
        used = set(self.slots())
        slot = next((free for free in range(MAX_WORKERS) if free not in used), None)
        if slot is None:
            raise OSError(f"there are {MAX_WORKERS} workers already")
        process = WorkerProcess(worker, generation, slot, self._command_line, self._stderr.write)
        self._processes[worker] = process
        self._loop.add_reader(process.channel.fileno(), self._hear, process)
        return process

    def tell(self, worker: int, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send `message` to `worker`, if it lives. `fds` stay the caller's."""
        process = self._processes.get(worker)
        if process is None:
            return
        with contextlib.suppress(ChannelClosed):  # it is dead, and SIGCHLD is on its way
            process.channel.send(message, fds)
        if process.channel.pending:
            self._loop.add_writer(process.channel.fileno(), self._flush, process)

    def signal(self, worker: int, number: int) -> None:
        process = self._processes.get(worker)
        if process is not None:
            process.signal(number)

    def _flush(self, process: WorkerProcess) -> None:
        with contextlib.suppress(ChannelClosed):
            process.channel.flush()
        if not process.channel.pending:
            self._loop.remove_writer(process.channel.fileno())

    def _hear(self, process: WorkerProcess) -> None:
        try:
            for message in process.channel.receive():
                self._on_message(process, message)
        except ChannelClosed:
            self._loop.remove_reader(process.channel.fileno())
        except (ValueError, KeyError, TypeError) as exc:
            # Whatever this process is, it doesn't speak our language: its exit will be counted like any other.
            process.failure = {"message": f"it said what the supervisor can't read ({exc!r})"}
            self._loop.remove_reader(process.channel.fileno())
            process.signal(signal.SIGKILL)

    def _bury(self) -> None:
        by_pid = {process.pid: process for process in self._processes.values()}
        for pid, status in reap(by_pid):
            process = by_pid[pid]
            if process.failure is None:
                self._hear(process)  # its last message may still lie there
            self._loop.remove_reader(process.channel.fileno())
            self._loop.remove_writer(process.channel.fileno())
            del self._processes[process.number]
            self._on_exit(process, *process.ended(status))
