"""The head of a response as the field list of HTTP/2 (RFC 9113 section 8.3.2). Pure but for the clock of Date."""

from __future__ import annotations

from http import HTTPStatus
from time import time
from typing import Final

from gracehttp.http.exchange import Exchange
from gracehttp.http.fields import ResponseFields
from gracehttp.http.head import Header
from gracehttp.http.http1.response import date_line

SERVER: Final[Header] = (b"server", b"gracehttp")
_STATUSES: Final = {status.value: (b":status", b"%d" % status.value) for status in HTTPStatus}
_date_ends = 0
_date: Header = (b"date", b"")


def status_field(status: int) -> Header:
    return _STATUSES.get(status) or (b":status", b"%d" % status)


def pairs(fields: ResponseFields) -> list[Header]:
    """Names in lower case, values without white space around them (RFC 9113 sections 8.2 and 8.2.1)."""
    block = fields.block
    if not block:
        return []
    found = []
    for line in block[:-2].split(b"\r\n"):
        name, _, value = line.partition(b": ")
        found.append((name.lower(), value.strip(b" \t")))
    return found


def response_fields(exchange: Exchange) -> list[Header]:
    """The head of the final response: the application's fields, the length, and those that the server adds."""
    fields = exchange.fields
    found = [status_field(exchange.status), *pairs(fields)]
    # HEAD and 304 tell the length that GET or 200 would have; 204 must not have the field (RFC 9110 section 8.6).
    if exchange.announced_length >= 0 and exchange.status != 204:
        found.append((b"content-length", b"%d" % exchange.announced_length))
    if not fields.has_date:
        found.append(date_field())
    if not fields.has_server:
        found.append(SERVER)
    return found


def date_field() -> Header:
    """Made anew each second."""
    global _date, _date_ends  # noqa: PLW0603  one for all connections
    now = time()
    if not _date_ends - 1 <= now < _date_ends:
        second = int(now)
        _date = (b"date", date_line(second)[6:-2])
        _date_ends = second + 1
    return _date


def refusal(status: int, reason: str) -> tuple[list[Header], bytes]:
    """Head and body of a response of the server's own."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = str(status)
    body = f"{phrase}: {reason}\n".encode()
    fields = [
        status_field(status),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        date_field(),
        SERVER,
    ]
    return fields, body
