"""What the hang watchdog looks at, and when: all time here is made up."""

from __future__ import annotations

import asyncio
import heapq
import itertools

from fleets import restart

from gracehttp.net.worker_page import BEATS
from gracehttp.supervisor.fleet import Fleet, FleetSettings, WorkerHung
from gracehttp.supervisor.watchdog import Watchdog


class Loop:
    """The part of an event loop that has to do with time."""

    def __init__(self):
        self.now = 0.0
        self._numbers = itertools.count()
        self._timers = []

    def time(self):
        return self.now

    def call_later(self, seconds, callback):
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), callback))

    def run(self, timers):
        for _ in range(timers):
            self.now, _number, callback = heapq.heappop(self._timers)
            callback()


class Pages:
    """Of workers whose loops have turned once, and never again."""

    def __init__(self):
        self.looked_at = []

    def state(self, worker):
        self.looked_at.append(worker)
        return [1 if place == BEATS else 0 for place in range(16)]


class Workers:
    def pid(self, worker):
        return 0  # no process has it, so none of them is stopped


def watch(monkeypatch, hang_timeout_seconds):
    """Let one worker that hangs be watched for a while; returns what the fleet is told, and the pages."""
    loop, pages, told = Loop(), Pages(), []
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    settings = FleetSettings(workers=1, drain_timeout_seconds=30, hang_timeout_seconds=hang_timeout_seconds)
    fleet = Fleet(settings)
    restart(fleet, settings, 0.0)
    Watchdog(fleet, Workers(), pages, told.append).begin()
    loop.run(100)
    return told, pages


def test_that_a_loop_does_not_turn_is_told_once(monkeypatch):
    (one,), pages = watch(monkeypatch, 30.0)
    assert isinstance(one, WorkerHung)
    assert one.kind == "loop"
    assert len(pages.looked_at) == 100


def test_a_hang_timeout_of_0_turns_it_off(monkeypatch):
    told, pages = watch(monkeypatch, 0.0)
    assert told == []
    assert pages.looked_at == []
