"""An HTTP/1.1 connection (RFC 9112): from bytes to exchanges, with timeouts and back-pressure.

At most one exchange is in flight. Bytes that arrive behind its request wait unparsed for their turn, so responses
are in order by construction, and a malformed request is found only when all responses before it were sent.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from time import time
from typing import Literal, cast

from gracehttp.http.connection import Connection, HttpSettings, Owner, Send
from gracehttp.http.connection_end import ConnectionEnd
from gracehttp.http.deadline import Deadline
from gracehttp.http.endpoints import client_of, server_of
from gracehttp.http.exchange import Application
from gracehttp.http.http1_exchange import Http1Exchange
from gracehttp.http.request_body import NO_REQUEST_BODY, RequestBody
from gracehttp.http.request_checks import RequestError
from gracehttp.http.request_head import build_head
from gracehttp.http.request_parser import RequestParser
from gracehttp.http.response_head import error_response
from gracehttp.http.sending import StallWatch, has_unread_input, reset

_UNPARSED_HIGH_WATER_BYTES = 65536  # of pipelined requests; above, nothing more is read
_READ_FIRST_SECONDS = 0.1
_DISCARD_LIMIT_BYTES = 256 * 1024  # of a body that nobody wants; more would cost more than a new connection


class Phase(enum.Enum):
    """Where the connection stands; each byte and each timeout is judged by it."""

    IDLE = "idle"
    """At a message boundary: not a byte of the next request was parsed."""
    READING_HEAD = "reading head"
    ANSWERING = "answering"
    """An exchange is in flight; its request may still be arriving."""
    DISCARDING = "discarding"
    """The response is complete, the rest of its request is thrown away."""
    ENDING = "ending"
    """Nothing more will be written; see `ConnectionEnd`."""
    CLOSED = "closed"


_IDLE, _READING_HEAD, _ANSWERING = Phase.IDLE, Phase.READING_HEAD, Phase.ANSWERING
_DISCARDING, _ENDING, _CLOSED = Phase.DISCARDING, Phase.ENDING, Phase.CLOSED


class Http1Connection(asyncio.Protocol, Connection):
    """See `Connection` for the worker's side; the rest is called by the transport and by `Http1Exchange`."""

    __slots__ = (
        "_application",
        "_client",
        "_continue_owed",
        "_deadline",
        "_discarded",
        "_draining",
        "_end",
        "_eof",
        "_exchange",
        "_fresh",
        "_loop",
        "_offset",
        "_parser",
        "_phase",
        "_reading_paused",
        "_received",
        "_scheme",
        "_server",
        "_settings",
        "_stall",
        "_transport",
        "_unparsed",
        "_when_idle",
        "owner",
        "write",
    )

    def __init__(
        self,
        *,
        application: Application,
        settings: HttpSettings,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        scheme: Literal["http", "https"],
        fresh: bool = True,
        received: bytes = b"",
    ) -> None:
        """`fresh` is False for a connection on which another process has served requests already; `received` is what
        that process has read of the next ones."""
        self._application = application
        self._settings = settings
        self._loop = loop
        self._scheme = scheme
        self._parser = RequestParser(settings.max_header_size_bytes, settings.max_body_size_bytes)
        self._deadline = Deadline(loop, self._timed_out)
        self._phase = _IDLE
        self._fresh = fresh  # no request was received yet
        self._received = received
        self._exchange: Http1Exchange | None = None
        self._unparsed = b""  # pipelined requests, from `_offset` on
        self._offset = 0
        self._continue_owed = False  # the client waits for 100 (Continue) before it sends the body
        self._discarded = 0
        self._draining = False
        self._eof = False  # the client has shut down its side
        self._reading_paused = False
        self._stall: StallWatch | None = None  # there is one while the transport's buffer is full
        self._end: ConnectionEnd | None = None
        self._when_idle: Callable[[Connection], None] | None = None
        self.owner = owner

    # --- the worker's side ---

    def drain(self) -> None:
        self._draining = True

    def close_idle(self, *, linger: bool = True) -> bool:
        if self._phase is not _IDLE or self._unparsed or has_unread_input(self._transport):
            return False
        # Over TLS the client learns only by the close itself (RFC 8446 section 6.1).
        self._finish(linger=linger and self._transport.can_write_eof())
        return True

    def abort(self) -> None:
        self._transport.abort()

    @property
    def idle(self) -> bool:
        transport = self._transport
        at_boundary = self._phase is _IDLE and not self._unparsed
        return at_boundary and not transport.is_closing() and not transport.get_write_buffer_size()

    @property
    def idle_since(self) -> float | None:
        if not self.idle or not self._deadline.when:
            return None
        settings = self._settings
        return self._deadline.when - (
            settings.header_timeout_seconds if self._fresh else settings.keep_alive_timeout_seconds
        )

    def call_when_idle(self, callback: Callable[[Connection], None]) -> None:
        self._when_idle = callback
        if self._phase is _IDLE and self._transport.get_write_buffer_size():
            self._transport.set_write_buffer_limits(high=0)  # resume_writing is called when all is with the kernel

    def hand_over(self, send: Send) -> bool:
        transport = self._transport
        if self._phase is not _IDLE or self._eof or transport.is_closing() or transport.get_write_buffer_size():
            return False
        if not self._reading_paused:
            transport.pause_reading()
        fd = transport.get_extra_info("socket").fileno()
        if not send(fd, self._fresh, self._unparsed[self._offset :]):
            if not self._reading_paused:
                transport.resume_reading()
            return False
        self._phase = _CLOSED
        self._unparsed = b""
        self._when_idle = None
        transport.abort()  # closes our descriptor; the connection lives on in the other one (close(2))
        return True

    def describe(self) -> str:
        exchange = self._exchange
        if exchange is None:
            return "a request of which only a part has arrived" if self._phase is _READING_HEAD else ""
        target = exchange.head.target[:200].decode("ascii", "backslashreplace")
        return f"{exchange.head.method} {target} for {exchange.age_seconds:.1f} s"

    # --- the transport's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.write = self._transport.write
        self._client = client_of(transport)
        self._server = server_of(transport)
        settings = self._settings
        seconds = settings.header_timeout_seconds if self._fresh else settings.keep_alive_timeout_seconds
        self._deadline.move(self._loop.time() + seconds)
        self.owner.connection_opened(self)
        if self._received:
            data, self._received = self._received, b""
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if self._unparsed or (phase is _ANSWERING and self._parser.complete):
            self._unparsed = self._unparsed[self._offset :] + data
            self._offset = 0
            self._regulate_reading()
        elif self._end is not None:
            self._end.received(len(data))
        elif phase is _IDLE and self._when_idle is not None:
            # A client that is quicker than the loop would otherwise have each of its requests answered here.
            self._unparsed, self._offset = data, 0
            self._parse_waiting()
        elif phase is not _CLOSED:
            self._parse(data, 0)

    def eof_received(self) -> bool:
        """True keeps the transport open, for a client that has sent whole requests and now only listens."""
        self._eof = True
        if not self._transport.can_write_eof():  # TLS knows no half-closed connection
            return False
        return bool(self._unparsed) or (self._phase is _ANSWERING and self._parser.complete)

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = _CLOSED
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
        if phase is _ANSWERING:
            self._pass_on_body()
        elif phase is _DISCARDING:
            self._discard()
        elif parser.head_complete:
            self._begin_exchange()
        else:
            if parser.started and phase is _IDLE:
                self._phase = _READING_HEAD
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
        self._phase = _ANSWERING
        if body is not NO_REQUEST_BODY:
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
        self._phase = _IDLE
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
        if self._phase is not _IDLE:
            return
        data, self._unparsed = self._unparsed, b""
        if self._parse(data, self._offset):  # and it may be answered already
            self._regulate_reading()
        elif self._eof:
            self._finish(linger=False)  # the rest of that request will never come
        elif self._phase is _IDLE:  # there were empty lines only
            self._become_idle()

    def _tell_idle(self) -> None:
        if self._when_idle is None or self._phase is not _IDLE or self._unparsed:
            return
        if self._transport.get_write_buffer_size():
            self.call_when_idle(self._when_idle)
        else:
            self._when_idle(self)

    def _regulate_reading(self) -> None:
        """Read on only while there is room for what comes."""
        exchange = self._exchange
        pause = self._end is None and (
            len(self._unparsed) - self._offset > _UNPARSED_HIGH_WATER_BYTES
            or (exchange is not None and exchange.body.full and not self._parser.complete)
        )
        if pause is not self._reading_paused and not self._eof and not self._transport.is_closing():
            self._reading_paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

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
            self._phase = _DISCARDING
            self._discarded = 0
            self._deadline.move(self._loop.time() + self._settings.body_timeout_seconds)
            self._regulate_reading()

    def response_broke(self, exchange: Http1Exchange, reason: str) -> None:
        """The application broke the rules of a response. If a part of it is sent, the rest is not coming."""
        self.owner.response_broken(exchange.head, reason)
        if exchange.head_sent:
            self.cut(exchange)

    def cut(self, exchange: Http1Exchange) -> None:
        """End a response that is not whole, so that the client can tell (RFC 9112 section 8)."""
        looks_whole = exchange.ends_with_connection
        self._give_up(exchange)
        if looks_whole:
            self._finish(linger=False)
            reset(self._transport)
        else:
            self._finish(linger=True)

    # --- the end ---

    def _timed_out(self) -> None:
        if self._end is not None:
            self._end.timed_out()
        elif not self._reading_paused and has_unread_input(self._transport):
            # The client was in time; the loop was busy, and uvloop calls timers before it reads.
            self._deadline.move(self._loop.time() + _READ_FIRST_SECONDS)
        elif self._phase is _IDLE:
            if self._fresh:
                self._finish(linger=False)
            else:
                self.close_idle()
        elif self._phase is _READING_HEAD:
            self._refuse(408, "the head did not arrive in time")
        else:
            self._refuse(408, "the body did not arrive in time")

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what the client did wrong, unless a response is under way already, and close."""
        exchange = self._exchange
        if exchange is not None and exchange.head_sent:
            self.cut(exchange)
            return
        if exchange is not None:
            self._give_up(exchange, status)
        if self._phase is not _DISCARDING:  # there the response has been sent
            without_body = self._parser.method == "HEAD"
            self.write(error_response(status, reason, second=int(time()), without_body=without_body))
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

    def _finish(self, *, linger: bool) -> None:
        """Nothing more will be written; what was written reaches the client first."""
        self._phase = _ENDING
        self._unparsed = b""
        self._offset = 0
        stall_seconds = self._settings.body_timeout_seconds
        self._end = end = ConnectionEnd(self._transport, self._loop, self._deadline, stall_seconds)
        if linger and not self._eof:
            end.linger()
            self._regulate_reading()
        else:
            end.close()
