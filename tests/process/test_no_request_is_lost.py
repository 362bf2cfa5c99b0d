"""Twenty restarts under load, counted by clients that retry nothing (promises 1 and 2)."""

from __future__ import annotations

import signal
import socket
import ssl
import threading

import pytest
import trustme
from load_client import ECHO_APPLICATION, Load, get, post
from server_harness import get_on, read_response

RESTARTS = 20
CLIENTS = 32

SCRIPT = """
    import gracehttp

    grace = gracehttp.GraceHTTP(workers=2)
    grace.add_server("application:app", bind="127.0.0.1:0", certfile={certfile!r})
    grace.run()
"""


def begin(start, certfile=None, **options):
    files = {"application.py": ECHO_APPLICATION, "script.py": SCRIPT.format(certfile=certfile)}
    server = start("script.py", files=files, **options)
    server.first = server.wait_until_serving()
    return server


def make_certificate(folder):
    """Write cert.pem with its key; returns the context of clients that trust it."""
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def assert_restarts_lose_nothing(server, load):
    with load:
        for generation in range(2, RESTARTS + 2):
            newest = server.restart(generation)
        load.wait_for_answers_of(newest)
    account = load.account
    assert account.lost == []
    assert account.refused == 0
    assert account.answered > CLIENTS * 2
    assert len(account.pids) > RESTARTS / 2, "it was not the same code that answered all the time"


@pytest.mark.parametrize(
    "clients",
    [
        pytest.param({"keep_alive": CLIENTS}, id="keep-alive"),
        pytest.param({"reconnecting": CLIENTS}, id="new-connection-per-request"),
        pytest.param({"keep_alive": CLIENTS, "request": get("/300ms")}, id="300-ms-handlers"),
        pytest.param({"keep_alive": CLIENTS, "request": post(4096, pieces=4)}, id="4-KB-body-in-four-pieces"),
    ],
)
def test_restarts_lose_no_request(start, clients):
    server = begin(start)
    assert_restarts_lose_nothing(server, Load(server.port, **clients))


def test_restarts_lose_no_request_over_tls(start, tmp_path):
    context = make_certificate(tmp_path)
    server = begin(start, certfile="cert.pem")
    assert_restarts_lose_nothing(server, Load(server.port, keep_alive=CLIENTS, tls=context))


def test_who_connected_before_the_restart_and_speaks_5_seconds_after_it_is_answered(start, tmp_path):
    context = make_certificate(tmp_path)
    encrypted = begin(start, certfile="cert.pem")
    plain = begin(start, folder=tmp_path / "plain")
    address = ("127.0.0.1", plain.port)
    with (
        socket.create_connection(address, timeout=20) as silent,
        socket.create_connection(address, timeout=20) as idle,
        socket.create_connection(address, timeout=20) as halfway,
        socket.create_connection(("127.0.0.1", encrypted.port), timeout=20) as beneath,
        context.wrap_socket(beneath, server_hostname="localhost") as secret,
    ):
        assert get_on(idle)[0] == 200
        halfway.sendall(b"GET / HTTP/1.1\r\nHo")
        plain.restart(2)
        encrypted.restart(2)
        threading.Event().wait(5)  # the promise names this time
        halfway.sendall(b"st: test\r\n\r\n")
        assert read_response(halfway)[0] == 200
        for sock in (silent, idle, secret):
            assert get_on(sock)[0] == 200


def test_requests_that_arrive_byte_by_byte_across_a_restart_are_answered(start):
    server = begin(start)
    request = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody"
    sockets = []
    try:
        for cut in range(len(request)):
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.append((sock, cut))
            for byte in request[:cut]:
                sock.send(bytes([byte]))
        second = server.restart(2)
        for sock, cut in sockets:
            for byte in request[cut:]:
                sock.send(bytes([byte]))
        for sock, _cut in sockets:
            status, _headers, body = read_response(sock)
            pid, body_bytes = map(int, body.split())
            assert (status, body_bytes) == (200, 4)
            assert pid in (*server.first, *second)
    finally:
        for sock, _cut in sockets:
            sock.close()


def test_a_burst_of_restart_signals_loses_no_request(start):
    server = begin(start)
    with Load(server.port, keep_alive=8, reconnecting=8) as load:
        for _ in range(10):
            server.send_signal(signal.SIGHUP)
            load.wait_for_answers(20)
        last = server.command("restart")
        assert last.returncode == 0, last
    assert load.account.lost == []
    assert load.account.refused == 0
