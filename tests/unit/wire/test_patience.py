"""How long a shortage is waited out, and when it is told."""

from __future__ import annotations

from gracehttp.wire.shortages import Patience


def test_the_next_try_comes_later_each_time_and_at_last_there_is_none():
    patience, now, waits = Patience(1.0, 10.0), 100.0, []
    while (wait := patience.failed(now)) is not None:
        waits.append(wait)
        now += wait
    assert waits[0] == Patience.SHORTEST_WAIT_SECONDS
    assert waits == sorted(waits)
    assert max(waits) == Patience.LONGEST_WAIT_SECONDS
    assert 110.0 <= now < 110.5


def test_a_shortage_that_lasts_is_told_once():
    patience = Patience(1.0, 10.0)
    assert not patience.must_be_told(100.0), "there is none"
    patience.failed(100.0)
    assert [patience.must_be_told(now) for now in (100.9, 101.0, 102.0)] == [False, True, False]


def test_the_next_shortage_begins_anew():
    patience = Patience(1.0, 10.0)
    for now in (100.0, 109.0):
        patience.failed(now)
    patience.must_be_told(109.0)
    patience.succeeded()
    assert patience.failed(200.0) == Patience.SHORTEST_WAIT_SECONDS
    assert patience.failed(209.0) is not None
    assert patience.must_be_told(209.0)
