"""WSGI threads that are all busy: new connections go to the workers that have a free one."""

from __future__ import annotations

import contextlib
import socket

from deadlines import DEADLINE_SECONDS
from server_harness import get, read_response, wait_until

# Each request tells that it has begun, and waits for the door to be opened.
APPLICATION = """
    import os
    import time
    from pathlib import Path

    HERE = Path(__file__).parent

    def app(environ, start_response):
        number = environ["PATH_INFO"].strip("/")
        (HERE / f"begun-{number}").touch()
        while not (HERE / "door").exists():
            time.sleep(0.005)
        start_response("200 OK", [("content-type", "text/plain")])
        return [str(os.getpid()).encode()]
"""
WORKERS, THREADS = 4, 2


def begin(start, *options):
    arguments = ("--bind", "127.0.0.1:0", "--workers", str(WORKERS), "--threads", str(THREADS), *options)
    server = start("-m", "gracehttp", "serve", "application:app", *arguments, files={"application.py": APPLICATION})
    server.wait_until_serving()
    return server


def ask(server, number):
    client = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)
    client.sendall(f"GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return client


def begun(server):
    return {path.name for path in server.folder.glob("begun-*")}


def test_no_new_connection_waits_for_a_thread_while_another_worker_has_a_free_one(start):
    server = begin(start)
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(ask(server, number)) for number in range(WORKERS * THREADS)]
        expected = {f"begun-{number}" for number in range(len(clients))}
        wait_until(lambda: begun(server) == expected, what="all requests begun, while none has ended")
        more = [opened.enter_context(ask(server, number)) for number in range(len(clients), 2 * len(clients))]
        (server.folder / "door").touch()
        answers = [read_response(client)[2] for client in [*clients, *more]]
    served = [int(answer) for answer in answers]
    first = served[: len(clients)]
    assert sorted(first.count(pid) for pid in {*first}) == [THREADS] * WORKERS


def test_a_health_check_is_answered_while_all_threads_of_all_workers_are_busy(start):
    server = begin(start, "--live-path", "/livez")
    with contextlib.ExitStack() as opened:
        for number in range(WORKERS * THREADS):
            opened.enter_context(ask(server, number))
        wait_until(lambda: len(begun(server)) == WORKERS * THREADS, what="all threads busy")
        assert get(server.port, "/livez") == (200, "ok\n")
        (server.folder / "door").touch()
