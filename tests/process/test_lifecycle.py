"""One program with real processes: start, restart, stop, and what signals do."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import PID_APPLICATION, get, get_on, is_alive, read_response, wait_until

from gracehttp.supervisor.fleet import SAME_STOP_SECONDS

SCRIPT = """
    import gracehttp
    from application import app

    grace = gracehttp.GraceHTTP(workers=2)
    grace.add_server(app, bind="127.0.0.1:0", max_connections=1000)
    grace.run()
"""


def begin(start, script=SCRIPT, **options):
    server = start("script.py", files={"application.py": PID_APPLICATION, "script.py": script}, **options)
    server.first = server.wait_until_serving()
    return server


def test_a_script_serves_with_the_workers_that_it_asks_for(start):
    server = begin(start)
    status, body = get(server.port)
    assert status == 200
    assert int(body) in server.first
    assert sorted(server.workers()) == sorted(server.first)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_restart_by_signal_brings_other_processes_and_keeps_the_supervisor(start, number):
    server = begin(start)
    server.send_signal(number)
    second = server.wait_until_serving(2)
    assert not set(second) & set(server.first)
    assert int(get(server.port)[1]) in second
    server.wait_until_gone(1)
    assert server.process.poll() is None
    assert sorted(server.workers()) == sorted(second)


AFTER_RUN = """
    import os
    from pathlib import Path

    import gracehttp

    grace = gracehttp.GraceHTTP(workers=1)
    grace.add_server("application:app", bind="127.0.0.1:0")
    grace.run()
    Path(f"after-{os.getpid()}").touch()
"""


def test_what_comes_after_run_happens_once_and_in_the_supervisor(start):
    server = begin(start, AFTER_RUN)
    server.restart(2)
    server.wait_until_gone(1)
    assert server.stop() == 0
    assert [path.name for path in server.folder.glob("after-*")] == [f"after-{server.pid}"]


RUN_AGAIN = """
    import contextlib

    import gracehttp

    grace = gracehttp.GraceHTTP(workers=1)
    grace.add_server("application:app", bind="127.0.0.1:0")
    with contextlib.suppress(SystemExit):
        grace.run()
    grace.run()
"""


def test_a_worker_that_has_done_its_work_never_becomes_a_supervisor(start):
    server = begin(start, RUN_AGAIN)
    server.restart(2)
    server.wait_for(r"run\(\) was called again in a worker")
    server.wait_until_gone(1)
    assert len(re.findall(r"gracehttp \S+ started", server.log)) == 1
    assert len(server.workers()) == 1


def test_signals_work_again_and_again(start):
    server = begin(start)
    for generation in range(2, 6):
        server.restart(generation)
    assert get(server.port)[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT], ids=lambda number: number.name)
def test_a_stop_by_signal_ends_everything_with_status_0(start, number):
    server = begin(start)
    assert server.stop(number) == 0
    assert not any(map(is_alive, server.first))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


SLOW = """
    import asyncio
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        if scope["path"] == "/slow":
            print("began", file=__import__("sys").stderr, flush=True)
            await asyncio.sleep(1.0 if scope["query_string"] == b"" else float(scope["query_string"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def begin_slow(start, script=SCRIPT):
    server = start("script.py", files={"application.py": SLOW, "script.py": script})
    server.first = server.wait_until_serving()
    return server


def send_slow(server, seconds=""):
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)
    query = f"?{seconds}" if seconds else ""
    sock.sendall(f"GET /slow{query} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    server.wait_for("^began")
    return sock


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=lambda number: number.name)
def test_a_request_in_flight_is_answered_by_the_worker_that_has_it(start, number):
    server = begin_slow(start)
    with send_slow(server) as sock:
        server.send_signal(number)
        status, headers, body = read_response(sock)
    assert status == 200
    assert int(body) in server.first
    assert headers.get("connection") == (None if number == signal.SIGHUP else "close")


def test_a_second_stop_signal_forces(start):
    server = begin_slow(start)
    with send_slow(server, "60"):
        server.send_signal(signal.SIGTERM)
        server.wait_for("stop requested by SIGTERM")
        time.sleep(2 * SAME_STOP_SECONDS)  # closer together, they would be taken for one
        assert server.stop(signal.SIGTERM) == 1
    assert not any(map(is_alive, server.first))


def test_a_request_that_outlives_the_drain_timeout_is_cut_and_named(start):
    script = SCRIPT.replace("workers=2", "workers=2, drain_timeout='500ms'")
    server = begin_slow(start, script)
    with send_slow(server, "60") as sock:
        assert server.stop() == 0
        assert sock.recv(1000) == b""
    assert "1 request was cut: GET /slow?60" in server.log


def test_ttin_and_ttou_add_and_take_a_worker(start):
    server = begin(start)
    server.send_signal(signal.SIGTTIN)
    server.wait_for("is ready", count=3)
    wait_until(lambda: len(server.workers()) == 3)
    for left in (2, 1):
        server.send_signal(signal.SIGTTOU)
        wait_until(lambda left=left: len(server.workers()) == left)
    assert get(server.port)[0] == 200


def test_a_signal_to_the_whole_process_group_is_one_to_the_supervisor(start):
    server = begin(start)
    os.killpg(server.pid, signal.SIGHUP)
    second = server.wait_until_serving(2)
    server.wait_until_gone(1)
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait() == 0
    assert not any(map(is_alive, second))
    assert "was killed" not in server.log


def test_a_group_signal_while_workers_start_kills_none_of_them(start):
    server = begin(start)
    for generation in range(2, 5):
        os.killpg(server.pid, signal.SIGHUP)
        server.wait_for(rf"worker \d+ of generation {generation} started")
        os.killpg(server.pid, signal.SIGTTIN)
        server.wait_until_serving(generation)
    assert "was given up" not in server.log


def test_a_group_signal_while_the_interpreter_of_a_worker_ends_does_not_stop_it(start):
    signalled_at_the_very_end = (
        PID_APPLICATION
        + """
    import signal

    class Last:
        def __del__(self, kill=os.kill, pid=os.getpid, number=signal.SIGTTIN):
            kill(pid(), number)

    last = Last()
    """
    )
    script = SCRIPT.replace("from application import app", "app = 'application:app'")
    server = start("script.py", files={"application.py": signalled_at_the_very_end, "script.py": script})
    server.wait_until_serving()
    server.restart(2)
    server.wait_until_gone(1)


def test_a_worker_that_is_killed_is_replaced(start):
    server = begin(start)
    os.kill(server.first[0], signal.SIGKILL)
    server.wait_for("was killed by SIGKILL; another one starts")
    server.wait_for("is ready", count=3)
    wait_until(lambda: len(server.workers()) == 2)
    assert get(server.port)[0] == 200


def test_workers_end_when_the_supervisor_is_killed_and_leave_the_port_free(start):
    server = begin_slow(start)
    with send_slow(server) as sock:
        server.send_signal(signal.SIGKILL)
        assert b" 200 " in sock.recv(1000), "what was in flight is finished"
    wait_until(lambda: not any(map(is_alive, server.first)), what="the end of the workers")
    with socket.create_server(("127.0.0.1", server.port)):
        pass


def test_restarts_leave_no_descriptor_behind(start):
    server = begin(start)
    server.restart(2)
    server.wait_until_gone(1)
    before = server.descriptors()
    for generation in range(3, 7):
        server.restart(generation)
        server.wait_until_gone(generation - 1)
    wait_until(lambda: server.descriptors() <= before, what="as many descriptors as before")


def test_the_supervisor_loads_neither_protocol_nor_application_code(start):
    script = SCRIPT.replace("from application import app", "app = 'application:app'")
    server = begin(start, script)
    supervisor, worker = (Path(f"/proc/{pid}/maps").read_text() for pid in (server.pid, server.first[0]))
    assert "uvloop" not in supervisor
    assert "uvloop" in worker, "so it would be seen"


def test_a_connection_that_was_idle_before_the_restart_is_answered_after_it(start):
    server = begin(start)
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as sock:
        assert get_on(sock)[0] == 200
        second = server.restart(2)
        server.wait_until_gone(1)
        assert int(get_on(sock)[1]) in second, "on the same TCP connection"


def test_a_connection_that_never_spoke_before_the_restart_is_answered_after_it(start):
    server = begin(start)
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as sock:
        wait_until(lambda: server.status()["listeners"][0]["open_connections"] == 1)
        second = server.restart(2)
        assert int(get_on(sock)[1]) in second


def test_a_thread_of_the_application_that_never_ends_does_not_hold_up_a_stop(start):
    application = """
        import threading

        from pids import app

        threading.Thread(target=threading.Event().wait).start()
    """
    script = SCRIPT.replace("from application import app", "app = 'application:app'")
    server = start("script.py", files={"pids.py": PID_APPLICATION, "application.py": application, "script.py": script})
    server.wait_until_serving()
    assert server.stop() == 0
    assert "Timeout" in server.log, "and the log shows the threads"


@pytest.mark.parametrize(
    "left",
    ["asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)", "asyncio.create_task(never_ending())"],
    ids=["thread", "task"],
)
def test_what_a_request_leaves_running_does_not_hold_up_the_end_when_the_supervisor_is_killed(start, left):
    application = f"""
        import asyncio
        import contextlib
        import threading

        import pids

        async def never_ending():
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)

        async def app(scope, receive, send):
            if scope["type"] == "http":
                app.left = {left}
            await pids.app(scope, receive, send)
    """
    script = SCRIPT.replace("from application import app", "app = 'application:app'")
    server = start("script.py", files={"pids.py": PID_APPLICATION, "application.py": application, "script.py": script})
    pids = server.wait_until_serving()
    assert get(server.port)[0] == 200
    server.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)), what="the end of the workers")
    assert "Timeout" in server.log, "and the log shows what held it up"
