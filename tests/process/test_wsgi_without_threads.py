"""`--threads 0`: a WSGI application on the event loop, in real processes."""

from __future__ import annotations

import contextlib
import socket

from deadlines import DEADLINE_SECONDS
from load_client import Load, post
from load_client import get as request_to
from server_harness import get, get_on, read_response, wait_until

APPLICATION = """
    import os
    from pathlib import Path

    def forever():
        while True:
            yield b"x" * 1000

    def app(environ, start_response):
        body = environ["wsgi.input"].read()
        path = environ["PATH_INFO"]
        if path == "/forever":
            start_response("200 OK", [])
            return forever()
        if path == "/raise":
            raise KeyError("told")
        if path == "/exit":
            raise SystemExit(1)
        answer = f"{os.getpid()} {len(body)}".encode()
        start_response("200 OK", [("Content-Length", str(len(answer)))])
        if path == "/generator":
            return iter([answer[:1], answer[1:]])
        return [answer]
"""
# What the load client reads from an answer: the PID, and the size of the body.
COUNTING = """
    import os

    def app(environ, start_response):
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("content-type", "text/plain")])
        return [str(os.getpid()).encode() + b" " + str(len(body)).encode()]
"""


def begin(start, *options, application=APPLICATION):
    arguments = ("--bind", "127.0.0.1:0", "--threads", "0", *options)
    server = start("-m", "gracehttp", "serve", "application:app", *arguments, files={"application.py": application})
    server.first = server.wait_until_serving()
    return server


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)


def test_neither_an_endless_stream_nor_a_slow_body_keeps_the_others(start):
    server = begin(start)
    with connect(server) as stream, connect(server) as slow, connect(server) as reader:
        stream.sendall(b"GET /forever HTTP/1.1\r\nHost: test\r\n\r\n")  # it is never read to its end
        assert stream.recv(1000).startswith(b"HTTP/1.1 200")
        slow.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\n" + bytes(100_000))
        reader.sendall(b"GET /forever HTTP/1.1\r\nHost: test\r\n\r\n")
        for _ in range(100):
            assert reader.recv(65536)
            assert get(server.port)[0] == 200
        slow.sendall(bytes(100_000))
        assert read_response(slow)[2].endswith(b" 200000")


def test_an_error_and_an_exit_end_their_request_only(start):
    server = begin(start)
    with connect(server) as client:
        for path in ("/raise", "/exit"):
            assert get_on(client, path) == (500, "Internal Server Error\n")
        assert get_on(client)[0] == 200
    server.wait_for("KeyError: 'told'")
    server.wait_for("SystemExit: 1")


def test_many_requests_in_one_packet_are_answered_in_their_order(start):
    """Each answer begins the next request: that must not go deeper and deeper."""
    server = begin(start)
    with connect(server) as client:
        client.sendall(b"".join(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n" for _ in range(2000)))
        received = b""
        while received.count(b"HTTP/1.1 200") < 2000:
            piece = client.recv(65536)
            assert piece
            received += piece


def test_a_request_that_asks_before_it_sends_its_body_is_told_to_go_on(start):
    server = begin(start)
    with connect(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"body")
        assert read_response(client)[2].endswith(b" 4")


def test_a_stream_that_takes_too_long_is_cut_and_closed(start):
    server = begin(start, "--request-timeout", "500ms")
    with connect(server) as stream:
        stream.sendall(b"GET /forever HTTP/1.1\r\nHost: test\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            while stream.recv(1 << 20):
                pass
    server.wait_for("GET /forever: the response is broken: the application takes longer than 0.5 s")
    assert get(server.port)[0] == 200


def test_a_call_that_does_not_end_is_found_by_the_watchdog(start):
    blocking = APPLICATION.replace('raise KeyError("told")', "__import__('threading').Event().wait()")
    server = begin(start, "--hang-timeout", "1s", application=blocking)
    with connect(server) as client:
        client.sendall(b"GET /raise HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for("its event loop hasn't turned")
        wait_until(lambda: _answers(server))


def _answers(server):
    try:
        return get(server.port)[0] == 200
    except OSError:
        return False


def test_restarts_under_load_lose_nothing(start):
    server = begin(start, "--workers", "2", application=COUNTING)
    loads = {
        "keep-alive": Load(server.port, keep_alive=8),
        "new connections": Load(server.port, reconnecting=8, request=request_to("/new")),
        "bodies in pieces": Load(server.port, keep_alive=8, request=post(4096, pieces=4)),
        "large bodies": Load(server.port, keep_alive=4, request=post(200_000, pieces=4)),
    }
    with contextlib.ExitStack() as running:
        for load in loads.values():
            running.enter_context(load)
        for generation in range(2, 6):
            newest = server.restart(generation)
        for load in loads.values():
            load.wait_for_answers_of(newest)
    for kind, load in loads.items():
        assert load.account.lost == [], kind
        assert load.account.refused == 0, kind
        assert len(load.account.pids) > 4, kind
