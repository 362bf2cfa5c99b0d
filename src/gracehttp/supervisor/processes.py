"""Worker processes: starting them, hearing their last words, and telling how they ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable

from gracehttp.channel import CHANNEL_VARIABLE, channel_pair
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


class LastWords:
    """What a worker writes to stderr while it starts: passed on at once, and its end kept for whoever asked.

    A script that can't even be compiled ends before any code of ours runs in it, so only a pipe can hear it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pass_on: Callable[[bytes], None]) -> None:
        """`pass_on` must neither block nor raise."""
        self._loop = loop
        self._pass_on = pass_on
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._kept = bytearray()
        self._open = True
        loop.add_reader(self._read_end, self._listen)

    def close_write_end(self) -> None:
        os.close(self.write_end)

    def finish(self) -> str:
        """The worker is gone: all that it wrote, or the end of it. What its own children still write is passed on."""
        while self._open and self._listen():
            pass
        return self._kept.decode("utf-8", "replace")

    def _listen(self) -> bool:
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
        if self._open:
            self._open = False
            self._loop.remove_reader(self._read_end)
            os.close(self._read_end)


class WorkerProcess:
    """One worker process, its end of the control channel and its last words. Owns all three."""

    def __init__(
        self, number: int, generation: int, slot: int, command_line: CommandLine, pass_on: Callable[[bytes], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.generation = generation
        self.slot = slot
        self.started_at = loop.time()
        self.failure: dict[str, str] | None = None
        self.deaf = False
        self.last_words = LastWords(loop, pass_on)
        self.channel, theirs = channel_pair()
        with theirs:
            try:
                self._popen = _start(command_line, theirs.fileno(), self.last_words.write_end)
            except BaseException:
                self.channel.close()
                self.last_words.close()
                raise
            finally:
                self.last_words.close_write_end()
        self.pid = self._popen.pid

    def signal(self, number: int) -> None:
        # Our children keep their PID until we wait for them, so it can't belong to somebody else by now.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ended(self, status: int) -> tuple[str, str]:
        """The process was waited for: how it ended, to complete the sentence "the worker ...", and its last words."""
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        said = self.last_words.finish()
        self.channel.close()
        if self.failure is not None:
            return f"failed: {self.failure['message'].rstrip('.')}", _failure_text(self.failure, said)
        return describe_exit(self._popen.returncode), said


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


def _start(command_line: CommandLine, channel: int, stderr: int) -> subprocess.Popen[bytes]:
    environment = {"PYTHONFAULTHANDLER": "1", **os.environ, CHANNEL_VARIABLE: str(channel)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISOR_SIGNALS)
    try:
        return subprocess.Popen(  # noqa: S603  the command line is the one that started this very process
            command_line.arguments,
            executable=command_line.executable(),
            cwd=command_line.directory,
            env=environment,
            pass_fds=(channel,),
            stderr=stderr,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
