"""What bad clients send over real sockets: each gets its status, and the worker lives, no larger than before."""

from __future__ import annotations

import contextlib
import re
import select
import socket
from pathlib import Path

import pytest
from server_harness import DEADLINE_SECONDS, Server, get, get_on, wait_until

MEGABYTES = 1024

APPLICATION = """
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        if scope["method"] == "POST":
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/large":
            for _ in range(2000):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One worker, so that it is known which one has to live; its application reads every body to the end."""
    options = ("-b", "127.0.0.1:0", "--max-body-size", "1M", "--header-timeout", "2s", "--body-timeout", "2s")
    running = Server(
        tmp_path_factory.mktemp("server"),
        *("-m", "gracehttp", "serve", "application:app", *options),
        files={"application.py": APPLICATION},
    )
    try:
        (running.worker,) = running.wait_until_serving()
        yield running
    finally:
        running.end()


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)


def memory(server, what):
    """VmRSS, the resident memory of the worker in KiB, or VmHWM, the most that it ever was (proc_pid_status(5))."""
    return int(re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{server.worker}/status").read_text())[1])


@contextlib.contextmanager
def the_worker_lives_and_does_not_grow(server, *, by=16 * MEGABYTES):
    """Not even for a moment: its peak counts."""
    get(server.port)
    Path(f"/proc/{server.worker}/clear_refs").write_text("5")  # the peak is what it is now (proc_pid_clear_refs(5))
    before = memory(server, "VmRSS")
    yield
    assert memory(server, "VmHWM") - before < by
    assert get(server.port) == (200, str(server.worker))


def status_of(received):
    return int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.1 ") else None


def read_to_end(sock):
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            received += piece
    return received


def send_until_refused(sock, pieces):
    """Send for as long as the server takes it."""
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            sock.sendall(piece)


HOST = b"Host: test\r\n"
BAD = {
    "garbage": (b"\x00\x01\x02 what is this\r\n\r\n", 400),
    "no-host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two-hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "length-and-chunked": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "two-lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "bad-chunk": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "unknown-coding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "other-version": (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", 505),
    "long-target": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "huge-field": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "many-fields": (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 20_000 + b"\r\n", 431),
    "announced-too-much": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2000000\r\n\r\n", 413),
    "slow-head": (b"GET / HTTP/1.1\r\nHo", 408),
    "slow-body": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nab", 408),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_its_status_and_the_connection_is_closed(server, name):
    request, status = BAD[name]
    with the_worker_lives_and_does_not_grow(server), connect(server) as sock:
        send_until_refused(sock, [request])
        assert status_of(read_to_end(sock)) == status


CHUNKED_POST = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def test_a_chunked_body_beyond_the_limit_gets_413_however_long_it_would_be(server):
    with the_worker_lives_and_does_not_grow(server), connect(server) as sock:
        send_until_refused(sock, [CHUNKED_POST, *[b"10000\r\n" + bytes(65536) + b"\r\n"] * 25])
        assert status_of(read_to_end(sock)) == 413


def test_a_chunk_extension_without_end_is_cut(server):
    with the_worker_lives_and_does_not_grow(server), connect(server) as sock:
        send_until_refused(sock, [CHUNKED_POST + b"1;", *[b"x" * 65536] * 25])
        assert status_of(read_to_end(sock)) in (400, 413, 431)


def test_ten_thousand_pipelined_requests_that_nobody_reads_are_answered_when_somebody_does(server):
    count = 10_000
    with the_worker_lives_and_does_not_grow(server), connect(server) as sock:
        request = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
        sock.setblocking(False)
        left = request * (count - 1) + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        left = send_what_fits(sock, left)  # the answers lie in the kernel's buffers, then the server reads no more
        received = b""
        while True:
            readable, _, _ = select.select([sock], [sock] if left else [], [], DEADLINE_SECONDS)
            left = send_what_fits(sock, left)
            if readable:
                piece = sock.recv(65536)
                if not piece:
                    break
                received += piece
        assert received.count(b"HTTP/1.1 200 ") == count


def send_what_fits(sock, data):
    with contextlib.suppress(BlockingIOError):
        while data:
            data = data[sock.send(data) :]
    return data


def test_a_large_response_that_is_read_slowly_does_not_lie_in_memory(server):
    """200 MB; the application waits for the client, while others are served."""
    with the_worker_lives_and_does_not_grow(server), connect(server) as sock, connect(server) as other:
        sock.sendall(b"GET /large HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        for _ in range(400):
            assert sock.recv(4096)
            assert get_on(other)[0] == 200
    wait_until(lambda: server.status()["listeners"][0]["open_connections"] == 0)


def test_a_client_that_takes_nothing_of_a_response_is_cut(server):
    with the_worker_lives_and_does_not_grow(server), connect(server) as sock:
        sock.sendall(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        wait_until(lambda: server.status()["listeners"][0]["open_connections"] == 0)
        assert not read_to_end(sock).endswith(b"0\r\n\r\n")
