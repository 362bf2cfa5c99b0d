"""Workers that hang while they serve: found, replaced without a gap, and told where they hung."""

from __future__ import annotations

import os
import signal
import socket
import time

from deadlines import DEADLINE_SECONDS
from server_harness import get, get_on, is_alive

LOOP_HANGS = """
    import os
    import time

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        if scope["path"] == "/hang":
            this_is_where_it_hangs()
        body = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})

    def this_is_where_it_hangs():
        while True:
            time.sleep(0.01)
"""
THREADS_HANG = """
    import os
    import threading

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/hang":
            this_is_where_it_hangs()
        start_response("200 OK", [("content-type", "text/plain")])
        return [str(os.getpid()).encode()]

    def this_is_where_it_hangs():
        threading.Event().wait()
"""


def begin(start, application, *arguments, hang_timeout="1s"):
    options = ("--bind", "127.0.0.1:0", "--hang-timeout", hang_timeout, *arguments)
    server = start("-m", "gracehttp", "serve", "application:app", *options, files={"application.py": application})
    server.first = server.wait_until_serving()
    return server


def ask(port, path):
    """Send a request that gets no answer."""
    client = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return client


def test_a_worker_whose_loop_hangs_is_replaced_and_the_log_says_where_it_hung(start):
    server = begin(start, LOOP_HANGS)
    with ask(server.port, "/hang"):
        server.wait_for(r"worker 1 of generation 1 \(pid \d+\) hangs: its event loop hasn't turned")
        server.wait_for("worker 2 of generation 1 is ready")
        server.wait_for("this_is_where_it_hangs")
        server.wait_for("worker 1 of generation 1 hung, and was ended")
    log = server.log
    assert log.index("worker 2 of generation 1 is ready") < log.index("this_is_where_it_hangs")
    assert int(get(server.port)[1]) != server.first[0]


def test_a_worker_whose_threads_all_hang_hands_its_connections_over_and_the_log_says_where_they_hung(start):
    server = begin(start, THREADS_HANG, "--threads", "1")
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as idle:
        get_on(idle)
        with ask(server.port, "/hang"), ask(server.port, "/") as waits:
            server.wait_for("all its threads are at the same requests")
            server.wait_for("this_is_where_it_hangs")
            answer = b"".join(iter(lambda: waits.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 503 "), "no application had begun with it"
            assert b"\r\nretry-after: 1\r\n" in answer.lower()
            assert b"\r\nconnection: close\r\n" in answer.lower()
            server.wait_for(r"1 request was cut: GET /hang")
        assert int(get_on(idle)[1]) != server.first[0], "the same connection, another worker"


def test_a_worker_that_is_stopped_does_not_hang_and_goes_on(start):
    server = begin(start, LOOP_HANGS, "--workers", "2")
    os.kill(server.first[0], signal.SIGSTOP)
    time.sleep(3)  # three hang timeouts: nothing may happen, so there is nothing to wait for
    os.kill(server.first[0], signal.SIGCONT)
    server.send_signal(signal.SIGHUP)
    server.wait_until_serving(2)
    server.wait_until_gone(1)
    assert "hangs" not in server.log


def test_a_long_import_is_no_hang(start):
    server = begin(start, "import time\ntime.sleep(3)\n" + LOOP_HANGS.replace("\n    ", "\n"))
    assert "hangs" not in server.log
    assert all(map(is_alive, server.first))
