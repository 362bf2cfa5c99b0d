"""Worker processes: what belongs to each, and telling how they ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.processes.early_stderr import LastWords, LastWordsRecord, last_error
from gracehttp.supervisor.processes.spawning import spawn
from gracehttp.values import Value
from gracehttp.wire.channel import Channel, ChannelRecord, channel_pair
from gracehttp.wire.lineage import CHANNEL_VARIABLE
from gracehttp.wire.messages import Failed

TRACEBACK_SIGNAL = signal.SIGABRT
"""Makes a worker write the stacks of its threads to stderr, and ends it: what the interpreter's fault handler does,
which is at work from the first moment (PYTHONFAULTHANDLER), so wherever the worker hangs."""


class WorkerRecord(Value):
    """A worker process, to go on with in another process that has the same PID, so that it stays our child.

    `started_at` is by the clock of the loop, CLOCK_MONOTONIC, which goes on (clock_gettime(2)).
    """

    number: int
    generation: int
    slot: int
    pid: int
    started_at: float
    deaf: bool
    failure: Failed | None
    channel: ChannelRecord
    last_words: LastWordsRecord
    introduced: bool = True
    stage: str = ""


class Ending(Value):
    """How a worker ended. `reason` completes the sentence "the worker ...". `details` is all that is known beyond that,
    and `unlogged` what of it has not been passed on to the log yet."""

    reason: str
    details: str = ""
    unlogged: str = ""


class WorkerEnds(Value):
    """The ends of channel and last words that a worker inherits. Ours only until it has them; whoever makes them closes
    them."""

    channel: int
    last_words: int

    def close(self) -> None:
        os.close(self.channel)
        os.close(self.last_words)


class WorkerProcess:
    """One worker process, its end of the control channel and its last words. Owns all three.

    `pid` is 0 until `born`, and a signal that is sent before is kept for then.
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
        last_words: LastWords,
    ) -> None:
        self.number = number
        self.generation = generation
        self.slot = slot
        self.pid = pid
        self.started_at = started_at
        self.channel = channel
        self.last_words = last_words
        self.failure: Failed | None = None
        self.deaf = False
        self.introduced = False
        self.stage = ""
        """What it said that it begins, on its way to be ready."""
        self._early_signals: list[int] = []

    @classmethod
    def conceive(
        cls, number: int, generation: int, slot: int, listen: Callable[[int], LastWords]
    ) -> tuple[Self, WorkerEnds]:
        """Our side of a worker, and the ends for the process that is still to be made; `listen` gets the end of the
        pipe to which it writes its stderr. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as on_error:
            channel, theirs = channel_pair()
            on_error.callback(channel.close)
            on_error.enter_context(theirs)
            read_end, write_end = os.pipe()
            on_error.pop_all()
        last_words = listen(read_end)
        ends = WorkerEnds(theirs.detach(), write_end)
        return cls(number, generation, slot, started_at=loop.time(), channel=channel, last_words=last_words), ends

    def execute(self, command_line: CommandLine, ends: WorkerEnds) -> None:
        """Be born by running the command line. Raises `OSError`."""
        environment = {CHANNEL_VARIABLE: str(ends.channel)}
        self.born(spawn(command_line, environment, pass_fds=(ends.channel,), stderr=ends.last_words))

    def born(self, pid: int) -> None:
        """The process exists, as a child of ours."""
        self.pid = pid
        for number in self._early_signals:
            self.signal(number)

    def never_born(self) -> None:
        self.channel.close()
        self.last_words.close()

    @property
    def doing(self) -> str:
        """What it was at, on its way to be ready, when it was last heard of; completes "it was still ..."."""
        return self.stage or ("preparing itself" if self.introduced else "running the code before run()")

    @property
    def has_ended(self) -> bool:
        """Whether the process has come to its end, also if it was not waited for yet (waitid(2), WNOWAIT)."""
        if not self.pid:
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def carry(self) -> WorkerRecord:
        """To be taken of one that is born."""
        return WorkerRecord(
            number=self.number,
            generation=self.generation,
            slot=self.slot,
            pid=self.pid,
            started_at=self.started_at,
            deaf=self.deaf,
            failure=self.failure,
            introduced=self.introduced,
            stage=self.stage,
            channel=self.channel.carry(),
            last_words=self.last_words.carry(),
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
            last_words=LastWords.adopt(record.last_words, asyncio.get_running_loop(), pass_on),
        )
        process.deaf, process.failure, process.introduced = record.deaf, record.failure, record.introduced
        process.stage = record.stage
        return process

    def signal(self, number: int) -> None:
        if not self.pid:
            self._early_signals.append(number)
            return
        # Our children keep their PID until we wait for them, so it can't belong to somebody else by now.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ended(self, status: int) -> Ending:
        """The process was waited for: how it ended."""
        said, held = self.last_words.finish()
        self.channel.close()
        code = os.waitstatus_to_exitcode(status)
        if self.failure is not None:
            told = _lines(self.failure.details, _hint(self.failure.hint))
            return Ending(f"failed: {self.failure.message.rstrip('.')}", told or said, _lines(told, held))
        if code == 0 and not self.introduced:
            hint = _hint("a script must call run() each time that it is run, also as a worker")
            return Ending("ended with status 0 before it called run()", _lines(said, hint), _lines(held, hint))
        return Ending(describe_exit(code, said), said, held)


def _hint(text: str) -> str:
    return f"Hint: {text}" if text else ""


def _lines(*parts: str) -> str:
    return "\n".join(part.rstrip("\n") for part in parts if part)


def describe_exit(code: int, said: str = "") -> str:
    """`ended with status 3` or `was killed by SIGSEGV`; with the error that ended the process, if it `said` one."""
    if code > 0 and (error := last_error(said)):
        return f"ended with status {code}: {error}"
    if code >= 0:
        return f"ended with status {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def reap(pids: Iterable[int], *, orphans: Callable[[], bool]) -> Iterator[tuple[int, int]]:
    """Those of our children that have ended, each with its wait status (waitpid(2)).

    One is waited for when the one before has been dealt with: until then it keeps its PID. While `orphans()`, which a
    process that adopts them must allow now and then, children that aren't in `pids` are among them, to be dropped.
    Otherwise such a child belongs to the user's script, which waits for it itself.
    """
    with contextlib.suppress(ChildProcessError):
        while orphans() and (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found
    for target in sorted(set(pids)):
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(target, os.WNOHANG))[0]:
                yield found
