"""The pidfile: one PID for the life of the service, and a lock that says whether it still lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from pathlib import Path
from typing import Self

from gracehttp.errors import StartError
from gracehttp.hints import Named, hint
from gracehttp.values import Descriptor, Value

_A_PID = re.compile(rb"[0-9]{0,10}\s{0,2}")
_LONGEST_BYTES = 32


class PidFileRecord(Value):
    """A pidfile whose lock goes on: it belongs to the open file, so it outlives execve (flock(2))."""

    path: str
    lock: Descriptor


class PidFile:
    """Written when the supervisor starts, removed when it ends. The lock (flock(2)) is held as long as it lives, so
    a file that a crash left behind stops no other supervisor."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = Path(os.path.abspath(path))  # the working directory may be another one when it is removed
        self._fd = fd

    @classmethod
    def write(cls, path: str) -> Self:
        """Write the PID of this process to `path`. Raises `StartError` if another supervisor holds it, if it can't be
        written, or if it is no pidfile."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            missing = isinstance(exc, FileNotFoundError)
            raise _cannot_write(path, "its folder does not exist" if missing else exc.strerror) from exc
        with contextlib.ExitStack() as on_error:
            on_error.callback(os.close, fd)
            pid = _pid_in(path, fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise StartError(
                    f"the pidfile {path} belongs to a supervisor that is running, pid {pid}.",
                    hint=f"gracehttp restart --pidfile {path} brings new code; gracehttp stop --pidfile {path} ends it",
                ) from exc
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            on_error.pop_all()
        return cls(path, fd)

    def carry(self) -> PidFileRecord:
        return PidFileRecord(path=str(self.path), lock=Descriptor(self._fd))

    @classmethod
    def adopt(cls, record: PidFileRecord) -> Self:
        """Go on with the file that this process holds already."""
        return cls(record.path, record.lock)

    def remove(self) -> None:
        """Remove the file, unless another one has taken its place."""
        with contextlib.suppress(OSError):
            if os.fstat(self._fd).st_ino == self.path.stat().st_ino:
                self.path.unlink()
        os.close(self._fd)


def _pid_in(path: str, fd: int) -> int | None:
    """The PID in the open file, None if it is empty. Raises `StartError` for any other file: it would be lost."""
    content = os.pread(fd, _LONGEST_BYTES, 0) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    if content is None or not _A_PID.fullmatch(content):
        raise StartError(
            f"the pidfile {path} exists already and is no pidfile: it would be overwritten, and removed at the end.",
            hint=hint("choose another {}, or remove that file", Named("pidfile")),
        )
    return int(content.strip() or b"0") or None


def _cannot_write(path: str, reason: str | None) -> StartError:
    return StartError(
        f"cannot write the pidfile {path}: {reason}.",
        hint=hint("choose another {}, or make its folder", Named("pidfile")),
    )


def write(path: str | None) -> PidFile | None:
    """The pidfile of a supervisor that starts; none without a path. Raises as `PidFile.write`."""
    return PidFile.write(path) if path else None


def take_over(record: PidFileRecord | None) -> PidFile | None:
    """The pidfile of a supervisor that goes on, if it has one."""
    return PidFile.adopt(record) if record is not None else None
