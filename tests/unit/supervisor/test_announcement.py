"""A generation may be gone before its announcement is due."""

from __future__ import annotations

import sys
from types import SimpleNamespace

from gracehttp.event_bus import EventBus
from gracehttp.events import GenerationPromoted
from gracehttp.supervisor.command_line import CommandLine
from gracehttp.supervisor.fleet import FleetSettings
from gracehttp.supervisor.supervisor import Supervisor, SupervisorOptions


class Asker:
    def __init__(self):
        self.told = []

    def tell(self, outcome):
        self.told.append(outcome)


def test_whoever_asked_is_told_of_a_generation_that_has_gone_already(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    events, asker, bus = [], Asker(), EventBus()
    bus.subscribe(events.append)
    options = SupervisorOptions(release="test", command_line=CommandLine(("none",), "."), fleet=FleetSettings())
    supervisor = Supervisor(options, bus)
    supervisor._listeners = SimpleNamespace(promote=lambda generation: None)
    supervisor._auditor = SimpleNamespace(audit=lambda: None)
    supervisor._requesters.of_restart(7, asker)
    supervisor._promoted(7)
    assert events == [GenerationPromoted(7, ())]
    (outcome,) = asker.told
    assert outcome.ok
    assert outcome.pids == []
