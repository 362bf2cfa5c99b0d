"""Serving on a socket that the process that started the service has opened: fd://N."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

import pytest
from deadlines import DEADLINE_SECONDS
from load_client import ECHO_APPLICATION, Load
from server_harness import PID_APPLICATION, get, get_on, is_alive, read_response, wait_until


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


@pytest.fixture
def begin(start, listener):
    def serve():
        number = listener.fileno()
        arguments = ("-m", "gracehttp", "serve", "application:app", "-w", "2", "-b", f"fd://{number}")
        server = start(*arguments, files={"application.py": ECHO_APPLICATION}, pass_fds=(number,))
        server.first = server.wait_until_serving()
        return server

    return serve


def test_an_inherited_socket_is_served_through_a_restart(begin, listener):
    server = begin()
    port = listener.getsockname()[1]
    assert int(get(port)[1].split()[0]) in server.first
    second = server.restart(2)
    assert int(get(port)[1].split()[0]) in second


def test_who_connects_between_two_services_is_served_by_the_second(begin, listener):
    first = begin()
    assert first.stop() == 0
    assert not any(map(is_alive, first.first))
    with socket.create_connection(listener.getsockname(), timeout=DEADLINE_SECONDS) as waiting:
        second = begin()
        status, body = get_on(waiting)
        assert status == 200
        assert int(body.split()[0]) in second.first


def test_under_load_no_request_is_lost_between_two_services(begin, listener):
    first = begin()
    with Load(listener.getsockname()[1], keep_alive=4, reconnecting=16) as load:
        assert first.stop() == 0
        second = begin()
        load.wait_for_answers_of(second.first)
    assert load.account.lost == []
    assert load.account.refused == 0
    assert "no request was cut" in first.log


def refuse(start, **options):
    number = options.get("pass_fds", (777,))[0]
    arguments = ("-m", "gracehttp", "serve", "application:app", "-b", f"fd://{number}")
    server = start(*arguments, files={"application.py": PID_APPLICATION}, **options)
    assert server.wait() == 3
    return server.log


def test_a_descriptor_that_is_not_open_is_an_error(start):
    assert "cannot listen on fd://777: descriptor 777 was not inherited" in refuse(start)


def test_a_socket_that_does_not_listen_is_an_error(start):
    with socket.socket() as deaf:
        assert "the socket doesn't listen" in refuse(start, pass_fds=(deaf.fileno(),))


def test_a_descriptor_of_the_server_itself_is_no_listener(start):
    """Neither its control socket nor anything else that it has opened itself."""
    for number in range(3, 12):
        arguments = ("-m", "gracehttp", "serve", "application:app", "-b", f"fd://{number}")
        server = start(*arguments, files={"application.py": PID_APPLICATION})
        assert server.wait() == 3, number
        assert f"descriptor {number} was not inherited" in server.log


@pytest.mark.parametrize("killed", ["supervisor", "all"])
def test_after_a_kill_the_socket_lets_clients_in_for_the_next_program(begin, listener, killed):
    """What a service does to the socket must not outlive it: nobody may be left to undo it."""
    server = begin()
    with socket.create_connection(listener.getsockname(), timeout=DEADLINE_SECONDS) as busy:
        assert get_on(busy)[0] == 200
        os.kill(server.pid, signal.SIGKILL)
        server.wait_for("the supervisor is gone", count=2)
        if killed == "all":
            for worker in server.first:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, server.first)), what="the end of the workers")
    with socket.create_connection(listener.getsockname(), timeout=DEADLINE_SECONDS) as waiting:
        second = begin()
        status, body = get_on(waiting)
        assert status == 200
        assert int(body.split()[0]) in second.first


def test_who_connects_while_the_last_workers_drain_waits_for_the_next_program(begin, listener):
    server = begin()
    with socket.create_connection(listener.getsockname(), timeout=DEADLINE_SECONDS) as busy:
        busy.sendall(b"GET / HTTP/1.1\r\n")  # the drain waits for the rest of it
        os.kill(server.pid, signal.SIGKILL)
        server.wait_for("draining", count=2)
        with socket.create_connection(listener.getsockname(), timeout=DEADLINE_SECONDS):
            busy.sendall(b"Host: test\r\n\r\n")
            assert read_response(busy)[0] == 200


def test_the_backlog_of_the_socket_stays_its_openers(begin, listener):
    listener.listen(7)
    begin()
    assert backlog_of(listener) == 7


def backlog_of(listener):
    """tcpi_sacked of a socket that listens (tcp_get_info in net/ipv4/tcp.c; it is the Send-Q that ss(8) shows)."""
    return int.from_bytes(listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)[28:32], sys.byteorder)
