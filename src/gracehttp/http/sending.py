"""What the kernel holds of a connection: what has not left yet, and what was not read yet."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import select
import socket
import struct
import termios

_NO_LINGER = struct.pack("ii", 1, 0)


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Bytes that the client has not acknowledged yet, in our buffer and in the kernel's.

    The kernel's part counts because it can be megabytes: a slow client empties that for minutes before the kernel
    takes anything more from us. Where the kernel doesn't tell, it is our buffer alone.
    """
    ours = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if sock is None:
        return ours
    try:
        # SIOCOUTQ of tcp(7) and unix(7), which has the number of TIOCOUTQ.
        raw = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return ours
    return ours + int.from_bytes(raw, "little" if struct.pack("=H", 1)[0] else "big")


def has_unread_input(transport: asyncio.Transport) -> bool:
    """Whether the kernel holds bytes of the client, or its end of file, that the loop has not read yet (poll(2))."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def reset(transport: asyncio.Transport) -> None:
    """Close with RST, so that the client can't take it for the end of a body (RFC 9112 section 8)."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class StallWatch:
    """Aborts a connection whose client has taken nothing for `seconds` while the transport's buffer is full."""

    __slots__ = ("_loop", "_seconds", "_timer", "_transport", "_unsent")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, seconds: float) -> None:
        self._loop = loop
        self._transport = transport
        self._seconds = seconds
        self._unsent = unsent_bytes(transport)
        self._timer = loop.call_later(seconds, self._check)

    def stop(self) -> None:
        """The buffer has room again, or the connection is gone."""
        self._timer.cancel()

    def _check(self) -> None:
        before, self._unsent = self._unsent, unsent_bytes(self._transport)
        if self._unsent < before:
            self._timer = self._loop.call_later(self._seconds, self._check)
        else:
            self._transport.abort()
