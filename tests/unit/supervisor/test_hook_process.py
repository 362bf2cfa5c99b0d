"""Events on their way to the process that calls the hooks."""

from __future__ import annotations

import asyncio
import os
import socket
from types import SimpleNamespace

import pytest

from gracehttp.events import RequestsCut, WorkerExited
from gracehttp.events.bus import EventBus
from gracehttp.hooks.runner import read, write
from gracehttp.supervisor import hook_process
from gracehttp.supervisor.hook_process import HookProcess

EVENTS = [WorkerExited(1, number, 100 + number, "x" * 300_000) for number in range(3)]


class World:
    """A hook process that takes what it is asked to: its end of the socket."""

    def __init__(self, waiting=""):
        self.started = []
        workers = SimpleNamespace(watch=lambda pid, on_exit: None)
        command_line = SimpleNamespace(launch=lambda: None)
        wanted = lambda: ("WorkerExited", "RequestsCut")  # noqa: E731  the shortest
        self.hooks = HookProcess(command_line, workers, 2, EventBus(), wanted, None, waiting)

    def spawn(self, launch, environment, *, pass_fds, stderr, credentials):
        self.started.append(socket.socket(fileno=os.dup(pass_fds[0])))
        return 1000 + len(self.started)

    def take(self):
        end = self.started[-1]
        end.setblocking(False)
        data = b""
        while True:
            try:
                piece = end.recv(1 << 20)
            except BlockingIOError:
                return data
            data += piece


def events_in(data):
    return [read(line) for line in data.split(b"\n")[:-1]]


@pytest.fixture
def worlds(monkeypatch):
    made = []

    def make(waiting=""):
        world = World(waiting)
        made.append(world)
        monkeypatch.setattr(hook_process, "spawn", world.spawn)
        return world

    yield make
    for world in made:
        if world.hooks._socket is not None:
            world.hooks._socket.close()
        for end in world.started:
            end.close()


def test_what_the_process_has_not_taken_is_carried_to_another_image(worlds):
    async def scenario():
        old = worlds()
        for event in EVENTS:
            old.hooks.on_event(event)
        taken = old.take()
        carried = old.hooks.carry()
        assert not taken.endswith(b"\n"), "the socket took a part of an event: else this test shows less"
        new = worlds(carried)
        new.hooks.go_on()
        data = new.take()
        while new.hooks.carry():
            new.hooks._flush()
            data += new.take()
        return events_in(taken) + events_in(data)

    assert asyncio.run(scenario()) == EVENTS


def test_nothing_is_started_where_nothing_was_carried(worlds):
    async def scenario():
        world = worlds()
        world.hooks.go_on()
        return world.started

    assert asyncio.run(scenario()) == []


def test_what_a_worker_tells_is_passed_on(worlds):
    cut = RequestsCut(1.0, ("GET / after 2 s",), 77)

    async def scenario():
        world = worlds()
        world.hooks.pass_on(write(cut).decode())
        return events_in(world.take())

    assert asyncio.run(scenario()) == [cut]
