"""New code on probation: what it does badly brings the old code back, and only its own requests suffer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import textwrap

from deadlines import DEADLINE_SECONDS
from held_request import BODY_APPLICATION, HeldRequest
from load_client import ECHO_APPLICATION, Load
from server_harness import free_port, get, get_on, is_alive, wait_until

BAD_APPLICATION = textwrap.dedent(ECHO_APPLICATION) + textwrap.dedent("""
    async def good(scope, receive, send, answer=app):
        await answer(scope, receive, send)

    async def app(scope, receive, send):
        if scope["path"] == "/bad":
            raise RuntimeError("this is new")
        await good(scope, receive, send)
""")

SERVE = ("-m", "gracehttp", "serve", "app:app", "--bind", "127.0.0.1:0")


def begin(start, *options, application=ECHO_APPLICATION, arguments=SERVE, **files):
    server = start(*arguments, *options, files={"app.py": application, **files})
    server.first = server.wait_until_serving()
    return server


@contextlib.contextmanager
def restarting(server):
    """`gracehttp restart`, waiting; the new generation is on probation. The process has its PIDs."""
    with server.command_in_background("restart") as command:
        server.wait_for("generation 2 is on probation")
        command.pids = server.wait_until_serving(2)
        yield command


def only(load, pids):
    """Wait until the last connections have changed hands, and nobody but `pids` answers."""
    wait_until(lambda: load.who_answers_now() <= set(pids), what="the end of what the others had in hand")


def outcome(command):
    out, err = command.communicate(timeout=DEADLINE_SECONDS)
    return command.returncode, out, err


def test_a_crash_of_new_code_brings_the_old_processes_back_and_costs_only_what_the_dead_worker_had(start):
    server = begin(start, "--workers", "2", "--probation", "60s")
    with Load(server.port, keep_alive=8, reconnecting=4) as load, restarting(server) as command:
        only(load, command.pids)
        victim = command.pids[0]
        os.kill(victim, signal.SIGKILL)
        status, out, err = outcome(command)
    with Load(server.port, keep_alive=8, reconnecting=4) as after:  # all the others may have been at the victim
        only(after, server.first)
    assert after.account.lost == []
    assert (status, out) == (1, "")
    assert "generation 2 was rolled back after" in err
    assert "was killed by SIGKILL; generation 1 serves again" in err
    assert load.account.refused == 0
    for lost in load.account.lost:
        assert f"served by {victim} before" in lost or "served by None before" in lost, lost
    server.wait_until_gone(2)
    assert sorted(server.workers()) == sorted(server.first)


HANGING_APPLICATION = textwrap.dedent(ECHO_APPLICATION) + textwrap.dedent("""
    import threading

    async def good(scope, receive, send, answer=app):
        await answer(scope, receive, send)

    async def app(scope, receive, send):
        if scope["type"] == "http":
            threading.Event().wait()
        await good(scope, receive, send)
""")


def test_new_code_that_hangs_at_its_first_request_does_not_pass_its_probation(start):
    server = begin(start, "--probation", "500ms", "--drain-timeout", "100ms")
    server.write("app.py", HANGING_APPLICATION)
    with restarting(server) as command, socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        status, _out, err = outcome(command)
    assert status == 1
    assert "its worker 2 did not answer for 2 s; generation 1 serves again" in err
    assert get(server.port)[0] == 200
    assert server.workers()[0] == server.first[0]


def test_server_errors_of_new_code_bring_the_old_code_back_on_the_same_connections_without_a_loss(start):
    server = begin(start, "--probation", "60s", "--probation-max-errors", "0%")
    server.write("app.py", BAD_APPLICATION)
    with Load(server.port, keep_alive=8) as load:
        with restarting(server) as command:
            load.wait_for_answers_of(command.pids)
            assert get(server.port, "/bad")[0] == 500
            status, _out, err = outcome(command)
        only(load, server.first)
    assert status == 1
    assert "responses were server errors, which is more than 0%; generation 1 serves again" in err
    assert (load.account.lost, load.account.refused, load.account.connections) == ([], 0, 8)


def test_code_that_stands_its_probation_stays_and_the_old_processes_end(start):
    server = begin(start, "--probation", "500ms", "--probation-max-errors", "5%")
    with Load(server.port, keep_alive=4) as load, restarting(server) as command:
        status, out, _err = outcome(command)
    assert (status, out) == (0, f"generation 2 serves, worker PIDs: {command.pids[0]}\n")
    assert (load.account.lost, load.account.connections) == ([], 4)
    server.wait_until_gone(1)
    assert not is_alive(server.first[0])


def test_a_stop_during_a_probation_lets_both_finish_and_tells_who_waits(start):
    server = begin(start, "--probation", "60s", application=BODY_APPLICATION)
    with HeldRequest(server.port) as old, restarting(server) as command, HeldRequest(server.port) as new:
        server.send_signal(signal.SIGTERM)
        status, _out, err = outcome(command)
        assert status == 1
        assert "was still on probation when the service was told to stop" in err
        assert old.finish()[2] == str(server.first[0])
        assert new.finish()[2] == str(command.pids[0])
    assert server.wait() == 0


def test_the_limit_holds_over_both_and_is_whole_again_after_a_rollback(start):
    server = begin(start, "--probation", "60s", "--max-connections", "3", application=BODY_APPLICATION)
    with contextlib.ExitStack() as held:

        def hold():
            return held.enter_context(HeldRequest(server.port))

        old = hold()
        with restarting(server) as command:
            hold(), hold()
            waiting = held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS))
            status = server.status()
            before, now = status["generations"]
            assert (before["state"], before["workers"][0]["state"]) == ("standing_by", "standing_by")
            assert (now["state"], now["probation_seconds_left"] > 0) == ("serving", True)
            assert status["listeners"][0]["open_connections"] == 3
            assert old.finish()[2] == str(server.first[0])
            old.socket.close()
            assert get_on(waiting)[1] == str(command.pids[0]), "the place that the old worker gave back"
            os.kill(command.pids[0], signal.SIGKILL)
            assert outcome(command)[0] == 1
        server.wait_for("a worker died with 3 open connections")
        hold(), hold(), hold()
        assert server.status()["listeners"][0]["open_connections"] == 3


def test_a_port_that_only_the_old_code_has_is_served_all_the_while(start):
    shared, dropped, added = free_port(), free_port(), free_port()

    def options(*ports):
        bind = json.dumps([f"127.0.0.1:{port}" for port in ports])
        return f'app = "app:app"\nprobation = "60s"\n[[server]]\nbind = {bind}\n'

    arguments = ("-m", "gracehttp", "serve", "-c", "gracehttp.toml")
    server = begin(start, arguments=arguments, **{"gracehttp.toml": options(shared, dropped)})
    server.write("gracehttp.toml", options(shared, added))

    def answers():
        return [int(get(port)[1].split()[0]) for port in (shared, dropped)]

    with Load(dropped, keep_alive=2, reconnecting=1) as load, restarting(server) as command:
        (old,), (new,) = server.first, command.pids
        assert answers() == [new, old]
        os.kill(new, signal.SIGKILL)
        assert outcome(command)[0] == 1
        assert answers() == [old, old]
    assert (load.account.lost, load.account.refused) == ([], 0)
    server.wait_until_gone(2)
    wait_until(lambda: f"closed 127.0.0.1:{added}" in server.log, what="the end of the port of the new code")
