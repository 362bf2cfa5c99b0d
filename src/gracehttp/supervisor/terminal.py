"""The terminal from which the service was started, if standard input is one."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any


class Terminal:
    """Must be made before any handler of a signal is installed.

    `nohup` is taken at its word: with it there is no terminal, whatever standard input is.
    """

    def __init__(self) -> None:
        self._fd: int | None = None
        self._settings: list[Any] | None = None
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN or sys.stdin is None:
            return
        with contextlib.suppress(OSError, ValueError):
            fd = sys.stdin.fileno()
            if os.isatty(fd):
                import termios  # not there on every system

                self._fd = fd
                self._settings = termios.tcgetattr(fd)

    @property
    def is_closed(self) -> bool:
        """Whether its window was closed, or its connection has ended, since: then its settings can't be read (EIO)."""
        if self._fd is None:
            return False
        import termios

        try:
            termios.tcgetattr(self._fd)
        except termios.error:
            return True
        return False

    def restore(self) -> None:
        """Undo what a debugger in a worker that was killed has left: a terminal that shows nothing of what is typed.

        To be called while SIGTTOU is ignored. A service in the background leaves the terminal to those in front.
        """
        if self._fd is None or self._settings is None:
            return
        import termios

        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(self._fd) == os.getpgrp():
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._settings)
