"""Writing to standard error without ever waiting for its reader.

A reader that stalls (`gracehttp serve 2>&1 | less`, a log collector that hangs) must not stop the service: once the
pipe is full, write(2) would block the event loop of each process that logs. So what can't be written at once waits in
memory, and a thread writes it. Beyond a limit it is dropped and counted.

Not every file can be written to without blocking. O_NONBLOCK can't be set on the descriptor that we were given
(fcntl(2)): it belongs to the open file description, and others share that, such as the shell and the programs that the
application starts. Hence:

    a socket                                            send(2) with a flag for each call
    a pipe or terminal that this user may open anew     a description of our own, with O_NONBLOCK
    a pipe of another user (docker -u, sudo -u),        only the thread writes, and may block in it
    or no /proc to open it with
    a file                                              write(2): it has no reader, and a disk that hangs stops us
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
from typing import NamedTuple

KEPT_BYTES = 1024 * 1024
FINISH_SECONDS = 1.0
"""How long the end of the process, or of its image (execve), waits for the reader."""
LINGER_SECONDS = 1.0
"""How long the thread waits for more to write, where nothing is written without it."""


class NonBlockingWriter:
    """Writes to the descriptor `fd` from any thread. The caller still owns `fd`.

    `write` never blocks and never raises. The data of each call is written whole or not at all, in order.
    """

    def __init__(self, fd: int) -> None:
        self._way = _way_to(fd)
        self._lock = threading.RLock()  # entered by itself it is quicker than through the condition
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[tuple[bytes, int]] = deque()  # what the thread writes, and how many records it stands for
        self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self._blocked = False  # the thread may be in the middle of a write, without the lock
        self._closed = False
        _WRITERS.add(self)
        atexit.register(self.close)

    def write(self, data: bytes, records: int = 1) -> None:
        """Write `data`, now or when there is room; drop it if too much waits already. It stands for so many records, if
        it is dropped."""
        with self._lock:
            if self._closed:
                return
            if not self._waiting and not self._way.blocks:
                data = self._write_some(data, records)
            if not data:
                return
            too_much = self._waiting_bytes + len(data) > KEPT_BYTES
            if self._waiting and (too_much or self._dropped):  # one gap, which is told before the next record
                self._dropped += records
                return
            self._waiting.append((data, records))
            self._waiting_bytes += len(data)
            if self._thread is None or not self._thread.is_alive():
                target = self._catch_up_blocking if self._way.blocks else self._catch_up
                self._thread = threading.Thread(target=target, name="gracehttp-stderr", daemon=True)
                self._thread.start()
            elif self._way.blocks:
                self._changed.notify_all()

    def claim_dropped(self) -> int:
        """How many records were dropped since the last claim; 0 while there is no room to report it."""
        if not self._dropped:
            return 0
        with self._changed:
            if self._waiting_bytes > KEPT_BYTES // 2:
                return 0
            dropped, self._dropped = self._dropped, 0
            return dropped

    def drop(self, records: int) -> None:
        """So many records were dropped before there was this writer."""
        with self._lock:
            self._dropped += records

    def flush(self, seconds: float) -> int:
        """Wait until all is written, for at most so many seconds. Returns how many records are not, the dropped ones
        included."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)
            return self._dropped + sum(records for _, records in self._waiting)

    def close(self) -> int:
        """As `flush`, for `FINISH_SECONDS`; then write nothing more."""
        atexit.unregister(self.close)
        with self._changed:
            if self._closed:
                return 0
            unwritten = self.flush(FINISH_SECONDS)
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
            if not self._blocked:  # else the thread releases it
                self._way.release()
            return unwritten

    def _write_some(self, data: bytes, records: int) -> bytes:
        """Returns what could not be written yet."""
        try:
            return data[self._way.write(data) :]
        except BlockingIOError:
            return data
        except OSError:  # the reader is gone, or the disk is full
            with self._lock:
                self._dropped += records
            return b""

    def _catch_up(self) -> None:
        """The thread, which lives as long as something waits."""
        poll = select.poll()
        poll.register(self._way.fd, select.POLLOUT)
        while True:
            poll.poll()
            with self._changed:
                if not self._waiting:
                    return
                data, records = self._waiting[0]
                self._is_written(data, records, self._write_some(data, records))
                if not self._waiting:
                    self._thread = None
                    return

    def _catch_up_blocking(self) -> None:
        """The thread where `_Way.write` may block: it lives a little longer, since all that is written needs it."""
        while True:
            with self._changed:
                if not (self._waiting or self._closed):
                    self._changed.wait(LINGER_SECONDS)
                if not self._waiting:
                    self._thread = None
                    return
                data, records = self._waiting[0]
                self._blocked = True
            rest = self._write_some(data, records)
            with self._changed:
                self._blocked = False
                if self._closed:
                    self._way.release()
                    return
                self._is_written(data, records, rest)

    def _is_written(self, data: bytes, records: int, rest: bytes) -> None:
        """Of the first that waits, all but `rest`."""
        self._waiting_bytes -= len(data) - len(rest)
        if rest:
            self._waiting[0] = rest, records
            return
        self._waiting.popleft()
        if not self._waiting:
            self._changed.notify_all()

    def forget(self) -> None:
        """This process is a copy, made by fork(2): what waits is written by the other one, which has the thread."""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiting.clear()
        self._waiting_bytes = self._dropped = 0
        self._thread = None
        self._blocked = False


_WRITERS: weakref.WeakSet[NonBlockingWriter] = weakref.WeakSet()


def _forget_all() -> None:
    for writer in list(_WRITERS):
        writer.forget()


os.register_at_fork(after_in_child=_forget_all)


def flush_all() -> int:
    """Flush all writers, before execve(2) makes this process another program: at most `FINISH_SECONDS` in total.

    Returns how many records are lost by that."""
    deadline = time.monotonic() + FINISH_SECONDS
    return sum(writer.flush(max(0.0, deadline - time.monotonic())) for writer in list(_WRITERS))


class _Way(NamedTuple):
    """How to write to a file: a descriptor for it, the function that writes to that, and the one that closes it."""

    fd: int
    write: Callable[[bytes], int]
    release: Callable[[], None]
    blocks: bool
    """Whether `write` may block."""


def _way_to(fd: int) -> _Way:
    """See the docstring of this module."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        sock = socket.socket(fileno=os.dup(fd))
        return _Way(sock.fileno(), lambda data: sock.send(data, socket.MSG_DONTWAIT), sock.close, blocks=False)
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return _Way(fd, partial(os.write, fd), lambda: None, blocks=False)
    with contextlib.suppress(OSError):
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        return _Way(own, partial(os.write, own), partial(os.close, own), blocks=False)
    shared = os.dup(fd)
    return _Way(shared, partial(os.write, shared), partial(os.close, shared), blocks=True)
