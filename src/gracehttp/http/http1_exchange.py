"""One request on an HTTP/1.1 connection and the response to it: the rules of a response, and its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic, time
from typing import TYPE_CHECKING, NoReturn

from gracehttp.http.exchange import Exchange, Header, RequestHead, ResponseError
from gracehttp.http.response_head import (
    CHUNKED,
    COUNTED,
    NO_BODY,
    SERVER_LINE,
    STATUS_LINES,
    UNTIL_CLOSE,
    ResponseFields,
    choose_framing,
    connection_line,
    date_and_server_lines,
    date_line,
    framing_line,
    status_line,
)
from gracehttp.http.waiters import Waiters

if TYPE_CHECKING:
    from gracehttp.http.http1 import Http1Connection
    from gracehttp.http.request_body import RequestBody

# Below, head and body are joined into one write; above, the copy would cost more than a second write.
_JOIN_LIMIT_BYTES = 65536
_NO_FIELDS = ResponseFields(())


class Http1Exchange(Exchange):
    """See `Exchange`. Its connection calls the methods of the section "the connection's side"."""

    __slots__ = (
        "_connection",
        "_drain_waiters",
        "_fields",
        "_framing",
        "_input_waiters",
        "_left",
        "_loop",
        "_started_at",
        "_unusable",
        "awaits_continue",
        "body",
        "body_length",
        "body_sent",
        "closes",
        "disconnected",
        "head",
        "head_sent",
        "response_complete",
        "response_started",
        "status",
        "writable",
    )

    def __init__(
        self,
        connection: Http1Connection,
        head: RequestHead,
        body: RequestBody,
        loop: asyncio.AbstractEventLoop,
        writable: bool,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self.body_sent = 0  # bytes that were given to the transport, without framing
        self._fields = _NO_FIELDS
        self._framing = NO_BODY
        self._left = 0  # body bytes that Content-Length still asks for
        self._unusable = False  # the application broke a rule before anything was sent; only 500 is left
        self._input_waiters: Waiters | None = None
        self._drain_waiters: Waiters | None = None
        self.head = head
        self.body = body
        self.body_length: int | None = 0  # the connection knows of a body, if there is one
        self.awaits_continue = False
        # Not loop.time(): uvloop reads the clock once per turn of the loop, to a millisecond, and that takes as long.
        self._started_at = monotonic()
        self.status = 0
        self.head_sent = False
        self.closes = False  # the response has said that it is the last one
        self.response_started = False
        self.response_complete = False
        self.disconnected = False
        self.writable = writable

    # --- the request body ---

    def take_body(self) -> tuple[bytes, bool] | None:
        taken = self.body.take()
        if taken is None:
            if not self.response_complete and not self.disconnected:
                self._connection.body_wanted()
        elif taken[1]:
            self._connection.body_taken()
        return taken

    async def wait_for_input(self) -> None:
        body = self.body
        if body.buffered or body.complete or self.disconnected or self.response_complete:
            return
        await self._waiters_for_input().wait()

    async def wait_for_disconnect(self) -> None:
        while not self.disconnected and not self.response_complete:
            await self._waiters_for_input().wait()

    def _waiters_for_input(self) -> Waiters:
        if self._input_waiters is None:
            self._input_waiters = Waiters(self._loop)
        return self._input_waiters

    # --- the response ---

    def start_response(self, status: int, headers: Iterable[Header]) -> None:
        if self.response_started:
            raise ResponseError("the response was started already")
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise ResponseError(f"{status!r} is no status of a final response")
        self._fields = fields = ResponseFields(headers)
        self.status = status
        head = self.head
        self._left = fields.content_length
        self._framing = choose_framing(head.method == "HEAD", status, head.http_version == "1.1", fields.content_length)
        self.response_started = True

    def write(self, data: bytes, more: bool) -> None:
        if self.disconnected:
            return
        if not self.response_started or self.response_complete or self._unusable:
            raise ResponseError(self._why_not_now())
        if type(data) is not bytes:
            data = _as_bytes(data)
        if self._framing == COUNTED:
            # Held against its Content-Length before any byte that breaks it is sent.
            self._left -= len(data)
            if self._left and (self._left < 0 or not more):
                self._blame_length()
        if not self.head_sent:
            self._write_first(data, more)
        else:
            self._write_next(data, more)
        if not more:
            self.response_complete = True
            self._wake_all()
            self._connection.response_completed(self)

    async def wait_until_writable(self) -> None:
        while not (self.writable or self.disconnected or self.response_complete):
            if self._drain_waiters is None:
                self._drain_waiters = Waiters(self._loop)
            await self._drain_waiters.wait()

    def _why_not_now(self) -> str:
        if not self.response_started:
            return "body bytes before the response was started"
        if self.response_complete:
            return "body bytes after the end of the response"
        return "body bytes after the body had more or less than its Content-Length"

    def _blame_length(self) -> NoReturn:
        """The body has more or less than its Content-Length."""
        length = self._fields.content_length
        sent = length - self._left
        wrong = f"{sent} bytes or more" if self._left < 0 else f"only {sent} bytes"
        reason = f"the body has {wrong}, its Content-Length said {length}"
        self._unusable = True
        self._connection.response_broke(self, reason)
        raise ResponseError(reason)

    def _write_first(self, data: bytes, more: bool) -> None:
        """The head, and the body bytes that come with it, in one write if they are few."""
        size = len(data)
        framing = self._framing
        length = self._fields.content_length
        if length < 0 and not more and framing != COUNTED:
            # The whole body is here. HEAD without body bytes tells nothing about the length that GET would have.
            if framing != NO_BODY:
                framing = self._framing = COUNTED
                length = size
            elif size and self.status not in (204, 304):
                length = size
        if framing == NO_BODY:
            data = b""
        else:
            self.body_sent = size
            if framing == CHUNKED and size:
                data = b"%x\r\n%b\r\n" % (size, data)
        if size <= _JOIN_LIMIT_BYTES:
            head = self._head_bytes(framing, length, more, data)
            self.head_sent = True
            self._connection.write(head)
        else:
            head = self._head_bytes(framing, length, more)
            self.head_sent = True
            self._connection.write(head)
            if data:
                self._connection.write(data)

    def _head_bytes(self, framing: int, length: int, more: bool, body: bytes = b"") -> bytes:
        """The head, and after it `body`."""
        fields = self._fields
        status = self.status
        http11 = self.head.http_version == "1.1"
        self.closes = closes = fields.closes or framing == UNTIL_CLOSE or self._connection.closes_after(not more)
        second = int(time())
        if fields.has_date:
            ours = b"" if fields.has_server else SERVER_LINE
        elif fields.has_server:
            ours = date_line(second)
        else:
            ours = date_and_server_lines(second)
        # Here and below, functions of response_head that have nothing to say in the usual case aren't called in it.
        line = STATUS_LINES.get(status) or status_line(status)
        framed = framing_line(framing, status, length)
        connection = b"" if http11 and not closes else connection_line(http11, closes)
        return b"".join((line, fields.block, framed, ours, connection, b"\r\n", body))

    def _write_next(self, data: bytes, more: bool) -> None:
        framing = self._framing
        if framing == NO_BODY:
            return
        size = len(data)
        self.body_sent += size
        if framing == CHUNKED:
            if size:
                data = b"%x\r\n%b\r\n" % (size, data) if more else b"%x\r\n%b\r\n0\r\n\r\n" % (size, data)
            elif not more:
                data = b"0\r\n\r\n"
        if data:
            self._connection.write(data)

    # --- the end ---

    def end(self, error: BaseException | None = None) -> None:
        connection = self._connection
        if error is not None:
            connection.owner.application_failed(self.head, error)
        if self.response_complete or self.disconnected:
            return
        if error is None and not self._unusable:
            connection.owner.response_broken(self.head, "the application ended before its response was complete")
        if self.head_sent:
            connection.cut(self)
            return
        self._unusable = self.response_started = False
        self.start_response(500, [(b"content-type", b"text/plain; charset=utf-8")])
        self.write(b"Internal Server Error\n", False)

    # --- the connection's side ---

    @property
    def age_seconds(self) -> float:
        """How long ago the head of the request was complete."""
        return monotonic() - self._started_at

    @property
    def ends_with_connection(self) -> bool:
        """Whether the client takes the end of the connection for the end of the body."""
        return self.head_sent and self._framing == UNTIL_CLOSE

    def body_arrived(self) -> None:
        """The connection has put something into the request body, or its end."""
        if self._input_waiters is not None:
            self._input_waiters.wake()

    def set_writable(self, writable: bool) -> None:
        """The transport's buffer got full, or has room again."""
        self.writable = writable
        if writable and self._drain_waiters is not None:
            self._drain_waiters.wake()

    def disconnect(self) -> None:
        """Nothing reaches the client from now on; whoever waits is woken and will see it."""
        self.disconnected = True
        self._wake_all()

    def _wake_all(self) -> None:
        if self._input_waiters is not None:
            self._input_waiters.wake()
        if self._drain_waiters is not None:
            self._drain_waiters.wake()


def _as_bytes(data: object) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise ResponseError(f"the body must be bytes, not {type(data).__name__}")
