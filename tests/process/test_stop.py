"""How a service ends: no client that was let in is cut off, and it ends soon (promises 2 and 6)."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest
from deadlines import DEADLINE_SECONDS
from held_request import BODY_APPLICATION, HeldRequest
from load_client import ECHO_APPLICATION, Load
from server_harness import get_on, is_alive, read_response, wait_until
from sockets_of_port import accepted, waiting

SCRIPT = """
    import gracehttp

    grace = gracehttp.GraceHTTP(workers=2, log_level="debug"{options})
    grace.add_server("application:app", bind="127.0.0.1:0", max_connections={limit})
    grace.run()
"""

LONG_DRAIN = ", drain_timeout='1h'"
"""A test whose server waits for the end of the drain hangs."""


def begin(start, application=ECHO_APPLICATION, *, limit=1000, options=""):
    files = {"application.py": application, "script.py": SCRIPT.format(limit=limit, options=options)}
    server = start("script.py", files=files)
    server.first = server.wait_until_serving()
    return server


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)


def assert_nothing_is_left(server):
    assert not any(map(is_alive, server.first))
    with pytest.raises(ProcessLookupError):
        os.killpg(server.pid, 0)
    with pytest.raises(ConnectionRefusedError):
        connect(server)


@pytest.mark.parametrize("clients", [{"reconnecting": 32}, {"keep_alive": 32}], ids=["new-connections", "keep-alive"])
def test_under_load_each_client_is_answered_whole_or_refused_before_it_said_anything(start, clients):
    server = begin(start)
    with Load(server.port, **clients) as load:
        assert server.stop() == 0
        account = load.join()
    assert account.lost == []
    assert account.refused == 32
    assert_nothing_is_left(server)


def test_who_waits_in_the_queue_of_a_full_port_is_served_before_the_end(start):
    server = begin(start, limit=10)
    clients = []
    try:
        for _ in range(10):
            clients.append(connect(server))
            assert get_on(clients[-1])[0] == 200
        for _ in range(30):
            clients.append(connect(server))
            clients[-1].sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        wait_until(lambda: waiting(server.port) == 30)
        server.send_signal(signal.SIGTERM)
        for client in clients[10:]:
            status, headers, _body = read_response(client)
            assert (status, headers["connection"]) == (200, "close")
            assert client.recv(1) == b""
            client.close()
        assert server.wait() == 0
    finally:
        for client in clients:
            client.close()
    assert_nothing_is_left(server)


def test_idle_connections_hold_up_the_end_for_about_a_second_and_are_closed_politely(start):
    server = begin(start, options=LONG_DRAIN)
    with connect(server) as spoke, connect(server) as silent:
        assert get_on(spoke)[0] == 200
        wait_until(lambda: len(accepted(server.port)) == 2)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        for sock in (spoke, silent):
            assert sock.recv(1) == b""
            sock.close()
        assert server.wait() == 0
        took = time.monotonic() - began
    assert took > 0.5
    assert "no request was cut" in server.log


STREAM_UNTIL_THE_END_OF_THE_BODY = """
    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.body", "body": b"ended"})
"""


def test_who_becomes_idle_after_the_others_were_closed_holds_up_the_end_for_about_a_second_too(start):
    server = begin(start, STREAM_UNTIL_THE_END_OF_THE_BODY, options=LONG_DRAIN)
    with connect(server) as idle, connect(server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n")
        received = b""
        while b"begun" not in received:  # with a head that can't say any more that the response is the last one
            received += sock.recv(65536)
        assert b"close" not in received
        server.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        began = time.monotonic()
        sock.sendall(b"x")
        while not received.endswith(b"ended\r\n0\r\n\r\n"):
            received += sock.recv(65536)
        assert sock.recv(1) == b""
        assert time.monotonic() - began > 0.5
    assert server.wait() == 0
    assert "no request was cut" in server.log


STREAM_UNTIL_JUST_BEFORE_IDLE_CONNECTIONS_ARE_CLOSED = """
    import asyncio

    import gracehttp

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await gracehttp.drain_notice().wait()
        await asyncio.sleep(0.9)
        await send({"type": "http.response.body", "body": b"ended"})
"""


def test_who_becomes_idle_just_before_the_others_are_closed_has_a_moment_as_well(start):
    server = begin(start, STREAM_UNTIL_JUST_BEFORE_IDLE_CONNECTIONS_ARE_CLOSED)
    with connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        received = b""
        while b"begun" not in received:
            received += sock.recv(65536)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        while not received.endswith(b"ended\r\n0\r\n\r\n"):
            received += sock.recv(65536)
        assert sock.recv(1) == b""
        assert time.monotonic() - began > 1.4, "the stream ends after 0.9 s, and the others are closed after 1 s"
    assert server.wait() == 0


def test_a_request_on_an_idle_connection_just_after_the_stop_is_answered(start):
    server = begin(start)
    with connect(server) as sock:
        assert get_on(sock)[0] == 200
        server.send_signal(signal.SIGTERM)
        server.wait_for("draining 1 connection")
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        status, headers, _body = read_response(sock)
        assert (status, headers["connection"]) == (200, "close")
    assert server.wait() == 0


def test_a_stop_waits_for_requests_of_all_generations(start):
    server = begin(start, BODY_APPLICATION)
    with HeldRequest(server.port) as older:
        second = server.restart(2)
        with HeldRequest(server.port) as newer:
            server.send_signal(signal.SIGTERM)
            server.wait_for("stop requested by SIGTERM")
            status, _headers, pid = older.finish()
            assert status == 200
            assert int(pid) in server.first
            status, _headers, pid = newer.finish()
            assert status == 200
            assert int(pid) in second
    assert server.wait() == 0
    assert "no request was cut" in server.log


def test_a_worker_that_drains_alone_hears_of_the_stop(start):
    server = begin(start, BODY_APPLICATION)
    stays, goes = server.first
    os.kill(stays, signal.SIGSTOP)  # so that the other one accepts
    with HeldRequest(server.port) as held:
        os.kill(stays, signal.SIGCONT)
        server.send_signal(signal.SIGTTOU)
        server.wait_for("draining 1 connection")
        server.send_signal(signal.SIGTERM)
        server.wait_for("stop requested by SIGTERM")
        assert server.status()["generations"][0]["state"] == "draining"  # so all workers have been told
        status, headers, pid = held.finish()
        assert (status, int(pid)) == (200, goes)
        assert headers["connection"] == "close", "there is nobody any more to hand the connection over to"
    assert server.wait() == 0
    assert "no request was cut" in server.log


def test_a_stop_while_new_code_starts_ends_it_and_tells_who_asked_for_it(start):
    server = begin(start)
    server.write("application.py", 'print("starting", flush=True, file=__import__("sys").stderr)\ninput = open("fifo")')
    os.mkfifo(server.folder / "fifo")
    with server.command_in_background("restart") as restart:
        server.wait_for("^starting")
        assert server.stop() == 0
        _out, told = restart.communicate(timeout=DEADLINE_SECONDS)
        assert restart.returncode == 1
        assert "told to stop" in told
    assert_nothing_is_left(server)


def test_the_stop_command_waits_until_all_is_over(start):
    server = begin(start)
    done = server.command("stop")
    assert (done.returncode, done.stdout) == (0, "stopped\n")
    assert server.wait() == 0
    assert_nothing_is_left(server)


def test_the_stop_command_ends_when_the_process_has_ended(start):
    lingering = """
        import sys, time
        import gracehttp

        grace = gracehttp.GraceHTTP()
        grace.add_server("application:app", bind="127.0.0.1:0")
        grace.run()
        open("lingers", "w").close()
        time.sleep(1)
    """
    server = start("script.py", files={"application.py": ECHO_APPLICATION, "script.py": lingering})
    server.wait_until_serving()
    assert server.command("stop").returncode == 0
    assert (server.folder / "lingers").exists()
    ended = os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    assert ended is not None, "the command has ended before the process"
    assert server.wait() == 0


def test_a_forced_stop_cuts_what_is_in_flight_at_once(start):
    server = begin(start, BODY_APPLICATION)
    with HeldRequest(server.port) as held, server.command_in_background("stop") as patient:
        server.wait_for("stop requested by pid")
        forced = server.command("stop", "--force")
        assert forced.returncode == 0, forced
        held.wait_until_cut()
        assert patient.wait(DEADLINE_SECONDS) == 0
    assert server.wait() == 1
    assert_nothing_is_left(server)


def test_what_outlives_the_drain_timeout_is_cut_also_on_a_restart(start):
    server = begin(start, BODY_APPLICATION, options=", drain_timeout='500ms'")
    with HeldRequest(server.port, "/too-long") as held:
        server.restart(2)
        held.wait_until_cut()
    server.wait_until_gone(1)
    assert "1 request was cut: POST /too-long" in server.log


FORKING = """
    import contextlib
    import os
    import signal

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        child = os.fork()
        if not child:
            os.setsid()
            log = os.stat(2)
            for fd in map(int, os.listdir("/proc/self/fd")):  # the test reads the log to its end
                with contextlib.suppress(OSError):
                    if os.path.samestat(os.fstat(fd), log):
                        os.close(fd)
            while True:
                signal.pause()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(child).encode()})
"""


def test_a_process_that_the_application_left_behind_does_not_hold_the_port(start):
    server = begin(start, FORKING)
    with connect(server) as sock:
        child = int(get_on(sock)[1])
    try:
        assert server.stop() == 0
        assert is_alive(child)
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        with socket.create_server(("127.0.0.1", server.port)):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
