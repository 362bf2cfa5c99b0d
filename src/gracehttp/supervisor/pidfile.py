"""The pidfile: one PID for the life of the service, and a lock that says whether it still lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from gracehttp.errors import StartError


class PidFile:
    """Written when the supervisor starts, removed when it ends. The lock (flock(2)) is held as long as it lives, so
    a file that was left behind by a crash stops nobody."""

    def __init__(self, path: str) -> None:
        """Write our PID to `path`. Raises `StartError` if another supervisor holds it or it can't be written."""
        self.path = Path(path)
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            raise StartError(
                f"cannot write the pidfile {path}: {exc.strerror}.",
                hint="choose another --pidfile, or make its folder",
            ) from exc
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            pid = os.read(self._fd, 32).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise StartError(
                f"the pidfile {path} belongs to a supervisor that is running, pid {pid}.",
                hint=f"gracehttp restart --pidfile {path} brings new code; gracehttp stop --pidfile {path} ends it",
            ) from exc
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def remove(self) -> None:
        """Remove the file, if it is still the one that we wrote."""
        with contextlib.suppress(OSError):
            if os.fstat(self._fd).st_ino == self.path.stat().st_ino:
                self.path.unlink()
        os.close(self._fd)
