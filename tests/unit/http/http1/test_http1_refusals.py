"""What the access log is told of requests that no application gets to see."""

from __future__ import annotations

import re

import pytest
from http_fakes import Wire, answer

GET = b"GET /path HTTP/1.1\r\nHost: a\r\n\r\n"


def refusals_of(wire: Wire) -> list[tuple[str, int]]:
    """Method and target, and status, of all requests that were told; the bytes must be those that were sent."""
    bodies = [len(body) for body in re.findall(rb"\r\n\r\n([^\r]*\n)(?=HTTP/|\Z)", wire.raw)]
    assert [size for _, _, size, _ in wire.owner.finished if size] == bodies
    return [(name, status) for name, status, _, _ in wire.owner.finished]


@pytest.mark.parametrize(
    ("sent", "name", "status"),
    [
        (b"GET /a HTTP/1.1\r\n\r\n", "GET /a", 400),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", "GET /a", 400),
        (b"\x16\x03\x01\x02\x00\x01", "- -", 400),
        (b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", "POST /a", 413),
        (b"GET /" + b"a" * 600 + b" HTTP/1.1\r\n" + b"b: c\r\n" * 100, "GET /" + "a" * 600, 414),
        (b"GET /a HTTP/1.1\r\n" + b"b: c\r\n" * 200, "GET /a", 431),
        (b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "BREW /pot", 501),
        (b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "POST /a", 501),
        (b"GET /a HTTP/3.0\r\nHost: a\r\n\r\n", "GET /a", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI *", 505),
    ],
)
def test_refused_request_is_told_once_with_what_is_known_of_it(sent, name, status):
    wire = Wire(max_header_size_bytes=1000, max_body_size_bytes=10).send(sent)
    assert wire.statuses == [status]
    assert refusals_of(wire) == [(name, status)]


def test_head_that_does_not_come_in_time_is_told_as_far_as_it_came():
    wire = Wire().send(GET[:12])
    wire.loop.pass_time(10.1)
    assert refusals_of(wire) == [("GET /path", 408)]


def test_time_of_a_refused_request_runs_from_its_first_byte(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("gracehttp.http.http1.protocol.monotonic", lambda: now[0])
    wire = Wire().send(GET[:12])
    now[0] = 107.5
    wire.loop.pass_time(10.1)
    assert [seconds for _, _, _, seconds in wire.owner.finished] == [7.5]


def test_refusal_behind_a_good_request_is_told_by_its_own_name():
    wire = Wire(answer).send(GET + b"GET /b HTTP/1.1\r\n\r\n")
    assert wire.statuses == [200, 400]
    assert [told[:2] for told in wire.owner.finished] == [("/path", 200), ("GET /b", 400)]


def test_bytes_of_a_refusal_count_when_the_application_was_called_already():
    wire = Wire().send(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").send(b"x\r\n")
    assert refusals_of(wire) == [("/a", 400)]


def test_refusal_of_head_counts_no_bytes():
    wire = Wire().send(b"HEAD /a HTTP/1.1\r\n\r\n")
    assert [told[:3] for told in wire.owner.finished] == [("HEAD /a", 400, 0)]


def test_rest_of_a_request_that_was_answered_is_not_told_a_second_time():
    wire = Wire(answer).send(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").send(b"x\r\n")
    assert [told[:2] for told in wire.owner.finished] == [("/a", 200)]


def test_connection_without_a_request_is_not_told():
    wire = Wire()
    wire.loop.pass_time(10.1)
    assert wire.owner.finished == []
