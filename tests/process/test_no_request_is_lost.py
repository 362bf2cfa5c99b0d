"""Twenty restarts under load, counted by clients that retry nothing (promises 1 and 2)."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading

from deadlines import DEADLINE_SECONDS
from load_client import ECHO_APPLICATION, Load, get, post
from server_harness import get_on, read_response
from tls_client import certificate_in

RESTARTS = 20
CLIENTS = 32

SCRIPT = """
    import gracehttp

    grace = gracehttp.GraceHTTP(workers=2)
    for host, certfile in zip(("127.0.0.1", "localhost"), {certfiles!r}):
        grace.add_server("application:app", bind=f"{{host}}:0", certfile=certfile, header_timeout=60)
    grace.run()
"""


def begin(start, certfiles=(None,), **options):
    """A server for each of `certfiles`; None: plain HTTP."""
    files = {"application.py": ECHO_APPLICATION, "script.py": SCRIPT.format(certfiles=certfiles)}
    server = start("script.py", files=files, **options)
    server.first = server.wait_until_serving()
    return server


def make_certificate(folder):
    """Write cert.pem with its key; returns the context of clients that trust it."""
    return certificate_in(folder / "cert.pem", "localhost")


def test_twenty_restarts_lose_no_request_of_any_kind(start, tmp_path):
    """All kinds of clients at once, 32 of each, so that each worker is started once for all of them."""
    context = make_certificate(tmp_path)
    server = begin(start, certfiles=(None, "cert.pem"))
    plain, encrypted = server.ports
    loads = {
        "keep-alive": Load(plain, keep_alive=CLIENTS),
        "a new connection for each request": Load(plain, reconnecting=CLIENTS),
        "handlers of 300 ms": Load(plain, keep_alive=CLIENTS, request=get("/300ms")),
        "a body of 4 KB in four pieces": Load(plain, keep_alive=CLIENTS, request=post(4096, pieces=4)),
        "TLS": Load(encrypted, keep_alive=CLIENTS, tls=context),
    }
    with contextlib.ExitStack() as running:
        for load in loads.values():
            running.enter_context(load)
        for generation in range(2, RESTARTS + 2):
            newest = server.restart(generation)
        for load in loads.values():
            load.wait_for_answers_of(newest)
    for kind, load in loads.items():
        account = load.account
        assert account.lost == [], kind
        assert account.refused == 0, kind
        assert account.answered > CLIENTS * 2, kind
        assert len(account.pids) > RESTARTS / 2, f"{kind}: it was not the same code that answered all the time"


def test_who_connected_before_the_restart_and_speaks_5_seconds_after_it_is_answered(start, tmp_path):
    context = make_certificate(tmp_path)
    encrypted = begin(start, certfiles=("cert.pem",))
    plain = begin(start, folder=tmp_path / "plain")
    address = ("127.0.0.1", plain.port)
    with (
        socket.create_connection(address, timeout=DEADLINE_SECONDS) as silent,
        socket.create_connection(address, timeout=DEADLINE_SECONDS) as idle,
        socket.create_connection(address, timeout=DEADLINE_SECONDS) as halfway,
        socket.create_connection(("127.0.0.1", encrypted.port), timeout=DEADLINE_SECONDS) as beneath,
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
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)
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
