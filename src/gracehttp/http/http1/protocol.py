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
from gracehttp.http.connection import NEW, Connection, InFlight, MakeProtocol, Pace, ServerContext, Terms
from gracehttp.http.exchange import Carrier, Exchange, ResetReason, tell
from gracehttp.http.fields import ResponseFields
from gracehttp.http.forwarded import ForwardedError
from gracehttp.http.head import RefusedHead
from gracehttp.http.http1 import framing as framings
from gracehttp.http.http1 import octets
from gracehttp.http.http1 import parser as heads
from gracehttp.http.http1.body_parser import BodyParser, body_parser
from gracehttp.http.http1.checks import Framing, RequestError
from gracehttp.http.http1.parser import (
    END_OF_HEAD,
    Http1Head,
    LatestFields,
    check_beginning,
    method_and_target,
    skip_empty_lines,
)
from gracehttp.http.http1.response import CONTINUE, error_response, interim_head, response_head
from gracehttp.http.http1.response_body import (
    choose_framing,
    chunk,
    chunk_end,
    chunk_pieces,
    chunk_size,
    last_chunk,
)
from gracehttp.net.deadlines import Deadlines
from gracehttp.net.file_part import FilePart
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

_CR: Final = 13
_SHORT_HEAD_BYTES: Final = 1024
"""Up to this, a head that is not whole is judged at each of its pieces, and then each time that it has grown by an
eighth: a look at all of it for each single byte would let one client keep a worker busy."""
_UNPARSED_HIGH_WATER_BYTES: Final = 65536  # of pipelined requests; above, nothing more is read
_DISCARD_LIMIT_BYTES: Final = 256 * 1024  # of a body that is not wanted; more would cost more than a new connection
_JOIN_LIMIT_BYTES: Final = 65536  # head and body up to this are joined; above, the copy costs more than sendmsg(2)


class Http1Protocol(Carrier):
    """See `WireProtocol` for the worker's side, `Consumer` for the stream's, `Carrier` for the exchange's."""

    pace = Pace()
    can_move = True
    grace_until = 0.0

    __slots__ = (
        "_body",
        "_closes",
        "_context",
        "_continue_owed",
        "_discarded",
        "_exchange",
        "_framing",
        "_fresh",
        "_head",
        "_head_began_at",
        "_held_back",
        "_keep_alive",
        "_last_response",
        "_latest",
        "_leaving",
        "_look_again_at",
        "_paused",
        "_phase",
        "_secure",
        "_stream",
        "_taken",
        "_unparsed",
        "_upgradable",
        "_waits",
        "connection",
    )

    def __init__(self, connection: Connection, carried: Carried = NEW) -> None:
        """`carried` is what came along with a connection that another process has had before, its bytes excepted: those
        are the `rest` of `Connection.switch`."""
        self.connection = connection
        own = self.connection  # compiled, its attributes have a type
        self._context: ServerContext = own.context
        self._stream: Stream = own.stream
        self._secure = connection.scheme == "https"
        self._phase = IDLE
        is_new = carried is NEW  # the usual case, without a look into it
        self._fresh = is_new or carried.fresh  # no request was received yet
        self._head = b""  # the part of the next head that has come
        self._look_again_at = 0  # when `_head` has so many bytes
        self._latest: LatestFields | None = None  # from the second request on
        self._head_began_at = 0.0  # in the phase READING_HEAD: when its first byte came
        self._body: BodyParser | None = None  # while the body of the current request arrives
        self._keep_alive = True  # the client wants to go on after the current request
        self._exchange: Exchange | None = None
        # What has come behind the current request, from the byte on that `_taken` counts: to cut off each of many
        # requests that wait would copy all that are behind it. Empty when nothing waits.
        self._unparsed = b""
        self._taken = 0
        self._continue_owed = False  # the client waits for 100 (Continue) before it sends the body
        self._discarded = 0
        self._framing = framings.NO_BODY
        self._closes = False  # the response has said that it is the last one
        self._last_response = False  # the next response must say so
        self._leaving = False  # stop before the next request, for the connection to be handed over
        self._paused = False  # reading is
        self._upgradable = False  # the exchange may end with another protocol
        self._held_back = False  # the next request is, until the client has taken the responses before it
        self._waits: Deadlines | None = None
        # If the time is over already: `timed_out` looks for what the client has sent meanwhile before it closes.
        waited = 0.0 if is_new else carried.idle_seconds
        self._wait(self._context.head if self._fresh else self._context.idle, waited)

    # --- the stream's side ---

    def received(self, data: bytes) -> None:
        phase = self._phase
        if (phase == IDLE and not self._unparsed and not self._leaving) or phase == READING_HEAD:
            if self._head:
                data = self._head + data
            self._read_head(data, 0)
        elif self._body is not None and not self._unparsed:
            self._read_body(self._body, data)
        else:
            waited = bool(self._unparsed)
            self._unparsed = self._rest() + data
            if phase == IDLE and not waited:
                # Otherwise a client that is quicker than the loop would have each of its requests answered here.
                self._parse_waiting()
            else:
                self._regulate_reading()

    def ended(self) -> None:
        """The client has sent all, and may still listen for the answers to it."""
        exchange = self._exchange
        if exchange is not None and self._upgradable and not exchange.response_started:
            self._give_up(exchange)  # what the client wants to speak takes two
            self._finish(linger=False)
            return
        if exchange is not None and self._body is None:
            exchange.half_close()
        elif not self._unparsed:
            if exchange is not None:
                self._give_up(exchange)
            self._finish(linger=False)

    def ended_unread(self) -> None:
        if self._exchange is not None:
            self._exchange.half_close()

    def writable_again(self) -> None:
        if self._exchange is not None:
            self._exchange.set_writable(True)
        elif self._held_back:
            self._next_request()
        elif self._leaving and self._phase == IDLE:
            self._context.loop.call_soon(self._tell_rest)

    # --- requests ---

    def _read_head(self, data: bytes, start: int) -> None:
        """`data` is, from `start` on, all that has come of the next request so far, or more."""
        if data[start] == _CR:
            start = skip_empty_lines(data, start)
        search = start
        if self._head:
            search = max(start, len(self._head) - 3)  # the part that has come before has no end
        latest = self._latest
        scheme = "https" if self._secure else "http"
        known: Http1Head | None = None
        end = size = len(data)
        try:
            if not start and size <= self._context.max_header_size_bytes:
                if latest is not None:
                    known = heads.parse_known_head(data, scheme, latest)
                elif self._fresh:
                    known = heads.find_first_head(data, scheme)
            if known is None:
                end = data.find(END_OF_HEAD, search) + 4
                size = end - start
            if known is not None:
                self._begin_request(known)
            elif not 4 <= size <= self._context.max_header_size_bytes:
                self._await_head(data[start:])
            elif size == len(data):
                self._begin_request(self._parse(data))  # the usual case: one whole head and nothing else
            else:
                block = data[start:end]
                known = heads.parse_known_head(block, scheme, latest) if latest is not None else None
                head = known if known is not None else self._parse(block)
                self._leave_unparsed(data, end)
                self._begin_request(head)
        except RequestError as refusal:
            if refusal.status == 505 and self._takes_preface(data):
                return
            self._head = data[start:end] if size >= 4 else data[start:]
            self._refuse(refusal.status, refusal.reason, refusal.lines)

    def _parse(self, block: bytes) -> Http1Head:
        """Raises `RequestError`."""
        scheme = "https" if self._secure else "http"
        if self._fresh:
            head = heads.parse_head(block, scheme)
            heads.remember_first_head(block, head)
            return head
        if self._latest is None:
            self._latest = LatestFields()
        return heads.parse_head(block, scheme, self._latest)

    def _takes_preface(self, data: bytes) -> bool:
        """Whether the connection begins with what no request of ours begins with, and another protocol has it then
        (RFC 9113 section 3.3)."""
        from gracehttp.http import negotiation  # it knows all protocols, this one too

        make = negotiation.by_preface(data, self._context, secure=self._stream.secure) if self._fresh else None
        if make is None:
            return False
        self._wait_no_more()  # it is the connection that waits, whatever it speaks
        self.connection.switch(make(self.connection, NEW), data)
        return True

    def _leave_unparsed(self, data: bytes, start: int) -> None:
        """What is in `data` from `start` on waits for the end of the current request."""
        if start < len(data):
            self._unparsed = data
            self._taken = start
        else:
            self._unparsed = b""
            self._taken = 0

    def _rest(self) -> bytes:
        """Take all that waits unparsed."""
        data = self._unparsed[self._taken :] if self._taken else self._unparsed
        self._unparsed = b""
        self._taken = 0
        return data

    def _await_head(self, data: bytes) -> None:
        """The head is not whole yet, if it ever will be. Raises `RequestError`."""
        if data and data != b"\r":  # empty lines before a request don't count as its beginning
            size = len(data)
            limit = self._context.max_header_size_bytes
            if self._phase == IDLE or size < _SHORT_HEAD_BYTES or size >= self._look_again_at or size >= limit:
                check_beginning(data, limit)
                self._look_again_at = size + size // 8
            if self._phase == IDLE:
                self._phase = READING_HEAD
                self._head_began_at = monotonic()
                if not self._fresh:  # else the time runs since the connection was opened
                    self._wait(self._context.head)
        self._head = data

    def _begin_request(self, head: Http1Head) -> None:
        """Raises `RequestError` if the body, or its beginning, is unacceptable."""
        connection = self.connection
        context = self._context
        framing = head.framing
        latest = self._latest
        if latest is None:
            head.client = connection.client
        else:  # kept with what comes again: most connections are idle, and need it not
            if latest.client is None:
                latest.client = connection.client
            head.client = latest.client
        head.server = connection.ends.server
        head.tls = connection.tls
        head.echoed = None
        adjust = connection.ends.adjust
        if adjust is not None and (context.adjusts_unforwarded or not head.unforwarded):
            try:
                adjust(head)
            except ForwardedError as error:
                raise RequestError(400, str(error)) from error
        body = NO_REQUEST_BODY
        body_length: int | None = 0
        if framing.has_body:
            body = self._begin_body(framing)
            body_length = None if framing.chunked else framing.content_length
            if self._body is not None and self._stream.input_over:
                self._finish(linger=False)  # the rest of the body will never come
                return
        self._head = b""
        self._upgradable = False
        self._keep_alive = framing.keep_alive
        self._fresh = False
        # A deadline for the head stays in its order, and `timed_out` ignores it: to leave and to come back for each
        # request would cost more than to be told once in vain.
        self._phase = ANSWERING
        self._exchange = exchange = Exchange.__new__(Exchange)
        exchange.begin(
            head,
            body,
            self,
            context.owner,
            context.loop,
            body_length,
            self._continue_owed,
            self._stream.writable,
        )
        if body is not NO_REQUEST_BODY:
            self._await_body(body)
        if self._stream.half_closed:
            exchange.half_closed = True
        if framing.upgrades and self._upgraded(exchange):
            return
        context.application.handle(exchange)

    def _upgraded(self, exchange: Exchange) -> bool:
        """Whether the request asks for a protocol that we can upgrade to, which has it then. Raises `RequestError`."""
        from gracehttp.http import negotiation  # it knows all protocols, this one too

        self._upgradable = True  # already, because the application may answer at once
        if negotiation.upgrade(exchange, self._context):
            return True
        self._upgradable = False
        return False

    def _begin_body(self, framing: Framing) -> RequestBody:
        """Take what has come of the body already."""
        context = self._context
        most = context.settings.max_body_size_bytes
        data = self._unparsed
        body = RequestBody()
        length = framing.content_length
        if 0 < length <= len(data) - self._taken and not framing.chunked and not (most and length > most):
            # The usual case: it is short, and has come together with its head.
            body.put([data[self._taken : self._taken + length]], True)
            self._leave_unparsed(data, self._taken + length)
            self._continue_owed = False
            self._body = None
            return body
        parser = body_parser(framing, context.max_header_size_bytes, most)
        if data:
            self._leave_unparsed(data, parser.feed(data, self._taken))
        body.put(parser.take(), parser.complete)
        self._continue_owed = framing.expects_continue and not data
        self._body = None if parser.complete else parser
        if parser.complete:
            body.trailers = parser.trailers
        return body

    def _read_body(self, parser: BodyParser, data: bytes) -> None:
        try:
            end = parser.feed(data, 0)
        except RequestError as refusal:
            self._refuse(refusal.status, refusal.reason)
            return
        self._leave_unparsed(data, end)
        if parser.complete:
            self._body = None
        if self._exchange is not None:
            self._pass_on_body(self._exchange, parser)
        else:
            self._discard(parser)

    def _pass_on_body(self, exchange: Exchange, parser: BodyParser) -> None:
        pieces = parser.take()
        self._continue_owed = False  # the client doesn't wait, though there may be framing only so far
        body = exchange.body
        body.put(pieces, parser.complete)
        if parser.complete:
            body.trailers = parser.trailers
        self._await_body(body)
        if pieces or parser.complete:  # else it was framing only, such as a part of the size of a chunk
            exchange.body_arrived()

    def _await_body(self, body: RequestBody) -> None:
        """Set the deadline for the next piece: there is one while it is the client's turn."""
        self._regulate_reading()
        if self._body is None or self._paused or self._continue_owed:
            self._wait_no_more()
        else:
            self._wait(self._context.body)

    def _discard(self, parser: BodyParser) -> None:
        self._discarded += sum(map(len, parser.take()))
        if parser.complete:
            self._next_request()
        elif self._discarded > _DISCARD_LIMIT_BYTES:
            self._finish(linger=True)
        else:
            self._wait(self._context.body)

    def _next_request(self) -> None:
        self._phase = IDLE
        # A client that asks on and on and takes no answer would fill our memory. `StreamServices.stall` watches it.
        self._held_back = not self._stream.writable and not self._stream.shut
        if self._held_back:
            self._wait_no_more()
            self._regulate_reading()
            return
        if self._unparsed:
            # In a turn of the loop of its own: this one may belong to the application that has just answered.
            self._wait_no_more()
            self._context.loop.call_soon(self._parse_waiting)
            return
        if self._stream.input_over:
            self._finish(linger=False)
            return
        idle = self._context.idle
        if self._waits is idle:
            self.connection.renewed_at = idle.now()
        else:
            self._wait(idle)
        if self._paused:
            self._regulate_reading()
        if self._leaving:
            self._context.loop.call_soon(self._tell_rest)

    def _parse_waiting(self) -> None:
        if self._leaving and self._phase == IDLE:
            self.connection.rested()  # between two requests is a good moment also when the next one is here already
        if self._phase != IDLE or not self._unparsed:
            return
        if self._head:
            self._read_head(self._head + self._rest(), 0)
        else:
            data, start = self._unparsed, self._taken
            self._unparsed = b""
            self._taken = 0
            self._read_head(data, start)
        # If requests wait still, this one was answered at once, and the next one has its turn already.
        if self._phase in (IDLE, READING_HEAD) and not self._unparsed:
            if self._stream.input_over:
                self._finish(linger=False)  # the rest of that request will never come
            elif self._phase == IDLE and self._waits is None:  # there were empty lines only
                self._next_request()
        self._regulate_reading()

    def _tell_rest(self) -> None:
        if self._leaving and self._phase == IDLE and not self._unparsed:
            self.connection.rested()

    def _regulate_reading(self) -> None:
        """Read on only while there is room for what comes."""
        exchange = self._exchange
        pause = self._phase != OVER and (
            self._held_back
            or len(self._unparsed) - self._taken > _UNPARSED_HIGH_WATER_BYTES
            or (exchange is not None and exchange.body.full and self._body is not None)
        )
        if pause != self._paused:
            self._paused = pause
            if pause:
                self._stream.pause_reading()
            else:
                self._stream.resume_reading()

    # --- deadlines ---

    def _wait(self, deadlines: Deadlines, waited: float = 0.0) -> None:
        if self._waits is not deadlines:
            self._wait_no_more()
            self._waits = deadlines
        deadlines.add(self.connection, waited)

    def _wait_no_more(self) -> None:
        if self._waits is not None:
            self._waits.discard(self.connection)
            self._waits = None

    def timed_out(self) -> None:
        waited, self._waits = self._waits, None
        if self._phase == ANSWERING and self._body is None:
            return  # the client has sent all: it is the application's turn
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
        """Whether what was read after a timeout, such as half a TLS record, was not what had been waited for."""
        waits_for_client = self._body is not None or self._phase in (IDLE, READING_HEAD)
        return waits_for_client and self._waits is None and not self._unparsed and not self._paused

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
        if not exchange.head.line.http10:  # HTTP/1.0 knows none (RFC 9110 section 15.2)
            self._stream.write(interim_head(status, fields))

    def send_head(self, exchange: Exchange, data: bytes, end: bool) -> None:
        # The usual case is told without a call where a function tells the others: interpreted, each call takes 300
        # instructions.
        fields = exchange.fields
        length = exchange.announced_length
        http11 = not exchange.head.line.http10
        framing = framings.COUNTED
        if length < 0 or exchange.bodyless:
            framing = choose_framing(exchange.bodyless, http11, length)
        self._framing = framing
        closes = (
            fields.closes
            or framing == framings.UNTIL_CLOSE
            or self._last_response
            or not self._keep_alive
            or ((self._body is not None or self._stream.input_over) and self._ends_here(end))
        )
        self._closes = closes  # by itself: Cython 3.3 miscompiles an assignment to two targets of different types
        added = self._context.server_lines
        now = time()
        ours = added.date_and_server if added.begins <= now < added.ends else added.of(now)
        latest = fields.latest_head
        if (
            latest is not None
            and latest[1] is ours
            and latest[0] == exchange.status
            and not closes
            and fields.content_length == length
            and framing == framings.COUNTED
            and http11
        ):
            head = latest[2]
        else:
            if fields.has_date or fields.has_server:
                ours = added.beside(fields.has_date, fields.has_server)
            head = response_head(exchange.status, fields, framing, length, http11, closes, ours)
        if framing == framings.CHUNKED:
            data = chunk(data, False)
        if closes and end and len(data) <= _JOIN_LIMIT_BYTES:
            self._stream.write_last(octets.joined(head, data))  # `response_completed` comes at once
        elif len(data) <= _JOIN_LIMIT_BYTES:
            self._stream.write(octets.joined(head, data))
        else:
            self._stream.write_pieces([head, data])
        if not self._stream.writable:
            exchange.writable = False

    def send_body(self, exchange: Exchange, data: bytes, end: bool) -> None:
        framing = self._framing
        if framing == framings.NO_BODY:
            return
        if framing == framings.CHUNKED:
            if len(data) > _JOIN_LIMIT_BYTES:
                self._stream.write_pieces(chunk_pieces(data, end))
                data = b""
            else:
                data = chunk(data, end)
        if data and end and self._closes:
            self._stream.write_last(data)
        elif data:
            self._stream.write(data)
        if not self._stream.writable:
            exchange.writable = False

    @property
    def takes_files(self) -> bool:
        return self._stream.takes_files

    def send_file(self, exchange: Exchange, part: FilePart, end: bool) -> None:
        if self._framing == framings.CHUNKED:
            self._stream.write(chunk_size(len(part)))
            self._stream.write_file(part)
            self._stream.write(chunk_end(end))
        else:
            self._stream.write_file(part)
        if not self._stream.writable:
            exchange.writable = False

    def send_trailers(self, exchange: Exchange, fields: ResponseFields) -> None:
        if self._framing == framings.CHUNKED:
            self._stream.write(last_chunk(fields.block))

    def response_completed(self, exchange: Exchange) -> None:
        if self._exchange is not exchange:  # the connection was closed meanwhile
            return
        self._exchange = None
        if self._closes:
            # A client that asked for it, or can't send more, needs no lingering; over TLS it answers our close_notify.
            listens_only = self._body is None and (self._stream.input_over or not self._keep_alive)
            # Before the worker is told: what was written last waits for it, and an access log may wait for a disk.
            self._finish(linger=self._stream.secure or not listens_only)
        told = self._context.owner.request_finished is not None and exchange.finished(exchange.status)
        if self._closes or (told and self._phase == OVER):
            return  # the worker may have closed the connection when it was told
        if self._body is None:
            self._next_request()
        elif (self._body.missing_bytes or 0) > _DISCARD_LIMIT_BYTES:
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
        looks_whole = exchange.head_sent and self._framing == framings.UNTIL_CLOSE
        self._give_up(exchange)
        if looks_whole:
            self._phase = OVER
            self._stream.reset()
        else:
            self._finish(linger=True)

    def upgrade(self, exchange: Exchange, fields: ResponseFields, make: MakeProtocol, *, finished: bool = True) -> None:
        """Answer 101 (RFC 9110 section 7.8), and let what `make` gives take over behind the request of `exchange`.

        `fields` has Upgrade. The exchange ends here; its request must be whole, and its response not begun. The worker
        is told that it is `finished`, or will be later.
        """
        if self._exchange is not exchange:  # the connection was closed meanwhile
            return
        self._stream.write(interim_head(101, fields, self._context.server_lines.more))
        rest = self._rest()
        self._regulate_reading()
        self._exchange = None
        if finished:
            exchange.finished(101)
        exchange.disconnect()
        if self._phase != OVER:
            self._wait_no_more()  # it is the connection that waits, whatever it speaks
            self.connection.switch(make(self.connection, Carried(fresh=False)), rest)

    def _ends_here(self, response_ends: bool) -> bool:
        """Whether no request can follow the current one, of which a part is missing, or behind which the client's half
        has ended. `response_ends`: the whole body of the response is known."""
        input_over = self._stream.input_over
        if self._body is None:
            return input_over and not self._unparsed
        if input_over:
            return True
        if self._continue_owed:
            return True  # whether the body will come is up to the client: where the next request begins is unknown
        return response_ends and (self._body.missing_bytes or 0) > _DISCARD_LIMIT_BYTES

    # --- refusals and the end ---

    def _refuse(self, status: int, reason: str, lines: bytes = b"") -> None:
        """Answer what the client did wrong, unless a response is under way already, and close."""
        exchange = self._exchange
        if exchange is not None and exchange.head_sent:
            self.cut(exchange, ResetReason.INTERNAL_ERROR)
            return
        if self._phase != DISCARDING:  # there the response has been sent
            method, target = method_and_target(self._head)
            ours = self._context.server_lines.of(time())
            without_body = (exchange.head.method if exchange is not None else method) == "HEAD"
            head, body = error_response(status, reason, ours=ours, without_body=without_body, lines=lines)
            if exchange is not None:
                exchange.body_sent = len(body)
                self._give_up(exchange, status)
            else:
                self._report_refused(RefusedHead(method, target, self.connection.client), status, len(body))
            self._stream.write(head + body)
        self._finish(linger=True)

    def _give_up(self, exchange: Exchange, status: int | None = None) -> None:
        """The client will get no more from this exchange."""
        self._exchange = None
        if status is None:
            status = exchange.status if exchange.head_sent else 0
        exchange.finished(status)
        exchange.disconnect()

    def _report_refused(self, head: RefusedHead, status: int, body_bytes: int) -> None:
        """Tell of a request that was refused before there was an exchange. Its time runs from its first byte."""
        request_finished = self._context.owner.request_finished
        if request_finished is not None:
            seconds = monotonic() - self._head_began_at if self._phase == READING_HEAD else 0.0
            tell(self._context.loop, request_finished, head, status, body_bytes, seconds)

    def _finish(self, linger: bool) -> None:
        """Nothing more will be written; what was written reaches the client first."""
        self._phase = OVER
        self._wait_no_more()
        self._unparsed = self._head = b""
        self._taken = 0
        self._body = None
        self._stream.close(linger=linger)

    # --- the worker's side ---

    @property
    def at_rest(self) -> bool:
        return self._phase == IDLE and not self._unparsed and not self._head

    @property
    def idle_since(self) -> float | None:
        return self._waits.since(self.connection) if self._waits is not None and self._phase == IDLE else None

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
        fresh = bool(self._fresh)  # compiled, it is a small integer, and the message has no numbers for it
        return Carried(fresh, idle_seconds, self._head + self._unparsed[self._taken :])

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
        if self._latest is not None:
            self._latest.forget()
        self._wait_no_more()
        self._unparsed = self._head = b""
        self._taken = 0
        self._body = None
        if self._exchange is not None:
            self._give_up(self._exchange)
