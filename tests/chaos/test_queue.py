"""Connections that lie in the handover queue when something happens to those who were to take them."""

from __future__ import annotations

import os
import re
import signal

import pytest
from callers import Callers
from conversation import Conversation
from server_harness import wait_until

CONNECTIONS = 40


@pytest.fixture(params=["uvloop", "asyncio"])
def waiting(request, begin):
    """A service whose new generation is stopped by SIGSTOP while connections lie in the queue to it."""
    server = begin(loop=request.param, options=("--drain-timeout", "20s"))
    conversations = [Conversation(server.port) for _ in range(CONNECTIONS)]
    for one in conversations:
        one.send(one.request(method="POST", body=b"xx")[:-1])
    server.takers = server.restart(2)
    for pid in server.takers:
        os.kill(pid, signal.SIGSTOP)
    for one in conversations:
        one.send(b"x")
        one.answer()  # it is handed over after that, and nobody looks
    server.wait_until_gone(1)
    assert server.open_connections() == 0, "all are between two workers"
    return server, conversations


def finish(server, conversations):
    generations = server.generations()
    for one in conversations:
        one.assert_never_back(generations)
        one.sock.close()
    server.wait_until_all_permits_are_free()
    assert "lost between" not in server.log
    server.stop_and_leave_nothing()


def test_a_taker_that_is_killed_before_it_read_loses_nobody(waiting):
    server, conversations = waiting
    for one in conversations:
        one.send(one.request())
    os.kill(server.takers[0], signal.SIGKILL)
    os.kill(server.takers[1], signal.SIGCONT)
    for one in conversations:
        one.answer()
    assert server.takers[0] not in {pid for one in conversations for pid in one.pids}
    finish(server, conversations)


def test_replacements_of_killed_takers_take_what_lies_there(waiting):
    server, conversations = waiting
    for pid in server.takers:
        os.kill(pid, signal.SIGKILL)
    for one in conversations:
        one.ask()
    finish(server, conversations)


def test_a_newer_generation_takes_what_the_superseded_one_did_not(waiting):
    server, conversations = waiting
    server.send_signal(signal.SIGHUP)
    third = server.wait_until_serving(3)
    for one in conversations[::2]:
        assert one.ask() in third
    for pid in server.takers:
        os.kill(pid, signal.SIGCONT)
    for one in conversations:
        assert one.ask() in third
    server.wait_until_gone(2)
    finish(server, conversations)


def test_a_stop_finds_those_who_lie_in_the_queue(waiting):
    server, conversations = waiting
    for one in conversations:
        one.send(one.request())
    server.send_signal(signal.SIGTERM)
    server.wait_for("stop requested")
    for pid in server.takers:
        os.kill(pid, signal.SIGCONT)
    for one in conversations:
        one.answer()
    for one in conversations:
        one.sock.close()
    assert server.wait() == 0
    assert "lost between" not in server.log


def test_who_leaves_while_in_the_queue_takes_nothing_along(waiting):
    server, conversations = waiting
    for one in conversations[:20]:
        one.sock.close()
    for pid in server.takers:
        os.kill(pid, signal.SIGCONT)
    for one in conversations[20:]:
        one.ask()
    wait_until(lambda: server.open_connections() == CONNECTIONS - 20, what="no trace of those who left")
    finish(server, conversations[20:])


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_stop_in_the_middle_of_a_handover_loses_nobody(begin, loop):
    server = begin(loop=loop)
    with Callers(server.port, 150) as callers:
        callers.wait_for_answers(150)
        server.send_signal(signal.SIGHUP)
        server.wait_for(r"worker \d+ of generation 2 is ready", count=2)
        assert server.stop() == 0
        accounts = callers.join()
    assert not accounts.failures, f"{accounts.failures[:3]}\n{server.log}"
    assert accounts.sent == accounts.answered == server.counted()
    assert accounts.refused == 150, "each came back once, when there was nobody any more"
    assert not re.search("lost between|was cut", server.log.replace("no request was cut", ""))
