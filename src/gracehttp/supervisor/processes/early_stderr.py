"""What a child writes to stderr while it starts."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from typing import Self

from gracehttp.system.readiness import Watch
from gracehttp.values import Descriptor, Value

EARLY_STDERR_BYTES = 65536

# A color that FORCE_COLOR asks for, among others (ECMA-48, control sequences).
_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# What the traceback module writes last: the class, and what it says. Of our own errors, the sentence is enough.
_ERROR_LINE = re.compile(r"gracehttp\.errors\.\w+: (.+)|[A-Za-z_][\w.]*(?:: .*)?")
_OWN_ERROR = "gracehttp: error: "
NOT_EXECUTED = " can't be executed in "
"""What the sentence of a child that could not run its command line has: the event of its end says the same."""


class EarlyStderrRecord(Value):
    """What was read, and where more may come from: None when all writers have closed. `held` is None where nothing is
    held back."""

    read_end: Descriptor | None
    kept: bytes
    held: bytes | None = None


class EarlyStderr:
    """What a child writes to stderr while it starts: passed on at once, and its end kept for requesters.

    A script that can't even be compiled ends before any code of gracehttp runs in it, so only a pipe gets its error.

    Where the log is JSON, only lines that may be JSON are passed on. The rest is held back until `release` or `finish`,
    whose caller puts it into an event.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        read_end: int | None,
        pass_on: Callable[[bytes], None],
        *,
        hold: bool = False,
    ) -> None:
        """`pass_on` must neither block nor raise."""
        self._pass_on = pass_on
        self._kept = bytearray()
        self._sieve = JsonSieve() if hold else None
        self._read_end = read_end
        if read_end is not None:
            os.set_blocking(read_end, False)
            self._watch = Watch(loop, read_end, self._read)

    def carry(self) -> EarlyStderrRecord:
        read_end = Descriptor(self._read_end) if self._read_end is not None else None
        held = self._sieve.held if self._sieve is not None else None
        return EarlyStderrRecord(read_end=read_end, kept=bytes(self._kept), held=held)

    @classmethod
    def adopt(
        cls, record: EarlyStderrRecord, loop: asyncio.AbstractEventLoop, pass_on: Callable[[bytes], None]
    ) -> Self:
        """Go on with what another process carried."""
        stderr = cls(loop, record.read_end, pass_on, hold=record.held is not None)
        stderr._kept += record.kept
        if stderr._sieve is not None:
            stderr._sieve.held = record.held or b""
        return stderr

    def release(self) -> str:
        """The child has started. Returns what was held back so far; what comes from now on is passed on as it is."""
        self.read_to_the_end()
        return self._let_go()

    def forget(self) -> None:
        """Keep nothing of what was written so far: it doesn't tell why a child ends that has started well."""
        self._kept.clear()

    def finish(self) -> tuple[str, str]:
        """The child is gone. Returns what it wrote, or the end of that, and the part that was held back until now. What
        its own children still write is passed on."""
        self.read_to_the_end()
        return self._kept.decode("utf-8", "replace"), self._let_go()

    def _let_go(self) -> str:
        sieve, self._sieve = self._sieve, None
        return sieve.held.decode("utf-8", "replace") if sieve is not None else ""

    def read_to_the_end(self) -> None:
        """Read all that has been written so far."""
        while self._read():
            pass

    def _read(self) -> bool:
        if self._read_end is None:
            return False
        try:
            data = os.read(self._read_end, EARLY_STDERR_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return False
        self._kept += data
        del self._kept[:-EARLY_STDERR_BYTES]
        if NOT_EXECUTED.encode() in data:
            data = b"".join(line for line in data.splitlines(keepends=True) if not _says_that_nothing_ran(line))
        passed = data if self._sieve is None else self._sieve.feed(data)
        if passed:
            self._pass_on(passed)
        return True

    def close(self) -> None:
        if self._read_end is not None:
            self._watch.stop()
            os.close(self._read_end)
            self._read_end = None


def _says_that_nothing_ran(line: bytes) -> bool:
    return line.startswith(_OWN_ERROR.encode()) and NOT_EXECUTED.encode() in line


class JsonSieve:
    """Separates lines that may be JSON objects from others. Pure. `held` is what has not passed, and may never."""

    def __init__(self) -> None:
        self.held = b""

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; returns the lines that pass."""
        passed: list[bytes] = []
        held: list[bytes] = []
        for line in (self.held + data).splitlines(keepends=True):
            whole = line.endswith(b"\n")
            (passed if whole and line.startswith(b"{") else held).append(line)
        self.held = b"".join(held)[-EARLY_STDERR_BYTES:]
        return b"".join(passed)


def beyond(said: str, reason: str) -> str:
    """What a child wrote besides an error of gracehttp that `reason` tells already."""
    lines = said.splitlines(keepends=True)
    return "".join(line for line in lines if not (line.startswith(_OWN_ERROR) and _sentence(line) in reason))


def _sentence(line: str) -> str:
    return line.rstrip().removeprefix(_OWN_ERROR).rstrip(".")


def last_error(said: str) -> str:
    """The sentence with which a Python program that wrote `said` ended: `NameError: name 'x' is not defined`.

    That is the line after the last indented one of a traceback, or an error of gracehttp; "" if there is none.
    """
    found, before = "", ""
    for line in _CONTROL_SEQUENCE.sub("", said).splitlines():
        if line.startswith(_OWN_ERROR):
            found = line.removeprefix(_OWN_ERROR)
        elif before.startswith("  ") and (match := _ERROR_LINE.fullmatch(line)):
            found = match[1] or match[0]
        before = line
    return found.rstrip(".")
