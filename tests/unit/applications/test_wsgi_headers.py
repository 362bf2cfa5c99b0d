"""What start_response takes, and what it refuses."""

from __future__ import annotations

import pytest

from gracehttp.applications.wsgi import headers
from gracehttp.applications.wsgi.headers import status_code, wire_headers
from gracehttp.http.exchange import ResponseError


@pytest.mark.parametrize(("status", "code"), [("200 OK", 200), ("404 ", 404), ("503", 503), ("299 Été", 299)])
def test_status(status, code):
    assert status_code(status) == code


@pytest.mark.parametrize(
    "status", [200, b"200 OK", "OK", "20 OK", "200OK", "2000 OK", "200 OK\r\nA: b", "", "101 S", "099 A"]
)
def test_bad_status_is_refused(status):
    with pytest.raises(ResponseError):
        status_code(status)


def test_headers_are_bytes_with_names_in_lower_case_and_keep_their_order():
    assert wire_headers([("Set-Cookie", "a=1"), ("Set-Cookie", "b=é"), ("X", "tab\there")]) == [
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=\xe9"),
        (b"x", b"tab\there"),
    ]


@pytest.mark.parametrize(
    "header",
    [
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\nb"),
        ("X", "\x00"),
        ("X", "\x7f"),
        ("X", "中"),
        ("X", b"bytes"),
        ("X", 3),
        (b"X", "a"),
        ("X Y", "a"),
        ("X:", "a"),
        ("X\n", "a"),
        ("", "a"),
        ("É", "a"),
        ("\N{KELVIN SIGN}", "a"),  # its lower case is the letter k
        ("X",),
        "X",
        None,
    ],
)
def test_what_cannot_be_sent_is_refused(header):
    with pytest.raises(ResponseError):
        wire_headers([header])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Transfer-Encoding", "frames the message"),
        ("Trailer", "announces trailer fields"),
        ("Proxy-Authenticate", "is for proxies"),
        ("proxy-authorization", "is for proxies"),
    ],
)
def test_fields_of_the_connection_that_would_change_something_are_refused(name, reason):
    with pytest.raises(ResponseError, match=f"'{name}' {reason}"):
        wire_headers([(name, "x")])


@pytest.mark.parametrize("name", ["Connection", "keep-alive", "TE", "UPGRADE"])
def test_other_fields_of_the_connection_are_left_to_the_exchange(name):
    assert wire_headers([(name, "x")]) == [(name.lower().encode(), b"x")]


def test_fields_that_are_known_say_the_same():
    fields = [("Content-Type", "text/plain"), ("Content-Length", "13"), ("Set-Cookie", "a=b"), ["X-List", "1"]]
    once = wire_headers(fields)
    assert wire_headers(fields) == once
    assert once[:2] == [(b"content-type", b"text/plain"), (b"content-length", b"13")]


def test_no_secret_is_remembered():
    wire_headers([("Set-Cookie", "session=secret"), ("X-Token", "secret")])
    assert not any("secret" in value for _, value in headers._known_fields)


def test_what_is_remembered_has_an_end(monkeypatch):
    monkeypatch.setattr(headers, "_known_fields", {})
    for number in range(3000):
        wire_headers([("Content-Length", str(number))])
        assert len(headers._known_fields) <= 1024


def test_fields_that_come_again_are_those_that_the_list_has_then():
    """They are compared with the latest ones."""
    given = [("Content-Type", "text/again"), ("X-Frame-Options", "DENY")]
    for _ in range(3):
        assert wire_headers(given) == [(b"content-type", b"text/again"), (b"x-frame-options", b"DENY")]
    given[1] = ("X-Frame-Options", "SAMEORIGIN")
    for _ in range(3):
        assert wire_headers(given) == [(b"content-type", b"text/again"), (b"x-frame-options", b"SAMEORIGIN")]
    given.pop()
    assert wire_headers(given) == [(b"content-type", b"text/again")]
