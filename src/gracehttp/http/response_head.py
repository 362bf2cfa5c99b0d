"""The head of a response: its fields, how its body is framed, and what the server adds. Pure.

RFC 9112 section 6 (framing), RFC 9110 sections 5.5 and 5.6.2 (names and values), 6.6.1 (Date), 8.6 (Content-Length).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from time import gmtime
from typing import Final

from gracehttp.http.exchange import Header, ResponseError

# How the end of a body is told (RFC 9112 section 6.3).
NO_BODY: Final = 0  # HEAD, 204, 304: the head is all
COUNTED: Final = 1  # Content-Length
CHUNKED: Final = 2
UNTIL_CLOSE: Final = 3  # HTTP/1.0 without Content-Length

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# What a field name means to us. Names that were found valid are remembered, so that a field costs one look-up.
_PLAIN: Final = 0
_CONTENT_LENGTH: Final = 1
_TRANSFER_ENCODING: Final = 2
_CONNECTION: Final = 3
_DATE: Final = 4
_SERVER: Final = 5
_MEANINGS = {
    b"content-length": _CONTENT_LENGTH,
    b"transfer-encoding": _TRANSFER_ENCODING,
    b"connection": _CONNECTION,
    b"date": _DATE,
    b"server": _SERVER,
}
_REMEMBERED_NAMES: Final = 1024
_known_names: dict[bytes, int] = dict(_MEANINGS)
FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NUL: Final = 0  # a number: to look for bytes instead, Python raises and drops a TypeError first
_FORBIDDEN_IN_VALUE = re.compile(rb"[\r\n\0]")


class ResponseFields:
    """The fields of one response, checked, and what they mean for the server.

    `block` is their lines. `content_length` is -1 when there is none. `closes`: the application wants the connection
    to be closed. `has_date` and `has_server`: the application's own stand instead of ours.
    """

    __slots__ = ("block", "closes", "content_length", "has_date", "has_server")

    def __init__(self, headers: Iterable[Header]) -> None:
        """Take over all fields but those which frame the message: Content-Length, Transfer-Encoding, Connection.

        Raises `ResponseError` when a name is no token, a value has CR, LF or NUL, one of both is not bytes, or
        Content-Length is no number or there are two that differ.
        """
        self.content_length = -1
        self.closes = False
        self.has_date = False
        self.has_server = False
        lines: list[bytes] = []
        count = 0
        try:
            for name, value in headers:
                meaning = _known_names.get(name)
                if meaning is None:
                    meaning = _examine_name(name)
                if meaning:
                    if (
                        meaning == _CONTENT_LENGTH
                        and type(value) is bytes
                        and value.isdigit()
                        and self.content_length < 0
                    ):
                        self.content_length = int(value)  # the usual case of what `_note` does
                        continue
                    if not self._note(meaning, value):
                        continue
                lines += (name, b": ", value, b"\r\n")
                count += 1
            block = b"".join(lines)
        except (TypeError, ValueError, AttributeError) as error:
            raise ResponseError(f"headers must be pairs of bytes: {error}") from error
        # One scan over the whole block instead of one per value: each line has exactly one CR and one LF, at its end.
        if block.count(b"\n") != count or block.count(b"\r") != count or _NUL in block:
            raise ResponseError(_blame_value(lines))
        self.block = block

    def _note(self, meaning: int, value: bytes) -> bool:
        """Act upon a field that means something to the server; tell whether it is passed on as it is."""
        if meaning == _CONTENT_LENGTH:
            length = _parse_content_length(value)
            if self.content_length not in (-1, length):
                raise ResponseError("two Content-Length fields that differ")
            self.content_length = length
            return False
        if meaning == _CONNECTION:
            if b"close" in [option.strip() for option in value.lower().split(b",")]:
                self.closes = True
            return False
        if meaning == _TRANSFER_ENCODING:
            return False  # the server's business; ASGI says that it must be ignored
        if meaning == _DATE:
            self.has_date = True
        else:
            self.has_server = True
        return True


def _examine_name(name: bytes) -> int:
    if not isinstance(name, bytes) or FIELD_NAME.fullmatch(name) is None:
        raise ResponseError(f"{name!r} is no name of a header")
    meaning = _MEANINGS.get(name.lower(), _PLAIN)
    if len(_known_names) < _REMEMBERED_NAMES:
        _known_names[name] = meaning
    return meaning


def _parse_content_length(value: bytes) -> int:
    if not isinstance(value, bytes) or not value.strip().isdigit():
        raise ResponseError(f"{value!r} is no Content-Length")
    return int(value)


def _blame_value(lines: list[bytes]) -> str:
    for name, value in zip(lines[0::4], lines[2::4], strict=True):
        if _FORBIDDEN_IN_VALUE.search(value):
            return f"the value of {name.decode('ascii')} has a line break or a null byte: {value!r}"
    raise AssertionError("called for a block without a fault")


def choose_framing(is_head: bool, status: int, http11: bool, content_length: int) -> int:
    """How the end of the body is told. `content_length` is -1 if nobody knows it yet."""
    if is_head or status in (204, 304):
        return NO_BODY
    if content_length >= 0:
        return COUNTED
    return CHUNKED if http11 else UNTIL_CLOSE


def framing_line(framing: int, status: int, content_length: int) -> bytes:
    """The field that announces the framing; empty if there is none to send."""
    if framing == CHUNKED:
        return b"Transfer-Encoding: chunked\r\n"
    # HEAD and 304 tell the length that GET or 200 would have; 204 must not have the field (RFC 9110 section 8.6).
    if content_length >= 0 and status != 204:
        return b"Content-Length: %d\r\n" % content_length
    return b""


def connection_line(http11: bool, close: bool) -> bytes:
    """HTTP/1.1 keeps the connection unless told otherwise, HTTP/1.0 closes it (RFC 9112 section 9.3)."""
    if close:
        return b"Connection: close\r\n"
    return b"" if http11 else b"Connection: keep-alive\r\n"


def status_line(status: int) -> bytes:
    """Always HTTP/1.1, the highest version that we speak (RFC 9110 section 6.2)."""
    line = STATUS_LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status


@lru_cache(maxsize=2)
def date_line(second: int) -> bytes:
    """The Date field for seconds since the epoch (IMF-fixdate, RFC 9110 section 5.6.7), whatever the locale."""
    t = gmtime(second)
    day, month = _DAYS[t.tm_wday], _MONTHS[t.tm_mon - 1]
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"Date: {day}, {t.tm_mday:02} {month} {t.tm_year:04} {clock} GMT\r\n".encode()


@lru_cache(maxsize=2)
def date_and_server_lines(second: int) -> bytes:
    """Both fields that the server adds, as most responses need them."""
    return date_line(second) + SERVER_LINE


SERVER_LINE: Final = b"Server: gracehttp\r\n"


def error_response(status: int, reason: str, *, second: int, without_body: bool = False) -> tuple[bytes, bytes]:
    """Head and body of a response of the server's own, after which the connection is closed."""
    line = status_line(status)
    phrase = line[9:].strip().decode("ascii")
    body = f"{phrase}: {reason}\n".encode() if reason else f"{phrase}\n".encode()
    head = b"%bContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n%b\r\n" % (
        line,
        len(body),
        date_and_server_lines(second),
    )
    return head, b"" if without_body else body
