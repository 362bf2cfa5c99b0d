"""A client of HTTP/2 on a connection whose server is the real thing: frames as bytes, and the library h2 as an
independent reader of what comes back."""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack
from http_fakes import Wire

from gracehttp.http import negotiation
from gracehttp.http.settings import Http2Settings

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4
PADDED = 8
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR = range(
    7
)
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(7, 12)
GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]
POST = [(b":method", b"POST"), *GET[1:]]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def frames_of(data: bytes) -> list[Frame]:
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        assert len(data) >= 9 + size, "the last frame is not whole"
        found.append(Frame(data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def block(fields: Any) -> bytes:
    """A field block without references to the dynamic table, so that it can be sent at any time."""
    out = b""
    for name, value in fields:
        out += b"\x00" + _string(name) + _string(value)
    return out


def _string(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    size -= 127
    prefix = b"\x7f"
    while size >= 128:
        prefix += bytes((size % 128 + 128,))
        size //= 128
    return prefix + bytes((size,)) + text


def headers(stream: int, fields: Any = GET, *, end: bool = True) -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(fields))


def data(stream: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def rst(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def window(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def settings(**values: int) -> bytes:
    codes = h2.settings.SettingCodes
    return frame(
        SETTINGS, 0, 0, b"".join(struct.pack(">HI", codes[name.upper()], value) for name, value in values.items())
    )


DEADLINES = (
    "http2 body",
    "http2 response",
    "http2 goodbye",
    "http2 ending",
    "websocket ping",
    "websocket pong",
    "websocket closing",
    "websocket ending",
)


def waiting(wire: Wire) -> int:
    """How much waits for something that has a deadline, streams included."""
    context = wire.server.context
    return wire.server.waiting + sum(len(context.deadlines(name, 1.0)) for name in DEADLINES)


class Client:
    """What one client sends as raw frames, and what it gets. Begins with the preface, and lets the loop turn."""

    def __init__(self, on_handle: Any = None, *, greeting: bytes = frame(SETTINGS), **options: Any) -> None:
        http2 = options.pop("http2", Http2Settings(cleartext=True))
        self.wire = Wire(on_handle, http2=http2, **options)
        self._seen = 0
        self._decoder = hpack.Decoder()
        self.heads: dict[int, list[list[tuple[bytes, bytes]]]] = defaultdict(list)
        self.bodies: dict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaways: list[tuple[int, int]] = []
        self.pings: list[bytes] = []
        self.frames: list[Frame] = []
        if options.get("tls"):
            negotiation.begin(self.wire.connection, "h2")
        self.send(PREFACE + greeting)

    def send(self, *pieces: bytes) -> list[Frame]:
        """Send, and return the frames that come back."""
        self.wire.send(b"".join(pieces))
        return self.read()

    def read(self) -> list[Frame]:
        """The frames that have come since the last call."""
        fresh = frames_of(bytes(self.wire.kernel.sent[self._seen :]))
        self._seen = len(self.wire.kernel.sent)
        self.frames += fresh
        for one in fresh:
            self._note(one)
        return fresh

    def _note(self, one: Frame) -> None:
        if one.kind == HEADERS:
            assert one.flags & END_HEADERS
            self.heads[one.stream].append(
                [(bytes(name), bytes(value)) for name, value in self._decoder.decode(one.payload, raw=True)]
            )
        elif one.kind == DATA:
            self.bodies[one.stream] += one.payload
        elif one.kind == RST_STREAM:
            self.resets[one.stream] = int.from_bytes(one.payload, "big")
        elif one.kind == GOAWAY:
            self.goaways.append((int.from_bytes(one.payload[:4], "big"), int.from_bytes(one.payload[4:8], "big")))
        elif one.kind == PING and not one.flags & ACK:
            self.pings.append(one.payload)
        if one.kind in (HEADERS, DATA) and one.flags & END_STREAM:
            self.ended.add(one.stream)

    def status(self, stream: int) -> int:
        """Of the final response."""
        return int(dict(self.heads[stream][-1 if b":status" in dict(self.heads[stream][-1]) else -2])[b":status"])

    @property
    def exchanges(self) -> Any:
        return self.wire.exchanges

    @property
    def error(self) -> int | None:
        """With which code the connection has ended; None if it goes on."""
        if self.wire.how_it_ended == "open":
            return None
        return self.goaways[-1][1] if self.goaways else -1

    def pong(self) -> list[Frame]:
        """Answer the last ping."""
        return self.send(frame(PING, ACK, 0, self.pings[-1]))
