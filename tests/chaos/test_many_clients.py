"""Keep-alive clients through many restarts: each keeps its TCP connection, and each request is answered once."""

from __future__ import annotations

import resource

import pytest
from callers import Callers

SHORT = (300, 6)  # for each of two event loops
LONG = (2000, 50)


@pytest.fixture(autouse=True)
def room_for_descriptors():
    """2,000 clients in this process, and their other ends in one worker."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def assert_nobody_noticed(server, callers, clients):
    accounts = callers.accounts
    assert not accounts.failures, accounts.failures[:5]
    assert accounts.connects == clients, "TCP connections that clients opened"
    assert accounts.closed_after_notice == accounts.refused == 0
    assert accounts.sent == accounts.answered == server.counted()
    generations = server.generations()
    for pids in accounts.pids.values():
        seen = [generations[pid] for pid in pids]
        assert seen == sorted(seen), "an older generation answered after a newer one"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_each_client_keeps_its_connection_through_all_restarts(begin, soak, loop):
    clients, restarts = LONG if soak else SHORT
    server = begin(loop=loop)
    with Callers(server.port, clients) as callers:
        callers.wait_for_answers(clients)
        for generation in range(2, restarts + 2):
            server.restart(generation)
            callers.wait_for_answers(clients)
    assert_nobody_noticed(server, callers, clients)
    server.wait_until_all_permits_are_free()
    server.stop_and_leave_nothing()


def test_restarts_that_overlap_with_drains_lose_nobody(begin):
    server = begin()
    with Callers(server.port, 100) as callers:
        callers.wait_for_answers(100)
        for generation in range(2, 8):  # each begins as soon as the one before is announced, drained or not
            server.restart(generation)
        callers.wait_for_answers(100)
    assert_nobody_noticed(server, callers, 100)
    server.wait_until_all_permits_are_free()
    server.stop_and_leave_nothing()
