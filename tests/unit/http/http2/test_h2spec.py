"""The cases of h2spec (github.com/summerwind/h2spec, 2.6.0), as a checklist: what is sent, and what must come.

h2spec is written against RFC 7540; where RFC 9113 differs, this follows RFC 9113. As there, an error of a stream may be
told by ending the connection, and an error of the connection by closing it.
"""

from __future__ import annotations

import pytest
from h2_client import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GET,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    POST,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    Client,
    block,
    data,
    frame,
    headers,
    rst,
    settings,
    window,
)
from http_fakes import Wire, answer

from gracehttp.http.settings import Http2Settings

PRIORITY_FIELDS = b"\x00\x00\x00\x00\x0f"
HEAD = block(GET)
OPEN = headers(1, POST, end=False)
UNKNOWN_FLAG = 0x16
# In Huffman's code (RFC 7541 appendix B): "x-test" and "h2spec", each with its length.
X_TEST, H2SPEC = b"\x85\xf2\xb2\x4a\x84\xff", b"\x84\x9c\x48\xac\xa4"


class Answered:
    """Stream 1 is answered, or the stream that is named."""

    def __init__(self, stream: int = 1) -> None:
        self.stream = stream

    def check(self, client: Client) -> None:
        assert client.error is None
        assert client.status(self.stream) == 200
        assert self.stream in client.ended


class Received(Answered):
    """Stream 1 is answered, and its request has this field."""

    def __init__(self, name: bytes, value: bytes) -> None:
        super().__init__()
        self.field = (name, value)

    def check(self, client: Client) -> None:
        super().check(client)
        assert self.field in client.exchanges[0].head.headers


class StreamError:
    def __init__(self, *codes: int, stream: int = 1) -> None:
        self.codes = codes
        self.stream = stream

    def check(self, client: Client) -> None:
        if client.error is None:
            assert client.resets[self.stream] in self.codes
        else:
            assert client.error in self.codes


class Ended:
    def __init__(self, *codes: int) -> None:
        self.codes = codes

    def check(self, client: Client) -> None:
        assert client.error in self.codes


class Acknowledged:
    """The last frame of a kind that has come is an acknowledgement, or a PING with the same bytes."""

    def __init__(self, kind: int, payload: bytes = b"") -> None:
        self.kind = kind
        self.payload = payload

    def check(self, client: Client) -> None:
        assert client.error is None
        assert (self.kind, ACK, 0, self.payload) in client.frames


class Nothing:
    """No answer to what was sent, and the connection goes on."""

    def check(self, client: Client) -> None:
        assert client.error is None
        client.send(frame(PING, 0, 0, b"h2spec!!"))
        assert (PING, ACK, 0, b"h2spec!!") in client.frames


def trailing(fields) -> list[bytes]:
    return [OPEN, data(1, b"test"), headers(1, fields)]


def pseudo(**changes):
    found = {"method": b"GET", "scheme": b"http", "authority": b"a", "path": b"/"} | changes
    return [(b":" + name.encode(), value) for name, value in found.items() if value is not None]


ERR, SIZE, FLOW, CLOSED = PROTOCOL_ERROR, FRAME_SIZE_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED

CASES = {
    # --- generic ---
    "generic/1 preface": ([], Nothing()),
    "generic/2 idle: priority": ([frame(PRIORITY, 0, 1, PRIORITY_FIELDS), headers(1)], Answered()),
    "generic/2 half-closed remote: window update": ([headers(1), window(1, 1)], Answered()),
    "generic/2 half-closed remote: priority": ([headers(1), frame(PRIORITY, 0, 1, PRIORITY_FIELDS)], Answered()),
    "generic/2 half-closed remote: rst": ([headers(1), rst(1)], Nothing()),
    "generic/2 closed: priority": (["answer", headers(1), frame(PRIORITY, 0, 1, PRIORITY_FIELDS)], Answered()),
    "generic/3.1 data": ([OPEN, data(1, b"test", end=True)], Answered()),
    "generic/3.1 data in pieces": ([OPEN, data(1, b"te"), data(1, b"st", end=True)], Answered()),
    "generic/3.1 data with padding": ([OPEN, frame(DATA, PADDED | END_STREAM, 1, b"\x06test" + bytes(6))], Answered()),
    "generic/3.2 headers": ([headers(1)], Answered()),
    "generic/3.2 headers with padding": ([frame(HEADERS, 13, 1, b"\x06" + HEAD + bytes(6))], Answered()),
    "generic/3.2 headers with priority": ([frame(HEADERS, 0x25, 1, PRIORITY_FIELDS + HEAD)], Answered()),
    "generic/3.3 priority": ([frame(PRIORITY, 0, 1, b"\0\0\0\0\xff"), headers(1)], Answered()),
    "generic/3.3 priority exclusive": ([frame(PRIORITY, 0, 1, b"\x80\0\0\0\xff"), headers(1)], Answered()),
    "generic/3.3 priority of an idle stream": ([frame(PRIORITY, 0, 3, b"\0\0\0\x01\xff"), headers(1)], Answered()),
    "generic/3.4 rst": ([OPEN, rst(1)], Nothing()),
    "generic/3.5 settings": ([settings(max_concurrent_streams=100)], Acknowledged(SETTINGS)),
    "generic/3.7 ping": ([frame(PING, 0, 0, b"h2spec\0\0")], Acknowledged(PING, b"h2spec\0\0")),
    "generic/3.8 goaway": ([frame(GOAWAY, 0, 0, bytes(8))], ("goodbye", None)),
    "generic/3.9 window update of the connection": ([window(0, 1), headers(1)], Answered()),
    "generic/3.9 window update of a stream": ([OPEN, window(1, 1), data(1, end=True)], Answered()),
    "generic/3.10 continuation": (
        [frame(HEADERS, END_STREAM, 1, HEAD[:9]), frame(CONTINUATION, END_HEADERS, 1, HEAD[9:])],
        Answered(),
    ),
    "generic/3.10 continuations": (
        [
            frame(HEADERS, END_STREAM, 1, HEAD[:9]),
            frame(CONTINUATION, 0, 1, HEAD[9:20]),
            frame(CONTINUATION, END_HEADERS, 1, HEAD[20:]),
        ],
        Answered(),
    ),
    "generic/4 get": ([headers(1)], Answered()),
    "generic/4 head": ([headers(1, pseudo(method=b"HEAD"))], Answered()),
    "generic/4 post": ([OPEN, data(1, b"test", end=True)], Answered()),
    "generic/4 post with trailers": (trailing([(b"x-test", b"ok")]), Answered()),
    "generic/5 hpack: indexed": ([frame(HEADERS, 5, 1, b"\x82\x86\x84\x01\x01a")], Answered()),
    "generic/5 hpack: literal with indexing": ([frame(HEADERS, 5, 1, HEAD + b"\x40\x01a\x01b")], Answered()),
    "generic/5 hpack: literal with indexing, indexed name": ([frame(HEADERS, 5, 1, HEAD + b"\x7a\x01b")], Answered()),
    "generic/5 hpack: literal with indexing, indexed name, huffman": (
        [frame(HEADERS, 5, 1, HEAD + b"\x7a" + H2SPEC)],
        Received(b"user-agent", b"h2spec"),
    ),
    "generic/5 hpack: literal with indexing, huffman": (
        [frame(HEADERS, 5, 1, HEAD + b"\x40" + X_TEST + H2SPEC)],
        Received(b"x-test", b"h2spec"),
    ),
    "generic/5 hpack: literal without indexing": ([frame(HEADERS, 5, 1, HEAD + b"\x00\x01a\x01b")], Answered()),
    "generic/5 hpack: literal without indexing, indexed name": (
        [frame(HEADERS, 5, 1, HEAD + b"\x0f\x2b\x06h2spec")],
        Received(b"user-agent", b"h2spec"),
    ),
    "generic/5 hpack: literal without indexing, indexed name, huffman": (
        [frame(HEADERS, 5, 1, HEAD + b"\x0f\x2b" + H2SPEC)],
        Received(b"user-agent", b"h2spec"),
    ),
    "generic/5 hpack: literal never indexed": ([frame(HEADERS, 5, 1, HEAD + b"\x10\x01a\x01b")], Answered()),
    "generic/5 hpack: literal never indexed, indexed name": (
        [frame(HEADERS, 5, 1, HEAD + b"\x1f\x2b\x06h2spec")],
        Received(b"user-agent", b"h2spec"),
    ),
    "generic/5 hpack: literal never indexed, indexed name, huffman": (
        [frame(HEADERS, 5, 1, HEAD + b"\x1f\x2b" + H2SPEC)],
        Received(b"user-agent", b"h2spec"),
    ),
    "generic/5 hpack: literal never indexed, huffman": (
        [frame(HEADERS, 5, 1, HEAD + b"\x10" + X_TEST + H2SPEC)],
        Received(b"x-test", b"h2spec"),
    ),
    # Literal without indexing, huffman:
    "generic/5 hpack: huffman": ([frame(HEADERS, 5, 1, HEAD + b"\x00\x01a\x82\x1c\x7f")], Answered()),
    "generic/5 hpack: table size update": ([frame(HEADERS, 5, 1, b"\x20" + HEAD)], Answered()),
    "generic/5 hpack: table size updates": ([frame(HEADERS, 5, 1, b"\x20\x3f\xe1\x1f" + HEAD)], Answered()),
    # --- RFC 9113 (numbers of h2spec, RFC 7540) ---
    "4.1 unknown type": ([frame(0x16, 0, 0, bytes(8))], Nothing()),
    "4.1 undefined flags": ([frame(PING, UNKNOWN_FLAG, 0, b"h2spec\0\0")], Acknowledged(PING, b"h2spec\0\0")),
    "4.1 reserved bit": ([frame(PING, 0, 1 << 31, b"h2spec\0\0")], Acknowledged(PING, b"h2spec\0\0")),
    "4.2 data of 2^14 bytes": ([OPEN, data(1, b"a" * 16384, end=True)], Answered()),
    "4.2 data beyond the frame size": ([OPEN, data(1, b"a" * 16385)], StreamError(SIZE)),
    "4.2 headers beyond the frame size": ([frame(HEADERS, 5, 1, HEAD + bytes(16385))], Ended(SIZE)),
    "4.3 invalid block": ([frame(HEADERS, 5, 1, b"\x40")], Ended(COMPRESSION_ERROR)),
    "4.3 priority within a block": (
        [frame(HEADERS, END_STREAM, 1, HEAD), frame(PRIORITY, 0, 1, PRIORITY_FIELDS)],
        Ended(ERR),
    ),
    "4.3 headers of another stream within a block": (
        [frame(HEADERS, END_STREAM, 1, HEAD), headers(3)],
        Ended(ERR),
    ),
    "5.1 idle: data": ([data(1, b"test", end=True)], Ended(ERR, CLOSED)),
    "5.1 idle: rst": ([rst(1)], Ended(ERR)),
    "5.1 idle: window update": ([window(1, 100)], Ended(ERR)),
    "5.1 idle: continuation": ([frame(CONTINUATION, END_HEADERS, 1, HEAD)], Ended(ERR)),
    "5.1 half-closed remote: data": ([headers(1), data(1, b"test", end=True)], StreamError(CLOSED, ERR)),
    "5.1 half-closed remote: headers": ([headers(1), headers(1)], StreamError(CLOSED, ERR)),
    "5.1 half-closed remote: continuation": (
        [headers(1), frame(CONTINUATION, END_HEADERS, 1, HEAD)],
        Ended(CLOSED, ERR),
    ),
    "5.1 closed by reset: data": ([OPEN, rst(1), data(1, b"test", end=True)], ("quiet", StreamError(CLOSED, ERR))),
    "5.1 closed by reset: headers": ([headers(1), rst(1), headers(1)], ("quiet", StreamError(CLOSED, ERR))),
    "5.1 closed by reset: continuation": (
        [headers(1), rst(1), frame(CONTINUATION, END_HEADERS, 1, HEAD)],
        Ended(CLOSED, ERR),
    ),
    "5.1 closed: data": (["answer", headers(1), data(1, b"test", end=True)], ("quiet", Ended(CLOSED, ERR))),
    "5.1 closed: headers": (["answer", headers(1), headers(1)], ("quiet", Ended(CLOSED, ERR))),
    "5.1 closed: continuation": (
        ["answer", headers(1), frame(CONTINUATION, END_HEADERS, 1, HEAD)],
        Ended(CLOSED, ERR),
    ),
    "5.1.1 even stream": ([headers(2)], Ended(ERR)),
    "5.1.1 smaller stream": ([headers(5), headers(3)], ("quiet", Ended(ERR, CLOSED))),
    "5.1.2 more streams than allowed": (
        [headers(number) for number in range(1, 203, 2)],
        StreamError(REFUSED_STREAM, ERR, stream=201),
    ),
    "5.3.1 headers depend on themselves": ([frame(HEADERS, 0x25, 1, b"\0\0\0\x01\x0f" + HEAD)], ("9113", Answered())),
    "5.3.1 priority depends on itself": ([frame(PRIORITY, 0, 2, b"\0\0\0\x02\x0f"), headers(1)], ("9113", Answered())),
    # Its other row asks whether the connection is closed: so does `Ended`, as `Client.error` is None until then.
    "5.4.1 invalid ping: goaway": ([frame(PING, 0, 3, bytes(8))], Ended(ERR)),
    "5.5 unknown extension": ([frame(0x16, 0, 0, bytes(8)), headers(1)], Answered()),
    "5.5 unknown extension within a block": (
        [frame(HEADERS, END_STREAM, 1, HEAD), frame(0x16, 0, 1, bytes(8))],
        Ended(ERR),
    ),
    "6.1 data of stream 0": ([OPEN, data(0, b"test", end=True)], Ended(ERR)),
    "6.1 data of a stream that is not open": ([headers(1), data(1, b"test", end=True)], StreamError(CLOSED, ERR)),
    "6.1 padding too long": ([OPEN, frame(DATA, PADDED | END_STREAM, 1, b"\x06test")], Ended(ERR)),
    # Headers without their end, then a priority: "4.3 priority within a block".
    "6.2 headers without their end, then another": (
        [frame(HEADERS, END_STREAM, 1, HEAD), headers(3)],
        Ended(ERR),
    ),
    "6.2 headers of stream 0": ([frame(HEADERS, 5, 0, HEAD)], Ended(ERR)),
    "6.2 padding too long": ([frame(HEADERS, 13, 1, b"\xff" + HEAD)], Ended(ERR)),
    "6.3 priority of stream 0": ([frame(PRIORITY, 0, 0, PRIORITY_FIELDS)], ("quiet", Ended(ERR))),
    "6.3 priority of another size": ([headers(1), frame(PRIORITY, 0, 1, b"\x80\0\0\x01")], StreamError(SIZE)),
    "6.4 rst of stream 0": ([rst(0)], Ended(ERR)),
    "6.4 rst of an idle stream": ([rst(1)], Ended(ERR)),
    "6.4 rst of another size": ([OPEN, frame(RST_STREAM, 0, 1, b"\0\0\0")], Ended(SIZE)),
    "6.5 acknowledgement with payload": ([frame(SETTINGS, ACK, 0, b"\0")], Ended(SIZE)),
    "6.5 settings of a stream": ([frame(SETTINGS, 0, 1, b"\0\x03\0\0\0\x64")], Ended(ERR)),
    "6.5 settings of another size": ([frame(SETTINGS, 0, 0, b"\0\x03\0")], Ended(SIZE)),
    "6.5.2 push neither 0 nor 1": ([settings(enable_push=2)], Ended(ERR)),
    "6.5.2 initial window too large": ([settings(initial_window_size=2**31)], Ended(FLOW)),
    "6.5.2 frame size too small": ([settings(max_frame_size=16383)], Ended(ERR)),
    "6.5.2 frame size too large": ([settings(max_frame_size=2**24)], Ended(ERR)),
    "6.5.2 unknown setting": ([frame(SETTINGS, 0, 0, b"\0\xff\0\0\0\x01"), headers(1)], Answered()),
    "6.5.3 the last of several values": (
        [frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\x64\0\x04\0\0\0\x01"), headers(1)],
        ("one byte", None),
    ),
    "6.5.3 acknowledged at once": ([settings(enable_push=0)], Acknowledged(SETTINGS)),
    "6.7 ping": ([frame(PING, 0, 0, b"h2spec\0\0")], Acknowledged(PING, b"h2spec\0\0")),
    "6.7 answer is not answered": ([frame(PING, ACK, 0, b"invalid\0")], Nothing()),
    "6.7 ping of a stream": ([frame(PING, 0, 1, bytes(8))], Ended(ERR)),
    "6.7 ping of another size": ([frame(PING, 0, 0, bytes(6))], Ended(SIZE)),
    "6.8 goaway of a stream": ([frame(GOAWAY, 0, 1, bytes(8))], Ended(ERR)),
    "6.9 window update of 0": ([window(0, 0)], Ended(ERR)),
    "6.9 window update of 0 for a stream": ([OPEN, window(1, 0)], StreamError(ERR)),
    "6.9 window update of another size": ([frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01")], Ended(SIZE)),
    "6.9.1 window of 1": ([settings(initial_window_size=1), headers(1)], ("one byte", None)),
    "6.9.1 window beyond 2^31-1": ([window(0, 2**31 - 1), window(0, 2**31 - 1)], Ended(FLOW)),
    "6.9.1 window of a stream beyond 2^31-1": (
        [OPEN, window(1, 2**31 - 1), window(1, 2**31 - 1)],
        StreamError(FLOW),
    ),
    "6.9.2 window changes while a response waits": (
        [settings(initial_window_size=0), headers(1), settings(initial_window_size=1)],
        ("one byte", None),
    ),
    "6.9.2 negative window": (
        [settings(initial_window_size=2), headers(1), settings(initial_window_size=1), window(1, 1)],
        Answered(),
    ),
    # An initial window too large (6.9.2): "6.5.2 initial window too large".
    # Several continuations (6.10): "generic/3.10 continuations".
    "6.10 continuation, then data": (
        [
            frame(HEADERS, 0, 1, HEAD[:9]),
            frame(CONTINUATION, 0, 1, HEAD[9:]),
            data(1, b"test", end=True),
        ],
        Ended(ERR),
    ),
    "6.10 continuation behind the end": (
        [headers(1), frame(CONTINUATION, END_HEADERS, 1, HEAD)],
        Ended(ERR),
    ),
    "6.10 continuation behind a continuation with the end": (
        [
            frame(HEADERS, END_STREAM, 1, HEAD[:9]),
            frame(CONTINUATION, END_HEADERS, 1, HEAD[9:]),
            frame(CONTINUATION, END_HEADERS, 1, block([(b"x-test", b"h2spec")])),
        ],
        Ended(ERR),
    ),
    "6.10 continuation of stream 0": (
        [frame(HEADERS, END_STREAM, 1, HEAD), frame(CONTINUATION, END_HEADERS, 0, HEAD)],
        Ended(ERR),
    ),
    "6.10 continuation behind data": (
        [OPEN, data(1, b"test"), frame(CONTINUATION, END_HEADERS, 1, HEAD)],
        Ended(ERR),
    ),
    "7 goaway with an unknown code": ([frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\xff")], ("goodbye", None)),
    "7 rst with an unknown code": ([OPEN, rst(1, 0xFF)], Nothing()),
    "8.1 head without end behind data": (
        [OPEN, data(1, b"a"), headers(1, [(b"a", b"b")], end=False)],
        StreamError(ERR),
    ),
    "8.1.2 name in upper case": ([headers(1, [*GET, (b"X-TEST", b"ok")])], StreamError(ERR)),
    "8.1.2.1 unknown pseudo-header field": ([headers(1, [*GET, (b":test", b"ok")])], StreamError(ERR)),
    "8.1.2.1 pseudo-header field of a response": ([headers(1, [*GET, (b":status", b"200")])], StreamError(ERR)),
    "8.1.2.1 pseudo-header field as trailer": (trailing([(b":method", b"GET")]), StreamError(ERR)),
    "8.1.2.1 pseudo-header field behind another": (
        [headers(1, [*GET[:3], (b"x-test", b"ok"), GET[3]])],
        StreamError(ERR),
    ),
    "8.1.2.2 connection": ([headers(1, [*GET, (b"connection", b"keep-alive")])], StreamError(ERR)),
    "8.1.2.2 te": ([headers(1, [*GET, (b"te", b"trailers, deflate")])], StreamError(ERR)),
    "8.1.2.3 empty path": ([headers(1, pseudo(path=b""))], StreamError(ERR)),
    "8.1.2.3 no method": ([headers(1, pseudo(method=None))], StreamError(ERR)),
    "8.1.2.3 no scheme": ([headers(1, pseudo(scheme=None))], StreamError(ERR)),
    "8.1.2.3 no path": ([headers(1, pseudo(path=None))], StreamError(ERR)),
    "8.1.2.3 two methods": ([headers(1, [*GET, GET[0]])], StreamError(ERR)),
    "8.1.2.3 two schemes": ([headers(1, [*GET, GET[1]])], StreamError(ERR)),
    "8.1.2.3 two paths": ([headers(1, [*GET, GET[3]])], StreamError(ERR)),
    "8.1.2.6 another length": (
        [headers(1, [*POST, (b"content-length", b"1")], end=False), data(1, b"test", end=True)],
        StreamError(ERR),
    ),
    "8.1.2.6 another length in several frames": (
        [headers(1, [*POST, (b"content-length", b"1")], end=False), data(1, b"test"), data(1, b"test", end=True)],
        StreamError(ERR),
    ),
    "8.2 push promise": ([frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + HEAD)], Ended(ERR)),
    # --- RFC 9113 beyond h2spec ---
    "9113 6.1 no host at all": ([headers(1, pseudo(authority=None))], StreamError(ERR)),
    "9113 8.2.1 white space around a value": ([headers(1, [*GET, (b"a", b" b")])], StreamError(ERR)),
    "9113 8.2.1 line feed in a value": ([headers(1, [*GET, (b"a", b"b\nc: d")])], StreamError(ERR)),
    "9113 8.2.1 NUL in a value": ([headers(1, [*GET, (b"a", b"b\0")])], StreamError(ERR)),
    "9113 8.2.1 colon in a name": ([headers(1, [*GET, (b"a:b", b"c")])], StreamError(ERR)),
    "9113 8.2.1 space in a name": ([headers(1, [*GET, (b"a ", b"c")])], StreamError(ERR)),
    "9113 8.2.1 empty name": ([headers(1, [*GET, (b"", b"c")])], ("ignored", None)),
    "9113 8.2.2 transfer-encoding": ([headers(1, [*GET, (b"transfer-encoding", b"chunked")])], StreamError(ERR)),
    "9113 8.2.2 upgrade": ([headers(1, [*GET, (b"upgrade", b"h2c")])], StreamError(ERR)),
    "9113 8.2.2 keep-alive": ([headers(1, [*GET, (b"keep-alive", b"1")])], StreamError(ERR)),
    "9113 8.2.2 proxy-connection": ([headers(1, [*GET, (b"proxy-connection", b"x")])], StreamError(ERR)),
    "9113 8.3.1 user information": ([headers(1, pseudo(authority=b"u@a"))], StreamError(ERR)),
    "9113 8.3.1 two hosts": (
        [headers(1, [*pseudo(authority=None), (b"host", b"a"), (b"host", b"a")])],
        StreamError(ERR),
    ),
    "9113 8.3.1 asterisk with get": ([headers(1, pseudo(path=b"*"))], StreamError(ERR)),
    "9113 8.3.1 path without slash": ([headers(1, pseudo(path=b"a"))], StreamError(ERR)),
    "9113 8.5 connect with path": ([headers(1, pseudo(method=b"CONNECT"))], StreamError(ERR)),
    "8441 protocol that was not offered": (
        [headers(1, [*pseudo(method=b"CONNECT"), (b":protocol", b"websocket")])],
        StreamError(ERR),
    ),
    # --- hpack (RFC 7541) ---
    "hpack/2.3.3 index that is in no table": (
        [frame(HEADERS, 5, 1, HEAD + b"\xc6")],
        Ended(COMPRESSION_ERROR),
    ),
    "hpack/2.3.3 name that is in no table": (
        [frame(HEADERS, 5, 1, HEAD + b"\x7e\x47\x04test")],
        Ended(COMPRESSION_ERROR),
    ),
    "hpack/4.2 table size update at the end": (
        [frame(HEADERS, 5, 1, HEAD + b"\x21")],
        Ended(COMPRESSION_ERROR),
    ),
    "hpack/5.2 huffman padding longer than 7 bits": (
        [frame(HEADERS, 5, 1, HEAD + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")],
        Ended(COMPRESSION_ERROR),
    ),
    "hpack/5.2 huffman padding of zeros": (
        [frame(HEADERS, 5, 1, HEAD + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")],
        Ended(COMPRESSION_ERROR),
    ),
    "hpack/5.2 huffman with EOS": (
        [frame(HEADERS, 5, 1, HEAD + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")],
        Ended(COMPRESSION_ERROR),
    ),
    "hpack/6.1 index 0": ([frame(HEADERS, 5, 1, HEAD + b"\x80")], Ended(COMPRESSION_ERROR)),
    "hpack/6.3 table larger than allowed": (
        [frame(HEADERS, 5, 1, b"\x3f\xe2\x1f" + HEAD)],
        Ended(COMPRESSION_ERROR),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    pieces, expected = CASES[name]
    client = Client()
    pieces = list(pieces)
    if pieces and pieces[0] == "answer":
        # The stream is closed before the next frame comes.
        client.send(pieces[1])
        answer(client.exchanges[0])
        client.wire.turn()
        del pieces[:2]
    if pieces:
        client.send(*pieces)
    for exchange in client.exchanges:
        if not exchange.response_complete and not exchange.disconnected:
            answer(exchange)
    client.wire.turn()
    client.read()
    kind = ""
    if isinstance(expected, tuple):
        kind, expected = expected
    if kind == "one byte":
        assert client.bodies[1] == b"o"
    elif kind == "goodbye":
        assert client.goaways == []
        assert client.wire.how_it_ended == "lingering", "nothing is in flight, and the client wants to go"
    elif kind == "ignored":
        assert client.error is None
        assert client.resets.get(1) == ERR or client.status(1) == 200
    elif kind == "quiet" and client.error is None and 1 not in client.resets:
        # RFC 9113 section 5.1: what was on its way to a stream that is closed may be ignored. To libnghttp2 a stream
        # that was passed over is closed too (5.1.1 asks for an error), and PRIORITY is nothing at all (6.3 likewise).
        Nothing().check(client)
    elif kind == "9113" and client.error is not None:
        # Deprecated (RFC 9113 section 5.3.2). libnghttp2 still refuses it, as RFC 7540 asks.
        assert client.error == ERR
    else:
        expected.check(client)


@pytest.mark.parametrize(
    "greeting", [b"INVALID PREFACE\r\n\r\n", PREFACE[:-1] + b"x", PREFACE + frame(PING, 0, 0, bytes(8))]
)
def test_case_3_5_invalid_preface(greeting):
    wire = Wire(http2=Http2Settings(cleartext=True))
    wire.send(greeting)
    assert wire.how_it_ended == "lingering"
