"""Clients that are gone, on TCP, Unix sockets and TLS: the application hears of it, and nothing waits for them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import struct

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import wait_until
from tls_client import certificate_in

ASGI = """
    import asyncio
    import sys

    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    def say(what):
        print(what, file=sys.stderr, flush=True)

    async def asks(request):
        say("asks begun")
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)
        say("asks told")
        return PlainTextResponse("for who listens")

    async def events(request):
        async def stream():
            try:
                yield "data: hello\\n\\n"
                say("events begun")
                while True:
                    await asyncio.sleep(0.01)
                    yield "data: more\\n\\n"
            finally:
                say("events ended")
        return StreamingResponse(stream(), media_type="text/event-stream")

    async def silence(request):
        async def stream():
            try:
                yield "data: hello\\n\\n"
                say("silence begun")
                await asyncio.Event().wait()
            finally:
                say("silence ended")
        return StreamingResponse(stream(), media_type="text/event-stream")

    async def waits(request):
        await request.body()
        say("waits begun")
        message = await request.receive()
        say("waits told " + message["type"])
        return PlainTextResponse("nobody reads this")

    app = Starlette(routes=[Route(f"/{one.__name__}", one) for one in (asks, events, silence, waits)])
"""

WSGI = """
    import sys
    import time

    def say(what):
        print(what, file=sys.stderr, flush=True)

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        say(f"{path} begun")
        start_response("200 OK", [("Content-Type", "text/plain")])
        if path == "/silent":
            return silent()
        if path == "/busy":
            with open("gate") as gate:  # a pipe
                gate.read()
        return [b"ok"]

    def silent():
        try:
            while True:
                time.sleep(0.01)
                yield b""
        finally:
            say("/silent ended")
"""


class Port:
    """Where a server listens, and how clients get there."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.options = ["--bind", "127.0.0.1:0"]
        self.server = None
        if kind == "unix":
            self.path = folder / "s"
            self.options = ["--bind", f"unix:{self.path}"]
        if kind == "tls":
            self.context = certificate_in(folder / "server.pem", "127.0.0.1")
            self.options += ["--certfile", folder / "server.pem"]

    def begin(self, start, application, *options):
        arguments = ("-m", "gracehttp", "serve", "application:app", *self.options, *options)
        self.server = start(*arguments, files={"application.py": application})
        self.server.wait_until_serving()
        return self.server

    def ask(self, path):
        """A client that has sent a request."""
        if self.kind == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(self.path))
        else:
            sock = socket.create_connection(("127.0.0.1", self.server.port))
        sock.settimeout(DEADLINE_SECONDS)
        if self.kind == "tls":
            sock = self.context.wrap_socket(sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        return sock

    def reset(self, sock):
        """As a client does that dies with something unread."""
        if self.kind != "unix":  # there each close is one
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


@pytest.fixture(params=["tcp", "unix", "tls"])
def port(request, tmp_path):
    return Port(request.param, tmp_path)


def read_all(sock):
    received = b""
    with contextlib.suppress(ssl.SSLEOFError):
        while piece := sock.recv(65536):
            received += piece
    return received


@pytest.mark.parametrize("path", ["/asks", "/waits"])
def test_an_application_that_asks_is_told_that_the_client_has_closed(start, port, path):
    server = port.begin(start, ASGI)
    sock = port.ask(path)
    server.wait_for(f"{path[1:]} begun")
    sock.close()
    server.wait_for(f"{path[1:]} told")
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "ERROR" not in server.log


def test_a_client_that_has_only_ended_its_half_gets_its_answers(start, port):
    server = port.begin(start, ASGI)
    with port.ask("/asks") as sock:
        sock.sendall(b"GET /asks HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for("asks begun")
        if port.kind == "tls":
            socket.socket.shutdown(sock, socket.SHUT_WR)
        else:
            sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).count(b"for who listens") == 2
    assert server.stop() == 0
    assert "ERROR" not in server.log


@pytest.mark.parametrize("path", ["/events", "/silence"])
def test_a_stream_of_events_ends_when_its_client_has_closed_and_no_drain_waits_for_it(start, port, path):
    server = port.begin(start, ASGI, "--drain-timeout", "1h")  # to wait for the end of that is to hang
    sock = port.ask(path)
    server.wait_for(f"{path[1:]} begun")
    sock.close()
    server.wait_for(f"{path[1:]} ended")
    assert server.stop() == 0
    assert "ERROR" not in server.log
    assert "were cut" not in server.log


def test_requests_of_dead_clients_do_not_run_before_those_of_living_ones(start, port):
    server = port.begin(start, WSGI, "--threads", "1")
    gate = server.folder / "gate"
    os.mkfifo(gate)
    with port.ask("/busy") as busy:
        server.wait_for("/busy begun")
        dead = [port.ask(f"/dead/{number}") for number in range(100)]
        for sock in dead:
            port.reset(sock)
        with port.ask("/live") as live:
            wait_until(lambda: server.status()["listeners"][0]["open_connections"] == 2)
            gate.write_bytes(b"go")
            assert b"ok" in live.recv(65536)
            assert b"ok" in busy.recv(65536)
    assert server.stop() == 0
    assert "/dead" not in server.log


def test_a_generator_that_has_nothing_to_say_loses_its_thread_with_its_client(start, port):
    server = port.begin(start, WSGI, "--threads", "1")
    sock = port.ask("/silent")
    server.wait_for("/silent begun")
    port.reset(sock)
    server.wait_for("/silent ended")
    with port.ask("/after") as after:
        assert b"ok" in after.recv(65536)
    assert server.stop() == 0
    assert "ERROR" not in server.log
