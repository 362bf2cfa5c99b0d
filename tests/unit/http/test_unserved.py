"""What clients ask for and isn't served is said once, with what to do about it."""

from __future__ import annotations

import logging
import socket

import pytest
from deadlines import DEADLINE_SECONDS

import gracehttp
from gracehttp.http import unserved
from gracehttp.http.http2 import library

WEBSOCKET = b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
H2C = b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []


async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.fixture(autouse=True)
def _nothing_said_yet(undisturbed):
    unserved.tell_of_websocket_for_wsgi.cache_clear()
    unserved.tell_of_http2_in_clear_text.cache_clear()


def said(caplog, application, request, *, times=2, **options):
    """The answers to `request`, and what was logged meanwhile."""
    with caplog.at_level(logging.WARNING, "gracehttp"), gracehttp.running(application, **options) as server:
        answers = []
        for _ in range(times):
            with socket.create_connection((server.host, server.port), timeout=DEADLINE_SECONDS) as sock:
                sock.sendall(request)
                answers.append(sock.recv(1000).split(b"\r\n")[0])
    return answers, [record.message for record in caplog.records]


def upgrade(fields):
    return b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\n" + fields + b"\r\n"


def test_a_websocket_for_a_wsgi_application(caplog) -> None:
    answers, (told,) = said(caplog, wsgi, upgrade(WEBSOCKET))
    assert answers == [b"HTTP/1.1 200 OK"] * 2
    assert "a WSGI application can't serve one" in told


@pytest.mark.parametrize("application", [asgi, wsgi])
@pytest.mark.parametrize("installed", [True, False])
def test_http2_in_clear_text_by_upgrade(caplog, monkeypatch, application, installed) -> None:
    monkeypatch.setattr(library, "installed", lambda: installed)
    answers, (told,) = said(caplog, application, upgrade(H2C))
    assert answers == [b"HTTP/1.1 200 OK"] * 2
    assert told.endswith("give --h2c")
    assert ("pip install 'gracehttp[h2]'" in told) is not installed


def test_http2_in_clear_text_by_its_first_bytes(caplog) -> None:
    answers, (told,) = said(caplog, asgi, PREFACE)
    assert answers == [b"HTTP/1.1 505 HTTP Version Not Supported"] * 2
    assert told.endswith("give --h2c")


def test_nothing_is_said_where_it_is_served(caplog) -> None:
    _, told = said(caplog, asgi, upgrade(H2C), h2c=True)
    assert told == []


def test_nothing_is_said_of_other_protocols(caplog) -> None:
    _, told = said(caplog, asgi, upgrade(b"Upgrade: irc/6.9\r\n"))
    assert told == []
