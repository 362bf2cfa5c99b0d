"""Ports that no generation serves or stands by for any more: when they stop admitting, and when they are closed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from gracehttp.events import GenerationGivenUp
from gracehttp.events.bus import EventBus
from gracehttp.supervisor.control.requesters import Requesters
from gracehttp.supervisor.first_failure import FirstFailure
from gracehttp.supervisor.fleet import GivenUp, RestartRequested
from gracehttp.supervisor.listeners.ports import Ports
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.orders import Orders
from gracehttp.supervisor.turns import Turns
from gracehttp.wire.messages import ListenRequest

PLENTY = 10_000


@pytest.fixture
def table():
    table = ListenerTable(descriptors=PLENTY, publish=lambda event: None)
    yield table
    table.close_all()


def request(address):
    return ListenRequest(address=address, backlog=5, max_connections=5, unix_mode=None)


def test_a_port_that_only_a_coming_generation_wants_is_open_again_when_that_serves(table):
    (listener,) = table.provide([request("127.0.0.1:0")], 1)
    table.provide([request("127.0.0.1:0")], 3)
    assert table.leave_behind({1}, coming=3) == []
    assert table.leave_behind({2}, coming=3) == [listener.number]
    assert not listener.admitting
    table.promote(3)
    assert listener.admitting


def test_sessions_of_tls_go_on_where_each_generation_that_has_the_listener_takes_them(table, tmp_path):
    def wishes(*takes_tls):
        sockets = [request(f"unix:{tmp_path}/{number}") for number in range(len(takes_tls))]
        return [
            ListenRequest(one.address, one.backlog, one.max_connections, takes_tls=takes)
            for one, takes in zip(sockets, takes_tls, strict=True)
        ]

    both, first, second = table.provide(wishes(True, True, False), 1)
    table.provide(wishes(True, False, True), 2)
    *_, alone = table.provide(wishes(True, False, True, True), 3)
    assert table.taking_tls({1}) == [both.number, first.number]
    assert table.taking_tls({2}) == [both.number, second.number]
    assert table.taking_tls({1, 2}) == [both.number]
    assert table.taking_tls({1, 3}) == [both.number, alone.number]
    assert table.taking_tls(()) == []


def test_a_unix_socket_whose_door_could_not_be_opened_again_waits_for_the_generation_that_wants_it(table, tmp_path):
    address = f"unix:{tmp_path}/socket"
    (listener,) = table.provide([request(address)], 1)
    table.provide([request(address)], 3)
    assert table.leave_behind({2}, coming=3) == []
    assert table.leave_behind({2}, coming=None) == [listener.number]
    assert not (tmp_path / "socket").exists()


class Fleet:
    """A table of generations that goes through the given states, one at each step."""

    stopping = awaits_other_code = False

    def __init__(self, *steps):
        self.steps = iter(steps)
        self.in_use, self.coming, self.commands = set(), None, []

    @property
    def serving(self):
        return SimpleNamespace(number=min(self.in_use)) if self.in_use else None

    def apply(self, happened, now):
        self.in_use, coming, commands = next(self.steps)
        self.coming = SimpleNamespace(number=coming) if coming is not None else None
        return commands

    def next_deadline(self):
        return None


def test_ports_are_left_behind_whenever_no_generation_uses_them_any_more_and_before_that_is_told():
    done, bus = [], EventBus()
    bus.subscribe(lambda event: done.append(type(event)))
    given_up = GivenUp(3, "it did not start", "", None)
    fleet = Fleet((set(), 1, []), ({1}, None, []), ({1}, 3, []), ({1}, 3, []), ({1}, None, [given_up]))

    async def five_turns():
        turns = Turns(fleet, asyncio.get_running_loop().create_future(), after_turn=lambda: None)
        turns.orders = Orders(
            fleet,
            None,
            Ports(
                SimpleNamespace(leave_behind=lambda *users: done.append(users) or [7]),
                SimpleNamespace(seal=done.append, empty=lambda _listener: True),
                list,
                bus.publish,
            ),
            None,
            Requesters(),
            FirstFailure(errors_are_logged=True),
            bus,
            apply=turns.apply,
        )
        for _ in range(5):
            turns.apply(RestartRequested())

    asyncio.run(five_turns())
    assert done == [({1}, None), [7], ({1}, 3), [7], ({1}, None), [7], GenerationGivenUp]
