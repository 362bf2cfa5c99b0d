"""The head of an HTTP/1.1 response: how the end of its body is told, and responses of the server's own. Pure.

RFC 9112 sections 4 (status line), 6 (framing) and 9.3 (persistence), RFC 9110 section 8.6 (Content-Length).
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Final

# How the end of a body is told (RFC 9112 section 6.3).
NO_BODY: Final = 0  # HEAD, 204, 304: the head is all
COUNTED: Final = 1  # Content-Length
CHUNKED: Final = 2
UNTIL_CLOSE: Final = 3  # HTTP/1.0 without Content-Length

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def choose_framing(bodyless: bool, http11: bool, content_length: int) -> int:
    """How the end of the body is told. `content_length` is -1 if it is not known yet."""
    if bodyless:
        return NO_BODY
    if content_length >= 0:
        return COUNTED
    return CHUNKED if http11 else UNTIL_CLOSE


@lru_cache(maxsize=1024)
def content_length_line(length: int) -> bytes:
    """The field that tells the length of the body."""
    return b"Content-Length: %d\r\n" % length


def framing_line(framing: int, status: int, content_length: int) -> bytes:
    """The field that announces the framing; empty if there is none to send."""
    if framing == CHUNKED:
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
