"""A log in a file that may be rotated at any moment, by logrotate(8) or by hand: no signal is needed."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import sys
import time
from typing import Final

from gracehttp.errors import ConfigurationError
from gracehttp.observe.loggers import OwnHandler
from gracehttp.system.credentials import Credentials, rights_of

_LOOK_AGAIN_SECONDS: Final = 1.0
"""How long after a rotation lines may still go to the file that was moved away."""
_TELL_AGAIN_SECONDS: Final = 60.0


class FileHandler(OwnHandler):
    """Appends to the file at `path`. Each record is one write(2) with O_APPEND, so that the lines of several processes
    don't mix. The file is opened with the rights of `owner`, if there is one, whose processes append to it too. Raises
    `ConfigurationError` if it can't be opened."""

    is_own = True
    in_place = True

    def __init__(self, path: str, owner: Credentials | None = None) -> None:
        super().__init__()
        self._path = path
        self._owner = owner
        self._told_at = -_TELL_AGAIN_SECONDS
        try:
            self._fd = self._open()
        except OSError as exc:
            who = owner.name if owner is not None else f"user {_own_name()}"
            raise ConfigurationError(
                f"the log file {path} can't be opened: {exc.strerror}.",
                hint=f"its folder must exist, and the {who} must be allowed to write to it",
            ) from exc

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
        except Exception:  # noqa: BLE001  the protocol of logging: handleError may report it
            self.handleError(record)
            return
        try:
            self._follow_rotation()
        except OSError as exc:  # the file that was moved away takes what comes
            self._tell(exc)
        try:
            os.write(self._fd, line.encode("utf-8", "backslashreplace"))
        except OSError as exc:
            self._tell(exc)

    def detach(self) -> int:
        """Close the file. No record waits here."""
        with self.lock or contextlib.nullcontext():  # a thread may be writing to it
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        return 0

    def drop(self, records: int) -> None:
        """How many records are missing before the next one. They were for standard error, which this file isn't."""

    def _open(self) -> int:
        # Not blocking: to open a named pipe without a reader would wait for a reader.
        with rights_of(self._owner):
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        status = os.fstat(fd)
        self._identity = status.st_dev, status.st_ino
        self._looked_at = time.monotonic()
        return fd

    def _follow_rotation(self) -> None:
        """Open the file that has the path now, if it is another one."""
        if time.monotonic() - self._looked_at < _LOOK_AGAIN_SECONDS:
            return
        self._looked_at = time.monotonic()
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(self._path)
            if (status.st_dev, status.st_ino) == self._identity:
                return
        before = self._fd
        self._fd = self._open()
        os.close(before)

    def _tell(self, error: OSError) -> None:
        """On standard error: the log has no other place."""
        now = time.monotonic()
        if now - self._told_at >= _TELL_AGAIN_SECONDS and sys.stderr is not None:
            self._told_at = now
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(f"gracehttp: the log file {self._path} can't be written: {error.strerror}\n")


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
