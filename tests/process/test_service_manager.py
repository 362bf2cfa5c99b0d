"""What a service manager hears of the service, and what it keeps for it. The manager is a socket of the tests."""

from __future__ import annotations

import os
import signal
import socket
import time
from urllib.parse import quote

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import PID_APPLICATION, free_port, get, wait_until
from service_manager import Manager, environment_of, passing

ARGUMENTS = ("-m", "gracehttp", "serve", "main:app", "-b")
HANGING = """
    import time

    async def app(scope, receive, send):
        if scope["path"] == "/hang":
            time.sleep(3600)
"""


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path):
    with Manager(tmp_path / "notify" if request.param == "file" else f"@gracehttp-test-{os.getpid()}") as one:
        yield one


@pytest.fixture
def systemd(tmp_path):
    with Manager(tmp_path / "notify") as one:
        yield one


def serve(start, manager, *options, bind="127.0.0.1:0", application=PID_APPLICATION, environment=None, **more):
    return start(
        *ARGUMENTS,
        bind,
        *options,
        files={"main.py": application},
        environment={**manager.environment, **(environment or {})},
        **more,
    )


def test_ready_comes_with_the_first_generation_and_a_restart_is_a_reload_until_it_serves(start, manager):
    server = serve(start, manager, "--ready-timeout", "60s", "--drain-timeout", "30s")
    ready = manager.wait_for(READY="1")
    assert ready["MAINPID"] == str(server.pid)
    assert ready["STATUS"].startswith("generation 1 serves")
    assert not any("RELOADING" in one for one in manager.said)
    assert any(int(one.get("EXTEND_TIMEOUT_USEC", 0)) > 60_000_000 for one in manager.said), "the ready timeout is 60 s"
    before = time.monotonic_ns() // 1000
    server.send_signal(signal.SIGHUP)
    reloading = manager.wait_for(RELOADING="1")
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.wait_for(READY="1")["STATUS"].startswith("generation 2 serves")
    server.send_signal(signal.SIGTERM)
    stopping = manager.wait_for(STOPPING="1")
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) >= 40_000_000, "the drain timeout and the lifespans' ten seconds"
    assert server.wait() == 0


def test_a_reload_that_fails_ends_with_ready_and_the_reason(start, systemd):
    server = serve(start, systemd)
    systemd.wait_for(READY="1")
    server.write("main.py", "import nothing_like_it")
    server.send_signal(signal.SIGHUP)
    systemd.wait_for(RELOADING="1")
    status = systemd.wait_for(READY="1")["STATUS"]
    assert "nothing_like_it" in status
    assert "generation 1 serves on" in status


def test_a_start_that_fails_is_never_ready(start, systemd):
    server = serve(start, systemd, application="import nothing_like_it")
    assert server.wait() == 3
    assert not any("READY" in one for one in systemd.drain())
    assert any("nothing_like_it" in one.get("STATUS", "") for one in systemd.said)


def test_a_probation_is_a_reload_until_it_is_decided(start, systemd):
    server = serve(start, systemd, "--probation", "300ms")
    systemd.wait_for(READY="1")
    server.send_signal(signal.SIGHUP)
    systemd.wait_for(RELOADING="1")
    assert "has stood its probation" in systemd.wait_for(READY="1")["STATUS"]


def test_a_supervisor_that_replaces_itself_says_its_pid_and_reloads(start, systemd):
    server = serve(start, systemd)
    systemd.wait_for(READY="1")
    server.send_signal(signal.SIGUSR2)
    systemd.wait_for(MAINPID=str(server.pid))
    systemd.wait_for(RELOADING="1")
    systemd.wait_for(READY="1")
    server.send_signal(signal.SIGHUP)
    systemd.wait_for(RELOADING="1")
    assert systemd.wait_for(READY="1")["STATUS"].startswith("generation 3 serves")


def test_workers_have_nothing_of_the_managers_variables(start, systemd):
    mine = {"WATCHDOG_USEC": "60000000", "LISTEN_FDS": "0", "LISTEN_PID": "1", "FDSTORE": "8"}
    server = serve(start, systemd, environment=mine)
    (worker,) = server.wait_until_serving()
    assert not environment_of(worker).keys() & {*mine, "NOTIFY_SOCKET"}


def test_the_watchdog_is_quiet_while_a_worker_answers_and_barks_when_none_does(start, systemd):
    server = serve(start, systemd, application=HANGING, environment={"WATCHDOG_USEC": "400000"})
    systemd.wait_for(READY="1")
    for _ in range(3):
        systemd.wait_for(WATCHDOG="1")
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")

        def barks():
            try:
                while True:
                    systemd.receive(seconds=2)
            except TimeoutError:
                return True

        wait_until(barks, what="silence for five times the time that is allowed")


def test_a_watchdog_of_another_process_is_not_ours(start, systemd):
    server = serve(start, systemd, environment={"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    systemd.wait_for(READY="1")
    server.send_signal(signal.SIGHUP)
    systemd.wait_for(RELOADING="1")
    systemd.wait_for(READY="1")
    assert not any("WATCHDOG" in one for one in systemd.said)


def test_a_manager_that_is_gone_is_told_of_once_and_stops_nothing(start, tmp_path):
    server = start(
        *ARGUMENTS, "127.0.0.1:0", files={"main.py": PID_APPLICATION}, environment={"NOTIFY_SOCKET": "/nowhere"}
    )
    server.wait_until_serving()
    assert get(server.port)[0] == 200
    assert server.log.count("the service manager can't be told") == 1
    assert server.stop() == 0


# --- sockets that the manager passes on ---


def test_sockets_are_found_by_their_names_and_kept_through_restarts_and_a_new_supervisor(start, systemd):
    with socket.create_server(("127.0.0.1", 0)) as web, socket.create_server(("127.0.0.1", 0)) as api:
        passed = passing({"api": api.fileno(), "web": web.fileno()})
        server = serve(start, systemd, "-b", "systemd:api", bind="systemd:web", **passed)
        server.wait_until_serving()
        for generation, number in ((2, signal.SIGHUP), (3, signal.SIGUSR2)):
            server.send_signal(number)
            server.wait_until_serving(generation)
            for sock in (web, api):
                assert get(sock.getsockname()[1])[0] == 200
        server.stop()
        with socket.create_connection(web.getsockname()):
            pass  # the queue is the manager's, and outlives the service


def test_a_name_that_was_not_passed_or_is_not_unique_is_an_error_with_a_hint(start, systemd):
    with socket.create_server(("127.0.0.1", 0)) as web, socket.create_server(("127.0.0.1", 0)) as other:
        passed = passing({"web": web.fileno(), "api": other.fileno()})
        server = serve(start, systemd, bind="systemd:wep", **passed)
        assert server.wait() == 3
        assert "the service manager passed no socket of that name" in server.log
        assert "it passed web, api" in server.log
    server = serve(start, systemd, bind="systemd:web")
    assert server.wait() == 3
    assert "it passed none" in server.log


# --- listeners that the manager keeps ---


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_the_queue_of_a_killed_supervisor_lives_and_the_next_one_serves_it(start, systemd, tmp_path, family):
    port = free_port()
    where = ("127.0.0.1", port) if family == socket.AF_INET else str(tmp_path / "app.sock")
    bind = f"127.0.0.1:{port}" if family == socket.AF_INET else f"unix:{where}"
    server = serve(start, systemd, "--fd-store", "on", bind=bind)
    systemd.wait_for(READY="1")
    (name,) = systemd.kept
    assert name == f"gracehttp-{quote(bind, safe='')}"
    workers = server.workers()
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    for worker in workers:  # as KillMode=mixed does
        os.kill(worker, signal.SIGKILL)
    with socket.socket(family) as waiting:
        waiting.settimeout(DEADLINE_SECONDS)
        waiting.connect(where)
        waiting.sendall(b"GET / HTTP/1.0\r\n\r\n")
        broken = serve(start, systemd, "--fd-store", "on", bind=bind, application="1 / 0", **passing(systemd.kept))
        assert broken.wait() == 3
        systemd.drain()
        assert systemd.kept, "the next attempt may serve the queue"
        successor = serve(start, systemd, "--fd-store", "on", bind=bind, **passing(systemd.kept))
        answer = b"".join(iter(lambda: waiting.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK"), "a client that connected when nobody was there"
    successor.wait_for("going on with the queue that the service manager has kept")
    assert successor.stop() == 0
    systemd.drain()
    assert not systemd.kept, "a stop ends the queue, so the manager must not keep it"


def test_workers_of_a_killed_supervisor_leave_a_kept_queue_open(start, systemd):
    server = serve(start, systemd, "--fd-store", "on")
    systemd.wait_for(READY="1")
    os.kill(server.pid, signal.SIGKILL)
    server.wait_for("the supervisor is gone")
    server.wait_for("drained")
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS):
        pass


def test_what_new_code_does_not_listen_to_is_closed_and_no_longer_kept(start, systemd):
    with socket.create_server(("127.0.0.1", 0)) as old:
        name = f"gracehttp-127.0.0.1%3A{old.getsockname()[1]}"
        systemd.kept[name] = os.dup(old.fileno())
        server = serve(start, systemd, "--fd-store", "on", **passing({name: old.fileno()}))
        systemd.wait_for(FDSTOREREMOVE="1", FDNAME=name)
        server.wait_for("a queue that nothing listens to any more")


def test_by_itself_nothing_is_kept_unless_the_manager_offers_it(start, systemd):
    server = serve(start, systemd)
    server.wait_until_serving()
    systemd.wait_for(READY="1")
    assert not systemd.kept
    server.stop()
    server = serve(start, systemd, environment={"FDSTORE": "16"})
    systemd.wait_for(FDSTORE="1")
