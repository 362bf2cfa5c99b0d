"""One worker process: what belongs to it, how it is started, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Self

from gracehttp.supervisor.processes.early_stderr import NOT_EXECUTED, EarlyStderr, EarlyStderrRecord, beyond, last_error
from gracehttp.values import Value
from gracehttp.wire.channel import Channel, ChannelRecord, channel_pair
from gracehttp.wire.messages import Failed

TRACEBACK_SIGNAL = signal.SIGABRT
"""Makes a worker write the stacks of its threads to stderr, and ends it. The interpreter's fault handler does so. It is
enabled from the first moment (PYTHONFAULTHANDLER), so this works wherever the worker hangs."""


class WorkerRecord(Value):
    """A worker process, to go on with in another process that has the same PID, so that it stays our child.

    `started_at` is by the clock of the loop, CLOCK_MONOTONIC, which goes on (clock_gettime(2)).
    """

    number: int
    generation: int
    slot: int
    pid: int
    started_at: float
    stopped_accepting: bool
    failure: Failed | None
    channel: ChannelRecord
    early_stderr: EarlyStderrRecord
    introduced: bool = True
    stage: str = ""
    leaving: bool = False
    build: str = ""
    refused: bool = False


class Ending(Value):
    """How a worker ended. `reason` completes the sentence "the worker ...". `details` is all that is known beyond that,
    and `unlogged` the part of it that the log doesn't have yet."""

    reason: str
    details: str = ""
    unlogged: str = ""


class WorkerEnds(Value):
    """The ends of channel and stderr that a worker inherits. The supervisor closes them once the worker has them."""

    channel: int
    early_stderr: int

    def close(self) -> None:
        os.close(self.channel)
        os.close(self.early_stderr)


class WorkerProcess:
    """One worker process, the supervisor's end of its channel and its early stderr. Owns all three.

    `pid` is 0 until `started`, and a signal that is sent before is kept for then.
    """

    def __init__(
        self,
        number: int,
        generation: int,
        slot: int,
        *,
        pid: int = 0,
        started_at: float,
        channel: Channel,
        early_stderr: EarlyStderr,
    ) -> None:
        self.number = number
        self.generation = generation
        self.slot = slot
        self.pid = pid
        self.started_at = started_at
        self.channel = channel
        self.early_stderr = early_stderr
        self.failure: Failed | None = None
        self.stopped_accepting = False
        self.introduced = False
        self.stage = ""
        """What it reported last that it begins, on its way to be ready."""
        self.refused = False
        """The supervisor could not use it: its hello was answered with `Refuse`."""
        self.leaving = False
        """It was told to drain: it closes its channel when it has."""
        self.build = ""
        """The build that it runs, from its hello."""
        self.offers_spare = False
        """Its command line can also be run as a spare process."""
        self.is_of_spare = False
        """It was ordered from the spare process."""
        self._early_signals: list[int] = []

    @classmethod
    def prepare(
        cls, number: int, generation: int, slot: int, read_stderr: Callable[[int], EarlyStderr]
    ) -> tuple[Self, WorkerEnds]:
        """The supervisor's side of a worker, and the ends for its process, which is not started yet.

        `read_stderr` gets the read end of the pipe that becomes its stderr. Raises `OSError`.
        """
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as on_error:
            channel, theirs = channel_pair()
            on_error.callback(channel.close)
            on_error.enter_context(theirs)
            read_end, write_end = os.pipe()
            on_error.pop_all()
        early_stderr = read_stderr(read_end)
        ends = WorkerEnds(theirs.detach(), write_end)
        return cls(number, generation, slot, started_at=loop.time(), channel=channel, early_stderr=early_stderr), ends

    def started(self, pid: int) -> None:
        """The process exists, as a child of the supervisor."""
        self.pid = pid
        for number in self._early_signals:
            self.signal(number)

    def discard(self) -> None:
        """It could not be started."""
        self.channel.close()
        self.early_stderr.close()

    @property
    def doing(self) -> str:
        """What it was last known to do on its way to be ready; completes "it was still ..."."""
        return self.stage or ("preparing itself" if self.introduced else "running the code before run()")

    @property
    def has_ended(self) -> bool:
        """Whether the process is known to have exited, reaped or not (waitid(2), WNOWAIT).

        Python has waitid on macOS from 3.13 on. Before, nothing tells without reaping.
        """
        if not self.pid or not hasattr(os, "waitid"):
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def carry(self) -> WorkerRecord:
        """Must be called of one that is started."""
        return WorkerRecord(
            number=self.number,
            generation=self.generation,
            slot=self.slot,
            pid=self.pid,
            started_at=self.started_at,
            stopped_accepting=self.stopped_accepting,
            failure=self.failure,
            introduced=self.introduced,
            stage=self.stage,
            leaving=self.leaving,
            build=self.build,
            refused=self.refused,
            channel=self.channel.carry(),
            early_stderr=self.early_stderr.carry(),
        )

    @classmethod
    def adopt(cls, record: WorkerRecord, pass_on: Callable[[bytes], None]) -> Self:
        """Go on with what another process carried."""
        process = cls(
            record.number,
            record.generation,
            record.slot,
            pid=record.pid,
            started_at=record.started_at,
            channel=Channel.adopt(record.channel),
            early_stderr=EarlyStderr.adopt(record.early_stderr, asyncio.get_running_loop(), pass_on),
        )
        process.stopped_accepting, process.failure, process.introduced = (
            record.stopped_accepting,
            record.failure,
            record.introduced,
        )
        process.stage, process.leaving, process.build = record.stage, record.leaving, record.build
        process.refused = record.refused
        return process

    def signal(self, number: int) -> None:
        if not self.pid:
            self._early_signals.append(number)
            return
        # A child keeps its PID until it is reaped, so no other process can have it by now.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def take_signals(self, other: WorkerProcess) -> None:
        """Keep what was to be sent to `other`, which never had a process."""
        self._early_signals += other._early_signals

    def ended(self, status: int) -> Ending:
        """How the process ended, which was reaped with this wait status."""
        said, held = self.early_stderr.finish()
        self.channel.close()
        code = os.waitstatus_to_exitcode(status)
        if self.failure is not None:
            told = _lines(self.failure.details, _hint(self.failure.hint))
            return Ending(f"failed: {self.failure.message.rstrip('.')}", told or said, _lines(told, held))
        if code == 0 and not self.introduced:
            hint = _hint("a script must call run() each time that it is run, also as a worker")
            return Ending("ended with status 0 before it called run()", _lines(said, hint), _lines(held, hint))
        reason = describe_exit(code, said)
        return Ending(reason, beyond(said, reason), beyond(held, reason))


def _hint(text: str) -> str:
    return f"Hint: {text}" if text else ""


def _lines(*parts: str) -> str:
    return "\n".join(part.rstrip("\n") for part in parts if part)


def describe_exit(code: int, said: str = "") -> str:
    """`ended with status 3` or `was killed by SIGSEGV`; with the error that ended the process, if it `said` one."""
    error = last_error(said)
    if code > 0 and NOT_EXECUTED in error:
        return f"could not run: {error}"
    if code > 0 and error:
        return f"ended with status {code}: {error}"
    if code >= 0:
        return f"ended with status {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
