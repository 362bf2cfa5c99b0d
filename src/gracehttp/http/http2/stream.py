"""One stream: a request and its response, as the carrier of an `Exchange`."""

from __future__ import annotations

from collections import deque
from time import time
from typing import TYPE_CHECKING, Final

from gracehttp.http.exchange import Carrier, Exchange, ResetReason
from gracehttp.http.fields import ResponseFields
from gracehttp.http.head import Header
from gracehttp.http.http2.responses import added_pairs, pairs, refusal, response_fields, status_field
from gracehttp.http.http2.tunnel import Tunnel
from gracehttp.net.file_part import FilePart

if TYPE_CHECKING:
    from gracehttp.http.connection import MakeProtocol
    from gracehttp.http.http2.protocol import Http2Protocol

SLICE_BYTES: Final = 65536
"""The engine copies what it is given, so it gets so much of a body at a time."""
HIGH_WATER_BYTES: Final = 65536
"""When more than this of a response waits, the application must wait, until all of it is gone."""
_SHARES_FROM_BYTES: Final = 16384
"""A response that is longer takes turns with others: with a shorter one that would cost more than it is worth."""


class Http2Stream(Carrier):
    """See `Carrier`. The protocol has it from the head of the request to the end of the stream in both directions.

    `received` counts the bytes of the request body, `untaken` those that the client can't send more for yet.
    """

    takes_files = False

    __slots__ = (
        "_continue_owed",
        "_ended_apart",
        "_ends",
        "_engine",
        "_given",
        "_guard",
        "_protocol",
        "_sent",
        "_server_lines",
        "_shares",
        "_trailers",
        "_unqueued",
        "complete",
        "connects",
        "exchange",
        "id",
        "input_open",
        "received",
        "reset",
        "tunnel",
        "untaken",
        "waits",
        "waits_to_read",
        "waits_to_write",
    )

    def __init__(self, protocol: Http2Protocol, stream_id: int, input_open: bool) -> None:
        self._protocol = protocol
        self._engine = protocol.engine
        self._guard = protocol.guard
        self._server_lines = protocol.server_lines
        self.id = stream_id
        self.exchange: Exchange | None = None
        """While it is in flight."""
        self.input_open = input_open
        """More of the request may come."""
        self.complete = False
        """The whole response was given to the engine, or waits here for it."""
        self.reset = False
        """It was ended from here before both sides were complete."""
        self.connects = False
        """Its request asks for a tunnel."""
        self.tunnel: Tunnel | None = None
        self.waits = False
        """So much of the response waits that the application must wait."""
        self.received = 0
        self.untaken = 0
        self.waits_to_read = False
        self.waits_to_write = False
        self._continue_owed = False
        self._shares = False
        self._given = 0  # bytes that the engine was given
        self._sent = 0  # of these, when the protocol last looked
        # What the engine was not given yet.
        self._unqueued: deque[memoryview] | None = None
        self._ends = False
        self._ended_apart = False  # the end of the response stands behind its last bytes, not with them
        self._trailers: list[Header] | None = None

    def begin(self, exchange: Exchange, shares: bool, continue_owed: bool) -> None:
        """`shares`: the client leaves it to us whether the response takes turns with others."""
        self.exchange = exchange
        self._shares = shares
        self._continue_owed = continue_owed

    # --- the request ---

    def put(self, data: bytes, end: bool) -> None:
        """A piece of the request body has come."""
        size = len(data)
        self.received += size
        self.untaken += size
        if end:
            self.input_open = False
        if data:
            self._continue_owed = False
        if self.tunnel is not None:
            self.tunnel.received(data, end)
            return
        exchange = self.exchange
        if exchange is None:
            self.give_back()
            return
        exchange.body.put([data] if data else [], end)
        if data or end:
            exchange.body_arrived()

    def put_trailers(self, fields: list[Header]) -> None:
        """The request ends with these."""
        if self.exchange is not None:
            self.exchange.body.trailers = fields
        self.put(b"", True)

    def give_back(self) -> None:
        """Let the client send as much again as it has sent."""
        size, self.untaken = self.untaken, 0
        if size:
            self._protocol.took(self, size)

    def awaits_client(self) -> bool:
        """Whether it is the client's turn to send more of the request."""
        exchange = self.exchange
        if self.connects or not self.input_open or exchange is None:
            return False
        return not self._continue_owed and not exchange.body.full

    # --- the exchange's side ---

    def body_wanted(self, exchange: Exchange) -> None:
        if self._continue_owed:
            self._continue_owed = False
            if not exchange.head_sent:
                self._engine.inform(self.id, [status_field(100)])
                self._protocol.flush_soon()
            self._protocol.await_body(self)

    def body_taken(self, exchange: Exchange) -> None:
        self.give_back()
        if self.exchange is not None:
            self._protocol.await_body(self)

    def send_interim(self, exchange: Exchange, status: int, fields: ResponseFields) -> None:
        self._engine.inform(self.id, [status_field(status), *pairs(fields)])
        self._protocol.flush_soon()

    def send_head(self, exchange: Exchange, data: bytes, end: bool) -> None:
        self._protocol.answering(exchange.fields.closes)
        fields = response_fields(exchange, self._server_lines, time())
        self._engine.respond(self.id, fields, end and not data)
        if data:
            self.send_bytes(data, end)
        else:
            self._protocol.flush_soon()

    def send_body(self, exchange: Exchange, data: bytes, end: bool) -> None:
        self.send_bytes(data, end)

    def send_file(self, exchange: Exchange, part: FilePart, end: bool) -> None:
        raise AssertionError("frames need the bytes of a body")

    def send_trailers(self, exchange: Exchange, fields: ResponseFields) -> None:
        self._trailers = pairs(fields)
        self._ends = True
        if self._unqueued is None:
            self._end_apart()
        self._protocol.flush_soon()

    def response_completed(self, exchange: Exchange) -> None:
        self.complete = True
        if self.exchange is not None:
            self._protocol.finished(self, exchange)

    def cut(self, exchange: Exchange, reason: ResetReason) -> None:
        """See `Carrier`. Nothing else on the connection is touched."""
        if self.exchange is exchange:
            self.end_early(int(reason))

    def upgrade(self, exchange: Exchange, fields: ResponseFields, make: MakeProtocol, *, finished: bool = True) -> None:
        """Answer an extended CONNECT with 200 (RFC 8441 section 5): what `make` gives has the stream from here on."""
        if self.exchange is not exchange:  # the client is gone
            return
        answer = [field for field in pairs(fields) if field[0] != b"sec-websocket-accept"]
        answer += added_pairs(self._server_lines.more)
        self._engine.respond(self.id, [status_field(200), *answer], False)
        self._protocol.flush_soon()
        rest, _ = exchange.body.take() or (b"", True)
        self.exchange = None
        if finished:
            exchange.finished(101)
        exchange.disconnect()
        self.tunnel = Tunnel(self._protocol, self, make, rest)
        self._protocol.tunnel_opened(self.tunnel)

    # --- sending ---

    def send_bytes(self, data: bytes, end: bool) -> None:
        """Behind the head."""
        protocol = self._protocol
        size = len(data)
        if self._shares and (size > _SHARES_FROM_BYTES or not end):
            self._shares = False
            self._engine.share(self.id)
        if self._unqueued is None and size <= SLICE_BYTES:
            self._ended_apart = end and not size
            self._engine.send(self.id, data, end)
            self._given += size
        else:
            if self._unqueued is None:
                self._unqueued = deque()
            if size:
                self._unqueued.append(memoryview(data))
            self._ends = end
            self._queue_more()
        if self._given - self._sent > HIGH_WATER_BYTES or self._unqueued is not None:
            self.waits = True
            if self.exchange is not None:
                self.exchange.writable = False
        self._guard.earn(size)
        protocol.blocked[self] = None
        protocol.flush_soon()

    @property
    def unsent_bytes(self) -> int:
        """Of the response body, whether the engine has them or they wait here for it."""
        return self._engine.waiting(self.id) + sum(map(len, self._unqueued or ()))

    def _queue_more(self) -> None:
        """Give the engine what it has room for."""
        engine, unqueued = self._engine, self._unqueued
        ended = False
        room = SLICE_BYTES - engine.waiting(self.id)
        while unqueued and room > 0:
            piece = unqueued.popleft()
            if len(piece) > room:
                unqueued.appendleft(piece[room:])
                piece = piece[:room]
            ended = self._ends and not unqueued and self._trailers is None
            engine.send(self.id, piece, ended)
            self._given += len(piece)
            room -= len(piece)
        if not unqueued:
            self._unqueued = None
            if self._ends and not ended:
                self._end_apart()

    def _end_apart(self) -> None:
        self._ended_apart = True
        self._engine.end(self.id, self._trailers or [])

    @property
    def end_is_sent(self) -> bool:
        """Whether a complete response is on its way as a whole, now that none of its bytes waits: the engine sends an
        end that stands alone only when it could send a byte of the body too."""
        return not self._ended_apart or self._engine.window(self.id) > 0

    def look(self) -> bool:
        """What has become of the response, after some of it was sent: gives the engine more of it, and lets the
        application write again. Whether nothing waits any more."""
        engine = self._engine
        waiting = engine.waiting(self.id)
        if self._unqueued is not None and waiting < SLICE_BYTES // 2:
            self._queue_more()
            self._protocol.flush_soon()
            waiting = engine.waiting(self.id)
        sent = self._given - waiting
        went_on = sent > self._sent
        self._sent = sent
        if waiting or self._unqueued is not None or (self.complete and not self.end_is_sent):
            if went_on or not self.waits_to_write:
                self._protocol.await_client(self)
            return False
        if self.waits:
            self.waits = False
            if self.exchange is not None:
                self.exchange.set_writable(True)
            elif self.tunnel is not None:
                self.tunnel.writable_again()
        return True

    # --- the end ---

    def refuse(self, status: int, reason: str, *, without_body: bool = False) -> int:
        """Answer what the client did wrong, if no response has begun; returns the size of the answer."""
        fields, body = refusal(status, reason, self._server_lines.of(time()))
        engine = self._engine
        engine.respond(self.id, fields, without_body)
        if without_body:
            body = b""
        else:
            engine.send(self.id, body, True)
        self.complete = True
        self._protocol.blocked[self] = None
        self._protocol.flush_soon()
        return len(body)

    def refuse_rest(self, status: int, reason: str) -> None:
        """The request can't be completed: say so, if that is still possible."""
        exchange = self.exchange
        if exchange is None:
            return
        if exchange.head_sent:
            self.end_early(ResetReason.CANCEL)
            return
        exchange.body_sent = self.refuse(status, reason, without_body=exchange.head.method == "HEAD")
        self.give_up(status)

    def end_early(self, code: int) -> None:
        """RST_STREAM, and the exchange is over."""
        self.reset = True
        self.complete = True
        self._unqueued = None
        self._engine.reset(self.id, code)
        self._protocol.flush_soon()
        self.give_up()

    def give_up(self, status: int | None = None) -> None:
        """The client will get no more from the exchange. `status` is what it got, where the exchange doesn't know."""
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        self._protocol.wait_no_more(self)
        if status is None:
            status = exchange.status if exchange.head_sent else 0
        exchange.finished(status)
        exchange.disconnect()
        self._protocol.abandon(exchange)
        self.give_back()

    def timed_out(self) -> None:
        """A deadline that the protocol has set was reached."""
        self._protocol.stream_timed_out(self)
