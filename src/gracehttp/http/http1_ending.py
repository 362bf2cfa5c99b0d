"""How an HTTP/1.1 connection ends: timeouts, refusals, responses that break, and the last word."""

from __future__ import annotations

from time import monotonic, time

from gracehttp.http.connection_end import ConnectionEnd
from gracehttp.http.http1_base import DISCARDING, ENDING, IDLE, READING_HEAD, Http1Base
from gracehttp.http.http1_exchange import Http1Exchange
from gracehttp.http.request_head import build_refused_head
from gracehttp.http.response_head import error_response
from gracehttp.http.sending import has_unread_input, reset

_READ_FIRST_SECONDS = 0.1


class Http1Ending(Http1Base):
    """See `Http1Base`. Only `cut` is for others, namely for `Http1Exchange`."""

    __slots__ = ()

    def cut(self, exchange: Http1Exchange) -> None:
        """End a response that is not whole, so that the client can tell (RFC 9112 section 8)."""
        looks_whole = exchange.ends_with_connection
        self._give_up(exchange)
        if looks_whole:
            reset(self._transport)  # before anything shuts our side down, which would be the end of the body
            self._finish(linger=False)
        else:
            self._finish(linger=True)

    def _timed_out(self) -> None:
        if self._end is not None:
            self._end.timed_out()
        elif not (self._reading_paused or self._eof) and has_unread_input(self._transport):
            # The client was in time; the loop was busy, and uvloop calls timers before it reads.
            self._deadline.move(self._loop.time() + _READ_FIRST_SECONDS)
        elif self._phase is IDLE:
            if self._fresh:
                self._finish(linger=False)
            elif not self.close_idle():  # something has come just now
                self._deadline.move(self._loop.time() + _READ_FIRST_SECONDS)
        elif self._phase is READING_HEAD:
            self._refuse(408, "the head did not arrive in time")
        else:
            self._refuse(408, "the body did not arrive in time")

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what the client did wrong, unless a response is under way already, and close."""
        exchange = self._exchange
        if exchange is not None and exchange.head_sent:
            self.cut(exchange)
            return
        if self._phase is not DISCARDING:  # there the response has been sent
            without_body = self._parser.method == "HEAD"
            head, body = error_response(status, reason, second=int(time()), without_body=without_body)
            if exchange is not None:
                exchange.body_sent = len(body)
                self._give_up(exchange, status)
            else:
                self._report_refused(status, len(body))
            self.write(head + body)
        self._finish(linger=True)

    def _give_up(self, exchange: Http1Exchange, status: int | None = None) -> None:
        """The client will get no more from this exchange."""
        self._exchange = None
        if status is None:
            status = exchange.status if exchange.head_sent else 0
        self._report(exchange, status)
        exchange.disconnect()

    def _report(self, exchange: Http1Exchange, status: int) -> None:
        finished = self.owner.request_finished
        if finished is not None:
            finished(exchange.head, status, exchange.body_sent, exchange.age_seconds)

    def _report_refused(self, status: int, body_bytes: int) -> None:
        """Tell of a request that was refused before there was an exchange. Its time runs from its first byte."""
        finished = self.owner.request_finished
        if finished is not None:
            seconds = monotonic() - self._head_began_at if self._phase is READING_HEAD else 0.0
            finished(build_refused_head(self._parser, self._client), status, body_bytes, seconds)

    def _finish(self, *, linger: bool) -> None:
        """Nothing more will be written; what was written reaches the client first."""
        self._phase = ENDING
        self._unparsed = b""
        self._offset = 0
        stall_seconds = self._settings.body_timeout_seconds
        self._end = end = ConnectionEnd(self._transport, self._loop, self._deadline, stall_seconds)
        if linger and not self._eof:
            end.linger()
            self._regulate_reading()
        else:
            end.close()
