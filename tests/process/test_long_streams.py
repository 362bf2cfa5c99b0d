"""Streams that would go on for ever, when the drain begins."""

from __future__ import annotations

import select
import signal
import socket
import time

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import get_on, wait_until
from tls_client import certificate_in, connect_tls

ASGI = """
    import asyncio
    import os

    import gracehttp

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        if scope["path"] == "/":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
            return
        drain = gracehttp.drain_notice()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: hello\\n\\n", "more_body": True})
        if scope["path"] == "/listens":
            await drain.wait()
        else:
            await asyncio.Event().wait()
        await send({"type": "http.response.body", "body": b"retry: 100\\ndata: goodbye\\n\\n"})
"""

WSGI = """
    import os
    import threading

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        if environ["PATH_INFO"] == "/":
            return [str(os.getpid()).encode()]
        return stream(environ["gracehttp.draining"], environ["PATH_INFO"])

    def stream(draining, path):
        yield b"data: hello\\n\\n"
        if path == "/listens":
            assert draining.wait()
        else:
            threading.Event().wait()
        yield b"retry: 100\\ndata: goodbye\\n\\n"
"""


@pytest.fixture(params=[ASGI, WSGI], ids=["asgi", "wsgi"])
def application(request):
    return request.param


def begin(start, application, *options):
    arguments = ("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", *options)
    server = start(*arguments, files={"application.py": application})
    server.first = server.wait_until_serving()
    return server


def open_stream(server, path):
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    assert b"data: hello" in read_until(sock, b"data: hello\n\n\r\n")
    return sock


def read_until(sock, end):
    received = b""
    while not received.endswith(end):
        piece = sock.recv(65536)
        assert piece, f"closed after {received!r}"
        received += piece
    return received


def closing_times(clients):
    """When each of the connections was closed."""
    waiting, times = {sock.fileno(): sock for sock in clients}, []
    poller = select.poll()
    for number in waiting:
        poller.register(number, select.POLLIN)
    while waiting:
        events = poller.poll(DEADLINE_SECONDS * 1000)
        assert events, f"{len(waiting)} connections were not closed"
        for number, _ in events:
            assert waiting[number].recv(1) == b""
            poller.unregister(number)
            waiting.pop(number).close()
            times.append(time.monotonic())
    return times


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stream_that_listens_says_goodbye_and_the_drain_is_quick(start, application, number):
    server = begin(start, application, "--drain-timeout", "1h")  # to wait for the end of that is to hang
    with open_stream(server, "/listens") as sock:
        server.send_signal(number)
        assert b"retry: 100\ndata: goodbye" in read_until(sock, b"\r\n0\r\n\r\n")
        server.wait_for(r"drained in [\d.]+ s, no request was cut")


def test_the_connection_of_a_stream_that_ended_goes_on_with_the_new_code(start, application):
    server = begin(start, application)
    with open_stream(server, "/listens") as sock:
        second = server.restart(2)
        read_until(sock, b"\r\n0\r\n\r\n")
        server.wait_until_gone(1)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert any(str(pid).encode() in sock.recv(65536) for pid in second)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stream_that_does_not_listen_is_cut_at_the_deadline_and_named(start, application, number):
    server = begin(start, application, "--drain-timeout", "500ms")
    with open_stream(server, "/deaf") as sock:
        server.send_signal(number)
        server.wait_for(r"drain ended after [\d.]+ s, 1 request was cut: GET /deaf for \d+\.\d s$")
        assert sock.recv(65536) == b"", "without the last chunk, so the client knows that it is not whole"
        assert "CancelledError" not in server.log
        if number == signal.SIGTERM:
            assert server.wait() == 0
        else:
            server.wait_until_gone(1)


def test_each_worker_that_is_taken_away_tells_its_streams(start, application):
    server = begin(start, application, "--workers", "2")
    streams = [open_stream(server, "/listens") for _ in range(8)]
    server.send_signal(signal.SIGTTOU)
    wait_until(lambda: len(server.workers()) == 1)
    server.stop()
    for sock in streams:
        with sock:
            assert b"goodbye" in read_until(sock, b"\r\n0\r\n\r\n")


def test_idle_tls_connections_are_closed_one_after_the_other(start, tmp_path):
    context = certificate_in(tmp_path / "server.pem", "127.0.0.1")
    server = begin(start, ASGI, "--certfile", "server.pem", "--drain-timeout", "4s")
    clients = []
    for _ in range(8):
        clients.append(connect_tls(server.port, context, "127.0.0.1"))
        assert get_on(clients[-1])[0] == 200
    server.restart(2)
    closed_at = sorted(closing_times(clients))
    assert closed_at[-1] - closed_at[0] > 0.4, "spread over 0.8 s of the last second"
    server.wait_for("drained in .* no request was cut")
