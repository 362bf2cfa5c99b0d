"""The head of an HTTP/1.1 response, and responses of the server's own. Pure.

RFC 9112 sections 4 (status line), 6 (framing) and 9.3 (persistence), RFC 9110 section 8.6 (Content-Length).
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Final

from gracehttp.http.fields import ResponseFields
from gracehttp.http.http1 import framing as framings

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def response_head(
    status: int, fields: ResponseFields, framing: int, length: int, http11: bool, closes: bool, ours: bytes
) -> bytes:
    """The head of a final response.

    `length` is that of the body, -1 if the head doesn't tell it. `http11`: the client speaks HTTP/1.1. `closes`: it is
    the last response of the connection. `ours` are the lines that the server adds. The head is made once a second for
    fields that come again.
    """
    if framing != framings.COUNTED or not fields.shared or not http11 or fields.content_length != length:
        framed = framing_line(framing, status, length)
        connection = connection_line(http11, closes, fields.upgrade)
        return b"".join((status_line(status), fields.block, framed, ours, connection, b"\r\n"))
    latest = fields.latest_last_head if closes else fields.latest_head
    if latest is None or latest[1] is not ours or latest[0] != status:
        framed = content_length_line(length)
        head = b"".join((status_line(status), fields.block, framed, ours, connection_line(True, closes), b"\r\n"))
        latest = (status, ours, head)
        if closes:
            fields.latest_last_head = latest
        else:
            fields.latest_head = latest
    return latest[2]


def interim_head(status: int, fields: ResponseFields, ours: bytes = b"") -> bytes:
    """The head of an interim response (RFC 9110 section 15.2), which has no body. `fields` may have Upgrade."""
    connection = connection_line(True, False, fields.upgrade)
    return b"".join((status_line(status), connection, fields.block, ours, b"\r\n"))


@lru_cache(maxsize=1024)
def content_length_line(length: int) -> bytes:
    """The field that tells the length of the body."""
    return b"Content-Length: %d\r\n" % length


def framing_line(framing: int, status: int, content_length: int) -> bytes:
    """The field that announces the framing; empty if there is none to send."""
    if framing == framings.CHUNKED:
        return b"Transfer-Encoding: chunked\r\n"
    # HEAD and 304 tell the length that GET or 200 would have; 204 must not have the field (RFC 9110 section 8.6).
    if content_length >= 0 and status != 204:
        return content_length_line(content_length)
    return b""


def connection_line(http11: bool, close: bool, upgrade: bytes = b"") -> bytes:
    """HTTP/1.1 keeps the connection unless told otherwise, HTTP/1.0 closes it (RFC 9112 section 9.3).

    `upgrade` is the value of Upgrade, a field for the next hop alone, which Connection says (RFC 9110 section 7.8).
    """
    if upgrade:
        options = b"close, upgrade" if close else (b"upgrade" if http11 else b"keep-alive, upgrade")
        return b"Connection: %b\r\nUpgrade: %b\r\n" % (options, upgrade)
    if close:
        return b"Connection: close\r\n"
    return b"" if http11 else b"Connection: keep-alive\r\n"


def status_line(status: int) -> bytes:
    """Always HTTP/1.1, the highest version that we speak (RFC 9110 section 6.2)."""
    line = STATUS_LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status


def error_response(
    status: int, reason: str, *, ours: bytes, without_body: bool = False, lines: bytes = b""
) -> tuple[bytes, bytes]:
    """Head and body of a response of the server's own, after which the connection is closed.

    `ours` are the lines that the server adds to each response, `lines` more of them.
    """
    line = status_line(status)
    phrase = line[9:].strip().decode("ascii")
    body = f"{phrase}: {reason}\n".encode() if reason else f"{phrase}\n".encode()
    head = b"%bContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n%b\r\n" % (
        line,
        len(body),
        lines + ours,
    )
    return head, b"" if without_body else body
