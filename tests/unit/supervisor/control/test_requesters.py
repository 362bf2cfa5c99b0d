"""Who waits for what, and is told when."""

from __future__ import annotations

from gracehttp.supervisor.control.requesters import Requesters
from gracehttp.wire.control import Outcome


class Asker:
    def __init__(self):
        self.told = []

    def tell(self, outcome):
        self.told.append(outcome)


def test_each_is_told_of_the_generation_that_it_asked_for():
    requesters, one, two = Requesters(), Asker(), Asker()
    requesters.of_restart(2, one)
    requesters.of_restart(3, two)
    outcome = Outcome(ok=True, message="serves", generation=2)
    requesters.concluded(outcome)
    assert (one.told, two.told) == ([outcome], [])


def test_who_waited_for_a_superseded_generation_waits_for_the_newer_one():
    requesters, asker = Requesters(), Asker()
    requesters.of_restart(2, asker)
    requesters.supersede(2, by=3)
    assert requesters.awaited_by(asker, next_generation=9) == 3


def test_who_waits_for_a_replacement_will_be_told_of_the_next_generation():
    requesters, asker = Requesters(), Asker()
    requesters.of_replacement(asker)
    assert requesters.awaited_by(asker, next_generation=9) == 9


def test_who_waits_for_nothing_is_known_as_such():
    assert Requesters().awaited_by(Asker(), next_generation=9) is None


def test_a_replacement_that_failed_is_told_once_and_does_not_touch_restarts():
    requesters, one, two = Requesters(clock=lambda: 7.0), Asker(), Asker()
    requesters.of_replacement(one)
    requesters.of_restart(2, two)
    requesters.replacement_began("SIGUSR2")
    outcome = Outcome(ok=False, message="stays")
    requesters.not_replaced(outcome)
    requesters.not_replaced(outcome)
    assert (one.told, two.told) == ([outcome], [])
    assert requesters.last == Outcome(ok=False, message="stays", source="SIGUSR2", ended_at=7.0)


def test_the_latest_restart_is_remembered_with_who_asked_for_it_and_when_it_ended():
    requesters = Requesters(clock=lambda: 7.0)
    requesters.restart_began(2, "SIGHUP")
    requesters.restart_began(3, "pid 4711")
    requesters.supersede(2, by=3)
    requesters.concluded(Outcome(ok=True, message="serves", generation=3))
    assert (requesters.last.source, requesters.last.ended_at) == ("pid 4711", 7.0)


def test_a_stop_tells_all_who_wait():
    requesters, askers = Requesters(), [Asker(), Asker(), Asker()]
    requesters.of_restart(2, askers[0])
    requesters.of_replacement(askers[1])
    requesters.of_stop(askers[2])
    requesters.stopped(Outcome(ok=True, message="stopped"))
    assert [one.told[0].ok for one in askers] == [False, False, True]


def test_all_who_ask_while_a_restart_is_under_way_wait_for_one_more():
    requesters, askers = Requesters(), [Asker(), Asker()]
    requesters.of_queued_restart("pid 1", askers[0])
    requesters.of_queued_restart("pid 2", askers[1])
    assert requesters.queued_source == "pid 2"
    assert requesters.awaited_by(askers[0], next_generation=9) == 9
    requesters.begin_queued(3)
    assert requesters.queued_source == ""
    outcome = Outcome(ok=True, message="serves", generation=3)
    requesters.concluded(outcome)
    assert [one.told for one in askers] == [[outcome], [outcome]]


def test_a_stop_tells_those_whose_restart_never_began():
    requesters, asker = Requesters(), Asker()
    requesters.of_queued_restart("pid 1", asker)
    requesters.stopped(Outcome(ok=True, message="stopped"))
    assert [one.message for one in asker.told] == ["the service was stopped"]
