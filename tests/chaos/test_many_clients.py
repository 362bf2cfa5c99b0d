"""Keep-alive clients through many restarts: each keeps its TCP connection, and each request is answered once."""

from __future__ import annotations

import resource

import pytest
from callers import Callers
from conversation import Conversation
from server_harness import wait_until

SHORT = (200, 5)  # for each of two event loops
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
    assert_no_generation_came_back(server, accounts)


def assert_no_generation_came_back(server, accounts):
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


def test_restarts_while_older_generations_still_drain_lose_nobody(begin):
    """Half a request keeps the first and the second generation draining all the while, and alive to take what is not
    theirs."""
    server = begin(options=("--body-timeout", "2m", "--drain-timeout", "2m"))
    with Callers(server.port, 100, pause_seconds=0.01) as callers:
        callers.wait_for_answers(100)
        slow = []
        for generation in range(2, 8):
            if generation < 4:
                slow += [Conversation(server.port) for _ in range(4)]
                for one in slow[-4:]:
                    one.send(one.request(method="POST", body=b"xx")[:-1])
                callers.wait_for_answers(200)
            server.restart(generation)
        callers.wait_for_answers(100)
        wait_until(lambda: server.open_connections() == 100 + len(slow), what="each connection counted once")
        for one in slow:
            one.send(b"x")
            one.answer()
            one.sock.close()
    accounts = callers.accounts
    assert not accounts.failures, accounts.failures[:5]
    assert accounts.connects == 100
    assert accounts.sent == accounts.answered == server.counted() - len(slow)
    assert_no_generation_came_back(server, accounts)
    server.wait_until_all_permits_are_free()
    server.stop_and_leave_nothing()
