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
    requesters, one, two = Requesters(), Asker(), Asker()
    requesters.of_replacement(one)
    requesters.of_restart(2, two)
    outcome = Outcome(ok=False, message="stays")
    requesters.not_replaced(outcome)
    requesters.not_replaced(outcome)
    assert (one.told, two.told, requesters.last) == ([outcome], [], outcome)


def test_a_stop_tells_all_who_wait():
    requesters, askers = Requesters(), [Asker(), Asker(), Asker()]
    requesters.of_restart(2, askers[0])
    requesters.of_replacement(askers[1])
    requesters.of_stop(askers[2])
    requesters.stopped(Outcome(ok=True, message="stopped"))
    assert [one.told[0].ok for one in askers] == [False, False, True]
