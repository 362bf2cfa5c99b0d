"""The pidfile: one PID for the life of the service, and a lock that says whether it still lives."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from pathlib import Path
from typing import Self

from gracehttp.errors import StartError
from gracehttp.hints import Named, hint
from gracehttp.values import Descriptor, Value

_A_PID = re.compile(rb"[0-9]{0,10}\s*")
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
        while True:
            fd = _open(path)
            with contextlib.ExitStack() as on_error:
                on_error.callback(os.close, fd)
                _lock(path, fd)
                if not _is_at(path, fd):
                    continue  # the supervisor that held it has removed it meanwhile
                _fill(path, fd)
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
            if _is_at(str(self.path), self._fd):
                self.path.unlink()
        os.close(self._fd)


def _open(path: str) -> int:
    """Never through a symbolic link: this process may be root, and others may write to the folder (open(2))."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        return os.open(path, flags, 0o644)
    except OSError as exc:
        raise _cannot_write(path, exc) from exc


def _lock(path: str, fd: int) -> None:
    pid = _pid_in(path, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        who = f"that is running, pid {pid}" if pid else "that is just starting"
        raise StartError(
            f"the pidfile {path} belongs to a supervisor {who}.",
            hint=f"gracehttp restart --pidfile {path} brings new code; gracehttp stop --pidfile {path} ends it",
        ) from exc
    except OSError as exc:
        raise _cannot_write(path, exc, "it can't be locked") from exc


def _is_at(path: str, fd: int) -> bool:
    """Whether the open file is the one that lies at `path`."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except OSError:
        return False


def _fill(path: str, fd: int) -> None:
    """Write our PID in one call, over all that was there: a reader finds the old PID or the new one."""
    content = f"{os.getpid()}\n".encode()
    before = os.fstat(fd).st_size
    try:
        if os.pwrite(fd, content.ljust(before, b"\n"), 0) >= len(content):
            os.ftruncate(fd, len(content))
            return
        exc = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as failed:
        exc = failed
    if not before:
        with contextlib.suppress(OSError):
            os.unlink(path)  # it was made just now, or had nothing in it
    raise _cannot_write(path, exc) from exc


def _pid_in(path: str, fd: int) -> int | None:
    """The PID in the open file, None if it is empty. Raises `StartError` for any other file: it would be lost."""
    try:
        content = os.pread(fd, _LONGEST_BYTES, 0) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError as exc:
        raise _cannot_write(path, exc) from exc
    if content is None or not _A_PID.fullmatch(content):
        raise StartError(
            f"the pidfile {path} exists already and is no pidfile: it would be overwritten, and removed at the end.",
            hint=hint("choose another {}, or remove that file", Named("pidfile")),
        )
    return int(content.strip() or b"0") or None


_HINTS = {
    errno.ENOENT: "choose another {}, or make its folder",
    errno.ENOSPC: "make room on that file system, or choose another {}",
    errno.EDQUOT: "make room on that file system, or choose another {}",
    errno.ELOOP: "choose another {}, or remove that link: what it points to would be overwritten",
    errno.EACCES: "choose a {} in a folder in which this user may write, or give it the permission",
    errno.EPERM: "choose a {} in a folder in which this user may write, or give it the permission",
}


def _cannot_write(path: str, exc: OSError, what: str = "") -> StartError:
    reasons = {errno.ENOENT: "its folder does not exist", errno.ELOOP: "it is a symbolic link"}
    reason = reasons.get(exc.errno or 0, exc.strerror or str(exc))
    advice = _HINTS.get(exc.errno or 0, "choose another {}")
    return StartError(
        f"cannot write the pidfile {path}: {f'{what} ({reason})' if what else reason}.",
        hint=hint(advice, Named("pidfile")),
    )


def write(path: str | None) -> PidFile | None:
    """The pidfile of a supervisor that starts; none without a path. Raises as `PidFile.write`."""
    return PidFile.write(path) if path else None


def take_over(record: PidFileRecord | None) -> PidFile | None:
    """The pidfile of a supervisor that goes on, if it has one."""
    return PidFile.adopt(record) if record is not None else None
