"""Two parsers of others, asked for one request at a time: llhttp (of Node.js, by httptools) and h11."""

from __future__ import annotations

from typing import NamedTuple

import h11
import httptools

from gracehttp.http.head import Header

_MOST_BYTES = 1 << 24


class Understood(NamedTuple):
    """A whole request; `end` is where it ends in the bytes."""

    method: bytes
    target: bytes
    fields: list[Header]
    body: bytes
    trailers: list[Header]
    end: int


class Refused(NamedTuple):
    """The bytes are no request."""

    why: str


class Partial(NamedTuple):
    """The beginning of a request, as far as one can tell."""


Opinion = Understood | Refused | Partial


class _Events:
    """The callbacks of httptools."""

    def __init__(self) -> None:
        self.target = self.body = b""
        self.fields: list[Header] = []
        self.trailers: list[Header] = []
        self.head_complete = self.complete = False

    def on_url(self, data: bytes) -> None:
        self.target += data

    def on_header(self, name: bytes, value: bytes) -> None:
        (self.trailers if self.head_complete else self.fields).append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head_complete = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


def ask_llhttp(data: bytes) -> Opinion:
    """Byte by byte, since llhttp doesn't tell where a request has ended."""
    events = _Events()
    parser = httptools.HttpRequestParser(events)
    for at in range(len(data)):
        try:
            parser.feed_data(data[at : at + 1])
        except httptools.HttpParserUpgrade:
            pass  # it stops behind a request that asks for another protocol, since it can't read that
        except httptools.HttpParserError as error:
            if not events.complete:
                return Refused(str(error))
        if events.complete:
            return Understood(
                parser.get_method(), events.target, events.fields, events.body, events.trailers, at + 1
            )  # fmt: skip
    return Partial()


def ask_h11(data: bytes) -> Opinion:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_BYTES)
    connection.receive_data(data)
    head = None
    body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            return Refused(str(error))
        match event:
            case h11.Request():
                head = event
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                assert head is not None
                end = len(data) - len(connection.trailing_data[0])
                return Understood(head.method, head.target, list(head.headers), body, list(event.headers), end)
            case _:
                return Partial()
