"""Options that are given away from their defaults do what their help says, in a service of real processes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import PID_APPLICATION, get_on
from sockets_of_port import backlog

from gracehttp.wire.control import abstract_name

WARMING = """
    import asyncio

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        if scope["path"] == "/hangs":
            await asyncio.Event().wait()
        status = {status} if scope["path"] == "/warm" else 200
        await send({{"type": "http.response.start", "status": status, "headers": []}})
        await send({{"type": "http.response.body", "body": b"{status}"}})
"""


@pytest.fixture
def begin(start):
    def begin(*options, application=PID_APPLICATION):
        arguments = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", *options)
        server = start(*arguments, files={"application.py": application})
        server.wait_until_serving()
        return server

    return begin


@pytest.fixture
def connect():
    opened = []

    def connect(server):
        opened.append(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS))
        return opened[-1]

    yield connect
    for sock in opened:
        sock.close()


def test_new_code_whose_warm_up_request_fails_does_not_serve_and_whoever_asked_learns_why(begin, connect):
    server = begin("--warmup", "/warm", "--lifespan", "off", application=WARMING.format(status=204))
    client = connect(server)
    server.write("application.py", WARMING.format(status=503))
    restarted = server.command("restart")
    assert restarted.returncode == 1
    assert "the warm-up request GET /warm answered 503" in restarted.stderr
    assert get_on(client) == (200, "204")


def test_a_warm_up_request_that_hangs_is_named_when_the_worker_is_not_ready_in_time(start):
    arguments = ("serve", "application:app", "-b", "127.0.0.1:0", "--warmup", "/hangs", "--ready-timeout", "15s")
    server = start("-m", "gracehttp", *arguments, files={"application.py": WARMING.format(status=200)})
    assert server.wait() == 3
    assert "not ready within 15 s" in server.log
    assert "the warm-up request GET /hangs" in server.log


def test_an_idle_connection_is_closed_after_the_keep_alive_timeout(begin, connect):
    client = connect(begin("--keep-alive-timeout", "200ms"))
    assert get_on(client)[0] == 200
    assert client.recv(1) == b""


def test_a_head_may_be_as_large_as_max_header_size_and_no_larger(begin, connect):
    server = begin("--max-header-size", "1000")
    for size, status in ((900, 200), (1100, 431)):
        client = connect(server)
        start = b"GET / HTTP/1.1\r\nHost: test\r\nX: "
        client.sendall(start + b"x" * (size - len(start) - 4) + b"\r\n\r\n")
        assert client.recv(12) == f"HTTP/1.1 {status}".encode()


def test_the_accept_queue_has_the_length_of_the_backlog(begin):
    assert backlog(begin("--backlog", "17").port) == 17


def test_without_control_there_is_no_socket_and_a_command_says_so(begin):
    server = begin("--no-control")
    assert abstract_name(server.pid).replace("\0", "@") not in Path("/proc/net/unix").read_text()
    asked = server.command("status")
    assert asked.returncode == 1
    assert f"process {server.pid} has no control socket" in asked.stderr
