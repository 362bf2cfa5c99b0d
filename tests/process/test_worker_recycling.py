"""Workers that are replaced while they serve, and connections that only pass on when another worker takes them."""

from __future__ import annotations

import os
import resource
import signal
import socket

import pytest
from deadlines import DEADLINE_SECONDS
from load_client import ECHO_APPLICATION, Load
from server_harness import get, get_on, is_alive, read_response, wait_until

SCRIPT = """
    import gracehttp
    from application import app

    grace = gracehttp.GraceHTTP(log_level="debug", {options})
    grace.add_server(app, bind="127.0.0.1:0", max_connections=1000)
    grace.run()
"""

ECHO_OR_HOLD = """
    import asyncio
    import os

    hoard = []

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        if scope["path"] == "/hoard":
            hoard.append(b"x" * (64 << 20))
        elif scope["path"] == "/wait":
            while not os.path.exists(scope["query_string"]):
                await asyncio.sleep(0.01)
        body = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})
"""


def begin(start, application=ECHO_OR_HOLD, **options):
    script = SCRIPT.format(options=", ".join(f"{name}={value!r}" for name, value in options.items()))
    server = start("script.py", files={"application.py": application, "script.py": script})
    server.first = server.wait_until_serving()
    return server


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)


@pytest.mark.parametrize("workers", [1, 2])
def test_under_load_workers_are_recycled_and_no_connection_notices(start, workers):
    server = begin(start, ECHO_APPLICATION, workers=workers, max_requests=300)
    with Load(server.port, keep_alive=8) as load:
        server.wait_for("is to be replaced: it has served", count=3)
        server.wait_for("drained in .* no request was cut", count=3)
        account = load.finish()
    assert account.lost == []
    assert account.refused == 0
    assert account.connections == 8
    assert len(account.pids) >= 3


def test_with_one_worker_the_successor_is_ready_before_the_old_one_goes(start):
    server = begin(start, max_requests=1, max_requests_jitter=0)
    with connect(server) as sock:
        assert int(get_on(sock)[1]) == server.first[0]
        server.wait_for("drained in")
        assert int(get_on(sock)[1]) not in server.first, "on the same TCP connection"
    ready = next(i for i, line in enumerate(server.lines) if "worker 2 of generation 1 is ready" in line)
    drained = next(i for i, line in enumerate(server.lines) if "draining" in line)
    assert ready < drained


def test_a_worker_that_has_served_long_enough_is_replaced(start):
    server = begin(start, max_worker_age="200ms", workers=1)
    server.wait_for("is to be replaced: it has served for")
    server.wait_for("is ready", count=3)
    assert get(server.port)[0] == 200


def test_a_worker_that_has_grown_too_big_is_replaced(start):
    server = begin(start, max_worker_memory="100M")
    assert int(get(server.port, "/hoard")[1]) == server.first[0]
    assert int(get(server.port, "/hoard")[1]) == server.first[0]
    server.wait_for("is to be replaced: it uses .* MiB of memory")
    wait_until(lambda: not is_alive(server.first[0]))
    assert get(server.port)[0] == 200


def test_while_its_successor_can_not_start_a_tired_worker_serves_on(start):
    server = begin(start, max_requests=3, max_requests_jitter=0)
    server.write("application.py", "raise RuntimeError('a broken deploy')")
    with connect(server) as sock:
        for _ in range(5):
            assert int(get_on(sock)[1]) == server.first[0]
        server.wait_for("ended with status|failed", count=3)
        assert int(get_on(sock)[1]) == server.first[0]
        server.write("application.py", ECHO_OR_HOLD)
        server.wait_for("drained in")
        assert int(get_on(sock)[1]) != server.first[0]


def test_with_one_worker_less_its_connections_go_to_the_sibling(start):
    server = begin(start, workers=2)
    socks = [connect(server) for _ in range(12)]
    assert {int(get_on(sock)[1]) for sock in socks} <= set(server.first)
    server.send_signal(signal.SIGTTOU)
    wait_until(lambda: len(server.workers()) == 1)
    (left,) = server.workers()
    assert [int(get_on(sock)[1]) for sock in socks] == [left] * 12
    for sock in socks:
        sock.close()


def wait_in(server, file):
    """A request that is answered when there is `file`, on a connection of its own."""
    before = server.status()["listeners"][0]["open_connections"]
    sock = connect(server)
    sock.sendall(f"GET /wait?{file} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    wait_until(lambda: server.status()["listeners"][0]["open_connections"] > before)
    return sock


def test_while_nobody_serves_an_old_worker_keeps_its_connections_and_then_hands_them_over(start):
    server = begin(start, drain_timeout="60s")
    with wait_in(server, "never"), wait_in(server, "now") as sock:
        (second,) = server.restart(2)
        server.write("application.py", "raise RuntimeError('a broken deploy')")
        os.kill(second, signal.SIGKILL)
        server.wait_for("was killed by SIGKILL; another one starts")
        server.wait_for("ended with status|failed", count=2)
        server.write("now", "")
        assert int(read_response(sock)[2]) == server.first[0]
        for _ in range(3):
            wait_until(lambda: state_of(server.first[0]) == "S", what="the end of the turn in which it would go")
            status, headers, body = ask(sock)
            assert (status, int(body)) == (200, server.first[0]), "there is nobody else"
            assert headers.get("connection") is None
        server.write("application.py", ECHO_OR_HOLD)
        server.wait_for("is ready", count=3)
        wait_until(lambda: int(get_on(sock)[1]) != server.first[0], what="the handover")


def ask(sock):
    sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    return read_response(sock)


def test_what_lies_in_the_queue_when_its_reader_is_killed_is_taken_by_the_next(start):
    server = begin(start)
    with connect(server) as sock:
        assert get_on(sock)[0] == 200
        (second,) = hand_over_to_a_stopped_worker(server)
        os.kill(second, signal.SIGKILL)
        server.wait_for("is ready", count=3)
        assert int(get_on(sock)[1]) not in {*server.first, second}
    wait_until(lambda: server.status()["listeners"][0]["open_connections"] == 0, what="that all permits are back")


def test_what_lies_in_the_queue_when_its_reader_is_stopped_is_taken_when_it_goes_on(start):
    server = begin(start)
    with connect(server) as sock:
        assert get_on(sock)[0] == 200
        (second,) = hand_over_to_a_stopped_worker(server)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        os.kill(second, signal.SIGCONT)
        assert int(read_response(sock)[2]) == second


def hand_over_to_a_stopped_worker(server):
    """Restart with a new worker that is stopped when it is ready, before it is told to serve; returns its PID."""
    server.write("application.py", ECHO_OR_HOLD + STOP_WHEN_READY)
    server.send_signal(signal.SIGHUP)
    pid = wait_until(lambda: next((pid for pid in server.workers() if state_of(pid) == "T"), None))
    server.wait_until_gone(1)
    server.write("application.py", ECHO_OR_HOLD)
    return [pid]


STOP_WHEN_READY = """
    import gracehttp.worker.service

    def accept(self, accept=gracehttp.worker.service.Service.accept):
        os.kill(os.getpid(), 19)
        accept(self)

    gracehttp.worker.service.Service.accept = accept
"""


def state_of(pid):
    """A letter: S sleeps until something happens, T is stopped (proc_pid_stat(5))."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def test_a_stop_answers_who_is_in_the_queue(start):
    server = begin(start, workers=1, drain_timeout="20s")
    with connect(server) as sock:
        assert get_on(sock)[0] == 200
        (second,) = hand_over_to_a_stopped_worker(server)
        server.send_signal(signal.SIGTERM)
        server.wait_for("stop requested")
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        os.kill(second, signal.SIGCONT)
        assert int(read_response(sock)[2]) == second
    assert server.wait() == 0
    assert "was lost between" not in server.log


def test_a_stop_while_many_are_handed_over_loses_nobody(start):
    server = begin(start, ECHO_APPLICATION, workers=2)
    with Load(server.port, keep_alive=64) as load:
        server.restart(2)
        server.send_signal(signal.SIGTERM)
        account = load.join()
    assert server.wait() == 0
    assert account.lost == []
    assert "was lost between" not in server.log


def test_a_receiver_that_may_open_no_more_files_leaves_the_rest_to_its_sender(start):
    server = begin(start, drain_timeout="60s")
    socks = [connect(server) for _ in range(40)]
    assert {int(get_on(sock)[1]) for sock in socks} == set(server.first)
    files = len(os.listdir(f"/proc/{server.first[0]}/fd")) - 40
    server.write("application.py", ECHO_OR_HOLD + FEW_FILES % (files + 20))
    (second,) = server.restart(2)
    server.wait_for("no room", seconds=DEADLINE_SECONDS)
    resource.prlimit(second, resource.RLIMIT_NOFILE, (1000, 1000))
    answered = {int(get_on(sock)[1]) for sock in socks}
    assert answered <= {second, server.first[0]}
    server.wait_until_gone(1)
    assert {int(get_on(sock)[1]) for sock in socks} == {second}
    for sock in socks:
        sock.close()
    assert "was lost between" not in server.log


FEW_FILES = """
    import resource
    import sys
    import gracehttp.worker.arrivals

    def look_again(self, look_again=gracehttp.worker.arrivals.Arrivals._look_again):
        print("no room", file=sys.stderr, flush=True)
        look_again(self)

    gracehttp.worker.arrivals.Arrivals._look_again = look_again
    resource.setrlimit(resource.RLIMIT_NOFILE, (%d, 1000))
"""
