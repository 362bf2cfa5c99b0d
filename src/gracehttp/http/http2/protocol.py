"""The conversation on an HTTP/2 connection: many exchanges at once, and the end in two steps.

    OPEN -> LEAVING -> LAST -> OVER        any -> OVER

The end (RFC 9113 section 6.8): in LEAVING the client was sent a GOAWAY that still admits all streams, and a PING behind
it. With the answer to that PING all streams have come that the client opened before it knew. So the second GOAWAY, with
the highest stream, refuses none that the client was entitled to send; the streams in flight are completed, and the
connection is closed. An idle connection ends in the same way, so that its end crosses no request.

Memory: a connection has at most `CONNECTION_WINDOW_BYTES` of request bodies, and of each response what one call of the
application gave and `HIGH_WATER_BYTES` more. Frames are made only while the stream below takes them, and while it
doesn't, nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from gracehttp.http.body import NO_REQUEST_BODY, RequestBody
from gracehttp.http.connection import NEW, Connection, InFlight, Pace, ServerContext, Terms
from gracehttp.http.exchange import Exchange, ResetReason, tell
from gracehttp.http.forwarded import ForwardedError
from gracehttp.http.head import Header, RefusedHead, RequestHead
from gracehttp.http.http1.checks import RequestError
from gracehttp.http.http2.engine import (
    ConnectionClosed,
    DataReceived,
    Engine,
    ErrorCode,
    Event,
    PingAcknowledged,
    RequestReceived,
    SettingsReceived,
    StreamClosed,
    TrailersReceived,
)
from gracehttp.http.http2.guard import FloodGuard
from gracehttp.http.http2.requests import check_tunnel, method_and_target, read_head
from gracehttp.http.http2.stream import Http2Stream
from gracehttp.http.http2.tunnel import Tunnel
from gracehttp.http.websocket import handshake
from gracehttp.net.deadlines import Deadlines
from gracehttp.net.stream import Stream
from gracehttp.wire.handover import Carried

OPEN: Final = 0
LEAVING: Final = 1
"""The first GOAWAY was sent, and the PING behind it was not answered yet."""
LAST: Final = 2
"""The second GOAWAY was sent; streams are in flight."""
OVER: Final = 3
"""Nothing more will be read or written here."""

ANSWER_SECONDS: Final = 5.0
"""How long the client may take to answer the PING behind the first GOAWAY."""
ENDING_SECONDS: Final = 10.0
"""How long it may send on when our half of the connection is over, and all that was written is with the kernel. Up to
twice as long if something had to wait for the kernel."""
CLOSINGS_PER_SECOND: Final = 100.0
"""How many connections of one worker a drain tells in a second, if they ask for nothing that tells them earlier, and if
its time suffices for all of them."""

PACE: Final = Pace(any_time=True, grace_seconds=0.0, per_second=CLOSINGS_PER_SECOND)

_OUTPUT_BYTES: Final = 65536  # are made at a time
_PING: Final = b"gracehtt"


class Http2Protocol:
    """See `WireProtocol` for the worker's side, `Consumer` for the stream's. Exchanges are carried by `Http2Stream`."""

    can_move = False  # what both sides remember of each other's fields lives in this process (RFC 7541)

    __slots__ = (
        "_abandoned",
        "_begun",
        "_context",
        "_flush_due",
        "_input_over",
        "_last_response",
        "_max_body_size",
        "_max_header_size",
        "_max_streams",
        "_paused",
        "_resets",
        "_rests",
        "_secure",
        "_sent_all",
        "_state",
        "_stream",
        "_streams",
        "_waits",
        "blocked",
        "connection",
        "engine",
        "guard",
        "server_lines",
    )

    def __init__(
        self,
        connection: Connection,
        carried: Carried = NEW,
        upgraded: tuple[bytes, RequestHead] | None = None,
    ) -> None:
        """`upgraded` is what a client has asked for that came by Upgrade: the payload of HTTP2-Settings, and the head
        of its request. Raises `ValueError` if that payload is malformed."""
        self.connection = connection
        self._context: ServerContext = connection.context
        self._stream: Stream = connection.stream
        self.server_lines = self._context.server_lines
        settings = self._context.settings
        self._secure = self._stream.secure
        self._max_header_size = settings.max_header_size_bytes
        self._max_body_size = settings.max_body_size_bytes
        self._max_streams = settings.http2.max_concurrent_streams
        payload = None if upgraded is None else upgraded[0]
        head_request = upgraded is not None and upgraded[1].method == "HEAD"
        self.engine = Engine(
            self._max_streams,
            self._max_header_size,
            payload,
            head_request=head_request,
            tunnels=self._context.application.handle_websocket is not None and handshake.installed(),
        )
        self.guard = FloodGuard(self._context.loop.time())
        self._state = OPEN
        self._streams: dict[int, Http2Stream] = {}
        self.blocked: dict[Http2Stream, None] = {}
        """Streams of whose response something may wait, in the order in which that began."""
        self._begun: list[
            tuple[Http2Stream, Exchange]
        ] = []  # requests that have just come, and that the application was not given yet
        self._abandoned: list[Exchange] = []  # that the application may still work on
        self._resets = 0  # streams that ended in an error of the client, and were not counted yet
        self._flush_due = False
        self._last_response = False  # the next response is to be the last one
        self._rests = False  # `connection.rested` is due when nothing is in flight
        self._input_over = False
        self._paused = False  # reading is
        self._waits: Deadlines | None = None
        self._sent_all = False  # the kernel had all when the wait for the client's end began
        if upgraded is None:
            self._wait(self._context.head, carried.idle_seconds)
        else:
            self._context.loop.call_soon(self._begin_upgraded, upgraded[1])
        self.flush_soon()

    def _begin_upgraded(self, head: RequestHead) -> None:
        """The request that asked for HTTP/2 is stream 1, and half closed (RFC 7540 section 3.2)."""
        if self._state == OVER:
            return
        self._begin(Http2Stream(self, 1, False), head, 0, True, False)
        self._hand_on()

    # --- the stream's side ---

    def received(self, data: bytes) -> None:
        if self._state == OVER:
            return
        self._flush_due = True  # at the end of this, so that it needs no turn of the loop
        try:
            events = self.engine.receive(data)
            if self.engine.failed is not None:
                self._write_out()
                self._finish(linger=True)
                return
            self._act(events)
            if self.guard.count(len(data), self._resets, self._context.loop.time()):
                self._calm_down()
            self._resets = 0
            self._hand_on()
        finally:
            self._flush()

    def ended(self) -> None:
        """The client has sent all, and may still listen for the answers to it."""
        self._input_over = True
        for stream in list(self._streams.values()):
            if stream.input_open:
                stream.end_early(ResetReason.CANCEL)  # the rest of the request will never come
            elif stream.exchange is not None:
                stream.exchange.half_close()
        self.flush_soon()

    def ended_unread(self) -> None:
        for stream in list(self._streams.values()):
            if stream.exchange is not None:
                stream.exchange.half_close()

    def writable_again(self) -> None:
        self._flush()

    # --- what has come ---

    def _act(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is RequestReceived:
                self._request_received(event)
            elif type(event) is StreamClosed:
                self._stream_closed(event)
            else:
                act = _ACTS.get(type(event))
                if act is not None:
                    act(self, event)

    def _settings_received(self, event: SettingsReceived) -> None:
        if self._waits is self._context.head:  # the preface is complete
            self._wait_no_more()
            self._look_for_rest()

    def _request_received(self, event: RequestReceived) -> None:
        self._wait_no_more()
        stream = Http2Stream(self, event.stream_id, not event.end_stream)
        self._streams[stream.id] = stream
        self.guard.earn(size_of(event.headers))
        if self._abandoned:
            self._abandoned = [one for one in self._abandoned if not one.application_ended]
        if len(self._abandoned) >= self._max_streams:
            # The application works on for clients that are gone. Each refused request can be sent again safely.
            stream.end_early(ResetReason.REFUSED_STREAM)
            return
        try:
            head = read_head(event.headers, self._secure, self._max_header_size, self._max_body_size)
            self._introduce(head)
            if head.connects:
                check_tunnel(input_open=stream.input_open)
        except RequestError as refusal:
            method, _ = method_and_target(event.headers)
            size = stream.refuse(refusal.status, refusal.reason, without_body=method == "HEAD")
            self._report_refused(event.headers, refusal.status, size)
            return
        length = 0
        if stream.input_open:
            length = head.content_length
            stream.connects = head.connects
        self._begin(stream, head, length, not head.has_priority, head.expects_continue)

    def _introduce(self, head: RequestHead) -> None:
        """Set who the client is. Raises `RequestError`."""
        connection = self.connection
        head.scheme = connection.scheme
        head.client = connection.client
        head.server = connection.ends.server
        head.tls = connection.tls
        head.echoed = None
        adjust = connection.ends.adjust
        if adjust is not None:
            try:
                adjust(head)
            except ForwardedError as error:
                raise RequestError(400, str(error)) from error

    def _begin(
        self, stream: Http2Stream, head: RequestHead, body_length: int, shares: bool, expects_continue: bool
    ) -> None:
        """`body_length` is -1 if it is not known."""
        context = self._context
        continue_owed = expects_continue and stream.input_open
        exchange = Exchange()
        exchange.begin(
            head,
            RequestBody() if stream.input_open else NO_REQUEST_BODY,
            stream,
            context.owner,
            context.loop,
            None if body_length < 0 else body_length,
            continue_owed,
            True,
        )
        if self._input_over:
            exchange.half_closed = True
        self._streams[stream.id] = stream
        stream.begin(exchange, shares, continue_owed)
        self.await_body(stream)
        self._begun.append((stream, exchange))

    def _hand_on(self) -> None:
        """Give the application the requests that have come, but not those that were reset right behind."""
        begun, self._begun = self._begun, []
        for stream, exchange in begun:
            if exchange.disconnected:
                exchange.application_ended = True
            elif stream.connects:
                self._connect(stream, exchange)
            else:
                self._context.application.handle(exchange)

    def _connect(self, stream: Http2Stream, exchange: Exchange) -> None:
        from gracehttp.http import negotiation  # it knows all protocols, this one too

        try:
            negotiation.connect(exchange, self._context)
        except RequestError as refusal:
            exchange.application_ended = True
            stream.refuse_rest(refusal.status, refusal.reason)

    def _data_received(self, event: DataReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        data = event.data
        self.guard.earn(len(data))
        most = self._max_body_size
        stream.put(data, event.end_stream)
        if 0 < most < stream.received:
            stream.refuse_rest(413, f"the body has more than {most} bytes")
        elif stream.exchange is not None:
            self.await_body(stream)

    def _trailers_received(self, event: TrailersReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        fields = list(event.headers)
        self.guard.earn(size_of(fields))
        stream.put_trailers(fields)
        self.await_body(stream)

    def _stream_closed(self, event: StreamClosed) -> None:
        """Both sides are complete, or one of them has reset it, or the engine has, for a fault of the client."""
        stream = self._streams.pop(event.stream_id, None)
        if event.error_code and (stream is None or not stream.reset):
            self._resets += 1
            if stream is None:  # the engine has refused a malformed request
                self._report_refused((), 0, 0)
        if stream is not None:
            self.blocked.pop(stream, None)
            self.wait_no_more(stream)
            stream.give_up()
            if stream.tunnel is not None:
                stream.tunnel.lost()
            stream.give_back()
        self._look_for_rest()

    def _ping_acknowledged(self, event: PingAcknowledged) -> None:
        if self._state == LEAVING and event.opaque_data == _PING:
            self._say_last()

    def _connection_closed(self, event: ConnectionClosed) -> None:
        """Nothing will be read any more: an error that was told with GOAWAY, or the end that was agreed on."""
        if self._state != OVER:
            self._write_out()
            self._finish(linger=True)

    def _report_refused(self, fields: Sequence[Header], status: int, body_bytes: int) -> None:
        """Tell of a request that no application may see; without a status it was only reset."""
        request_finished = self._context.owner.request_finished
        if request_finished is not None:
            method, target = method_and_target(fields)
            head = RefusedHead(method, target, self.connection.client)
            tell(self._context.loop, request_finished, head, status, body_bytes, 0.0)

    def _calm_down(self) -> None:
        """The client floods us."""
        if self._state != OVER and self.engine.failed is None:
            self.engine.terminate(ErrorCode.ENHANCE_YOUR_CALM)
            self._write_out()
            self._finish(linger=True)

    # --- sending ---

    def flush_soon(self) -> None:
        """Something waits to be sent. In the next turn of the loop: what is written until then goes along."""
        if not self._flush_due:
            self._flush_due = True
            self._context.loop.call_soon(self._flush_if_due)

    def _flush_if_due(self) -> None:
        if self._flush_due:
            self._flush()

    def _flush(self) -> None:
        self._flush_due = False
        if self._state == OVER:
            return
        engine, stream = self.engine, self._stream
        drained = False
        while stream.writable:
            data = engine.output(_OUTPUT_BYTES)
            if data:
                stream.write(data)
            if len(data) < _OUTPUT_BYTES:
                drained = True
                break
        if engine.failed is not None:
            self._finish(linger=True)
            return
        self._act(engine.events())
        for one in list(self.blocked):
            if one.look() and drained:
                self.blocked.pop(one, None)
                self._wait_to_write_no_more(one)
                if one.complete and one.input_open and not one.reset:
                    # The response is whole, and the rest of the request not wanted (RFC 9113 section 8.1).
                    one.reset = True
                    engine.reset(one.id, ResetReason.NO_ERROR)
                    self.flush_soon()
        if not self._streams and self._state != OVER and (self._state == LAST or self._input_over) and drained:
            self._finish(linger=not self._input_over)
        else:
            self._regulate_reading()

    def _write_out(self) -> None:
        """Write what the engine has, control frames first, whether or not the stream is `writable`: it says how the
        connection ends."""
        data = self.engine.output(_OUTPUT_BYTES)
        if data:
            self._stream.write(data)

    def _regulate_reading(self) -> None:
        """Each frame that comes may have to be answered, so read on only while answers can be sent."""
        pause = self._state != OVER and not self._stream.writable
        if pause is not self._paused:
            self._paused = pause
            if pause:
                self._stream.pause_reading()
            else:
                self._stream.resume_reading()

    # --- what streams ask for ---

    def took(self, stream: Http2Stream, size: int) -> None:
        """`size` bytes of a request body are out of our memory."""
        if self._state != OVER and self.engine.failed is None:
            self.engine.took(stream.id, size)
            self.flush_soon()

    def tunnel_opened(self, tunnel: Tunnel) -> None:
        """A stream has become one."""
        self.answering(False)
        if self._state in (LEAVING, LAST):
            self._end_tunnel(tunnel)

    def _end_tunnel(self, tunnel: Tunnel) -> None:
        """Its application hears of the drain, and has a while to end it itself, if the drain lasts as long."""
        self._context.owner.connection_speaks(tunnel.connection)  # so that the drain knows of its pace
        self._context.loop.call_later(tunnel.connection.protocol.pace.grace_seconds, tunnel.say_goodbye)

    def answering(self, closes: bool) -> None:
        """A response begins. `closes`: the application said `Connection: close`, which has no place in HTTP/2."""
        if self._last_response and not self._context.others_accept:
            closes = True
        if closes and self._state == OPEN:
            self._leave()

    def finished(self, stream: Http2Stream, exchange: Exchange) -> None:
        """The response of `stream` is complete."""
        stream.exchange = None
        self._wait_to_read_no_more(stream)
        if stream.input_open:
            self.blocked[stream] = None
        exchange.finished(exchange.status)
        if self._state != OVER:
            stream.give_back()

    def abandon(self, exchange: Exchange) -> None:
        """The client is gone; the application may not have noticed."""
        if not exchange.application_ended and self._state != OVER:
            self._abandoned.append(exchange)

    # --- deadlines ---

    def _wait(self, deadlines: Deadlines, waited: float = 0.0) -> None:
        self._wait_no_more()
        self._waits = deadlines
        deadlines.add(self.connection, waited)

    def _wait_no_more(self) -> None:
        if self._waits is not None and self._state != LEAVING:
            self._waits.discard(self.connection)
            self._waits = None

    def _look_for_rest(self) -> None:
        """If nothing is in flight, the client has the time of an idle connection."""
        if not self._streams and self._state == OPEN and self._waits is None:
            self._wait(self._context.idle)
            if self._rests:
                self._context.loop.call_soon(self.connection.rested)

    def timed_out(self) -> None:
        waited, self._waits = self._waits, None
        if self._state == OVER:
            if self._sent_all:
                self._stream.abort()
            else:
                self._await_end()  # it may have come to our last words only now, or not yet
            return
        if self._state == LEAVING:
            self._say_last()
            return
        if self._state != OPEN or self._streams:
            return
        if not self._paused and self._stream.read_now() and (self._waits is not None or self._streams):
            return  # the client was in time: the loop was busy
        if waited is self._context.head:
            self._finish(linger=False)
        elif self._state == OPEN:
            self._leave()

    def await_body(self, stream: Http2Stream) -> None:
        """There is a deadline for the next piece of a request body while it is the client's turn."""
        if stream.awaits_client():
            stream.waits_to_read = True
            self._context.deadlines("http2 body", self._context.settings.body_timeout_seconds).add(stream)
        else:
            self._wait_to_read_no_more(stream)

    def await_client(self, stream: Http2Stream) -> None:
        """There is a deadline for the client to take some of a response."""
        stream.waits_to_write = True
        self._context.deadlines("http2 response", self._context.settings.body_timeout_seconds).add(stream)

    def wait_no_more(self, stream: Http2Stream) -> None:
        self._wait_to_read_no_more(stream)
        self._wait_to_write_no_more(stream)

    def _wait_to_read_no_more(self, stream: Http2Stream) -> None:
        if stream.waits_to_read:
            stream.waits_to_read = False
            self._context.deadlines("http2 body", 0).discard(stream)

    def _wait_to_write_no_more(self, stream: Http2Stream) -> None:
        if stream.waits_to_write:
            stream.waits_to_write = False
            self._context.deadlines("http2 response", 0).discard(stream)

    def stream_timed_out(self, stream: Http2Stream) -> None:
        """The time is up for a request body, or for a response that the client opens no window for."""
        if self._state == OVER or stream.id not in self._streams:
            return
        if stream.waits_to_write and stream not in self._context.deadlines("http2 response", 0):
            stream.waits_to_write = False
            stream.end_early(ResetReason.CANCEL)
            return
        stream.waits_to_read = False
        received = stream.received
        if not self._paused and self._stream.read_now() and stream.received != received:
            return  # the client was in time: the loop was busy
        if stream.awaits_client():
            stream.refuse_rest(408, "the body did not arrive in time")

    # --- the end ---

    def _leave(self) -> None:
        """Tell the client that the connection ends, and find out when it knows."""
        self._wait_no_more()
        self._state = LEAVING
        self.engine.announce_end()
        self._write_out()  # before the PING comes into the engine, which would overtake it
        if self.engine.failed is None:
            self.engine.ping(_PING)
        for stream in self._streams.values():
            if stream.tunnel is not None:
                self._end_tunnel(stream.tunnel)
        self._waits = self._context.deadlines("http2 goodbye", ANSWER_SECONDS)
        self._waits.add(self.connection)
        self.flush_soon()

    def _say_last(self) -> None:
        """The client knows: what it has sent until now is all that it will send."""
        if self._waits is not None:
            self._waits.discard(self.connection)
            self._waits = None
        self._state = LAST
        if self.engine.failed is None:
            self.engine.go_away()
            # At once: the engine goes on to take streams until the GOAWAY is out, and their numbers are not in it.
            self._write_out()
        self.flush_soon()

    def _finish(self, *, linger: bool) -> None:
        """Nothing more will be written; what was written reaches the client first."""
        self._end_all()
        self._stream.close(linger=linger)
        self._await_end()

    def _await_end(self) -> None:
        """A client that sends on and on must not hold up a drain. It reads while it sends, as HTTP/2 asks of it, so it
        knows of the end."""
        if not self._stream.closed:
            self._sent_all = not self._stream.unsent_bytes
            self._wait(self._context.deadlines("http2 ending", ENDING_SECONDS))

    def _end_all(self) -> None:
        self._state = OVER
        if self._waits is not None:
            self._waits.discard(self.connection)
            self._waits = None
        streams, self._streams = self._streams, {}
        self.blocked.clear()
        for stream in streams.values():
            self.wait_no_more(stream)
            stream.give_up()
            if stream.tunnel is not None:
                stream.tunnel.lost()

    # --- the worker's side ---

    @property
    def pace(self) -> Pace:
        """When the client was told, it is that of the tunnels that wait for their end: a drain may be over before their
        applications have had all of their time."""
        tunnel = self._open_tunnel()
        return PACE if tunnel is None else tunnel.connection.protocol.pace

    @property
    def grace_until(self) -> float:
        """That of the tunnel that was opened last: all of them are told at once."""
        return max((tunnel.connection.protocol.grace_until for tunnel in self._open_tunnels()), default=0.0)

    def _open_tunnel(self) -> Tunnel | None:
        return next(iter(self._open_tunnels()), None)

    def _open_tunnels(self) -> list[Tunnel]:
        """Those whose clients must still be told that the connection ends, if it was told so itself."""
        if self._state not in (LEAVING, LAST):
            return []
        tunnels = (stream.tunnel for stream in self._streams.values())
        return [tunnel for tunnel in tunnels if tunnel is not None and tunnel.ends_with_a_word]

    @property
    def at_rest(self) -> bool:
        """The first GOAWAY can stand between any two frames, so that it is always a good moment before the end. The
        word that ends a tunnel can, too."""
        return self._state == OPEN or self._open_tunnel() is not None

    @property
    def idle_since(self) -> float | None:
        return self._waits.since(self.connection) if self._waits is not None and self._state == OPEN else None

    def last_call(self, terms: Terms) -> None:
        """As with `Connection: close`: the next response says it. A client that asks for nothing is told by
        `close_at_rest`. What was said can't be taken back."""
        self._last_response = terms in (Terms.LAST_RESPONSE, Terms.SOON)
        self._rests = terms is Terms.SOON

    def close_at_rest(self, *, linger: bool) -> None:
        if self._state != OPEN:
            for stream in list(self._streams.values()):
                if stream.tunnel is not None:
                    stream.tunnel.say_goodbye()
            return
        if linger or self._streams:
            self._leave()
            return
        self.engine.go_away()  # to make room at once; what crosses it can be sent again safely
        self._write_out()
        self._finish(linger=False)

    def carried(self) -> Carried | None:
        return None

    def in_flight(self) -> Iterable[InFlight]:
        found: list[InFlight] = []
        for stream in self._streams.values():
            exchange = stream.exchange
            if exchange is not None:
                target = exchange.head.target[:200].decode("ascii", "backslashreplace")
                found.append(InFlight(f"{exchange.head.method} {target}", exchange.age_seconds))
            elif stream.tunnel is not None:
                found += stream.tunnel.connection.protocol.in_flight()
        return found

    def lost(self) -> None:
        self._end_all()


def size_of(fields: Iterable[Header]) -> int:
    """The bytes of their names and values."""
    size = 0
    for name, value in fields:
        size += len(name) + len(value)
    return size


_ACTS: Final[dict[type, Callable[[Http2Protocol, Any], None]]] = {
    SettingsReceived: Http2Protocol._settings_received,
    DataReceived: Http2Protocol._data_received,
    TrailersReceived: Http2Protocol._trailers_received,
    PingAcknowledged: Http2Protocol._ping_acknowledged,
    ConnectionClosed: Http2Protocol._connection_closed,
}
