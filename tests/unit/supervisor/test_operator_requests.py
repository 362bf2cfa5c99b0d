"""What each signal and command asks the fleet for, and what is told to the client that has sent it."""

from __future__ import annotations

import asyncio
import signal
from types import SimpleNamespace

import pytest

from gracehttp.events import ReplacementGivenUp, RestartQueued, RestartRequested, StopRequested
from gracehttp.events.bus import EventBus
from gracehttp.supervisor import fleet as package
from gracehttp.supervisor.control.requesters import Requesters
from gracehttp.supervisor.fleet import FleetSettings
from gracehttp.supervisor.operator_requests import INTERRUPT_DRAIN_SECONDS, OperatorRequests
from gracehttp.wire.signals import SIGNALS


class Requester:
    def __init__(self):
        self.told = []

    def tell(self, outcome):
        self.told.append((outcome.ok, outcome.message))


class Service:
    """The requests of an operator, with a fleet that only answers questions. `inputs` is what it would be told."""

    def __init__(self, *, coming=None, stopping=False, closed=False, develops=False):
        self.inputs, self.published, bus = [], [], EventBus()
        bus.subscribe(lambda event: self.published.append(type(event)))
        self.fleet = SimpleNamespace(
            coming=coming, serving=None, stopping=stopping, forced=False, next_generation=4,
            stop_forces=lambda force, now: force,
        )  # fmt: skip
        self.replacements, self.under_way = [], False
        self.requests = OperatorRequests(
            self.fleet,
            SimpleNamespace(tell_moved_links=lambda: None),
            Requesters(),
            bus,
            SimpleNamespace(is_closed=closed),
            asyncio.get_running_loop().create_future(),
            apply=self.inputs.append,
            settings=FleetSettings(ready_timeout_seconds=7),
            ends_at_once=develops,
        )
        self.requests.replacement = SimpleNamespace(
            begin=lambda source, timeout_seconds: self.replacements.append((source, timeout_seconds)),
            cancel=lambda: self.under_way,
        )

    def receive(self, number):
        self.requests.on_signal(number, SIGNALS[number])


def in_loop(scenario):
    async def run():
        scenario()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("number", "asked"),
    [
        (signal.SIGHUP, package.RestartRequested()),
        (signal.SIGUSR1, package.RestartRequested()),
        (signal.SIGTERM, package.StopRequested(force=False)),
        (signal.SIGINT, package.StopRequested(force=False)),
        (signal.SIGTTIN, package.ScaleRequested(+1)),
        (signal.SIGTTOU, package.ScaleRequested(-1)),
    ],
)
def test_each_signal_asks_the_fleet_for_what_it_means(number, asked):
    def scenario():
        service = Service()
        service.receive(number)
        assert service.inputs == [asked]

    in_loop(scenario)


def test_hup_of_a_terminal_that_was_closed_stops():
    def scenario():
        service = Service(closed=True)
        service.receive(signal.SIGHUP)
        assert service.inputs == [package.StopRequested(force=False)]

    in_loop(scenario)


def test_ctrl_c_with_reload_leaves_requests_little_time():
    def scenario():
        service = Service(develops=True)
        service.receive(signal.SIGINT)
        assert service.inputs == [package.StopRequested(False, INTERRUPT_DRAIN_SECONDS)]

    in_loop(scenario)


def test_a_command_waits_for_the_restart_under_way_and_begins_after_it():
    def scenario():
        service, requester = Service(coming=SimpleNamespace(number=3)), Requester()
        service.requests.restart("pid 5", requester, supersede=False)
        service.requests.begin_queued_restart()
        assert (service.inputs, service.published) == ([], [RestartQueued])
        service.fleet.coming = None
        service.requests.begin_queued_restart()
        assert service.inputs == [package.RestartRequested()]
        service.requests.begin_queued_restart()
        assert len(service.inputs) == 1, "it waits no more"

    in_loop(scenario)


def test_a_restart_may_supersede_the_one_under_way():
    def scenario():
        service = Service(coming=SimpleNamespace(number=3))
        service.requests.restart("pid 5", Requester(), supersede=True)
        assert (service.inputs, service.published) == ([package.RestartRequested()], [RestartRequested])

    in_loop(scenario)


def test_a_service_that_stops_takes_no_restart_and_says_so():
    def scenario():
        service, restart, replacement = Service(stopping=True), Requester(), Requester()
        service.requests.restart("pid 5", restart, supersede=False)
        service.requests.replace("pid 5", replacement)
        assert service.inputs == service.replacements == []
        assert [one.told[0][0] for one in (restart, replacement)] == [False, False]
        assert "the service is stopping" in restart.told[0][1]
        assert "the service is stopping" in replacement.told[0][1]

    in_loop(scenario)


def test_a_replacement_has_the_time_of_a_start_and_ends_with_a_stop():
    def scenario():
        service, requester = Service(), Requester()
        service.requests.replace("pid 5", requester)
        assert service.replacements == [("pid 5", 7)]
        service.under_way = True
        service.requests.stop("pid 6", Requester(), force=False)
        assert service.published[-2:] == [StopRequested, ReplacementGivenUp]
        assert requester.told[0][0] is False

    in_loop(scenario)
