"""What happens to a port happens to its listener, its handover queue and its permits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gracehttp.events import HandoverBroken
from gracehttp.supervisor.listeners.ports import Ports


class Parts:
    """Stands for the table, the queues and the audit: writes down what is asked of them."""

    def __init__(self, lost=()):
        self.done, self.lost, self.events = [], list(lost), []

    def __getattr__(self, name):
        return lambda *arguments: self.done.append((name, *arguments))

    def __iter__(self):
        return iter([SimpleNamespace(number=3, pool=None)])

    def used_by(self, generation):
        return [generation + 1, generation]

    def taking_tls(self, generations):
        return [max(generations)] if generations else []

    def forget(self, generation):
        self.done.append(("forget", generation))
        return self.lost

    def keep(self, listeners):
        self.done.append(("keep", *listeners))
        return []

    def ports(self, monkeypatch):
        monkeypatch.setattr("gracehttp.supervisor.listeners.ports.Auditor", lambda *_arguments: self)
        return Ports(self, self, list, self.events.append)


@pytest.mark.parametrize(("generations", "left"), [((), ((), ())), ((1,), ((1, 2), (1,))), ((1, 2), ((1, 2, 3), (2,)))])
def test_a_worker_leaves_to_others_the_listeners_that_any_of_them_has(monkeypatch, generations, left):
    assert Parts().ports(monkeypatch).left_to(generations) == left


def test_the_queues_of_a_generation_that_is_gone_are_closed_and_lost_permits_are_looked_for(monkeypatch):
    lost = HandoverBroken("the last worker ended", 2)
    parts = Parts([lost])
    parts.ports(monkeypatch).forget(4, at_the_end=False)
    assert parts.done == [("forget", 4), ("forget", 4), ("keep", 3), ("connections_lost",)]
    assert parts.events == [lost]


def test_the_queues_are_kept_at_the_end_of_the_service_for_the_workers_that_empty_them(monkeypatch):
    parts = Parts()
    parts.ports(monkeypatch).forget(4, at_the_end=True)
    assert parts.done == [("forget", 4)]


def test_a_generation_that_takes_over_has_its_permits_audited(monkeypatch):
    parts = Parts()
    parts.ports(monkeypatch).promote(4)
    assert parts.done == [("promote", 4), ("audit",)]
