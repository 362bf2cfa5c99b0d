"""What a connection speaks after the handshake of a WebSocket: its pings, its back-pressure, its closing, its drain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gracehttp.http.connection import Connection, InFlight, Pace, ServerContext, Terms
from gracehttp.http.exchange import Exchange
from gracehttp.http.websocket.handshake import read_handshake
from gracehttp.http.websocket.messages import INTERNAL_ERROR, SERVICE_RESTART
from gracehttp.http.websocket.session import OPEN, WebSocketSession
from gracehttp.net.deadlines import Deadlines
from gracehttp.net.stream import Stream
from gracehttp.wire.handover import Carried

CLOSING_SECONDS: Final = 10.0
"""How long the client may take to answer our close frame (RFC 6455 section 7.1.1)."""
ENDING_SECONDS: Final = 10.0
"""How long it may send on when our half of the connection is over, and all that was written is with the kernel. Up to
twice as long if something had to wait for the kernel."""
CLOSINGS_PER_SECOND: Final = 100.0
"""How many WebSockets of one worker a drain closes in a second, if its time suffices for all of them."""
STOP_SPREAD_SECONDS: Final = 5.0
"""At a stop they are closed within that time: other machines may have to take them."""
RESTART_REASON: Final = "the server restarts, connect again"

_INFLATED_AT_ONCE_BYTES: Final = 4096
"""So many bytes are inflated before it is seen whether the application keeps up: they can become 4 MiB."""


def open_session(exchange: Exchange, context: ServerContext) -> WebSocketSession:
    """The WebSocket for which the request of `exchange` asks. Raises `HandshakeError`."""
    settings = context.settings.websocket
    handshake = read_handshake(exchange.head, settings)
    return WebSocketSession(exchange, handshake, settings, context.loop, WebSocketProtocol)


class WebSocketProtocol:
    """See `WireProtocol` for the worker's side, `Consumer` for the stream's, `SessionCarrier` for the session's."""

    can_move = False
    idle_since = None
    """It makes no room on a full port: that it is silent doesn't mean that it isn't needed."""

    __slots__ = (
        "_context",
        "_messages",
        "_paused",
        "_pinged",
        "_pings",
        "_sent_all",
        "_session",
        "_stream",
        "_unread",
        "_waits",
        "connection",
        "grace_until",
        "pace",
    )

    def __init__(self, connection: Connection, session: WebSocketSession) -> None:
        self.connection = connection
        self._context: ServerContext = connection.context
        self._stream: Stream = connection.stream
        self._session = session
        self._messages = session.carried_by(self)
        self._unread = b""  # has come, and waits until the application has taken what came before
        self._paused = False  # reading is
        self._pings = 0
        self._pinged = b""  # the payload of the ping whose pong has not come
        self._waits: Deadlines | None = None
        self._sent_all = False  # the kernel had all when the wait for the client's end began
        settings = session.settings
        self.pace = Pace(
            any_time=True,
            per_second=CLOSINGS_PER_SECOND,
            grace_seconds=settings.goodbye_seconds,
            stop_spread_seconds=STOP_SPREAD_SECONDS,
        )
        # Of a drain that has begun before, its application hears only now.
        self.grace_until = self._context.loop.time() + settings.goodbye_seconds
        self._wait_to_ping()

    # --- the stream's side ---

    def received(self, data: bytes) -> None:
        if self._unread:
            self._unread += data
            return
        messages = self._messages
        message = messages.whole(data)
        if message is not None:
            session = self._session
            session.put_one(message)
            if session.full:
                self._regulate_reading()
            return
        if messages.can_inflate and len(data) > _INFLATED_AT_ONCE_BYTES:
            self._unread = data
            self._read_on()
        else:
            self._read(data)
        self._after_reading()

    def ended(self) -> None:
        if not self._messages.over and not self._unread:
            self._messages.end()
            self._look_for_end()

    def ended_unread(self) -> None:
        """The messages before the end are the application's; it hears of the end behind them."""

    def writable_again(self) -> None:
        self._session.set_writable(True)
        self._regulate_reading()

    # --- reading ---

    def _read(self, data: bytes) -> None:
        found = self._messages.feed(data)
        session = self._session
        if found and session.state == OPEN:
            session.put(found)

    def _read_on(self) -> None:
        """Read what has come already, as long as the application keeps up."""
        session = self._session
        while self._unread and not self._messages.over and not (session.full and session.state == OPEN):
            data, self._unread = self._unread[:_INFLATED_AT_ONCE_BYTES], self._unread[_INFLATED_AT_ONCE_BYTES:]
            self._read(data)

    def _after_reading(self) -> None:
        messages = self._messages
        writes = messages.take_writes()
        if writes:
            self._stream.write(writes)
            if not self._stream.writable:
                self._session.set_writable(False)
        if not messages.open:
            self._look_for_end()
        elif self._pinged and messages.answered == self._pinged:
            self._pinged = b""
            self._wait_to_ping()
        self._regulate_reading()

    def _look_for_end(self) -> None:
        """A side has sent a close frame, or the client's half has ended."""
        messages = self._messages
        self._session.ended_with(*messages.outcome)
        if messages.over:
            self._unread = b""
            # After both close frames nothing can come from the client but the end. Otherwise it may be sending still,
            # and must not lose our close frame to a reset.
            self._end_stream(linger=self._stream.secure or not messages.closed_by_both)

    def _regulate_reading(self) -> None:
        """Read on only while there is room for what comes, and the client takes our pongs, also after a close frame."""
        session = self._session
        pause = not self._stream.writable or (session.full and session.state == OPEN)
        if pause is not self._paused:
            self._paused = pause
            if pause:
                self._stream.pause_reading()
            else:
                self._stream.resume_reading()

    # --- the session's side ---

    def send(self, data: bytes) -> None:
        stream = self._stream
        stream.write(data)
        if not stream.writable:
            self._session.writable = False
            self._regulate_reading()

    def close(self, code: int, reason: str) -> None:
        messages = self._messages
        if not messages.open:
            return
        messages.close(code, reason)
        self._stream.write(messages.take_writes())
        self._session.ended_with(*messages.outcome)
        self._pinged = b""
        self._wait(self._context.deadlines("websocket closing", CLOSING_SECONDS))
        self._read_on()
        self._after_reading()

    def took(self) -> None:
        if self._unread:
            self._read_on()
            self._after_reading()
            if self._stream.input_over:
                self.ended()
        else:
            self._regulate_reading()

    # --- deadlines ---

    def _wait(self, deadlines: Deadlines) -> None:
        self._wait_no_more()
        self._waits = deadlines
        deadlines.add(self.connection)

    def _wait_no_more(self) -> None:
        if self._waits is not None:
            self._waits.discard(self.connection)
            self._waits = None

    def _wait_to_ping(self) -> None:
        interval = self._session.settings.ping_interval_seconds
        if interval:
            self._wait(self._context.deadlines("websocket ping", interval))

    def _ping(self) -> None:
        self._pings += 1
        self._pinged = self._pings.to_bytes(4, "big")
        self._stream.write(self._messages.ping(self._pinged))
        timeout = self._session.settings.ping_timeout_seconds
        if timeout:
            self._wait(self._context.deadlines("websocket pong", timeout))
        else:
            self._wait_to_ping()

    def timed_out(self) -> None:
        self._waits = None
        if self._stream.shut:
            self._end_late()
        elif not self._messages.open:
            self._end_stream(linger=True)  # the client does not answer our close frame
        elif not self._pinged or not self._session.settings.ping_timeout_seconds:
            self._ping()
        elif self._paused or self._unread:
            # The pong may be there, and it is the application, or our own answer, for which it waits.
            self._wait(self._context.deadlines("websocket pong", self._session.settings.ping_timeout_seconds))
        elif self._stream.read_now() and not self._pinged:
            return  # the loop was busy, and uvloop calls timers before it reads
        elif self._messages.open:
            self.close(INTERNAL_ERROR, "no answer to a ping")
            self._end_stream(linger=True)

    # --- the end ---

    def _end_stream(self, *, linger: bool) -> None:
        """Nothing more is written. With `linger` the client may still send: it may be a slow one, and a reset would
        destroy what it has not read, our close frame among it. But one that sends on and on must not hold up a drain.
        """
        self._wait_no_more()
        self._stream.close(linger=linger)
        if not self._stream.closed:
            self._await_end()

    def _await_end(self) -> None:
        self._sent_all = not self._stream.unsent_bytes
        self._wait(self._context.deadlines("websocket ending", ENDING_SECONDS))

    def _end_late(self) -> None:
        """The client has not ended its half in time."""
        if self._sent_all:
            self._stream.abort()
        else:
            self._await_end()  # it may have come to our close frame only now, or not yet

    # --- the worker's side ---

    @property
    def at_rest(self) -> bool:
        """A close frame can stand between any two messages, so that it is always a good moment before the end."""
        return self._messages.open

    def last_call(self, terms: Terms) -> None:
        """Nothing at first: the application hears of the drain. See `Pace.any_time` for what follows."""

    def close_at_rest(self, *, linger: bool) -> None:
        self.close(SERVICE_RESTART, RESTART_REASON)

    def carried(self) -> Carried | None:
        return None

    def in_flight(self) -> Iterable[InFlight]:
        exchange = self._session.exchange
        target = exchange.head.target[:200].decode("ascii", "backslashreplace")
        return (InFlight(f"WebSocket {target}", exchange.age_seconds),)

    def lost(self) -> None:
        self._unread = b""
        self._wait_no_more()
        session = self._session
        session.ended_with(*self._messages.outcome)
        session.finished()
        self._messages.release()
