"""Health checks that the server answers itself, and the delay between the order to stop and the drain."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import get, get_on, read_response

ASGI = """
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        body = scope["path"].encode()
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""
WSGI = """
    def app(environ, start_response):
        start_response("418 I'm a teapot", [])
        return [environ["PATH_INFO"].encode()]
"""
PROBES = ("--live-path", "/livez", "--ready-path", "/readyz")


def serve(start, *options, application=ASGI):
    server = start(
        "-m", "gracehttp", "serve", "main:app", "-b", "127.0.0.1:0", *options, files={"main.py": application}
    )
    server.wait_until_serving()
    return server


@pytest.mark.parametrize("application", [ASGI, WSGI], ids=["asgi", "wsgi"])
def test_the_server_answers_before_the_application_and_without_a_line_in_the_access_log(start, application):
    server = serve(start, *PROBES, "--access-log", application=application)
    assert get(server.port, "/livez") == (200, "ok\n")
    assert get(server.port, "/readyz?verbose") == (200, "ok\n")
    assert get(server.port, "/livez/more") == (418, "/livez/more")
    server.wait_for("/livez/more 418")
    assert "/livez 200" not in server.log
    assert "/readyz" not in server.log
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"POST /livez HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi")
        status, headers, _ = read_response(sock)
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        assert get_on(sock, "/livez") == (200, "ok\n"), "the connection goes on"


def test_without_the_options_the_paths_are_the_applications(start):
    server = serve(start)
    assert get(server.port, "/livez") == (418, "/livez")


def test_they_are_in_the_access_log_if_asked_for(start):
    server = serve(start, *PROBES, "--access-log", "--log-probes")
    get(server.port, "/livez")
    server.wait_for("GET /livez 200")


def test_http2_is_answered_alike(start):
    httpx = pytest.importorskip("httpx")
    server = serve(start, *PROBES, "--h2c")
    with httpx.Client(http1=False, http2=True) as client:
        answer = client.get(f"http://127.0.0.1:{server.port}/readyz")
    assert (answer.http_version, answer.status_code, answer.text) == ("HTTP/2", 200, "ok\n")


def test_during_the_stop_delay_ready_is_503_and_new_connections_are_served(start):
    server = serve(start, *PROBES, "--stop-delay", "1h")
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        assert get_on(sock, "/readyz")[0] == 200
        server.send_signal(signal.SIGTERM)
        server.wait_for("stop requested")
        deadline = time.monotonic() + DEADLINE_SECONDS
        while get_on(sock, "/readyz") != (503, "stopping\n"):  # the order is on its way to the worker
            assert time.monotonic() < deadline
        assert get(server.port, "/livez") == (200, "ok\n")
        assert get(server.port, "/work") == (418, "/work")
        (worker,) = json.loads(server.command("status", "--json").stdout)["generations"][0]["workers"]
        assert worker["state"] == "serving"
    time.sleep(0.25)  # two signals within 0.2 s are one (SAME_STOP_SECONDS)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 1, "the second one forces"


def test_a_worker_without_a_supervisor_does_not_live(start):
    server = serve(start, *PROBES)
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        assert get_on(sock, "/livez") == (200, "ok\n")
        sock.sendall(b"GET /livez HTTP/1.1\r\n")  # in flight, so that the connection stays
        server.send_signal(signal.SIGKILL)
        server.wait_for("the supervisor is gone; worker")
        sock.sendall(b"Host: test\r\n\r\n")
        status, _headers, body = read_response(sock)
        assert (status, body) == (503, b"the supervisor is gone\n")


def test_after_the_stop_delay_the_service_drains_and_ends(start):
    server = serve(start, *PROBES, "--stop-delay", "300ms")
    assert server.stop() == 0
    assert "going on for 0.3 s, so that load balancers hear of the stop" in server.log
    assert "drained" in server.log


def test_a_worker_that_dies_during_the_stop_delay_is_replaced_by_one_that_is_not_ready_either(start):
    server = serve(start, *PROBES, "--stop-delay", "1h")
    (worker,) = server.workers()
    server.send_signal(signal.SIGTERM)
    server.wait_for("stop requested")
    os.kill(worker, signal.SIGKILL)
    server.wait_for(r"worker 2 of generation 1 is ready")
    assert get(server.port, "/readyz") == (503, "stopping\n")
    assert get(server.port, "/work") == (418, "/work")


def test_a_draining_worker_of_a_restart_says_ready_because_others_serve(start):
    server = serve(start, *PROBES)
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        assert get_on(sock, "/readyz")[0] == 200
        server.restart(2)
        assert get_on(sock, "/readyz") == (200, "ok\n")
