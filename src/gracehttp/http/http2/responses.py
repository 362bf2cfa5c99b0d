"""The head of a response as the field list of HTTP/2 (RFC 9113 section 8.3.2). Pure."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Final

from gracehttp.http.exchange import Exchange
from gracehttp.http.fields import ResponseFields
from gracehttp.http.head import Header
from gracehttp.http.server_fields import ServerLines

_STATUSES: Final = {status.value: (b":status", b"%d" % status.value) for status in HTTPStatus}


def status_field(status: int) -> Header:
    return _STATUSES.get(status) or (b":status", b"%d" % status)


def pairs(fields: ResponseFields) -> list[Header]:
    return _pairs(fields.block)


def _pairs(block: bytes) -> list[Header]:
    """Names in lower case, values without white space around them (RFC 9113 sections 8.2 and 8.2.1)."""
    if not block:
        return []
    found = []
    for line in block[:-2].split(b"\r\n"):
        name, _, value = line.partition(b": ")
        found.append((name.lower(), value.strip(b" \t")))
    return found


def response_fields(exchange: Exchange, added: ServerLines, now: float) -> list[Header]:
    """The head of the final response: the application's fields, the length, and those that the server adds."""
    fields = exchange.fields
    found = [status_field(exchange.status), *pairs(fields)]
    # HEAD and 304 tell the length that GET or 200 would have; 204 must not have the field (RFC 9110 section 8.6).
    if exchange.announced_length >= 0 and exchange.status != 204:
        found.append((b"content-length", b"%d" % exchange.announced_length))
    ours = added.of(now)
    if fields.has_date or fields.has_server:
        ours = added.beside(fields.has_date, fields.has_server)
    found += added_pairs(ours)
    return found


@lru_cache(maxsize=16)
def added_pairs(ours: bytes) -> tuple[Header, ...]:
    """Of the lines that the server adds, which are the same for a second."""
    return tuple(_pairs(ours))


def refusal(status: int, reason: str, ours: bytes) -> tuple[list[Header], bytes]:
    """Head and body of a response of the server's own. `ours` are the lines that the server adds to each response."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = str(status)
    body = f"{phrase}: {reason}\n".encode()
    fields = [
        status_field(status),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        *added_pairs(ours),
    ]
    return fields, body
