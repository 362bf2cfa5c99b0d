"""Applications that take longer for a request than they may."""

from __future__ import annotations

import socket

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import get, get_on, wait_until

ASGI = """
    import asyncio
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
        try:
            if scope["path"] == "/begin":
                await send(head)
                await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            if scope["path"] != "/":
                await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("cancelled", scope["path"], file=open("told.txt", "a"))
            raise
        await send(head)
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""
WSGI = """
    import os
    import threading

    def app(environ, start_response):
        if environ["PATH_INFO"] != "/":
            threading.Event().wait()
        start_response("200 OK", [("content-type", "text/plain")])
        return [str(os.getpid()).encode()]
"""


def begin(start, application, *arguments):
    options = ("--bind", "127.0.0.1:0", "--request-timeout", "500ms", *arguments)
    server = start("-m", "gracehttp", "serve", "application:app", *options, files={"application.py": application})
    server.wait_until_serving()
    return server


@pytest.mark.parametrize("application", [ASGI, WSGI], ids=["asgi", "wsgi"])
def test_a_request_that_takes_too_long_is_answered_503_and_its_connection_goes_on(start, application):
    server = begin(start, application)
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as client:
        assert get_on(client, "/slow") == (503, "Service Unavailable\n")
        assert get_on(client)[0] == 200
    server.wait_for(r"GET /slow: the response is broken: the application takes longer than 0.5 s \(request_timeout\)")
    assert "raised" not in server.log


def test_an_asgi_application_is_cancelled(start):
    server = begin(start, ASGI)
    get(server.port, "/slow")
    told = server.folder / "told.txt"
    wait_until(lambda: told.exists() and told.read_text() == "cancelled /slow\n")


def test_a_response_that_has_begun_is_cut(start):
    server = begin(start, ASGI)
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as client:
        client.sendall(b"GET /begin HTTP/1.1\r\nHost: test\r\n\r\n")
        received = b""
        try:
            while piece := client.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
    assert b"begun" in received
    assert not received.endswith(b"0\r\n\r\n")
    server.wait_for("GET /begin: the response is broken: the application takes longer")


def test_a_request_that_waits_for_a_thread_is_answered_too_and_never_begun(start):
    server = begin(start, WSGI, "--threads", "1", "--hang-timeout", "0s")
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as first:
        first.sendall(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
        assert get(server.port)[0] == 503, "the thread is never free again"
