"""Makes one system call of one process of a service fail, at a moment that the test chooses.

`failing_calls.c` is preloaded into all processes of the service (ld.so(8)), and acts on a page of memory that it shares
with this module. Its order of names, kinds and fields is the one below.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

CALLS = (
    *("accept", "connect", "dup", "epoll_create", "epoll_ctl", "epoll_wait", "eventfd", "eventfd_read"),
    *("eventfd_write", "execve", "fork", "ftruncate", "getpeername", "getsockname", "memfd_create", "mmap", "open"),
    *("pipe", "poll", "read", "recv", "recvmsg", "send", "sendmsg", "setsockopt", "shutdown", "socket", "socketpair"),
    *("thread", "wait", "write"),
)
KINDS = ("any", "nothing", "tcp", "unix_stream", "unix_seqpacket", "pipe", "file", "other")
"""What a call acts on. The calls that take no descriptor, or one that tells nothing, act on "nothing"."""
SHORT = "short"
"""In the place of an error: the call moves one byte, and says so."""

_ARMED, _STRUCK, _DISARMED_BY_EXEC = 0, 7, 8
_FIELDS = struct.Struct("=10i")
_COUNTS = struct.Struct(f"={len(CALLS) * len(KINDS)}I")


TELLS_PLACES = hasattr(ctypes.pythonapi, "_Py_DumpTraceback")
"""Whether the library can tell the place of a failure. CPython 3.13 exports nothing with which it could."""


class NoCompiler(Exception):
    """This machine has no C compiler."""


def compile_library(folder):
    """Compile the library into `folder`; returns its path."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NoCompiler
    library = folder / "failing_calls.so"
    source = Path(__file__).with_name("failing_calls.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
    return library


class FailingCalls:
    """The page of one service. Put `environment` into the environment of its first process."""

    def __init__(self, library, folder):
        path = folder / "failing-calls"
        path.write_bytes(bytes(_FIELDS.size + _COUNTS.size))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 0)
        self._where = folder / "failing-calls.where"
        self.environment = {"LD_PRELOAD": str(library), "FAILING_CALLS": str(path)}

    def arm(self, pid, call, kind, error, *, skip=0, times=1, until_hello=False):
        """From now on, let `skip` such calls of process `pid` pass, and then make `times` of them fail.

        `error` is the number of an error (errno(3)), or `SHORT`. With `until_hello`, calls count from the first message
        on that the process sends on a Unix socket. Without, nothing fails any more in a process that calls execve(2).
        """
        error = -1 if error == SHORT else error
        # Disarmed first, so that the process sees either nothing of it or all.
        self._set(_ARMED, 0)
        fields = _FIELDS.pack(0, pid, CALLS.index(call), KINDS.index(kind), error, skip, times, 0, 0, until_hello)
        self._page[: _FIELDS.size + _COUNTS.size] = fields + bytes(_COUNTS.size)
        self._set(_ARMED, 1)

    def disarm(self):
        self._set(_ARMED, 0)

    @property
    def struck(self):
        """How many calls have failed."""
        return _FIELDS.unpack_from(self._page)[_STRUCK]

    @property
    def disarmed_by_exec(self):
        """Whether the process has become another image (execve(2)), in which nothing fails."""
        return bool(_FIELDS.unpack_from(self._page)[_DISARMED_BY_EXEC])

    def counted(self):
        """How many calls the process has made while the page was armed, by name and kind."""
        counts = iter(_COUNTS.unpack_from(self._page, _FIELDS.size))
        return {(call, kind): count for call in CALLS for kind in KINDS if (count := next(counts))}

    def places(self):
        """For each failure the innermost functions of the interpreter that were running: `flush (channel.py:124)`.
        Empty unless `TELLS_PLACES`."""
        try:
            text = self._where.read_text()
        except FileNotFoundError:
            return []
        stacks = text.split("Stack (most recent call first):\n")[1:]
        return [_innermost(stack) for stack in stacks]

    def close(self):
        self._page.close()

    def _set(self, field, value):
        struct.pack_into("=i", self._page, field * 4, value)


def _innermost(stack, most=4):
    found = re.findall(r'File "([^"]*)", line (\d+) in (\S+)', stack)
    return " < ".join(f"{name} ({os.path.basename(path)}:{line})" for path, line, name in found[:most])
