"""A failure is excused by the death of the worker that may have had the connection, and of no other."""

from __future__ import annotations

import pytest
from blame import Death, History, culprits
from callers import Failure

OLD, SIBLING, NEW, TEMPLATE = 10, 11, 20, 30
QUIET = History({OLD: 1, SIBLING: 1, NEW: 2}, {})
RESTARTED = History({OLD: 1, SIBLING: 1, NEW: 2}, {OLD: 102.0, SIBLING: 102.0})


def excused(pids, died, *, at=103.0, history=QUIET):
    failure = Failure("lost", True, at=104.0, last_answer_at=102.5, pids=pids)
    return bool(culprits(failure, [Death(died, at)], history))


def test_the_death_of_the_worker_that_answered_last_excuses():
    assert excused([NEW, OLD], OLD)


@pytest.mark.parametrize("died", [SIBLING, NEW, TEMPLATE])
def test_the_death_of_another_one_does_not(died):
    assert not excused([OLD], died)


@pytest.mark.parametrize("at", [101.9, 104.1])
def test_nor_does_a_death_before_the_last_answer_or_after_the_failure(at):
    assert not excused([OLD], OLD, at=at)


def test_a_connection_that_was_on_its_way_may_have_been_with_a_later_worker():
    assert excused([OLD], NEW, history=RESTARTED)
    assert excused([OLD], SIBLING, history=RESTARTED)


def test_nothing_goes_to_older_code():
    assert not excused([NEW], OLD, history=History(RESTARTED.generations, {NEW: 102.0}))


def test_before_the_first_answer_it_may_be_with_any_worker_but_with_no_template():
    assert excused([], NEW)
    assert not excused([], TEMPLATE)
