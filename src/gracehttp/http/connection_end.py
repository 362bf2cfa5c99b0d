"""The last part of a connection's life, when its server has decided to close it.

A socket that is closed while the client still sends makes the kernel answer with RST, and RST can destroy the
response in the client's buffer before it was read. Hence the lingering close (RFC 9112 section 9.6): shut down our
side, read and discard until the client closes its own, but not forever.
"""

from __future__ import annotations

import asyncio
import contextlib

from gracehttp.http.deadline import Deadline
from gracehttp.http.sending import Uptake

_LINGER_SECONDS = 2.0
_CLOSE_NOTIFY_SECONDS = 0.02
"""For our alert to get to the kernel, which takes a turn of the loop."""
_LONGEST_LINGER_SECONDS = 30.0
"""For a client that sends on and on: many read what they are told only when all their upload is sent."""


class ConnectionEnd:
    """Made when nothing more will be written. The connection passes on what it is told, and its deadline."""

    __slots__ = (
        "_closed",
        "_deadline",
        "_ends_at",
        "_hurried",
        "_loop",
        "_stall_seconds",
        "_took_at",
        "_transport",
        "_uptake",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        deadline: Deadline,
        stall_seconds: float,
    ) -> None:
        """`deadline` has to call `timed_out` from now on; `stall_seconds`: see `StallWatch`."""
        self._transport = transport
        self._loop = loop
        self._deadline = deadline
        self._stall_seconds = stall_seconds
        self._closed = False
        self._hurried = False
        # In the usual case all is with the kernel, and there is nothing to look after.
        may_wait = not transport.can_write_eof() or transport.get_write_buffer_size()
        self._uptake = Uptake(transport) if may_wait else None
        self._took_at = loop.time()
        self._ends_at = self._took_at + _LONGEST_LINGER_SECONDS

    def linger(self) -> None:
        """Close as soon as the client has, or 2 s after all was sent and the client has sent its last byte.

        A client that sends for 30 s is not waited for any longer.
        """
        self._look_later()
        self._shut_down()

    def close(self) -> None:
        """Close as soon as all was sent. For clients that send nothing more."""
        self._closed = True
        if self._uptake is not None:
            self._look_later()
        # The client learns of a close(2) only when the last copy of the descriptor is gone, and a process that the
        # application has forked (a pool of multiprocessing) has one. A shutdown(2) acts on the socket itself.
        self._shut_down()
        self._transport.close()

    def hurry(self) -> None:
        """After `close` over TLS: don't wait for the close_notify of the client. It has all that was written before."""
        self._hurried = True
        self._deadline.move(self._loop.time() + _CLOSE_NOTIFY_SECONDS)

    def received(self) -> None:
        """The client has sent more, which nobody wants."""
        if self._loop.time() > self._ends_at:
            self._transport.abort()
        elif not self._hurried:
            self._look_later()

    def timed_out(self) -> None:
        """The deadline was reached: go on only if the client takes what it waits for, and then a last time."""
        if self._uptake is not None and self._still_takes(self._uptake) and not self._hurried:
            self._look_later()
        elif self._closed or self._transport.can_write_eof():
            self._transport.abort()
        else:  # TLS that lingered, whose client must be able to tell the end from a cut (RFC 9112 section 9.8)
            self.close()
            self.hurry()

    def _shut_down(self) -> None:
        # Over TLS our side can't be shut down alone; the client knows from Connection: close that nothing more comes.
        if self._transport.can_write_eof() and not self._transport.is_closing():
            with contextlib.suppress(OSError):  # the client is gone already (shutdown(2), ENOTCONN)
                self._transport.write_eof()

    def _still_takes(self, uptake: Uptake) -> bool:
        """Whether something waits, or did at the last look, and the client has not stood still for too long."""
        now = self._loop.time()
        waited = uptake.waits
        if uptake.went_on():
            self._took_at = now
        return (uptake.waits or waited) and now - self._took_at < self._stall_seconds

    def _look_later(self) -> None:
        waits = self._uptake is not None and self._uptake.waits
        patience = min(_LINGER_SECONDS, self._stall_seconds) if waits else _LINGER_SECONDS
        self._deadline.move(self._loop.time() + patience)
