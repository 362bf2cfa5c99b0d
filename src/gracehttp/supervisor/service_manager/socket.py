"""Sending to NOTIFY_SOCKET, one datagram for each message (sd_notify(3)). Never blocks, and never raises."""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

AGAIN_SECONDS: Final = 0.1
MOST_WAITING: Final = 1000
_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})


class NotifySocket:
    """`send` keeps messages in their order. `failed(reason)` is called once, if the manager can't be told."""

    def __init__(self, address: str, failed: Callable[[str], None]) -> None:
        """`address` is a path, or `@` and an abstract name (unix(7))."""
        self._loop = asyncio.get_running_loop()
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._failed = failed
        self._told = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._again: asyncio.TimerHandle | None = None

    def send(self, *lines: str, descriptors: tuple[int, ...] = ()) -> None:
        """Send the lines as one message, with copies of `descriptors`; if the manager reads slowly, later."""
        if len(self._waiting) >= MOST_WAITING:
            return
        try:
            copies = [os.dup(fd) for fd in descriptors]
        except OSError as exc:
            self._fail(exc)
            return
        self._waiting.append(("\n".join(lines).encode(), copies))
        if self._again is None:
            self._flush()

    def close(self) -> None:
        """What still waits is given up, after one more attempt."""
        if self._again is not None:
            self._again.cancel()
        self._flush()
        if self._again is not None:
            self._again.cancel()
        for _, copies in self._waiting:
            _close(copies)
        self._waiting.clear()
        self._socket.close()

    def _flush(self) -> None:
        self._again = None
        while self._waiting:
            data, copies = self._waiting[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", copies))] if copies else []
            try:
                self._socket.sendmsg([data], rights, 0, self._address)
            except OSError as exc:
                if exc.errno in _FULL:
                    self._again = self._loop.call_later(AGAIN_SECONDS, self._flush)
                    return
                self._fail(exc)
            self._waiting.popleft()
            _close(copies)

    def _fail(self, exc: OSError) -> None:
        if not self._told:
            self._told = True
            self._failed(exc.strerror or str(exc))


def notify_socket(environ: Mapping[str, str], failed: Callable[[str], None]) -> NotifySocket | None:
    """The socket that the environment names; None if there is no service manager that waits to be told."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return None
    if address[0] not in "/@":  # vsock, for a machine that is a guest as a whole
        failed(f"{address} is neither a path nor an abstract name")
        return None
    try:
        return NotifySocket(address, failed)
    except OSError as exc:
        failed(exc.strerror or str(exc))
        return None


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        with contextlib.suppress(OSError):
            os.close(fd)
