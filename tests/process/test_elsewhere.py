"""Without what Linux alone has (`elsewhere/sitecustomize.py`): the ways that macOS takes, for development.

It runs on Linux, so it shows that these ways work, not that macOS does.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import PID_APPLICATION, get, get_on, read_response, wait_until

ELSEWHERE = Path(__file__).parent / "elsewhere"


@pytest.fixture
def serve(start):
    def begin(*options, **files):
        arguments = ("serve", "application:app", "--bind", "127.0.0.1:0", "--control", "app.sock", *options)
        files = {"application.py": PID_APPLICATION, **files}
        return start("-m", "gracehttp", *arguments, files=files, environment={"PYTHONPATH": str(ELSEWHERE)})

    return begin


def test_the_parts_are_off(start) -> None:
    code = """
        import os, select, socket, sys
        from gracehttp.net.permits import shared_permits
        assert sys.platform == "darwin" and not hasattr(select, "epoll") and not hasattr(os, "eventfd")
        assert shared_permits(5) is None
        try:
            socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            sys.exit(7)
    """
    server = start("check.py", files={"check.py": code}, environment={"PYTHONPATH": str(ELSEWHERE)})
    assert server.wait() == 7


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_starts_restarts_and_stops(serve, loop) -> None:
    server = serve("--workers", "2", "--loop", loop)
    pids = server.wait_until_serving()
    assert int(get(server.port)[1]) in pids
    pids = server.restart(2)
    server.wait_until_gone(1)
    assert int(get(server.port)[1]) in pids
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_workers_have_a_share_of_the_limit(serve) -> None:
    server = serve("--workers", "2", "--max-connections", "10")
    server.wait_until_serving()
    server.wait_for("the workers share 10 connections evenly")
    clients = [socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) for _ in range(12)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    answered = []

    def ten_have_an_answer():
        ready, _, _ = select.select([one for one in clients if one not in answered], [], [], 0)
        answered.extend(ready)
        return len(answered) == 10

    wait_until(ten_have_an_answer, what="the answers")
    assert len({read_response(one)[2] for one in answered}) == 2  # each worker gave its five
    for client in clients:
        client.close()
    assert server.stop() == 0


def test_a_connection_that_is_kept_is_told_to_close_at_a_restart(serve) -> None:
    server = serve()
    (first,) = server.wait_until_serving()
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as sock:
        assert get_on(sock) == (200, str(first))
        server.restart(2)
        sock.settimeout(DEADLINE_SECONDS)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        status, headers, body = read_response(sock)
        assert (status, headers["connection"], int(body)) == (200, "close", first)
    server.wait_until_gone(1)


def test_a_worker_that_dies_is_replaced(serve) -> None:
    server = serve()
    (pid,) = server.wait_until_serving()
    os.kill(pid, signal.SIGKILL)
    server.wait_for("worker 2 of generation 1 is ready")
    assert get(server.port)[0] == 200


def test_commands_by_a_socket_in_a_file(serve) -> None:
    server = serve()
    server.wait_until_serving()

    def command(*arguments):
        whole = [sys.executable, "-m", "gracehttp", *arguments, "--control", "app.sock"]
        return subprocess.run(
            whole, cwd=server.folder, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
        )

    restarted = command("restart")
    assert restarted.returncode == 0, restarted.stderr
    assert "generation 2" in command("status").stdout
    assert command("stop").returncode == 0
    assert server.wait() == 0


def test_reload_works_too(serve) -> None:
    server = serve("--reload")
    server.wait_until_serving()
    server.wait_for("a change restarts")
    server.write("application.py", PID_APPLICATION + "\n    x = 1\n")
    server.wait_for("restart requested by a change of application.py")
    server.wait_until_serving(2)
    assert get(server.port)[0] == 200
