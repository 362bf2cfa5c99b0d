"""Serving on a Unix socket: its file, its mode, and whose it is."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat

import pytest
from deadlines import DEADLINE_SECONDS
from held_request import BODY_APPLICATION
from server_harness import PID_APPLICATION, get_on, wait_until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s"


@pytest.fixture
def begin(start, path):
    def serve(*options, application=PID_APPLICATION):
        arguments = ("-m", "gracehttp", "serve", "application:app", "-w", "2", "-b", f"unix:{path}", *options)
        server = start(*arguments, files={"application.py": application})
        server.first = server.wait_until_serving()
        return server

    return serve


def connect(path):
    with contextlib.ExitStack() as on_error:
        sock = on_error.enter_context(socket.socket(socket.AF_UNIX))
        sock.settimeout(DEADLINE_SECONDS)
        sock.connect(str(path))
        on_error.pop_all()
    return sock


def get(path):
    with connect(path) as sock:
        status, body = get_on(sock)
        assert status == 200
        return int(body)


def test_requests_on_a_unix_socket_are_answered_through_a_restart(begin, path):
    server = begin()
    assert get(path) in server.first
    with connect(path) as idle:
        assert get_on(idle)[0] == 200
        second = server.restart(2)
        assert get_on(idle)[0] == 200
    assert get(path) in second


def test_a_restart_keeps_the_file(begin, path):
    server = begin()
    before = path.stat()
    server.restart(2)
    server.wait_until_gone(1)
    assert path.stat().st_ino == before.st_ino


@pytest.mark.parametrize("mode", ["600", "660", "666"])
def test_the_file_has_the_mode_that_was_asked_for(begin, path, mode):
    begin("--unix-mode", mode)
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)


def test_a_file_that_nobody_listens_on_is_replaced(begin, path):
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    assert path.is_socket()
    server = begin()
    assert get(path) in server.first


def test_a_stop_removes_the_file(begin, path):
    server = begin()
    assert server.stop() == 0
    assert not path.exists()


def test_a_stop_leaves_the_file_of_another_server_alone(begin, path):
    server = begin()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(path))
        another.listen()
        assert server.stop() == 0
        connect(path).close()


def refuse(start, path):
    arguments = ("-m", "gracehttp", "serve", "application:app", "-b", f"unix:{path}")
    server = start(*arguments, files={"application.py": PID_APPLICATION})
    assert server.wait() == 3
    failed = next(at for at, line in enumerate(server.lines) if "worker 1 of generation 1 failed" in line)
    return server.lines[failed : failed + 2]


def test_a_file_that_another_server_listens_on_is_an_error_and_stays(start, path):
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(path))
        another.listen()
        told = refuse(start, path)
        assert f"cannot listen on unix:{path}: it is in use" in told[0]
        connect(path).close()


def test_a_file_that_is_no_socket_is_an_error_and_stays(start, path):
    path.write_text("precious")
    told = refuse(start, path)
    assert "the file exists and is no socket" in told[0]
    assert path.read_text() == "precious"


def test_who_waits_in_the_queue_at_a_stop_is_served(begin, path):
    server = begin("--max-connections", "1", application=BODY_APPLICATION)
    request = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n"
    with connect(path) as inside, connect(path) as outside:
        inside.sendall(request)
        outside.sendall(request + b"!")
        wait_until(lambda: server.status()["listeners"][0]["open_connections"] == 1)
        server.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            connect(path)
        inside.sendall(b"!")
        assert b" 200 " in inside.recv(1000)
        assert b" 200 " in outside.recv(1000)
    assert server.wait() == 0
    assert not os.path.exists(path)
