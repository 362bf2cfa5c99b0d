"""What is concluded from the notes of clients that live through restarts."""

from __future__ import annotations

import pytest

from benchmarks.deploy_accounts import Account, first_answer, mixed, without_answer
from benchmarks.deploy_clients import Asked


def asked(sent: float, ended: float, code: int = 1, *, outcome: str = "answered", due: float | None = None, **more):
    return Asked(True, sent if due is None else due, sent, ended, outcome, code, **more)


def test_each_outcome_is_counted_and_silence_counts_as_lost():
    outcomes = ["answered", "lost", "silent", "reset", "reset", "refused", "error"]
    account = Account.of([asked(0.0, 0.1, outcome=outcome) for outcome in outcomes])
    assert (account.requests, account.lost, account.reset, account.refused, account.errors) == (7, 2, 2, 1, 1)


def test_an_answer_is_late_from_when_it_was_due_and_not_from_when_it_was_sent():
    """The answer before it kept the client waiting."""
    assert Account.of([asked(3.0, 3.1, due=1.0)]).worst_ms == pytest.approx(2100)


def test_requests_that_were_under_way_when_the_new_code_answered_are_not_mixed():
    notes = [asked(0.0, 0.1), asked(0.9, 2.0), asked(0.95, 1.0, 2)]
    assert mixed(notes, 2) == (0.0, 0)


def test_old_answers_to_requests_that_were_sent_after_the_first_new_answer_are_mixed():
    notes = [asked(0.9, 1.0, 2), asked(1.5, 1.6), asked(2.0, 2.5), asked(3.0, 3.1, 2)]
    assert mixed(notes, 2) == (1.5, 2)
    assert Account.of(notes).mixed_answers == 2


def test_code_that_never_answers_mixes_with_nothing():
    assert mixed([asked(0.0, 0.1)], 2) == (0.0, 0)


def test_an_answer_of_newer_code_shows_that_this_code_is_over():
    assert first_answer([asked(0.0, 0.1), asked(1.0, 1.1, 3)], 2) == 1.1
    assert first_answer([asked(0.0, 0.1)], 2) is None


def test_reconnects_are_those_that_the_server_caused():
    assert Account.of([asked(0.0, 0.1), asked(1.0, 1.1, reconnected=True)]).reconnects == 1


def test_the_longest_time_without_any_answer_ignores_what_had_none():
    notes = [asked(0.0, 1.0), asked(1.0, 2.0, outcome="lost"), asked(2.0, 4.0)]
    assert without_answer(notes) == 3.0
