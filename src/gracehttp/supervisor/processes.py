"""Worker processes: starting them, hearing their last words, and telling how they ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from gracehttp.channel import CHANNEL_VARIABLE, Channel, ChannelRecord, channel_pair
from gracehttp.records import Descriptor
from gracehttp.supervisor.command_line import CommandLine

LAST_WORDS_BYTES = 65536

TRACEBACK_SIGNAL = signal.SIGABRT
"""Makes a worker write the stacks of its threads to stderr, and ends it: what the interpreter's fault handler does,
which is at work from the first moment (PYTHONFAULTHANDLER), so wherever the worker hangs."""

SUPERVISOR_SIGNALS = frozenset({
    signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGQUIT, signal.SIGINT,
    signal.SIGTTIN, signal.SIGTTOU,
})  # fmt: skip
"""What the supervisor acts on. A worker is born with them blocked, so that one sent to the whole process group
(Ctrl+C in a terminal) ends no worker that is still starting; it unblocks them once it ignores them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWordsRecord:
    """What was heard, and where more may come from; None when all writers have closed."""

    read_end: Descriptor | None
    kept: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """A worker process, to go on with in another process that has the same PID, so that it stays our child.

    `started_at` is by the clock of the loop, CLOCK_MONOTONIC, which goes on (clock_gettime(2)).
    """

    number: int
    generation: int
    slot: int
    pid: int
    started_at: float
    deaf: bool
    failure: dict[str, str] | None
    channel: ChannelRecord
    last_words: LastWordsRecord


class LastWords:
    """What a worker writes to stderr while it starts: passed on at once, and its end kept for whoever asked.

    A script that can't even be compiled ends before any code of ours runs in it, so only a pipe can hear it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, read_end: int | None, pass_on: Callable[[bytes], None]) -> None:
        """`pass_on` must neither block nor raise."""
        self._loop = loop
        self._pass_on = pass_on
        self._kept = bytearray()
        self._read_end = read_end
        if read_end is not None:
            os.set_blocking(read_end, False)
            loop.add_reader(read_end, self._listen)

    def carry(self) -> LastWordsRecord:
        read_end = Descriptor(self._read_end) if self._read_end is not None else None
        return LastWordsRecord(read_end=read_end, kept=bytes(self._kept))

    @classmethod
    def adopt(cls, record: LastWordsRecord, loop: asyncio.AbstractEventLoop, pass_on: Callable[[bytes], None]) -> Self:
        """Go on with what another process carried."""
        words = cls(loop, record.read_end, pass_on)
        words._kept += record.kept
        return words

    def finish(self) -> str:
        """The worker is gone: all that it wrote, or the end of it. What its own children still write is passed on."""
        while self._listen():
            pass
        return self._kept.decode("utf-8", "replace")

    def _listen(self) -> bool:
        if self._read_end is None:
            return False
        try:
            data = os.read(self._read_end, LAST_WORDS_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return False
        self._kept += data
        del self._kept[:-LAST_WORDS_BYTES]
        self._pass_on(data)
        return True

    def close(self) -> None:
        if self._read_end is not None:
            self._loop.remove_reader(self._read_end)
            os.close(self._read_end)
            self._read_end = None


class WorkerProcess:
    """One worker process, its end of the control channel and its last words. Owns all three."""

    def __init__(
        self,
        number: int,
        generation: int,
        slot: int,
        *,
        pid: int,
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
        self.failure: dict[str, str] | None = None
        self.deaf = False

    @classmethod
    def start(
        cls, number: int, generation: int, slot: int, command_line: CommandLine, pass_on: Callable[[bytes], None]
    ) -> Self:
        """Run the command line as a worker; `pass_on` gets what it writes to stderr. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        with contextlib.ExitStack() as on_error, contextlib.ExitStack() as in_any_case:
            channel, theirs = channel_pair()
            on_error.callback(channel.close)
            in_any_case.enter_context(theirs)
            read_end, write_end = os.pipe()
            in_any_case.callback(os.close, write_end)
            last_words = LastWords(loop, read_end, pass_on)
            on_error.callback(last_words.close)
            environment = {CHANNEL_VARIABLE: str(theirs.fileno())}
            pid = spawn(command_line, environment, pass_fds=(theirs.fileno(),), stderr=write_end)
            on_error.pop_all()
        return cls(number, generation, slot, pid=pid, started_at=started_at, channel=channel, last_words=last_words)

    def carry(self) -> WorkerRecord:
        return WorkerRecord(
            number=self.number,
            generation=self.generation,
            slot=self.slot,
            pid=self.pid,
            started_at=self.started_at,
            deaf=self.deaf,
            failure=self.failure,
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
        process.deaf, process.failure = record.deaf, record.failure
        return process

    def signal(self, number: int) -> None:
        # Our children keep their PID until we wait for them, so it can't belong to somebody else by now.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ended(self, status: int) -> tuple[str, str]:
        """The process was waited for: how it ended, to complete the sentence "the worker ...", and its last words."""
        said = self.last_words.finish()
        self.channel.close()
        if self.failure is not None:
            return f"failed: {self.failure['message'].rstrip('.')}", _failure_text(self.failure, said)
        return describe_exit(os.waitstatus_to_exitcode(status)), said


def _failure_text(failure: dict[str, str], said: str) -> str:
    parts = [failure.get("details", "")]
    if failure.get("hint"):
        parts.append(f"Hint: {failure['hint']}")
    return "\n".join(part for part in parts if part) or said


def describe_exit(code: int) -> str:
    """`ended with status 3` or `was killed by SIGSEGV`."""
    if code >= 0:
        return f"ended with status {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def reap(pids: Iterable[int]) -> list[tuple[int, int]]:
    """Those of our children that have ended, each with its wait status (waitpid(2)).

    As PID 1 of a container we inherit the orphans of the application: they are waited for and dropped.
    Otherwise a child that isn't in `pids` belongs to the user's script, which waits for it itself.
    """
    known = set(pids)
    ended = []
    for target in [-1] if os.getpid() == 1 else sorted(known):
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(target, os.WNOHANG))[0]:
                if found[0] in known:
                    ended.append(found)
    return ended


def spawn(command_line: CommandLine, environment: Mapping[str, str], *, pass_fds: Collection[int], stderr: int) -> int:
    """Run the command line in a child process, with `environment` added to ours; returns its PID. Raises `OSError`.

    The child is born with `SUPERVISOR_SIGNALS` blocked. Whoever called waits for it (see `reap`).
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISOR_SIGNALS)
    try:
        child = subprocess.Popen(  # noqa: S603  the command line is the one that started this very process
            command_line.arguments,
            executable=command_line.executable(),
            cwd=command_line.directory,
            env={"PYTHONFAULTHANDLER": "1", **os.environ, **environment},
            pass_fds=pass_fds,
            stderr=stderr,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    child.returncode = 0  # not true, but it keeps Popen from waiting for the child, which is `reap`'s task
    return child.pid
