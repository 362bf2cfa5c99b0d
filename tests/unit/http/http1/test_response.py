"""The head of a response as it is sent."""

import re
from pathlib import Path

import pytest
from http_fakes import Wire, answer

from gracehttp.http.http1 import framing, protocol
from gracehttp.http.http1.framing import CHUNKED, COUNTED, NO_BODY, UNTIL_CLOSE
from gracehttp.http.http1.response import (
    connection_line,
    error_response,
    framing_line,
    status_line,
)
from gracehttp.http.http1.response_body import choose_framing, chunk, chunk_pieces
from gracehttp.http.server_fields import ServerLines, date_line

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("bodyless", "http11", "length", "how"),
    [
        (False, True, 5, COUNTED),
        (False, True, 0, COUNTED),
        (False, True, -1, CHUNKED),
        (False, False, 5, COUNTED),
        (False, False, -1, UNTIL_CLOSE),
        (True, True, 5, NO_BODY),
        (True, True, -1, NO_BODY),
        (True, False, -1, NO_BODY),
        (True, False, 5, NO_BODY),
    ],
)
def test_framing_follows_from_version_and_length(bodyless, http11, length, how):
    assert choose_framing(bodyless, http11, length) == how


@pytest.mark.parametrize(
    ("request_bytes", "status", "bodyless"),
    [(GET, 200, False), (GET, 404, False), (HEAD, 200, True), (HEAD, 404, True), (GET, 204, True), (GET, 304, True)],
)
def test_method_and_status_tell_whether_there_is_a_body(request_bytes, status, bodyless):
    exchange = Wire().send(request_bytes).exchange
    exchange.start_response(status, [])
    assert exchange.bodyless is bodyless


@pytest.mark.parametrize(
    ("how", "status", "length", "line"),
    [
        (COUNTED, 200, 5, b"Content-Length: 5\r\n"),
        (COUNTED, 200, 0, b"Content-Length: 0\r\n"),
        (CHUNKED, 200, -1, b"Transfer-Encoding: chunked\r\n"),
        (UNTIL_CLOSE, 200, -1, b""),
        (NO_BODY, 200, 5, b"Content-Length: 5\r\n"),
        (NO_BODY, 304, 5, b"Content-Length: 5\r\n"),
        (NO_BODY, 204, 5, b""),
        (NO_BODY, 200, -1, b""),
    ],
)
def test_framing_is_announced_as_the_rfc_says(how, status, length, line):
    assert framing_line(how, status, length) == line


def test_each_version_is_told_what_it_does_not_assume():
    assert connection_line(http11=True, close=True) == b"Connection: close\r\n"
    assert connection_line(http11=True, close=False) == b""
    assert connection_line(http11=False, close=False) == b"Connection: keep-alive\r\n"


def test_date_has_the_fixed_form():
    assert date_line(784111777) == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_status_without_a_registered_phrase_has_an_empty_one():
    assert status_line(299) == b"HTTP/1.1 299 \r\n"


def test_error_response_is_whole_and_says_that_it_is_the_last():
    assert b"".join(error_response(400, "no Host field", ours=b"Date: now\r\nServer: us\r\n")) == (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 31\r\n"
        b"Connection: close\r\nDate: now\r\nServer: us\r\n\r\n"
        b"400 Bad Request: no Host field\n"
    )


def test_error_response_to_head_has_no_body():
    head, body = error_response(400, "x", ours=b"", without_body=True)
    assert (head[-4:], body) == (b"\r\n\r\n", b"")


@pytest.mark.parametrize("has_date", [False, True])
@pytest.mark.parametrize("has_server", [False, True])
def test_server_adds_what_the_application_has_not_given(has_date, has_server):
    lines = ServerLines()
    lines.renew(784111777.9)
    ours = lines.beside(has_date, has_server)
    assert (b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" in ours) is not has_date
    assert (b"Server: " in ours) is not has_server
    assert (lines.begins, lines.ends) == (784111777, 784111778)


def test_responses_with_the_same_fields_have_each_its_own_status_date_and_end_of_the_connection(monkeypatch):
    """Their head is kept."""
    now, status = [784111777.0], [200]
    monkeypatch.setattr(protocol, "time", lambda: now[0])

    def respond(exchange):
        exchange.start_response(status[0], [(b"content-type", b"text/same"), (b"content-length", b"2")])
        exchange.write(b"ok", False)
        exchange.end()

    wire = Wire(respond)
    for seconds, code, line in (
        (0.0, 200, b"200 OK"),
        (0.5, 404, b"404 Not Found"),
        (0.5, 200, b"200 OK"),
        (7.0, 200, b"200 OK"),
    ):
        now[0], status[0] = 784111777 + seconds, code
        wire.kernel.sent.clear()
        wire.send(GET)
        date = date_line(int(now[0]))
        assert bytes(wire.kernel.sent) == (
            b"HTTP/1.1 "
            + line
            + b"\r\ncontent-type: text/same\r\nContent-Length: 2\r\n"
            + date
            + b"Server: gracehttp\r\n\r\nok"
        )
    wire.kernel.sent.clear()
    wire.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert b"\r\nConnection: close\r\n" in wire.kernel.sent
    wire = Wire(respond, server_header=False)
    wire.send(GET)
    assert b"Server:" not in wire.kernel.sent
    wire = Wire(respond)
    wire.send(GET.replace(b"GET", b"HEAD"))
    assert wire.kernel.sent.endswith(b"Server: gracehttp\r\n\r\n")


def test_date_is_that_of_the_response_whether_the_clock_goes_forth_or_back(monkeypatch):
    now = [784111777.0]
    monkeypatch.setattr(protocol, "time", lambda: now[0])
    wire = Wire(answer)
    for seconds in (0.0, 0.9, 1.0, 3600.5, 0.5, -1.0):
        now[0] = 784111777 + seconds
        wire.kernel.sent.clear()
        wire.send(GET)
        assert date_line(int(now[0])) in wire.kernel.sent


SECOND = 784111777.9
DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


@pytest.mark.parametrize(
    ("options", "all_of_them", "beside_date", "beside_server"),
    [
        ({}, DATE + b"Server: gracehttp\r\n", b"Server: gracehttp\r\n", DATE),
        ({"server": False}, DATE, b"", DATE),
        ({"date": False}, b"Server: gracehttp\r\n", b"Server: gracehttp\r\n", b""),
        ({"server": False, "date": False}, b"", b"", b""),
        ({"date": False, "more": ((b"X-A", b"b"),)}, b"Server: gracehttp\r\nX-A: b\r\n", None, b"X-A: b\r\n"),
        ({"date": False, "server": False, "more": ((b"SERVER", b"x"),)}, b"SERVER: x\r\n", b"SERVER: x\r\n", b""),
    ],
)
def test_server_adds_what_the_options_say(options, all_of_them, beside_date, beside_server):
    lines = ServerLines(**options)
    assert lines.of(SECOND) == all_of_them
    if beside_date is not None:
        assert lines.beside(True, False) == beside_date
    assert lines.beside(False, True) == beside_server


def test_fields_of_the_options_are_in_every_response_the_server_s_own_too():
    wire = Wire(answer, server_header=False, date_header=False, response_fields=((b"X-A", b"b"),))
    wire.send(GET)
    assert b"\r\nX-A: b\r\n" in wire.kernel.sent
    assert b"Server:" not in wire.kernel.sent
    assert b"Date:" not in wire.kernel.sent
    wire.kernel.sent.clear()
    wire.send(b"NOT HTTP\r\n\r\n")
    assert wire.kernel.sent.startswith(b"HTTP/1.1 400")
    assert b"\r\nX-A: b\r\n" in wire.kernel.sent
    assert b"Server:" not in wire.kernel.sent


@pytest.mark.parametrize(
    ("data", "end", "sent"),
    [
        (b"", False, b""),
        (b"", True, b"0\r\n\r\n"),
        (b"x" * 26, False, b"1a\r\n" + b"x" * 26 + b"\r\n"),
        (b"x" * 26, True, b"1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n"),
    ],
)
def test_chunk_is_as_the_rfc_says(data, end, sent):
    assert chunk(data, end) == sent
    if data:
        assert b"".join(chunk_pieces(data, end)) == sent


def test_numbers_of_the_framings_are_the_same_in_both_builds():
    """Compiled modules take them from the `.pxd`."""
    written = dict(re.findall(r"^    ([A-Z_]+) = (\d+)$", Path(framing.__file__).with_suffix(".pxd").read_text(), re.M))
    assert {name: int(number) for name, number in written.items()} == {
        name: number for name, number in vars(framing).items() if name.isupper()
    }
