"""What the kernel knows of a connection: what has not left yet, what was not read yet, when the client last sent."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import math
import select
import socket
import struct
import sys
import termios

_NO_LINGER = struct.pack("ii", 1, 0)
# In the struct tcp_info of linux/tcp.h:
_LAST_DATA_RECV = slice(52, 56)  # tcpi_last_data_recv, in milliseconds
_BYTES_ACKED = slice(120, 128)  # tcpi_bytes_acked


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Bytes that the client has not acknowledged yet, in our buffer and in the kernel's.

    The kernel's part counts because it can be megabytes: a slow client empties that for minutes before the kernel
    takes anything more from us. Where the kernel doesn't tell, it is our buffer alone. Over TLS there may be more of
    which nobody tells: the transport below that of TLS has a buffer too.
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
    return ours + int.from_bytes(raw, sys.byteorder)


def waiting_bytes(transport: asyncio.Transport) -> int:
    """Bytes that would be lost if this process closed the connection now; 0 if there are none.

    What is with the kernel needs nothing of us any more. But over TLS only an empty queue in the kernel shows that
    nothing waits before it, so there it counts.
    """
    if transport.can_write_eof():  # plain
        return transport.get_write_buffer_size()
    return unsent_bytes(transport)


def acknowledged_bytes(transport: asyncio.Transport) -> int:
    """How many bytes the client has acknowledged since it connected; 0 if the kernel doesn't tell."""
    return int.from_bytes(_tcp_info(transport)[_BYTES_ACKED], sys.byteorder)


def seconds_since_input(transport: asyncio.Transport) -> float:
    """How long ago the client has sent something, to a few milliseconds; infinite if the kernel doesn't tell."""
    milliseconds = _tcp_info(transport)[_LAST_DATA_RECV]
    return int.from_bytes(milliseconds, sys.byteorder) / 1000 if milliseconds else math.inf


def _tcp_info(transport: asyncio.Transport) -> bytes:
    """TCP_INFO (tcp(7)); as much of it as the kernel knows, nothing for other sockets."""
    sock = transport.get_extra_info("socket")
    if sock is None or sys.platform != "linux" or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return b""
    try:
        info: bytes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)
    except OSError:
        return b""
    return info


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


class Uptake:
    """Whether a client takes what waits for it, from one look to the next."""

    __slots__ = ("_acknowledged", "_transport", "_unsent", "waits")

    waits: bool
    """As of the last look: whether the client would miss something if the connection were closed."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._look()
        # Over TLS, what was written in this turn of the loop may not be seen yet.
        self.waits = self.waits or not transport.can_write_eof()

    def went_on(self) -> bool:
        """Look again: whether the client has taken something since the last look, or something new waits."""
        waited, unsent, acknowledged = self.waits, self._unsent, self._acknowledged
        self._look()
        # Less may be unsent only because more waits than one can see, so an acknowledgement counts as well.
        return self._unsent < unsent or self._acknowledged > acknowledged or (self.waits and not waited)

    def _look(self) -> None:
        self.waits = waiting_bytes(self._transport) > 0
        self._unsent = unsent_bytes(self._transport)
        self._acknowledged = acknowledged_bytes(self._transport)


class StallWatch:
    """Aborts a connection whose client has taken nothing for `seconds` while the transport's buffer is full."""

    __slots__ = ("_loop", "_seconds", "_timer", "_transport", "_uptake")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._transport = transport
        self._uptake = Uptake(transport)
        self._timer = loop.call_later(seconds, self._check)

    def stop(self) -> None:
        """The buffer has room again, or the connection is gone."""
        self._timer.cancel()

    def _check(self) -> None:
        if self._uptake.went_on():
            self._timer = self._loop.call_later(self._seconds, self._check)
        else:
            self._transport.abort()
