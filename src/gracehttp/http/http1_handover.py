"""The worker's side of an HTTP/1.1 connection: what it asks of it when it drains, hands over, or needs room."""

from __future__ import annotations

from collections.abc import Callable

from gracehttp.http.connection import Carried, Connection, Send
from gracehttp.http.http1_base import CLOSED, IDLE, READING_HEAD
from gracehttp.http.http1_ending import Http1Ending
from gracehttp.http.sending import has_unread_input, seconds_since_input, unsent_bytes, waiting_bytes

_CLOCK_SECONDS = 0.02  # by which the kernel's time may differ from the loop's


class Http1Handover(Http1Ending):
    """See `Connection`."""

    __slots__ = ()

    def drain(self) -> None:
        self._draining = True

    def stay(self) -> None:
        self._draining = False
        if self._when_idle is not None:
            self._when_idle = None
            self._transport.set_write_buffer_limits()  # `call_when_idle` may have changed them

    def close_idle(self, *, linger: bool = True) -> bool:
        if self._phase is not IDLE or self._unparsed or has_unread_input(self._transport) or self._has_half_a_record():
            return False
        # Over TLS the client learns only by the close itself (RFC 8446 section 6.1).
        tls = not self._transport.can_write_eof()
        has_all = not unsent_bytes(self._transport)
        self._finish(linger=linger and not tls)
        if tls and not linger and has_all and self._end is not None:
            self._end.hurry()
        return True

    def _has_half_a_record(self) -> bool:
        """Whether something has come over TLS since the connection is idle that can't be read before more comes.

        Nobody tells of it, so the times are compared. It counts for as long as the client has for a head.
        """
        if self._transport.can_write_eof():
            return False
        came = seconds_since_input(self._transport)
        # Timeouts clear the deadline before they ask; then it was idle for as long as it may be.
        idle = self._idle_seconds() if self._deadline.when else self._idle_timeout_seconds
        return came < min(idle - _CLOCK_SECONDS, self._settings.header_timeout_seconds)

    def abort(self) -> None:
        self._transport.abort()

    @property
    def idle(self) -> bool:
        transport = self._transport
        at_boundary = self._phase is IDLE and not self._unparsed
        return at_boundary and not transport.is_closing() and not transport.get_write_buffer_size()

    @property
    def idle_since(self) -> float | None:
        if not self.idle or not self._deadline.when or waiting_bytes(self._transport):
            return None
        return self._deadline.when - self._idle_timeout_seconds

    def call_when_idle(self, callback: Callable[[Connection], None]) -> None:
        self._when_idle = callback
        if self._phase is IDLE and self._transport.get_write_buffer_size():
            self._transport.set_write_buffer_limits(high=0)  # resume_writing is called when all is with the kernel

    def hand_over(self, send: Send) -> bool:
        transport = self._transport
        if self._phase is not IDLE or self._eof or transport.is_closing() or transport.get_write_buffer_size():
            return False
        if not self._reading_paused:
            transport.pause_reading()
        fd = transport.get_extra_info("socket").fileno()
        carried = Carried(fresh=self._fresh, idle_seconds=self._idle_seconds(), received=self._unparsed[self._offset :])
        if not send(fd, carried):
            if not self._reading_paused:
                transport.resume_reading()
            return False
        self._phase = CLOSED
        self._unparsed = b""
        self._when_idle = None
        transport.abort()  # closes our descriptor; the connection lives on in the other one (close(2))
        return True

    def _idle_seconds(self) -> float:
        """See `Carried`."""
        if not self._deadline.when:
            return 0.0
        return max(0.0, self._loop.time() - self._deadline.when + self._idle_timeout_seconds)

    def describe(self) -> str:
        exchange = self._exchange
        if exchange is None:
            if self._phase is READING_HEAD:
                return "a request of which only a part has arrived"
            waiting = 0 if self._phase is CLOSED else waiting_bytes(self._transport)
            return f"a response of which the client has not taken {waiting} bytes yet" if waiting else ""
        target = exchange.head.target[:200].decode("ascii", "backslashreplace")
        return f"{exchange.head.method} {target} for {exchange.age_seconds:.1f} s"
