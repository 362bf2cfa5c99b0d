"""A full port makes room for connections that wait: idle connections go, and only those."""

from __future__ import annotations

import signal
import socket
import ssl
import time

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import get, get_on, wait_until
from tls_client import certificate_in

SCRIPT = """
    import gracehttp
    from application import app

    grace = gracehttp.GraceHTTP(workers={workers})
    grace.add_server(app, bind="127.0.0.1:0", max_connections=4, shed_idle_after={shed_idle_after!r})
    grace.run()
"""

APPLICATION = """
    import asyncio
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        if scope["path"] == "/wait":
            while not os.path.exists(scope["query_string"]):
                await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def begin(start, *, workers=1, shed_idle_after="300ms"):
    script = SCRIPT.format(workers=workers, shed_idle_after=shed_idle_after)
    server = start("script.py", files={"application.py": APPLICATION, "script.py": script})
    server.wait_until_serving()
    return server


TLS_SCRIPT = """
    import gracehttp

    grace = gracehttp.GraceHTTP(workers=1{settings})
    grace.add_server(
        "application:app", bind="127.0.0.1:0", max_connections=4, shed_idle_after="300ms", certfile="server.pem"
    )
    grace.run()
"""


def begin_tls(start, folder, settings=""):
    """A full port with four idle clients that don't read; returns the server, them, and a function that connects."""
    context = certificate_in(folder / "server.pem", "127.0.0.1")
    script = TLS_SCRIPT.format(settings=settings)
    server = start("script.py", files={"application.py": APPLICATION, "script.py": script})
    server.wait_until_serving()

    def connect_tls():
        return context.wrap_socket(connect(server), server_hostname="127.0.0.1")

    idle = [connect_tls() for _ in range(4)]
    for sock in idle:
        assert get_on(sock)[0] == 200
    return server, idle, connect_tls


def open_ones(socks):
    """How many of `socks`, each of which has read all its responses, the server has not closed; closes them."""
    count = 0
    for sock in socks:
        sock.settimeout(0)
        try:
            assert sock.recv(1) == b"", "it was told by a close_notify"
        except ssl.SSLWantReadError:
            count += 1
        sock.close()
    return count


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)


def is_open(sock):
    """Whether the server has not closed the connection; it has nothing to say on it otherwise."""
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    finally:
        sock.settimeout(DEADLINE_SECONDS)


def test_a_health_check_gets_in_when_idle_connections_fill_the_port(start):
    server = begin(start)
    socks = [connect(server) for _ in range(4)]
    for sock in socks:
        assert get_on(sock)[0] == 200
    assert get(server.port)[0] == 200, "though no client has left by itself"
    assert sorted(is_open(sock) for sock in socks) == [False, True, True, True]
    server.wait_for("is full: closed 1 idle connection ")
    assert server.status()["listeners"][0]["shed_connections"] == 1
    for sock in socks:
        sock.close()


def test_room_is_made_for_as_many_as_wait_over_all_workers(start):
    server = begin(start, workers=2)
    idle = [connect(server) for _ in range(4)]
    for sock in idle:
        assert get_on(sock)[0] == 200
    new_ones = [connect(server) for _ in range(4)]
    for sock in new_ones:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    for sock in new_ones:
        assert b" 200 " in sock.recv(1000)
    for sock in (*idle, *new_ones):
        sock.close()


def connect_idle(server):
    """A connection that has been idle for a shorter time than all others; returns it and the worker that has it."""
    time.sleep(0.01)  # uvloop's clock has milliseconds
    sock = connect(server)
    return sock, get_on(sock)[1]


def connect_idle_to_both(server):
    """Four of them, of two workers."""
    while True:
        idle = [connect_idle(server) for _ in range(4)]
        if len({pid for _, pid in idle}) == 2:
            return [sock for sock, _ in idle]
        for sock, _ in idle:
            sock.close()
        wait_until(lambda: server.status()["listeners"][0]["open_connections"] == 0)


def test_the_longest_idle_goes_first_whichever_worker_has_it(start):
    server = begin(start, workers=2, shed_idle_after="100ms")
    idle = connect_idle_to_both(server)
    for _ in range(8):
        assert get(server.port)[0] == 200
        assert [is_open(sock) for sock in idle] == [False, True, True, True]
        idle.pop(0).close()
        idle.append(connect_idle(server)[0])  # in the place of the new one, which has left
    for sock in idle:
        sock.close()


def test_a_busy_connection_is_never_shed(start):
    server = begin(start)
    busy = [connect(server) for _ in range(4)]
    for sock in busy[:3]:
        sock.sendall(b"GET /wait?now HTTP/1.1\r\nHost: test\r\n\r\n")
    assert get_on(busy[3])[0] == 200
    assert get(server.port)[0] == 200
    server.write("now", "")
    for sock in busy[:3]:
        assert b" 200 " in sock.recv(1000)
    assert not is_open(busy[3])
    for sock in busy:
        sock.close()


def test_without_shedding_newcomers_wait_until_somebody_leaves(start):
    server = begin(start, shed_idle_after="0s")
    idle = [connect(server) for _ in range(4)]
    for sock in idle:
        assert get_on(sock)[0] == 200
    with connect(server) as new_one:
        new_one.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        wait_until(lambda: server.status()["listeners"][0]["open_connections"] == 4)
        assert all(is_open(sock) for sock in idle)
        idle.pop().close()
        assert b" 200 " in new_one.recv(1000)
    for sock in idle:
        sock.close()


def test_one_newcomer_costs_one_tls_connection_even_if_its_client_does_not_read(start, tmp_path):
    server, idle, connect_tls = begin_tls(start, tmp_path)
    with connect_tls() as new_one:
        assert get_on(new_one)[0] == 200
        server.wait_for("is full: closed 1 idle connection ")
        assert server.status()["listeners"][0]["shed_connections"] == 1
        assert open_ones(idle) == 3


@pytest.mark.parametrize("settings", ["", ", probation=60"], ids=["drain", "probation"])
def test_room_is_made_by_the_old_code_that_has_all_places(start, tmp_path, settings):
    server, idle, connect_tls = begin_tls(start, tmp_path, settings)
    server.send_signal(signal.SIGHUP)
    server.wait_until_serving(2)
    with connect_tls() as new_one:  # long before a drain of 30 s closes idle connections
        assert get_on(new_one)[0] == 200
        assert open_ones(idle) == 3
