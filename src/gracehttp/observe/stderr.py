"""Writing to standard error without ever waiting for its reader.

A reader that stalls (`gracehttp serve 2>&1 | less`, a log collector that hangs) must not stop the service: once the
pipe is full, write(2) would block the event loop of each process that logs. So what doesn't fit waits in memory, and a
thread writes it when there is room. Beyond a limit it is dropped and counted.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import socket
import stat
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial

KEPT_BYTES = 1024 * 1024
FINISH_SECONDS = 1.0
"""How long the end of the process, or of its image (execve), waits for the reader."""

_Write = Callable[[bytes], int]


class NonBlockingWriter:
    """Writes to the descriptor `fd` from any thread. The caller still owns `fd`.

    `write` never blocks on a pipe, a terminal or a socket, and never raises. The data of each call is written whole or
    not at all, in order.
    """

    def __init__(self, fd: int) -> None:
        self._fd, self._write, self._release = _without_blocking(fd)
        self._closed = False
        self.forget()
        _WRITERS.add(self)
        atexit.register(self.close)

    def forget(self) -> None:
        """Have nothing to write: in a process that was forked, what waits is written by its parent."""
        self._lock = threading.RLock()  # entered by itself it is quicker than through the condition
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def write(self, data: bytes) -> None:
        """Write `data`, now or when there is room; drop it if too much waits already."""
        with self._lock:
            if self._closed:
                return
            if not self._waiting:
                data = self._write_some(data)
            if not data:
                return
            if self._waiting_bytes + len(data) > KEPT_BYTES and self._waiting:
                self._dropped += 1
                return
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._catch_up, name="gracehttp-stderr", daemon=True)
                self._thread.start()

    def claim_dropped(self) -> int:
        """How many writes were dropped since the last claim; 0 while there is no room to report it."""
        if not self._dropped:
            return 0
        with self._changed:
            if self._waiting_bytes > KEPT_BYTES // 2:
                return 0
            dropped, self._dropped = self._dropped, 0
            return dropped

    def flush(self, seconds: float) -> None:
        """Wait until all is written, for at most so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)

    def close(self) -> None:
        """Wait up to `FINISH_SECONDS` for what is not written yet, then write nothing more."""
        with self._changed:
            if not self._closed:
                self.flush(FINISH_SECONDS)
                self._closed = True
                self._waiting.clear()
                self._release()
        atexit.unregister(self.close)

    def _write_some(self, data: bytes) -> bytes:
        """Returns what could not be written yet."""
        try:
            return data[self._write(data) :]
        except BlockingIOError:
            return data
        except OSError:
            return b""  # the reader is gone for good: keep nothing

    def _catch_up(self) -> None:
        """The thread, which lives as long as something waits."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while True:
            poll.poll()
            with self._changed:
                if not self._waiting:
                    return
                data = self._waiting[0]
                rest = self._write_some(data)
                self._waiting_bytes -= len(data) - len(rest)
                if rest:
                    self._waiting[0] = rest
                    continue
                self._waiting.popleft()
                if not self._waiting:
                    self._thread = None
                    self._changed.notify_all()
                    return


_WRITERS: weakref.WeakSet[NonBlockingWriter] = weakref.WeakSet()


def _forget_all() -> None:
    """In a process that was forked. The thread that catches up is not in it, and may have held the lock."""
    for writer in list(_WRITERS):
        writer.forget()


os.register_at_fork(after_in_child=_forget_all)


def flush_all() -> None:
    """Flush all writers, before execve(2) makes this process another program: at most `FINISH_SECONDS` in total."""
    deadline = time.monotonic() + FINISH_SECONDS
    for writer in list(_WRITERS):
        writer.flush(max(0.0, deadline - time.monotonic()))


def _without_blocking(fd: int) -> tuple[int, _Write, Callable[[], None]]:
    """A descriptor for the same file, the function that writes to it, and the one that closes it.

    O_NONBLOCK belongs to the open file description, which others share (the shell whose terminal it is), so it can't
    be set on `fd` itself (fcntl(2)). A socket takes a flag with each call; a pipe or terminal is opened once more.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        sock = socket.socket(fileno=os.dup(fd))
        return sock.fileno(), lambda data: sock.send(data, socket.MSG_DONTWAIT), sock.close
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        # Without /proc, or when the pipe belongs to another user: a reader that stalls then stalls us.
        with contextlib.suppress(OSError):
            own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            return own, partial(os.write, own), partial(os.close, own)
    return fd, partial(os.write, fd), lambda: None
