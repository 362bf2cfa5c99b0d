"""What a worker does with connections of its own before it is ready."""

from __future__ import annotations

import asyncio
import gc
import os
import socket

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.net.poller import EpollPoller, SelectorsPoller
from gracehttp.worker import rehearsal

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=[EpollPoller, SelectorsPoller])
def poller(request):
    return request.param


@pytest.fixture(params=LOOPS)
def run(request):
    def run(scenario):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(scenario, DEADLINE_SECONDS))
        gc.unfreeze()

    return run


def requests_of(extent):
    """How many are answered, by the worker before and the one after."""
    return 2 * extent.rounds * extent.clients


@pytest.fixture
def answers(monkeypatch):
    """The scopes that the application of the rehearsal was called with."""
    scopes = []
    application = rehearsal._application

    async def counted(scope, receive, send):
        scopes.append(scope)
        await application(scope, receive, send)

    monkeypatch.setattr(rehearsal, "_application", counted)
    return scopes


def test_connections_are_served_handed_over_and_served_again(run, poller, answers, monkeypatch):
    adopted = []
    adopt = rehearsal._Rehearsal.adopt
    monkeypatch.setattr(
        rehearsal._Rehearsal, "adopt", lambda self, *what: (adopted.append(what[1].fresh), adopt(self, *what))[1]
    )

    async def scenario():
        used = poller(asyncio.get_running_loop())
        await rehearsal.rehearse(used)
        used.close()

    run(scenario())
    assert adopted == [False] * rehearsal.WHOLE.clients
    assert len(answers) == requests_of(rehearsal.WHOLE)


def test_a_process_whose_parent_has_rehearsed_does_less(run, poller, answers, monkeypatch):
    monkeypatch.setattr(rehearsal, "_left", rehearsal.WHOLE)
    rehearsal.rehearse_ahead()
    gc.unfreeze()
    ahead = len(answers)

    async def scenario():
        used = poller(asyncio.get_running_loop())
        await rehearsal.rehearse(used)
        used.close()

    run(scenario())
    assert ahead == requests_of(rehearsal.WHOLE)
    assert len(answers) - ahead == requests_of(rehearsal.AFTER_FORK)


@pytest.mark.usefixtures("undisturbed")
def test_nothing_of_it_is_left(run, poller):
    async def scenario():
        used = poller(asyncio.get_running_loop())
        await rehearsal.rehearse(used)
        before = os.listdir("/proc/self/fd")
        await rehearsal.rehearse(used)
        assert os.listdir("/proc/self/fd") == before
        used.close()

    run(scenario())


def test_a_system_that_lacks_something_for_it_fails_no_start(run, poller, answers, monkeypatch):
    def refuse(*what):
        raise OSError("no such sockets")

    async def scenario():
        used = poller(asyncio.get_running_loop())
        monkeypatch.setattr(socket, "socketpair", refuse)
        await rehearsal.rehearse(used)
        used.close()

    run(scenario())
    assert answers == []


def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(run, poller, monkeypatch):
    async def silent(scope, receive, send):
        await asyncio.sleep(3600)

    monkeypatch.setattr(rehearsal, "_application", silent)

    async def scenario():
        used = poller(asyncio.get_running_loop())
        await rehearsal.rehearse(used)
        used.close()

    run(scenario())


def test_what_lives_at_the_start_is_no_work_for_the_garbage_collector(run, poller):
    async def scenario():
        used = poller(asyncio.get_running_loop())
        await rehearsal.rehearse(used)
        assert gc.get_freeze_count() > 10_000
        used.close()

    run(scenario())
