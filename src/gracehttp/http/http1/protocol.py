"""The conversation on an HTTP/1.1 connection (RFC 9112): from bytes to exchanges, and back.

At most one exchange is in flight. Bytes that arrive behind its request wait unparsed for their turn. So responses are
in order by construction, and a malformed request is found only when all responses before it were sent.

    IDLE -> READING_HEAD -> ANSWERING -> (DISCARDING) -> IDLE ...        any -> OVER
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic, time
from typing import Final

from gracehttp.http.body import NO_REQUEST_BODY, RequestBody
from gracehttp.http.connection import NEW, Connection, InFlight, Pace, ServerContext, Terms, WireProtocol
from gracehttp.http.exchange import Exchange, ResetReason
from gracehttp.http.fields import ResponseFields
from gracehttp.http.head import RefusedHead, RequestHead, split_target
from gracehttp.http.http1.checks import RequestError
from gracehttp.http.http1.parser import Parsers, RequestParser
from gracehttp.http.http1.response import (
    CHUNKED,
    CONTINUE,
    LAST_CHUNK,
    NO_BODY,
    STATUS_LINES,
    UNTIL_CLOSE,
    choose_framing,
    connection_line,
    date_and_server_lines,
    error_response,
    framing_line,
    server_lines,
    status_line,
)
from gracehttp.net.deadlines import Deadlines
from gracehttp.net.stream import Stream
from gracehttp.wire.handover import Carried

# Where the connection stands; each byte and each timeout is judged by it.
IDLE: Final = 0
"""Between two messages: not a byte of the next request was parsed."""
READING_HEAD: Final = 1
ANSWERING: Final = 2
"""An exchange is in flight; its request may still be arriving."""
DISCARDING: Final = 3
"""The response is complete, the rest of its request is thrown away."""
OVER: Final = 4
"""Nothing more will be read or written here."""

_UNPARSED_HIGH_WATER_BYTES: Final = 65536  # of pipelined requests; above, nothing more is read
_DISCARD_LIMIT_BYTES: Final = 256 * 1024  # of a body that nobody wants; more would cost more than a new connection
_JOIN_LIMIT_BYTES: Final = 65536  # head and body up to this are joined; above, the copy costs more than sendmsg(2)


class Http1Protocol:
    """See `WireProtocol` for the worker's side, `Consumer` for the stream's, `Carrier` for the exchange's."""

    pace = Pace()
    can_move = True

    __slots__ = (
        "_closes",
        "_context",
        "_continue_owed",
        "_discarded",
        "_exchange",
        "_framing",
        "_fresh",
        "_head_began_at",
        "_last_response",
        "_leaving",
        "_offset",
        "_parser",
        "_parsers",
        "_paused",
        "_phase",
        "_stream",
        "_unparsed",
        "_waits",
        "connection",
    )

    def __init__(self, connection: Connection, parsers: Parsers, carried: Carried = NEW) -> None:
        """`carried` is what came along with a connection that another process has had before, its bytes excepted: those
        are the `rest` of `Connection.switch`."""
        self.connection = connection
        self._context: ServerContext = connection.context
        self._stream: Stream = connection.stream
        self._parsers = parsers
        self._parser: RequestParser | None = None  # there is one while a request is read or answered
        self._phase = IDLE
        self._fresh = carried.fresh  # no request was received yet
        self._head_began_at = 0.0  # in the phase READING_HEAD: when its first byte came
        self._exchange: Exchange | None = None
        self._unparsed = b""  # pipelined requests, from `_offset` on
        self._offset = 0
        self._continue_owed = False  # the client waits for 100 (Continue) before it sends the body
        self._discarded = 0
        self._framing = NO_BODY
        self._closes = False  # the response has said that it is the last one
        self._last_response = False  # the next response must say so
        self._leaving = False  # stop before the next request, for the connection to be handed over
        self._paused = False  # reading is
        self._waits: Deadlines[WireProtocol] | None = None
        # If the time is over already: `timed_out` looks for what the client has sent meanwhile before it closes.
        self._wait(self._context.head if self._fresh else self._context.idle, carried.idle_seconds)

    # --- the stream's side ---

    def received(self, data: bytes) -> None:
        if self._phase == IDLE and not self._unparsed:
            if self._leaving:
                # Otherwise a client that is quicker than the loop would have each of its requests answered here.
                self._unparsed, self._offset = data, 0
                self._parse_waiting()
            else:
                self._parse(data, 0)
        elif self._unparsed or (self._phase == ANSWERING and self._request_is_whole):
            self._unparsed = self._unparsed[self._offset :] + data
            self._offset = 0
            self._regulate_reading()
        else:
            self._parse(data, 0)

    def ended(self) -> None:
        """The client has sent all, and may still listen for the answers to it."""
        if self._unparsed or (self._phase == ANSWERING and self._request_is_whole):
            return
        if self._exchange is not None:
            self._give_up(self._exchange)
        self._finish(linger=False)

    def writable_again(self) -> None:
        if self._exchange is not None:
            self._exchange.set_writable(True)
        elif self._leaving and self._phase == IDLE:
            self._context.loop.call_soon(self._tell_rest)

    # --- requests ---

    @property
    def _request_is_whole(self) -> bool:
        return self._parser is not None and self._parser.complete

    def _parse(self, data: bytes, start: int) -> bool:
        """Take what belongs to the current request; tells whether its head is whole, or was refused."""
        parser = self._parser
        if parser is None:
            parser = self._parser = self._parsers.take()
        try:
            end = parser.feed(data, start)
        except RequestError as refusal:
            self._refuse(refusal.status, refusal.reason)
            return True
        if end < len(data):
            self._unparsed = data
            self._offset = end
        phase = self._phase
        if phase == ANSWERING:
            self._pass_on_body(parser)
        elif phase == DISCARDING:
            self._discard(parser)
        elif parser.complete or (parser.head_complete and not self._stream.input_over):  # else no body will come
            self._begin_exchange(parser)
        else:
            if not parser.started:  # empty lines only
                self._give_parser_back()
            elif phase == IDLE:
                self._phase = READING_HEAD
                self._head_began_at = monotonic()
                if not self._fresh:  # else the time runs since the connection was opened
                    self._wait(self._context.head)
            return False
        return True

    def _begin_exchange(self, parser: RequestParser) -> None:
        context = self._context
        body_length: int | None = 0
        if parser.complete and not parser.body:
            body = NO_REQUEST_BODY
            self._wait_no_more()
        else:
            body = RequestBody()
            body.put(parser.take_body(), parser.complete)
            self._continue_owed = parser.expects_continue and not body.buffered
            body_length = None if parser.chunked else parser.content_length
        self._fresh = False
        self._closes = False
        self._exchange = exchange = Exchange(
            self._head(parser),
            body,
            self,
            context.owner,
            context.loop,
            body_length=body_length,
            awaits_continue=self._continue_owed,
            writable=self._stream.writable,
        )
        self._phase = ANSWERING
        if body is not NO_REQUEST_BODY:
            if parser.complete and parser.trailers:
                exchange.trailers = parser.trailers
            self._await_body(body)
        context.application.handle(exchange)

    def _head(self, parser: RequestParser) -> RequestHead:
        connection = self.connection
        head = RequestHead()
        head.method = parser.method
        head.target = parser.target
        head.path, head.raw_path, head.query_string, authority = split_target(parser.target)
        head.http_version = parser.http_version
        head.scheme = "https" if self._stream.secure else "http"
        head.headers = parser.headers
        head.client = connection.client
        head.server = connection.server
        if authority is not None:
            # The authority of the target replaces Host, whatever that says (RFC 9112 section 3.2.2).
            others = [field for field in head.headers if field[0] != b"host"]
            head.headers = [(b"host", authority), *others]
        return head

    def _pass_on_body(self, parser: RequestParser) -> None:
        exchange = self._exchange
        assert exchange is not None  # in this phase there is one
        pieces = parser.take_body()
        self._continue_owed = False  # the client doesn't wait, though there may be framing only so far
        body = exchange.body
        body.put(pieces, parser.complete)
        if parser.complete:
            exchange.trailers = parser.trailers
        self._await_body(body)
        if pieces or parser.complete:  # else it was framing only, such as a part of the size of a chunk
            exchange.body_arrived()

    def _await_body(self, body: RequestBody) -> None:
        """Set the deadline for the next piece: there is one while it is the client's turn."""
        self._regulate_reading()
        if self._request_is_whole or self._paused or self._continue_owed:
            self._wait_no_more()
        else:
            self._wait(self._context.body)

    def _discard(self, parser: RequestParser) -> None:
        self._discarded += sum(map(len, parser.take_body()))
        if parser.complete:
            self._next_request()
        elif self._discarded > _DISCARD_LIMIT_BYTES:
            self._finish(linger=True)
        else:
            self._wait(self._context.body)

    def _next_request(self) -> None:
        self._give_parser_back()
        self._phase = IDLE
        if self._unparsed:
            # In a turn of the loop of its own: this one may belong to the application that has just answered.
            self._wait_no_more()
            self._context.loop.call_soon(self._parse_waiting)
        elif self._stream.input_over:
            self._finish(linger=False)
        else:
            self._become_idle()

    def _become_idle(self) -> None:
        self._wait(self._context.idle)
        if self._paused:
            self._regulate_reading()
        if self._leaving:
            self._context.loop.call_soon(self._tell_rest)

    def _give_parser_back(self) -> None:
        if self._parser is not None:
            self._parsers.give_back(self._parser)
            self._parser = None

    def _parse_waiting(self) -> None:
        if self._leaving and self._phase == IDLE:
            self.connection.rested()  # between two requests is a good moment also when the next one is here already
        if self._phase != IDLE:
            return
        data, self._unparsed = self._unparsed, b""
        if not self._parse(data, self._offset):
            if self._stream.input_over:
                self._finish(linger=False)  # the rest of that request will never come
            elif self._phase == IDLE:  # there were empty lines only
                self._become_idle()
        self._regulate_reading()  # also for the rest of a head that alone was more than may wait

    def _tell_rest(self) -> None:
        if self._leaving and self._phase == IDLE and not self._unparsed:
            self.connection.rested()

    def _regulate_reading(self) -> None:
        """Read on only while there is room for what comes."""
        exchange = self._exchange
        pause = self._phase != OVER and (
            len(self._unparsed) - self._offset > _UNPARSED_HIGH_WATER_BYTES
            or (exchange is not None and exchange.body.full and not self._request_is_whole)
        )
        if pause is not self._paused:
            self._paused = pause
            if pause:
                self._stream.pause_reading()
            else:
                self._stream.resume_reading()

    # --- deadlines ---

    def _wait(self, deadlines: Deadlines[WireProtocol], waited: float = 0.0) -> None:
        if self._waits is not None:
            self._waits.discard(self)
        self._waits = deadlines
        deadlines.add(self, waited)

    def _wait_no_more(self) -> None:
        if self._waits is not None:
            self._waits.discard(self)
            self._waits = None

    def timed_out(self) -> None:
        waited, self._waits = self._waits, None
        if not self._paused and self._stream.read_now() and not self._is_late():
            return  # the client was in time: the loop was busy, and uvloop calls timers before it reads
        if self._phase == IDLE:
            if self._stream.mid_record and waited is not self._context.head:
                self._wait(self._context.head)  # half a TLS record has come: it has the time of a head
            else:
                self._finish(linger=not self._fresh)
        elif self._phase == READING_HEAD:
            self._refuse(408, "the head did not arrive in time")
        elif self._phase != OVER:
            self._refuse(408, "the body did not arrive in time")

    def _is_late(self) -> bool:
        """Whether what was read after a timeout was not what had been waited for."""
        return self._waits is None and self._phase in (IDLE, READING_HEAD) and not self._unparsed

    # --- the exchange's side ---

    def body_wanted(self, exchange: Exchange) -> None:
        if self._continue_owed:
            self._continue_owed = False
            if not exchange.head_sent:
                self._stream.write(CONTINUE)
            self._await_body(exchange.body)

    def body_taken(self, exchange: Exchange) -> None:
        if self._paused and self._exchange is exchange:
            self._await_body(exchange.body)

    def send_interim(self, exchange: Exchange, status: int, fields: ResponseFields) -> None:
        if exchange.head.http_version == "1.1":  # HTTP/1.0 knows none (RFC 9110 section 15.2)
            self._stream.write(b"".join((status_line(status), fields.block, b"\r\n")))

    def send_head(self, exchange: Exchange, data: bytes, end: bool) -> None:
        fields = exchange.fields
        status = exchange.status
        length = exchange.announced_length
        http11 = exchange.head.http_version == "1.1"
        self._framing = framing = choose_framing(exchange.bodyless, http11, length)
        self._closes = closes = fields.closes or framing == UNTIL_CLOSE or self._closes_after(end)
        second = int(time())
        if fields.has_date or fields.has_server:
            ours = server_lines(fields.has_date, fields.has_server, second)
        else:
            ours = date_and_server_lines(second)
        # Here and below, functions that have nothing to say in the usual case aren't called in it.
        line = STATUS_LINES.get(status) or status_line(status)
        framed = framing_line(framing, status, length)
        connection = b"" if http11 and not closes else connection_line(http11, closes)
        if framing == CHUNKED and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if len(data) <= _JOIN_LIMIT_BYTES:
            self._stream.write(b"".join((line, fields.block, framed, ours, connection, b"\r\n", data)))
        else:
            head = b"".join((line, fields.block, framed, ours, connection, b"\r\n"))
            self._stream.write_pieces([head, data])
        if not self._stream.writable:
            exchange.writable = False

    def send_body(self, exchange: Exchange, data: bytes, end: bool) -> None:
        framing = self._framing
        if framing == NO_BODY:
            return
        if framing == CHUNKED:
            if data:
                last = LAST_CHUNK if end else b""
                if len(data) > _JOIN_LIMIT_BYTES:
                    self._stream.write_pieces([b"%x\r\n" % len(data), data, b"\r\n" + last])
                    data = b""
                else:
                    data = b"%x\r\n%b\r\n%b" % (len(data), data, last)
            elif end:
                data = LAST_CHUNK
        if data:
            self._stream.write(data)
        if not self._stream.writable:
            exchange.writable = False

    def send_trailers(self, exchange: Exchange, fields: ResponseFields) -> None:
        if self._framing == CHUNKED:
            self._stream.write(b"0\r\n%b\r\n" % fields.block)

    def response_completed(self, exchange: Exchange) -> None:
        parser = self._parser
        if parser is None or self._exchange is not exchange:  # the connection was closed meanwhile
            return
        self._exchange = None
        exchange.finished(exchange.status)
        if self._phase == OVER:
            return  # the worker has closed the connection when it was told
        if self._closes:
            # A client that asked for it, or can't send more, needs no lingering; over TLS it answers our close_notify.
            listens_only = self._stream.input_over or not parser.keep_alive
            self._finish(linger=self._stream.secure or not (parser.complete and listens_only))
        elif parser.complete:
            self._next_request()
        elif (parser.body_bytes_missing or 0) > _DISCARD_LIMIT_BYTES:
            self._finish(linger=True)
        else:
            self._phase = DISCARDING
            self._discarded = 0
            self._wait(self._context.body)
            self._regulate_reading()

    def cut(self, exchange: Exchange, reason: ResetReason) -> None:
        """See `Carrier`. HTTP/1.1 can only end the connection (RFC 9112 section 8), whatever the reason."""
        if self._exchange is not exchange:
            return
        # Where the client takes the end of the connection for the end of the body, it must not see an orderly one.
        looks_whole = exchange.head_sent and self._framing == UNTIL_CLOSE
        self._give_up(exchange)
        if looks_whole:
            self._phase = OVER
            self._stream.reset()
        else:
            self._finish(linger=True)

    def _closes_after(self, response_ends: bool) -> bool:
        """Whether the response whose head is about to be sent is the last one; `response_ends`: its body is known."""
        parser = self._parser
        if parser is None or self._last_response or not parser.keep_alive:
            return True
        if self._stream.input_over and not self._unparsed:
            return True
        if parser.complete:
            return False
        if self._continue_owed:
            return True  # whether the body will come is up to the client: where the next request begins is unknown
        return response_ends and (parser.body_bytes_missing or 0) > _DISCARD_LIMIT_BYTES

    # --- refusals and the end ---

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what the client did wrong, unless a response is under way already, and close."""
        exchange = self._exchange
        if exchange is not None and exchange.head_sent:
            self.cut(exchange, ResetReason.INTERNAL_ERROR)
            return
        parser = self._parser
        if self._phase != DISCARDING and parser is not None:  # while discarding, the response has been sent
            head, body = error_response(status, reason, second=int(time()), without_body=parser.method == "HEAD")
            if exchange is not None:
                exchange.body_sent = len(body)
                self._give_up(exchange, status)
            else:
                self._report_refused(parser, status, len(body))
            self._stream.write(head + body)
        self._finish(linger=True)

    def _give_up(self, exchange: Exchange, status: int | None = None) -> None:
        """The client will get no more from this exchange."""
        self._exchange = None
        if status is None:
            status = exchange.status if exchange.head_sent else 0
        exchange.finished(status)
        exchange.disconnect()

    def _report_refused(self, parser: RequestParser, status: int, body_bytes: int) -> None:
        """Tell of a request that was refused before there was an exchange. Its time runs from its first byte."""
        request_finished = self._context.owner.request_finished
        if request_finished is not None:
            seconds = monotonic() - self._head_began_at if self._phase == READING_HEAD else 0.0
            head = RefusedHead(*parser.request_line(), self.connection.client)
            request_finished(head, status, body_bytes, seconds)

    def _finish(self, *, linger: bool) -> None:
        """Nothing more will be written; what was written reaches the client first."""
        self._phase = OVER
        self._wait_no_more()
        self._unparsed = b""
        self._offset = 0
        self._stream.close(linger=linger)

    # --- the worker's side ---

    @property
    def at_rest(self) -> bool:
        return self._phase == IDLE and not self._unparsed

    @property
    def idle_since(self) -> float | None:
        return self._waits.since(self) if self._waits is not None and self._phase == IDLE else None

    def last_call(self, terms: Terms) -> None:
        self._last_response = terms in (Terms.LAST_RESPONSE, Terms.SOON)
        self._leaving = terms in (Terms.HAND_OVER, Terms.SOON)

    def close_at_rest(self, *, linger: bool) -> None:
        self._finish(linger=linger)

    def carried(self) -> Carried | None:
        if self._phase != IDLE:
            return None
        since = self.idle_since
        idle_seconds = 0.0 if since is None else max(0.0, self._context.loop.time() - since)
        return Carried(self._fresh, idle_seconds, self._unparsed[self._offset :])

    def in_flight(self) -> Iterable[InFlight]:
        exchange = self._exchange
        if exchange is not None:
            target = exchange.head.target[:200].decode("ascii", "backslashreplace")
            return (InFlight(f"{exchange.head.method} {target}", exchange.age_seconds),)
        if self._phase == READING_HEAD:
            return (InFlight("a request of which only a part has arrived", None),)
        return ()

    def lost(self) -> None:
        self._phase = OVER
        self._wait_no_more()
        self._unparsed = b""
        if self._parser is not None:
            self._parsers.discard(self._parser)
            self._parser = None
        if self._exchange is not None:
            self._give_up(self._exchange)
