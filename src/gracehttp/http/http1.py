"""An HTTP/1.1 connection (RFC 9112): from bytes to exchanges.

At most one exchange is in flight. Bytes that arrive behind its request wait unparsed for their turn, so responses
are in order by construction, and a malformed request is found only when all responses before it were sent.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import cast

from gracehttp.http.connection import NEW
from gracehttp.http.deadline import Deadline
from gracehttp.http.endpoints import client_of, server_of
from gracehttp.http.http1_base import ANSWERING, CLOSED, DISCARDING, IDLE, READING_HEAD
from gracehttp.http.http1_exchange import Http1Exchange
from gracehttp.http.http1_handover import Http1Handover
from gracehttp.http.request_body import NO_REQUEST_BODY, RequestBody
from gracehttp.http.request_checks import RequestError
from gracehttp.http.request_head import build_head
from gracehttp.http.sending import StallWatch

_DISCARD_LIMIT_BYTES = 256 * 1024  # of a body that nobody wants; more would cost more than a new connection


class Http1Connection(Http1Handover):
    """See `Connection` for the worker's side; the rest is called by the transport and by `Http1Exchange`."""

    __slots__ = ()

    # --- the transport's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.write = self._transport.write
        self._client = client_of(transport)
        self._server = server_of(transport)
        carried, self._carried = self._carried, NEW
        self._deadline = Deadline(self._loop, self._timed_out)
        # If that is over already: `_timed_out` looks for what the client has sent meanwhile before it closes.
        self._deadline.move(self._loop.time() + self._idle_timeout_seconds - carried.idle_seconds)
        self.owner.connection_opened(self)
        if carried.received:
            self.data_received(carried.received)

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if self._unparsed or (phase is ANSWERING and self._parser.complete):
            self._unparsed = self._unparsed[self._offset :] + data
            self._offset = 0
            self._regulate_reading()
        elif self._end is not None:
            self._end.received()
        elif phase is IDLE and self._when_idle is not None:
            # A client that is quicker than the loop would otherwise have each of its requests answered here.
            self._unparsed, self._offset = data, 0
            self._parse_waiting()
        elif phase is not CLOSED:
            self._parse(data, 0)

    def eof_received(self) -> bool:
        """True keeps the transport open, for a client that has sent whole requests and now only listens."""
        self._eof = True
        only_listens = bool(self._unparsed) or (self._phase is ANSWERING and self._parser.complete)
        if only_listens and self._transport.can_write_eof():  # TLS knows no half-closed connection
            return True
        if self._end is None:  # the transport closes itself, but only when the client has taken all: not for ever
            if self._exchange is not None:
                self._give_up(self._exchange)
            self._finish(linger=False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = CLOSED
        self._deadline.cancel()
        self._unparsed = b""
        self._when_idle = None
        self._parser.release()
        if self._stall is not None:
            self._stall.stop()
        if self._exchange is not None:
            self._give_up(self._exchange)
        self.owner.connection_closed(self)

    def pause_writing(self) -> None:
        self._stall = StallWatch(self._loop, self._transport, self._settings.body_timeout_seconds)
        if self._exchange is not None:
            self._exchange.set_writable(False)

    def resume_writing(self) -> None:
        if self._stall is not None:
            self._stall.stop()
            self._stall = None
        if self._exchange is not None:
            self._exchange.set_writable(True)
        elif self._when_idle is not None:
            self._transport.set_write_buffer_limits()
            # Not at once: asyncio is in the middle of a write, and would tell the end of a transport that is aborted
            # here twice.
            self._loop.call_soon(self._tell_idle)

    # --- requests ---

    def _parse(self, data: bytes, start: int) -> bool:
        """Take what belongs to the current request; tells whether its head is whole, or was refused."""
        parser = self._parser
        try:
            end = parser.feed(data, start)
        except RequestError as refusal:
            self._refuse(refusal.status, refusal.reason)
            return True
        if end < len(data):
            self._unparsed = data
            self._offset = end
        phase = self._phase
        if phase is ANSWERING:
            self._pass_on_body()
        elif phase is DISCARDING:
            self._discard()
        elif parser.complete or (parser.head_complete and not self._eof):  # else the body will never come
            self._begin_exchange()
        else:
            if parser.started and phase is IDLE:
                self._phase = READING_HEAD
                self._head_began_at = monotonic()
                if not self._fresh:  # else the time runs since the connection was opened
                    self._deadline.move(self._loop.time() + self._settings.header_timeout_seconds)
            return False
        return True

    def _begin_exchange(self) -> None:
        parser = self._parser
        if parser.complete and not parser.body:
            body = NO_REQUEST_BODY
            self._deadline.when = 0.0
        else:
            body = RequestBody()
            body.put(parser.take_body(), parser.complete)
            self._continue_owed = parser.expects_continue and not body.buffered
        head = build_head(parser, self._scheme, self._client, self._server)
        self._fresh = False
        self._exchange = exchange = Http1Exchange(self, head, body, self._loop, self._stall is None)
        self._phase = ANSWERING
        if body is not NO_REQUEST_BODY:
            exchange.body_length = None if parser.chunked else parser.content_length
            exchange.awaits_continue = self._continue_owed
            self._await_body(body)
        self._application.handle(exchange)

    def _pass_on_body(self) -> None:
        exchange = self._exchange
        assert exchange is not None  # in this phase there is one
        pieces = self._parser.take_body()
        if pieces:
            self._continue_owed = False  # the client didn't wait
        exchange.body.put(pieces, self._parser.complete)
        self._await_body(exchange.body)
        if pieces or self._parser.complete:  # else it was framing only, such as a part of the size of a chunk
            exchange.body_arrived()

    def _await_body(self, body: RequestBody) -> None:
        """Set the deadline for the next piece: there is one while it is the client's turn."""
        self._regulate_reading()
        if self._parser.complete or self._reading_paused or self._continue_owed:
            self._deadline.when = 0.0
        else:
            self._deadline.move(self._loop.time() + self._settings.body_timeout_seconds)

    def _discard(self) -> None:
        self._discarded += sum(map(len, self._parser.take_body()))
        if self._parser.complete:
            self._next_request()
        elif self._discarded > _DISCARD_LIMIT_BYTES:
            self._finish(linger=True)
        else:
            self._deadline.move(self._loop.time() + self._settings.body_timeout_seconds)

    def _next_request(self) -> None:
        self._parser.reset()
        self._phase = IDLE
        if self._unparsed:
            # In a turn of the loop of its own: this one may belong to the application that has just answered.
            self._loop.call_soon(self._parse_waiting)
        elif self._eof:
            self._finish(linger=False)
        else:
            self._become_idle()

    def _become_idle(self) -> None:
        self._deadline.move(self._loop.time() + self._settings.keep_alive_timeout_seconds)
        if self._reading_paused:
            self._regulate_reading()
        if self._when_idle is not None:
            self._loop.call_soon(self._tell_idle)

    def _parse_waiting(self) -> None:
        if self._when_idle is not None and not self._transport.get_write_buffer_size():
            self._when_idle(self)  # between two requests is a good moment also when the next one is here already
        if self._phase is not IDLE:
            return
        data, self._unparsed = self._unparsed, b""
        if not self._parse(data, self._offset):
            if self._eof:
                self._finish(linger=False)  # the rest of that request will never come
            elif self._phase is IDLE:  # there were empty lines only
                self._become_idle()
        self._regulate_reading()  # also for the rest of a head that alone was more than may wait

    def _tell_idle(self) -> None:
        if self._when_idle is None or self._phase is not IDLE or self._unparsed:
            return
        if self._transport.get_write_buffer_size():
            self.call_when_idle(self._when_idle)
        else:
            self._when_idle(self)

    # --- the exchange's side; `write` is the transport's ---

    def body_wanted(self) -> None:
        """The application asks for body bytes, and none are there."""
        exchange = self._exchange
        if self._continue_owed and exchange is not None:
            self._continue_owed = False
            if not exchange.head_sent:
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._await_body(exchange.body)

    def body_taken(self) -> None:
        """The application has taken all body bytes that had arrived, and more will come."""
        if self._reading_paused and self._exchange is not None:
            self._await_body(self._exchange.body)

    def closes_after(self, response_ends: bool) -> bool:
        """Whether the response whose head is about to be sent is the last one; `response_ends`: its body is known."""
        parser = self._parser
        if self._draining or not parser.keep_alive or (self._eof and not self._unparsed):
            return True
        if parser.complete:
            return False
        if self._continue_owed:
            return True  # whether the body will come is up to the client: where the next request begins is unknown
        return response_ends and (parser.body_bytes_missing or 0) > _DISCARD_LIMIT_BYTES

    def response_completed(self, exchange: Http1Exchange) -> None:
        """The last byte of the response was written."""
        self._exchange = None
        self._report(exchange, exchange.status)
        parser = self._parser
        if exchange.closes:
            # A client that asked for it, or can't send more, needs no lingering. TLS has only the close to tell it.
            listens_only = self._eof or not parser.keep_alive or not self._transport.can_write_eof()
            self._finish(linger=not (parser.complete and listens_only))
        elif parser.complete:
            self._next_request()
        elif (parser.body_bytes_missing or 0) > _DISCARD_LIMIT_BYTES:
            self._finish(linger=True)
        else:
            self._phase = DISCARDING
            self._discarded = 0
            self._deadline.move(self._loop.time() + self._settings.body_timeout_seconds)
            self._regulate_reading()

    def response_broke(self, exchange: Http1Exchange, reason: str) -> None:
        """The application broke the rules of a response. If a part of it is sent, the rest is not coming."""
        self.owner.response_broken(exchange.head, reason)
        if exchange.head_sent:
            self.cut(exchange)
