"""What is done and who is told when a probation begins and ends."""

from __future__ import annotations

from gracehttp import events
from gracehttp.event_bus import EventBus
from gracehttp.supervisor.announcements import Announcer
from gracehttp.supervisor.control.requesters import Requesters
from gracehttp.supervisor.fleet import (
    Fleet,
    FleetSettings,
    GivenUp,
    ProbationEnded,
    Promoted,
    RequestDump,
    RestartRequested,
    RolledBack,
    StopRequested,
)


class House:
    """Stands for the crew, the listeners, the auditor, and somebody who has asked for generation 2."""

    def __init__(self):
        self.done = []
        self.told = []
        self.events = []
        requesters, bus = Requesters(), EventBus()
        requesters.of_restart(2, self)
        bus.subscribe(self.events.append)
        self.fleet = Fleet(FleetSettings())
        self.announcer = Announcer(self.fleet, self, self, self, requesters, bus)
        self.requesters = requesters

    def promote(self, generation):
        self.done.append(("promote", generation))

    def audit(self):
        self.done.append("audit")

    def doing(self, worker):
        return f"importing app{worker}:app"

    def tell(self, outcome):
        self.told.append((outcome.ok, outcome.message, outcome.details))


def test_who_asked_is_told_of_a_generation_that_is_gone_already():
    house = House()
    house.announcer.announce(Promoted(2, probation_seconds=0))
    assert house.told == [(True, "generation 2 serves", "")]
    assert house.events == [events.GenerationPromoted(2, ())]


def test_who_asked_is_told_after_the_probation_and_not_before():
    house = House()
    house.announcer.announce(Promoted(2, probation_seconds=10))
    assert house.told == []
    assert house.done == [("promote", 2), "audit"]
    house.announcer.announce(ProbationEnded(2, 10.0, passed=True))
    assert house.told == [(True, "generation 2 serves", "")]


def test_a_rollback_gives_the_listeners_back_and_tells_why():
    house = House()
    house.announcer.announce(RolledBack(2, 1, 2.13, "its worker 3 was killed by SIGSEGV", "stack"))
    sentence = (
        "generation 2 was rolled back after 2.1 s on probation: its worker 3 was killed by SIGSEGV; "
        "generation 1 serves again"
    )
    assert house.done == [("promote", 1), "audit"]
    assert house.told == [(False, sentence, "stack")]
    assert house.requesters.last.message == sentence
    assert [type(one) for one in house.events] == [events.GenerationRolledBack]


def test_a_stop_during_a_probation_is_no_success():
    house = House()
    house.announcer.announce(ProbationEnded(2, 3.0, passed=False, reason="the service was told to stop"))
    assert house.told == [(False, "generation 2 was still on probation when the service was told to stop", "")]


def test_that_the_stack_of_a_worker_follows_is_told_with_what_it_was_at():
    house = House()
    house.fleet.apply(RestartRequested(), 0.0)
    house.announcer.announce(RequestDump(1))
    assert house.events == [events.WorkerHangs(1, 1, 60.0, "importing app1:app")]
    assert "still importing app1:app" in str(house.events[0])
    assert "the server has not crashed" in str(house.events[0])


def test_a_start_that_a_stop_calls_off_is_no_error_but_who_asked_for_it_has_not_got_it():
    house = House()
    house.fleet.apply(StopRequested(), 0.0)
    house.announcer.announce(GivenUp(2, "the service was told to stop", ""))
    assert house.events == [events.StartCalledOff(2)]
    assert house.told == [(False, "generation 2 was given up: the service was told to stop; nothing serves", "")]
