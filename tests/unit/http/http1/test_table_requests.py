"""Each request of `table_requests` comes to what its section says: alone, cut anywhere, and behind another request."""

from __future__ import annotations

import pytest
from request_reader import Reading, in_single_bytes, read
from table_requests import TOPICS, Row, Served

ROWS = [pytest.param(row, id=f"{topic}-{number}") for topic, rows in TOPICS.items() for number, row in enumerate(rows)]
FIRST = b"POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
FIRST_CHUNKED = b"PUT /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\nA: b\r\n\r\n"


def said(reading: Reading, expected: int | Served) -> int | Served:
    """What came of the requests, as far as `expected` speaks of it."""
    if isinstance(expected, int) and not reading.requests:
        return reading.refused
    asked = expected.requests if isinstance(expected, Served) else ()
    requests = tuple(
        {name: getattr(request, name) for name in (asked[number] if number < len(asked) else ("path",))}
        for number, request in enumerate(reading.requests)
    )
    return Served(requests, reading.closed, reading.refused)


@pytest.mark.parametrize("row", ROWS)
def test_request_comes_to_what_its_section_says(row: Row):
    assert said(read([row.data], **row.limits), row.expected) == row.expected, row.section


@pytest.mark.parametrize("row", ROWS)
def test_request_comes_to_the_same_however_it_is_cut(row: Row):
    whole = read([row.data], **row.limits).meaning
    for cut in range(1, len(row.data)):
        assert read([row.data[:cut], row.data[cut:]], **row.limits).meaning == whole, cut
    assert read(in_single_bytes(row.data), **row.limits).meaning == whole


@pytest.mark.parametrize("row", ROWS)
def test_request_comes_to_the_same_behind_another_one(row: Row):
    requests, refused, closed = read([row.data], **row.limits).meaning
    for first in (FIRST, FIRST_CHUNKED):
        (before,) = read([first], **row.limits).requests
        expected = ([before, *requests], refused, closed)
        assert read([first + row.data], **row.limits).meaning == expected
        assert read(in_single_bytes(first + row.data), **row.limits).meaning == expected
    for cut in range(len(row.data)):
        assert read([first + row.data[:cut], row.data[cut:]], **row.limits).meaning == expected, cut
