"""A shortage of the system delays what supervisor and workers say to each other, and loses none of it (promise 6); a
channel that broke takes a worker with it, which is told and replaced (promise 7)."""

from __future__ import annotations

import contextlib
import errno
import socket

import pytest
from deadlines import DEADLINE_SECONDS
from fault_injector import Faults
from server_harness import PID_APPLICATION, get, get_on, is_alive, wait_until

SERVE = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "--drain-timeout", "20s")
LONG = 8
"""So many failures in a row last for more than a second."""


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path)


@pytest.fixture
def begin(start, faults):
    def serve(*arguments, application=PID_APPLICATION):
        server = start(*SERVE, *arguments, files={"application.py": application}, environment=faults.environment)
        server.first = server.wait_until_serving()
        return server

    return serve


@pytest.mark.parametrize(
    ("order", "number"),
    [
        ("serve", errno.ENOBUFS),
        ("serve", errno.ENOMEM),
        ("drain", errno.ENOMEM),
        ("drain", errno.ENOBUFS),
        ("take_listener", errno.ETOOMANYREFS),
        ("welcome", errno.ETOOMANYREFS),
        ("ready", errno.ENOMEM),
        ("stopped_accepting", errno.ENOBUFS),
    ],
    ids=lambda one: errno.errorcode.get(one, one),
)
def test_no_order_and_no_report_is_lost_in_a_shortage(begin, faults, order, number):
    faults.order(order, number, times=2)
    server = begin()
    assert int(get(server.port)[1]) in server.first
    second = server.restart(2)
    assert int(get(server.port)[1]) in second
    server.wait_until_gone(1)
    assert not any(map(is_alive, server.first))
    assert server.stop() == 0


@pytest.mark.parametrize("order", ["serve", "ready"])
def test_a_shortage_that_lasts_is_told(begin, faults, order):
    faults.order(order, errno.ENOMEM, times=LONG)
    server = begin("-w", "1")
    assert int(get(server.port)[1]) in server.first
    server.wait_for(r"worker \d+ .*can't (be told what to do|talk to its supervisor) now \(Cannot allocate memory\)")


def test_a_worker_that_can_not_be_told_to_serve_is_replaced(begin, faults):
    faults.order("serve", errno.EBADF)
    server = begin("-w", "1")
    broke = r"worker 1 of generation 1 \(pid \d+\) is ended by force: its channel to the supervisor broke \(Bad file"
    server.wait_for(broke)
    server.wait_for(r"worker 1 of generation 1 failed: its channel to the supervisor broke.* another one starts in")
    assert int(get(server.port, timeout=DEADLINE_SECONDS)[1]) not in server.first


def test_a_worker_that_can_not_be_told_to_drain_answers_no_more(begin, faults):
    faults.order("drain", errno.EBADF)
    server = begin("-w", "1")
    second = server.restart(2)
    server.wait_for(r"worker 1 of generation 1 \(pid \d+\) is ended by force: its channel to the supervisor broke")
    server.wait_until_gone(1)
    assert int(get(server.port)[1]) in second


def test_a_worker_whose_end_of_the_channel_broke_ends_and_is_replaced(begin, faults):
    faults.order("due_for_recycling", errno.EBADF)
    server = begin("-w", "1", "--max-requests", "1", "--max-requests-jitter", "0")
    with contextlib.suppress(OSError):
        get(server.port)
    server.wait_for(rf"the channel of worker {server.first[0]} to its supervisor broke \(Bad file descriptor\)")
    server.wait_for(r"worker 1 of generation 1 ended with status 1; another one starts")
    server.wait_for(r"worker 2 of generation 1 is ready")


CLOSES_ITS_CHANNEL = """
import os, socket, struct
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", str(len(str(os.getpid()))))])
    if environ["PATH_INFO"] == "/close":
        for number in map(int, os.listdir("/proc/self/fd")):
            try:
                sock = socket.socket(fileno=os.dup(number))
            except OSError:
                continue
            peer = b""
            with sock:
                if sock.family == socket.AF_UNIX and sock.type == socket.SOCK_STREAM:
                    peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            if peer and struct.unpack("3i", peer)[0] == os.getppid():
                os.close(number)
    return [str(os.getpid()).encode()]
"""


def test_a_worker_that_lost_its_channel_is_replaced_within_a_second_or_so(begin):
    server = begin("-w", "1", application=CLOSES_ITS_CHANNEL)
    assert get(server.port, "/close")[1] == str(server.first[0])
    server.wait_for(r"worker 1 of generation 1 .*is ended by force: it closed its channel to the supervisor")
    wait_until(lambda: not is_alive(server.first[0]), what="the end of the worker")
    assert int(get(server.port, timeout=DEADLINE_SECONDS)[1]) not in server.first


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.ENOBUFS], ids=errno.errorcode.get)
def test_idle_connections_change_hands_in_a_shortage(begin, faults, number):
    faults.add("recvmsg_into", number, times=3, in_queue=True)
    server = begin("-w", "2")
    with contextlib.ExitStack() as opened:
        clients = []
        for _ in range(60):
            client = opened.enter_context(
                socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)
            )
            assert int(get_on(client)[1]) in server.first
            clients.append(client)
        second = server.restart(2)
        server.wait_until_gone(1)
        assert {int(get_on(client)[1]) for client in clients} <= set(second)
    server.wait_for("connections of another generation can't be taken now")
    assert "lost between two generations" not in server.log
    wait_until(lambda: server.status()["listeners"][0]["open_connections"] == 0, what="the return of all permits")


@pytest.mark.parametrize("files", [24, 30])
def test_a_worker_with_too_few_files_to_take_connections_over_still_sees_the_end_of_the_queue(start, files):
    """It keeps 16 places for them; where there are fewer, it once looked for them until the end of the drain."""
    limit = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
    server = start(*SERVE, files={"application.py": PID_APPLICATION}, launcher=limit)
    server.wait_until_serving()
    assert server.stop() == 0
    assert float(server.wait_for(r"drained in ([\d.]+) s, no request was cut")[1]) < 10
