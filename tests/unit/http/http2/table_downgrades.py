"""Requests of HTTP/2 that could become others where a proxy turns them into HTTP/1.1, each with the section that
decides about it, and what must come of it: at this server, and behind nginx and HAProxy.

Sections are of RFC 9113 where no other RFC is named; 10.3 is about the whole of it. What a row wants to bring in is
called `smuggled`: no application may see a request for it or a field of that name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import hpack
from h2_client import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, block, data, frame, headers

RESET = "reset"
"""An error of the stream, or of the connection."""


class Seen(NamedTuple):
    """What the application sees."""

    method: str = "GET"
    target: str = "/a"
    body: str = ""


class Row(NamedTuple):
    section: str
    frames: bytes
    here: Seen | int | str
    """What comes of it at this server: what the application sees, a status, or `RESET`."""
    nginx: int = 0
    """The status that this server logs behind nginx; 0: nginx passes nothing on, or gives up half-way."""
    haproxy: int = 0


class Fields(NamedTuple):
    """A field list by its parts, so that a row can replace one of them. None is left out."""

    method: bytes | None = b"GET"
    scheme: bytes | None = b"http"
    authority: bytes | None = b"a"
    path: bytes | None = b"/a"

    def listed(self, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        names = (b":method", b":scheme", b":authority", b":path")
        return [(name, value) for name, value in zip(names, self, strict=True) if value is not None] + list(more)


def get(*more: tuple[bytes, bytes], **parts: bytes | None) -> bytes:
    return headers(1, Fields(**parts).listed(*more))


def post(*more: tuple[bytes, bytes], body: tuple[bytes, ...] = (b"hello",), **parts: Any) -> bytes:
    """The body in so many frames."""
    start = headers(1, Fields(**{"method": b"POST", **parts}).listed(*more), end=False)
    return start + b"".join(data(1, piece, end=at == len(body) - 1) for at, piece in enumerate(body))


def trailing(*trailers: tuple[bytes, bytes]) -> bytes:
    return headers(1, Fields(method=b"POST").listed(), end=False) + data(1, b"hello") + headers(1, trailers)


def continued(at: int, *more: tuple[bytes, bytes]) -> bytes:
    """The field block in two frames, cut so many bytes before its end."""
    whole = block(Fields().listed(*more))
    return frame(HEADERS, END_STREAM, 1, whole[:-at]) + frame(CONTINUATION, END_HEADERS, 1, whole[-at:])


def huffman(name: bytes, value: bytes) -> bytes:
    """The last field by Huffman's code, in which a line end is thirty bits that no simple search finds."""
    encode = hpack.huffman.HuffmanEncoder(
        hpack.huffman_constants.REQUEST_CODES, hpack.huffman_constants.REQUEST_CODES_LENGTH
    ).encode
    field = b"".join(_long(encode(text)) for text in (name, value))
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, block(Fields().listed()) + b"\x00" + field)


def _long(code: bytes) -> bytes:
    assert len(code) < 127
    return bytes((0x80 | len(code),)) + code


def indexed(name: bytes, value: bytes) -> bytes:
    """The last field twice: into the dynamic table, and from there."""
    field = b"\x40" + bytes((len(name),)) + name + bytes((len(value),)) + value
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, block(Fields().listed()) + field + b"\xbe")


REQUEST = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
FIVE = (b"content-length", b"5")

VALUES = {
    "line feed": Row("8.2.1", get((b"x", b"a\nsmuggled: b")), RESET),
    "carriage return": Row("8.2.1", get((b"x", b"a\rsmuggled: b")), RESET),
    "line end": Row("8.2.1", get((b"x", b"a\r\nsmuggled: b")), RESET),
    "line end at the end": Row("8.2.1", get((b"x", b"a\r\n")), RESET),
    "line end at the start": Row("8.2.1", get((b"x", b"\r\nsmuggled: b")), RESET),
    "only a line end": Row("8.2.1", get((b"x", b"\r\n")), RESET),
    "line folding": Row("8.2.1", get((b"x", b"a\r\n b")), RESET),
    "whole request": Row("8.2.1", get((b"x", b"a\r\n\r\n" + REQUEST)), RESET),
    "transfer-encoding behind a line end": Row(
        "8.2.1", post((b"x", b"a\r\ntransfer-encoding: chunked"), body=(b"0\r\n\r\n" + REQUEST,)), RESET
    ),
    "content-length behind a line end": Row("8.2.1", post((b"x", b"a\r\ncontent-length: 0"), body=(REQUEST,)), RESET),
    "NUL": Row("8.2.1", get((b"x", b"a\0b")), RESET),
    "NUL at the end": Row("8.2.1", get((b"x", b"a\0")), RESET),
    "control character": Row("8.2.1, RFC 9110 5.5", get((b"x", b"a\x01b")), RESET, 400, 400),
    "delete": Row("8.2.1, RFC 9110 5.5", get((b"x", b"a\x7fb")), RESET, 400, 400),
    "space at the start": Row("8.2.1", get((b"x", b" a")), RESET, 200, 200),
    "space at the end": Row("8.2.1", get((b"x", b"a ")), RESET, 200, 200),
    "tab at the start": Row("8.2.1", get((b"x", b"\ta")), RESET, 200, 200),
    "tab within": Row("8.2.1", get((b"x", b"a\tb")), Seen(), 200, 200),
    "colon": Row("8.2.1", get((b"x", b"a: b")), Seen(), 200, 200),
    "byte above 127": Row("8.2.1", get((b"x", b"a\xc3\xa9")), Seen(), 200, 200),
    "empty": Row("8.2.1", get((b"x", b"")), Seen(), 200, 200),
    "line end in cookie": Row("8.2.3", get((b"cookie", b"a=b\r\nsmuggled: b")), RESET),
    "line end in the second cookie": Row("8.2.3", get((b"cookie", b"a=b"), (b"cookie", b"c=d\r\nsmuggled: b")), RESET),
    "line end in content-type": Row("8.2.1", post((b"content-type", b"a/b\r\nsmuggled: b")), RESET),
    "line end in content-length": Row("8.2.1", post((b"content-length", b"5\r\nsmuggled: b")), RESET),
    "line end in host": Row("8.2.1", get((b"host", b"a\r\nsmuggled: b"), authority=None), RESET),
    "line end in user-agent": Row("8.2.1", get((b"user-agent", b"a\r\nsmuggled: b")), RESET),
    "line end in te": Row("8.2.2", get((b"te", b"trailers\r\nsmuggled: b")), RESET),
    "line end by Huffman's code": Row("8.2.1, RFC 7541 5.2", huffman(b"x", b"a\r\nsmuggled: b"), RESET),
    "NUL by Huffman's code": Row("8.2.1, RFC 7541 5.2", huffman(b"x", b"a\0b"), RESET),
    "line end in the dynamic table": Row("8.2.1, RFC 7541 2.3.2", indexed(b"x", b"a\r\nsmuggled: b"), RESET),
    "line end in a continuation": Row("8.2.1, 6.10", continued(12, (b"x", b"a\r\nsmuggled: b")), RESET),
    "line end on both sides of a cut": Row("8.2.1, 6.10", continued(11, (b"x", b"a\r\nsmuggled: b")), RESET),
}

NAMES = {
    "upper case": Row("8.2.1", get((b"X", b"a")), RESET),
    "upper case within": Row("8.2.1", get((b"transfer-Encoding", b"chunked")), RESET),
    "upper case by Huffman's code": Row("8.2.1", huffman(b"Transfer-Encoding", b"chunked"), RESET),
    "colon at the end": Row("8.2.1", get((b"x:", b"a")), RESET),
    "colon within": Row("8.2.1", get((b"smuggled: a", b"b")), RESET),
    "content-length with a colon": Row("8.2.1", post((b"content-length:", b"0"), body=(REQUEST,)), RESET),
    "transfer-encoding with a colon": Row("8.2.1", post((b"transfer-encoding: chunked\r\nx", b"a")), RESET),
    "space at the end": Row("8.2.1", get((b"x ", b"a")), RESET),
    "space at the start": Row("8.2.1", get((b" x", b"a")), RESET),
    "space within": Row("8.2.1", get((b"x y", b"a")), RESET),
    "transfer-encoding and a space": Row("8.2.1", post((b"transfer-encoding ", b"chunked")), RESET),
    "content-length and a space": Row("8.2.1", post((b"content-length ", b"0"), body=(REQUEST,)), RESET),
    "tab": Row("8.2.1", get((b"x\t", b"a")), RESET),
    "vertical tab": Row("8.2.1", get((b"x\x0b", b"a")), RESET),
    "line feed": Row("8.2.1", get((b"x: a\nsmuggled", b"b")), RESET),
    "carriage return": Row("8.2.1", get((b"x\rsmuggled", b"b")), RESET),
    "line end": Row("8.2.1", get((b"x: a\r\nsmuggled", b"b")), RESET),
    "whole request": Row("8.2.1", get((b"x: a\r\n\r\nGET /smuggled HTTP/1.1\r\nx", b"b")), RESET),
    "NUL": Row("8.2.1", get((b"x\0", b"a")), RESET),
    "byte above 127": Row("8.2.1", get((b"x\xff", b"a")), RESET, 400),
    "delete": Row("8.2.1", get((b"x\x7f", b"a")), RESET),
    "delimiter": Row("8.2.1, RFC 9110 5.6.2", get((b"x(y)", b"a")), RESET, 400),
    "empty": Row("8.2.1", get((b"", b"a")), RESET),
    "underscore": Row("RFC 9110 5.6.2", post((b"transfer_encoding", b"chunked")), Seen("POST", body="hello"), 200, 200),
    "underscore in content-length": Row(
        "RFC 9110 5.6.2", post((b"content_length", b"0")), Seen("POST", body="hello"), 200, 200
    ),
}

CONNECTION = {
    "transfer-encoding": Row("8.2.2", get((b"transfer-encoding", b"chunked")), RESET, 200),
    "transfer-encoding with a body": Row(
        "8.2.2", post((b"transfer-encoding", b"chunked"), body=(b"0\r\n\r\n" + REQUEST,)), RESET, 200
    ),
    "transfer-encoding identity": Row("8.2.2", post((b"transfer-encoding", b"identity")), RESET),
    "transfer-encoding empty": Row("8.2.2", post((b"transfer-encoding", b"")), RESET),
    "transfer-encoding and content-length": Row("8.2.2", post(FIVE, (b"transfer-encoding", b"chunked")), RESET),
    "transfer-encoding by Huffman's code": Row("8.2.2", huffman(b"transfer-encoding", b"chunked"), RESET, 200),
    "transfer-encoding in the dynamic table": Row("8.2.2", indexed(b"transfer-encoding", b"chunked"), RESET),
    "transfer-encoding in a continuation": Row("8.2.2", continued(12, (b"transfer-encoding", b"chunked")), RESET, 200),
    "connection": Row("8.2.2", get((b"connection", b"close")), RESET, 200),
    "connection names content-length": Row("8.2.2", post(FIVE, (b"connection", b"content-length")), RESET, 200),
    "connection names transfer-encoding": Row("8.2.2", post((b"connection", b"transfer-encoding")), RESET, 200),
    "keep-alive": Row("8.2.2", get((b"keep-alive", b"timeout=5")), RESET, 200),
    "proxy-connection": Row("8.2.2", get((b"proxy-connection", b"keep-alive")), RESET, 200),
    "upgrade to websocket": Row("8.2.2", get((b"upgrade", b"websocket")), RESET, 200),
    "upgrade to h2c": Row("8.2.2", get((b"upgrade", b"h2c"), (b"http2-settings", b"")), RESET, 200),
    "te trailers": Row("8.2.2", get((b"te", b"trailers")), Seen(), 200, 200),
    "te chunked": Row("8.2.2", get((b"te", b"chunked")), RESET, 200),
    "te trailers and gzip": Row("8.2.2", get((b"te", b"trailers, gzip")), RESET, 200),
    "trailer": Row("8.1", post((b"trailer", b"content-length")), Seen("POST", body="hello"), 200, 200),
    "expect": Row("RFC 9110 10.1.1", post((b"expect", b"100-continue")), Seen("POST", body="hello"), 200, 200),
    "unknown expectation": Row("RFC 9110 10.1.1", post((b"expect", b"smuggled")), 417, 200, 417),
}

LENGTHS = {
    "right": Row("8.1.1", post(FIVE), Seen("POST", body="hello"), 200, 200),
    "right in pieces": Row("8.1.1", post(FIVE, body=(b"he", b"", b"llo", b"")), Seen("POST", body="hello"), 200, 200),
    "none": Row("8.1.1", post(), Seen("POST", body="hello"), 200, 200),
    "none of an empty body": Row("8.1.1", post(body=(b"",)), Seen("POST"), 200, 200),
    "0 of an empty body": Row("8.1.1", post((b"content-length", b"0"), body=(b"",)), Seen("POST"), 200, 200),
    "too small": Row("8.1.1", post(FIVE, body=(b"hello" + REQUEST,)), RESET, 0),
    "too small in pieces": Row("8.1.1", post(FIVE, body=(b"hello", REQUEST)), RESET, 0),
    "0 with a body": Row("8.1.1", post((b"content-length", b"0"), body=(REQUEST,)), RESET, 200),
    "too large": Row("8.1.1", post((b"content-length", b"50")), RESET, 0),
    "without a body": Row("8.1.1", get(FIVE, method=b"POST"), RESET, 0, 200),
    "of a GET without a body": Row("8.1.1", get(FIVE), RESET, 0, 200),
    "twice": Row("8.1.1, RFC 9110 8.6", post(FIVE, FIVE), RESET, 0, 200),
    "two that differ": Row("8.1.1, RFC 9110 8.6", post(FIVE, (b"content-length", b"0")), RESET),
    "two that differ, the small first": Row("8.1.1, RFC 9110 8.6", post((b"content-length", b"0"), FIVE), RESET),
    "list": Row("RFC 9110 8.6", post((b"content-length", b"5, 5")), RESET, 0, 200),
    "plus": Row("RFC 9110 8.6", post((b"content-length", b"+5")), RESET),
    "minus": Row("RFC 9110 8.6", post((b"content-length", b"-5")), RESET),
    "hexadecimal": Row("RFC 9110 8.6", post((b"content-length", b"0x5")), RESET),
    "leading zero": Row("RFC 9110 8.6", post((b"content-length", b"05")), Seen("POST", body="hello"), 200, 200),
    "space behind": Row("8.2.1", post((b"content-length", b"5 ")), RESET, 0, 200),
    "space before": Row("8.2.1", post((b"content-length", b" 5")), RESET, 0, 200),
    "space within": Row("RFC 9110 8.6", post((b"content-length", b"5 0")), RESET),
    "empty": Row("RFC 9110 8.6", post((b"content-length", b"")), RESET),
    "letters": Row("RFC 9110 8.6", post((b"content-length", b"five")), RESET),
    "fraction": Row("RFC 9110 8.6", post((b"content-length", b"5.0")), RESET),
    "underscore": Row("RFC 9110 8.6", post((b"content-length", b"5_0")), RESET),
    "more than 63 bits": Row("RFC 9110 8.6", post((b"content-length", b"18446744073709551621")), RESET),
    "digits above 127": Row("RFC 9110 8.6", post((b"content-length", b"\xd9\xa5")), RESET),
    "in trailers": Row("8.1", trailing((b"content-length", b"0")), RESET, 0, 0),
    "transfer-encoding in trailers": Row("8.1, 8.2.2", trailing((b"transfer-encoding", b"chunked")), RESET, 0, 0),
    "line end in trailers": Row("8.1, 8.2.1", trailing((b"x", b"a\r\n\r\n" + REQUEST)), RESET, 0, 0),
    "trailers": Row("8.1", trailing((b"x", b"a")), Seen("POST", body="hello"), 0, 200),
    "body like a request": Row("8.1", post(body=(REQUEST,)), Seen("POST", body=REQUEST.decode()), 200, 200),
    "body like a request behind a last chunk": Row(
        "8.1", post(body=(b"0\r\n\r\n" + REQUEST,)), Seen("POST", body="0\r\n\r\n" + REQUEST.decode()), 200, 200
    ),
    "body like a request behind a last chunk, in pieces": Row(
        "8.1", post(body=(b"0\r\n", b"\r\n", REQUEST)), Seen("POST", body="0\r\n\r\n" + REQUEST.decode()), 200, 200
    ),
    "body of a GET": Row("8.1", post(method=b"GET", body=(REQUEST,)), Seen(body=REQUEST.decode()), 200, 200),
    "body of a HEAD": Row("8.1", post(method=b"HEAD", body=(REQUEST,)), Seen("HEAD", body=REQUEST.decode()), 200, 200),
    "body of a DELETE": Row(
        "8.1", post(method=b"DELETE", body=(REQUEST,)), Seen("DELETE", body=REQUEST.decode()), 200, 200
    ),
    "body behind padding": Row(
        "6.1",
        headers(1, Fields(method=b"POST").listed(FIVE), end=False)
        + frame(DATA, END_STREAM | PADDED, 1, b"\x08hello" + bytes(8)),
        Seen("POST", body="hello"),
        200,
        200,
    ),
    "padding that is a request": Row(
        "6.1",
        headers(1, Fields(method=b"POST").listed(FIVE), end=False)
        + frame(DATA, END_STREAM | PADDED, 1, bytes((len(REQUEST),)) + b"hello" + REQUEST),
        Seen("POST", body="hello"),
        200,
    ),
}

AUTHORITY = {
    "only host": Row("8.3.1", get((b"host", b"a"), authority=None), Seen(), 200, 200),
    "neither": Row("8.3.1", get(authority=None), RESET, 0, 400),
    "both": Row("8.3.1", get((b"host", b"a")), Seen(), 0, 200),
    "both in other letters": Row("8.3.1", get((b"host", b"A")), Seen(), 0, 200),
    "both that differ": Row("8.3.1", get((b"host", b"smuggled")), 400, 0, 200),
    "both that differ in the port": Row("8.3.1", get((b"host", b"a:8080")), 400, 0, 200),
    "two hosts": Row("RFC 9110 7.2", get((b"host", b"a"), (b"host", b"smuggled"), authority=None), RESET, 0, 200),
    "two equal hosts": Row("RFC 9110 7.2", get((b"host", b"a"), (b"host", b"a")), RESET, 0, 200),
    "twice": Row("8.3", headers(1, [*Fields().listed(), (b":authority", b"smuggled")]), RESET),
    "user information": Row("8.3.1", get(authority=b"smuggled@a"), RESET, 400, 400),
    "path": Row("8.3.1", get(authority=b"a/smuggled"), RESET, 0, 400),
    "space": Row("8.3.1", get(authority=b"a smuggled"), RESET),
    "line end": Row("8.2.1", get(authority=b"a\r\nsmuggled: b"), RESET),
    "whole request": Row("8.2.1", get(authority=b"a\r\n\r\n" + REQUEST), RESET),
    "NUL": Row("8.2.1", get(authority=b"a\0"), RESET),
    "comma": Row("RFC 3986 3.2.2", get(authority=b"a,smuggled"), Seen(), 200, 200),
    "empty": Row("8.3.1", get(authority=b""), RESET, 0, 200),
    "port": Row("RFC 3986 3.2.3", get(authority=b"a:80"), Seen(), 200, 200),
    "port of letters": Row("RFC 3986 3.2.3", get(authority=b"a:smuggled"), 400, 400, 400),
    "IPv6": Row("RFC 3986 3.2.2", get(authority=b"[::1]:80"), Seen(), 200, 200),
    "IPv6 without an end": Row("RFC 3986 3.2.2", get(authority=b"[::1"), 400, 400, 400),
    "fragment": Row("RFC 3986 3.2", get(authority=b"a#smuggled"), RESET, 400, 400),
    "query": Row("RFC 3986 3.2", get(authority=b"a?smuggled"), RESET, 400, 400),
    "backslash": Row("RFC 3986 3.2", get(authority=b"a\\smuggled"), RESET, 400, 400),
    "byte above 127": Row("RFC 3986 3.2.2", get(authority=b"\xc3\xa9"), RESET, 400, 400),
}

PATH = {
    "empty": Row("8.3.1", get(path=b""), RESET),
    "none": Row("8.3.1", get(path=None), RESET),
    "twice": Row("8.3", headers(1, [*Fields().listed(), (b":path", b"/smuggled")]), RESET),
    "without slash": Row("8.3.1", get(path=b"smuggled"), RESET),
    "absolute": Row("8.3.1", get(path=b"http://a/smuggled"), RESET),
    "two slashes": Row("8.3.1", get(path=b"//smuggled/a"), Seen(target="//smuggled/a"), 200, 200),
    "asterisk": Row("8.3.1", get(path=b"*"), RESET, 0, 200),
    "asterisk of OPTIONS": Row("8.3.1", get(method=b"OPTIONS", path=b"*"), Seen("OPTIONS", "*"), 0, 200),
    "asterisk and more": Row("8.3.1", get(method=b"OPTIONS", path=b"*smuggled"), RESET),
    "version": Row("8.2.1, RFC 9112 3", get(path=b"/smuggled HTTP/1.1"), RESET),
    "version and line end": Row("8.2.1", get(path=b"/a HTTP/1.1\r\nsmuggled: b"), RESET),
    "whole request": Row("8.2.1", get(path=b"/a HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled"), RESET),
    "line feed": Row("8.2.1", get(path=b"/a\nsmuggled: b"), RESET),
    "carriage return": Row("8.2.1", get(path=b"/a\rsmuggled: b"), RESET),
    "space": Row("8.3.1, RFC 3986 3.3", get(path=b"/a b"), RESET),
    "space at the end": Row("8.2.1", get(path=b"/a "), RESET),
    "tab": Row("8.3.1, RFC 3986 3.3", get(path=b"/a\tb"), RESET),
    "NUL": Row("8.2.1", get(path=b"/a\0"), RESET),
    "delete": Row("8.3.1, RFC 3986 3.3", get(path=b"/a\x7f"), RESET),
    "byte above 127": Row("8.3.1, RFC 3986 3.3", get(path=b"/\xc3\xa9"), 400, 400, 400),
    "space in the query": Row("8.3.1, RFC 3986 3.4", get(path=b"/a?b c"), RESET),
    "line end in the query": Row("8.2.1", get(path=b"/a?b\r\nsmuggled: b"), RESET),
    "fragment": Row("8.3.1, RFC 3986 3.5", get(path=b"/a#smuggled"), 400, 400),
    "line end by percent": Row(
        "RFC 3986 2.1", get(path=b"/a%0d%0asmuggled"), Seen(target="/a%0d%0asmuggled"), 200, 200
    ),
    "slash by percent": Row(
        "RFC 3986 2.2", get(path=b"/a%2f..%2fsmuggled"), Seen(target="/a%2f..%2fsmuggled"), 200, 200
    ),
    "dots": Row("RFC 3986 5.2.4", get(path=b"/b/../a"), Seen(target="/b/../a"), 200, 200),
    "query": Row("RFC 3986 3.4", get(path=b"/a?b=http://c/"), Seen(target="/a?b=http://c/"), 200, 200),
}

METHOD = {
    "line": Row("8.3.1, RFC 9110 9.1", get(method=b"GET /smuggled HTTP/1.1\r\nx: y"), RESET),
    "whole request": Row("8.3.1", get(method=b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nx:"), RESET),
    "target": Row("8.3.1", get(method=b"GET /smuggled"), RESET),
    "space behind": Row("8.2.1", get(method=b"GET "), RESET),
    "space before": Row("8.2.1", get(method=b" GET"), RESET),
    "space within": Row("RFC 9110 9.1", get(method=b"GE T"), RESET),
    "tab": Row("RFC 9110 9.1", get(method=b"GET\tX"), RESET),
    "line end": Row("8.2.1", get(method=b"GET\r\n"), RESET),
    "NUL": Row("8.2.1", get(method=b"GET\0"), RESET),
    "colon": Row("RFC 9110 9.1", get(method=b"GET:"), RESET),
    "byte above 127": Row("RFC 9110 9.1", get(method=b"GET\xff"), RESET),
    "empty": Row("8.3.1", get(method=b""), RESET),
    "none": Row("8.3.1", get(method=None), RESET),
    "twice": Row("8.3", headers(1, [(b":method", b"GET"), *Fields(method=b"POST").listed()]), RESET),
    "lower case": Row("RFC 9110 9.1", get(method=b"get"), 501, 0, 501),
    "unknown": Row("RFC 9110 9.1", get(method=b"SMUGGLED"), 501, 501, 501),
    "preface": Row("3.4", get(method=b"PRI", path=b"*"), RESET),
    "CONNECT": Row("8.5", get(method=b"CONNECT", scheme=None, path=None, authority=b"a:80"), 501, 0, 501),
    "CONNECT with a path": Row("8.5", get(method=b"CONNECT"), RESET),
    "X-HTTP-Method-Override": Row("8.3.1", get((b"x-http-method-override", b"SMUGGLED")), Seen(), 200, 200),
}

SCHEME = {
    "https": Row("8.3.1", get(scheme=b"https"), Seen(), 200, 200),
    "upper case": Row("RFC 3986 3.1", get(scheme=b"HTTP"), Seen(), 200, 200),
    "unknown": Row("8.3.1", get(scheme=b"smuggled"), 400, 200, 400),
    "address": Row("8.3.1, RFC 3986 3.1", get(scheme=b"http://smuggled/?"), RESET),
    "line end": Row("8.2.1", get(scheme=b"http\r\nsmuggled: b"), RESET),
    "request line": Row("8.2.1", get(scheme=b"http://a/smuggled HTTP/1.1\r\nx: "), RESET),
    "NUL": Row("8.2.1", get(scheme=b"http\0"), RESET),
    "empty": Row("8.3.1", get(scheme=b""), RESET),
    "none": Row("8.3.1", get(scheme=None), RESET),
    "twice": Row("8.3", headers(1, [(b":scheme", b"https"), *Fields().listed()]), RESET),
}

PSEUDO = {
    "unknown": Row("8.3", headers(1, [(b":smuggled", b"a"), *Fields().listed()]), RESET),
    "of responses": Row("8.3", headers(1, [(b":status", b"200"), *Fields().listed()]), RESET),
    "behind a field": Row("8.3", headers(1, [(b"x", b"a"), *Fields().listed()]), RESET, 200),
    "path behind a field": Row(
        "8.3", headers(1, [*Fields(path=None).listed((b"x", b"a")), (b":path", b"/a")]), RESET, 200
    ),
    "method behind a field": Row("8.3", get((b"x", b"a"), (b":method", b"SMUGGLED")), RESET),
    "in trailers": Row("8.1, 8.3", trailing((b":path", b"/smuggled")), RESET, 0, 0),
    "protocol without CONNECT": Row(
        "RFC 8441 4", headers(1, [(b":protocol", b"websocket"), *Fields().listed()]), RESET, 0, 200
    ),
    "space behind the name": Row("8.3", headers(1, [(b":path ", b"/smuggled"), *Fields().listed()]), RESET),
    "upper case": Row("8.3", headers(1, [(b":Path", b"/smuggled"), *Fields().listed()]), RESET),
    "two colons": Row("8.3", headers(1, [(b"::path", b"/smuggled"), *Fields().listed()]), RESET),
    "only a colon": Row("8.3", headers(1, [(b":", b"/smuggled"), *Fields().listed()]), RESET),
    "version": Row("8.3.1", headers(1, [(b":version", b"HTTP/1.1"), *Fields().listed()]), RESET),
}

TOPICS = {
    "values": VALUES,
    "names": NAMES,
    "connection": CONNECTION,
    "lengths": LENGTHS,
    "authority": AUTHORITY,
    "path": PATH,
    "method": METHOD,
    "scheme": SCHEME,
    "pseudo-header fields": PSEUDO,
}
