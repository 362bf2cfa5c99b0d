"""One WebSocket as an application sees it, from the handshake to the end, whatever the protocol that carries it.

    CONNECTING -- accept --> OPEN -- close, by either side --> ENDED
        \\--- deny, or the client leaves ------------------------^

While it is connecting, it is an exchange like any other: the request of the handshake, to which an application that
doesn't want the WebSocket gives an ordinary response. All methods are for the thread of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

from gracehttp.http.connection import Connection, WireProtocol
from gracehttp.http.exchange import ClientDisconnected, Exchange, Waiters
from gracehttp.http.fields import ResponseError, ResponseFields
from gracehttp.http.head import Header, RequestHead
from gracehttp.http.settings import WebSocketSettings
from gracehttp.http.websocket.handshake import Handshake, answer_fields
from gracehttp.http.websocket.messages import ABNORMAL, INTERNAL_ERROR, NORMAL, Message, Messages, may_be_sent

CONNECTING: Final = 0
OPEN: Final = 1
"""Accepted, and no side has ended it."""
ENDED: Final = 2
"""Denied, closed, or lost: the application can send nothing any more."""

_MOST_WAITING: Final = 32
_MOST_WAITING_BYTES: Final = 65536
"""So many messages, or bytes of them, wait for the application before nothing more is read."""


class SessionCarrier(Protocol):
    """The protocol under a session that is open."""

    def send(self, data: bytes) -> None:
        """Send a frame."""

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""

    def took(self) -> None:
        """The application has taken messages: there is room for more."""


class WebSocketHead(RequestHead):
    """The head of a handshake with the code with which its WebSocket has ended, for the access log."""

    __slots__ = ("_close_code",)

    def __init__(self, head: RequestHead, close_code: int) -> None:
        self.line = head.line
        self.headers = head.headers
        self.scheme = head.scheme
        self.client = head.client
        self.server = head.server
        self.tls = head.tls
        self._close_code = close_code

    @property
    def close_code(self) -> int:
        return self._close_code


class WebSocketSession:
    """The application gets it from `Application.handle_websocket` and owes it `end()`."""

    __slots__ = (
        "_carrier",
        "_handshake",
        "_make_carrier",
        "_messages",
        "_reported",
        "_waiters",
        "_waiting",
        "_waiting_bytes",
        "close_code",
        "close_reason",
        "exchange",
        "settings",
        "state",
        "writable",
    )

    def __init__(
        self,
        exchange: Exchange,
        handshake: Handshake,
        settings: WebSocketSettings,
        loop: asyncio.AbstractEventLoop,
        make_carrier: Callable[[Connection, WebSocketSession], WireProtocol],
    ) -> None:
        """`exchange` is that of the handshake. `make_carrier` makes the protocol that takes over with `accept`."""
        self.exchange = exchange
        self.settings = settings
        self._handshake = handshake
        self._make_carrier = make_carrier
        self._reported = False  # to the worker, as a request that is finished
        self._carrier: SessionCarrier | None = None
        self._messages: Messages | None = None
        self._waiters = Waiters(loop)
        self._waiting: deque[Message] = deque()  # what the application has not taken yet
        self._waiting_bytes = 0
        self.state = CONNECTING
        self.writable = True
        """False while the client reads too slowly: await `wait_until_writable`."""
        self.close_code = ABNORMAL
        self.close_reason = ""
        """How it has ended: as the side said that ended it."""

    @property
    def head(self) -> RequestHead:
        return self.exchange.head

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers, in its order of preference."""
        return self._handshake.subprotocols

    # --- the handshake ---

    def accept(self, subprotocol: str | None = None, headers: Iterable[Header] = ()) -> None:
        """Answer the handshake: from here on there are messages. `headers` go along with the answer.

        Raises `ResponseError` when it is not connecting any more, and for what can't be said in the answer;
        `ClientDisconnected` when the client is gone.
        """
        self._check_undecided()
        fields = ResponseFields(answer_fields(self._handshake, subprotocol, headers))
        self._messages = Messages(self.settings.max_size_bytes, self._handshake.deflate)
        self._handshake = self._handshake._replace(deflate=None)  # it is theirs, and goes when they release it
        self.state = OPEN
        self.exchange.upgrade(fields, lambda connection, _carried: self._make_carrier(connection, self))
        if self._carrier is None:  # the worker has closed the connection in this very moment
            self.ended_with(ABNORMAL, "")

    def start_denial(self, status: int, headers: Iterable[Header]) -> None:
        """Begin an ordinary response instead: go on with `write_denial`. Raises as `accept` does."""
        self._check_undecided()
        if isinstance(status, int) and status < 300:
            raise ResponseError(f"{status} is no status that denies a WebSocket")
        self.exchange.start_response(status, headers)

    def write_denial(self, body: bytes, more: bool) -> None:
        """As `Exchange.write`, of which it has the rules."""
        self.exchange.write(body, more)
        if not more:
            self.state = ENDED
            self._waiters.wake()

    def _check_undecided(self) -> None:
        if self.state != CONNECTING or self.exchange.response_started:
            raise ResponseError("the handshake was answered already")
        if self.exchange.disconnected:
            raise ClientDisconnected("the client is gone")

    # --- messages from the client ---

    def take(self) -> Message | None:
        """The next message; None if there is none at the moment: look at `ended`, then await `input`."""
        if not self._waiting:
            return None
        was_full = self.full
        message = self._waiting.popleft()
        self._waiting_bytes -= len(message)
        if was_full and self._carrier is not None:
            self._carrier.took()
        return message

    @property
    def full(self) -> bool:
        """So much waits for the application that nothing more is read."""
        return self._waiting_bytes > _MOST_WAITING_BYTES or len(self._waiting) >= _MOST_WAITING

    @property
    def ended(self) -> bool:
        """No message will come after those that wait."""
        exchange = self.exchange
        return self.state == ENDED or (self.state == CONNECTING and (exchange.disconnected or exchange.half_closed))

    def input(self) -> Awaitable[None]:
        """To be awaited when `take` gives nothing and it has not `ended`: until that may have changed."""
        if self.state == CONNECTING:
            return self.exchange.wait_for_disconnect()  # it ends also when the handshake is answered
        return self._waiters.future()

    # --- messages to the client ---

    def send(self, message: Message) -> None:
        """Send a message. Never blocks: look at `writable` afterwards.

        Raises `ResponseError` before `accept`, and for text that is no Unicode; `ClientDisconnected` when it has ended.
        """
        if self.state != OPEN:
            if self.ended:
                raise ClientDisconnected("the WebSocket has ended")
            raise ResponseError("a message before the handshake was accepted")
        assert self._messages is not None
        assert self._carrier is not None
        try:
            frame = self._messages.data(message)
        except UnicodeEncodeError as error:
            raise ResponseError(f"the text of a message can't be sent: {error}") from error
        self.exchange.body_sent += len(frame)
        self._carrier.send(frame)

    async def wait_until_writable(self) -> None:
        """Until all that was written is with the kernel, or the WebSocket has ended."""
        while not self.writable and self.state == OPEN:
            await self._waiters.wait()

    # --- the end ---

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """End it. Before `accept` that denies it, with 403.

        Raises `ResponseError` for a code that may not be sent (RFC 6455 section 7.4). Does nothing when it has ended.
        """
        if self.ended:
            return
        if not isinstance(code, int) or not may_be_sent(code):
            raise ResponseError(f"{code!r} is no code with which a WebSocket can be closed")
        if self.state == CONNECTING:
            self._deny(403)
        else:
            assert self._carrier is not None
            self._carrier.close(code, reason)

    def end(self, error: BaseException | None = None) -> None:
        """The application is done. Must be called exactly once, with what it raised, if it raised.

        What it has not ended is ended: with 1000, or 1011 after an error; before `accept` as an exchange is, with 500.
        """
        if self.state == CONNECTING:
            if error is None and self.exchange.half_closed:
                self.exchange.give_up()  # it was told that the client is gone
            else:
                self.exchange.end(error)
            self.state = ENDED
            return
        self._drop_waiting()
        if self.state == OPEN and self._carrier is not None:
            if error is None:
                self._carrier.close(NORMAL, "")
            else:
                self._carrier.close(INTERNAL_ERROR, "the application failed")
        if error is not None:
            self._report(error)

    def _deny(self, status: int) -> None:
        self.start_denial(status, [(b"content-type", b"text/plain; charset=utf-8")])
        self.write_denial(b"Forbidden\n", False)

    def _drop_waiting(self) -> None:
        """The application takes nothing more of what the client has sent."""
        self._waiting.clear()
        self._waiting_bytes = 0

    # --- the carrier's side ---

    def carried_by(self, carrier: SessionCarrier) -> Messages:
        """It is open: `carrier` sends and receives for it, with the messages that are returned."""
        assert self._messages is not None
        self._carrier = carrier
        return self._messages

    def put_one(self, message: Message) -> None:
        """A message of the client."""
        self._waiting.append(message)
        self._waiting_bytes += len(message)
        self._waiters.wake()

    def put(self, messages: list[Message]) -> None:
        """Messages of the client."""
        self._waiting.extend(messages)
        self._waiting_bytes += sum(map(len, messages))
        self._waiters.wake()

    def set_writable(self, writable: bool) -> None:
        """The stream has too much to send, or room again."""
        self.writable = writable
        if writable:
            self._waiters.wake()

    def ended_with(self, code: int, reason: str) -> None:
        """A side has ended it, or the connection is lost. The first call counts."""
        if self.state == OPEN:
            self.state = ENDED
            self.close_code = code
            self.close_reason = reason
            self._waiters.wake()

    def finished(self) -> None:
        """The connection is closed: tell the worker of the request that has become a WebSocket."""
        self._carrier = None
        self._report()

    def _report(self, error: BaseException | None = None) -> None:
        """Tell the worker how it ended, once; `error`, which the application raised, goes before."""
        exchange = self.exchange
        if not self._reported:
            exchange.head = WebSocketHead(exchange.head, self.close_code)
        if error is not None:
            exchange.failed(error)
        if not self._reported:
            self._reported = True
            exchange.finished(101)
