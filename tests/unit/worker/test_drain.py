"""When a drain closes idle connections, how many at a time, and when it ends."""

from __future__ import annotations

import math

import pytest

from gracehttp.wire.messages import DrainReason
from gracehttp.worker.drain import CLOSING_STEP_SECONDS, IDLE_GRACE_SECONDS, Action, Drain


def closings(drain, idle, now=100.0):
    """Play a drain during which `idle` connections stay idle; returns when how many were closed, and the end."""
    closed = []
    while (action := drain.due(now)) is not Action.CUT:
        if action is Action.CLOSE_IDLE:
            count = drain.how_many_to_close(idle, now)
            idle -= count
            closed.append((now, count))
        before, now = now, now + drain.seconds_to_next(now)
        assert now > before or drain.due(now) is not action, "it doesn't spin"
        assert len(closed) < 2000
    return closed, now


def test_after_a_restart_idle_connections_stay_until_the_last_quarter():
    drain = Drain.begin(DrainReason.RESTART, 40.0, 100.0)
    assert drain.due(100.0) is Action.WAIT
    assert drain.due(129.9) is Action.WAIT
    assert drain.due(130.0) is Action.CLOSE_IDLE


def test_the_last_part_of_a_short_drain_is_half_a_second():
    drain = Drain.begin(DrainReason.RESTART, 1.0, 100.0)
    assert drain.due(100.49) is Action.WAIT
    assert drain.due(100.5) is Action.CLOSE_IDLE


def test_closings_are_spread_evenly_over_the_last_part():
    closed, _ = closings(Drain.begin(DrainReason.RESTART, 40.0, 100.0), 1000)
    assert sum(count for _, count in closed) == 1000
    assert max(count for _, count in closed) <= 2 * 1000 * CLOSING_STEP_SECONDS / 8.0
    halfway = sum(count for at, count in closed if at < 134.0)
    assert 450 <= halfway <= 550


def test_all_idle_connections_are_closed_before_the_end():
    closed, end = closings(Drain.begin(DrainReason.RESTART, 40.0, 100.0), 1000)
    assert end == 140.0
    assert closed[-1][0] <= 138.0 + 1e-6


def test_few_idle_connections_are_closed_one_by_one_over_all_of_the_last_part():
    closed, _ = closings(Drain.begin(DrainReason.RESTART, 40.0, 100.0), 4)
    times = [at for at, count in closed if count == 1]
    assert times == pytest.approx([132.0, 134.0, 136.0, 138.0], abs=0.3)


def test_who_becomes_idle_in_the_last_part_has_its_share_too():
    drain = Drain.begin(DrainReason.RESTART, 40.0, 100.0)
    assert drain.how_many_to_close(0, 130.0) == 0
    assert drain.how_many_to_close(100, 134.0) > 0


def test_at_a_stop_all_idle_connections_are_closed_after_a_moment():
    closed, _ = closings(Drain.begin(DrainReason.STOP, 30.0, 100.0), 1000)
    assert closed == [(100.0 + IDLE_GRACE_SECONDS, 1000)]


@pytest.mark.parametrize("reason", DrainReason)
def test_when_all_were_closed_only_the_end_is_waited_for(reason):
    drain = Drain.begin(reason, 30.0, 100.0)
    drain.how_many_to_close(5, drain.closing_until)
    assert drain.closing_at == math.inf
    assert drain.seconds_to_next(129.0) == 1.0


@pytest.mark.parametrize("reason", DrainReason)
def test_at_the_deadline_everything_is_cut(reason):
    drain = Drain.begin(reason, 30.0, 100.0)
    assert drain.due(130.0) is Action.CUT


@pytest.mark.parametrize("reason", DrainReason)
def test_no_time_at_all_cuts_at_once(reason):
    assert Drain.begin(reason, 0.0, 100.0).due(100.0) is Action.CUT


def test_a_stop_during_the_drain_of_a_restart_closes_idle_connections_soon():
    drain = Drain.begin(DrainReason.RESTART, 30.0, 100.0)
    drain.ordered_again(DrainReason.STOP, 30.0, 110.0)
    assert drain.ends_at == 130.0
    assert drain.due(111.0) is Action.CLOSE_IDLE
    assert drain.how_many_to_close(1000, 111.0) == 1000


def test_a_later_order_never_prolongs():
    drain = Drain.begin(DrainReason.STOP, 5.0, 100.0)
    drain.ordered_again(DrainReason.RESTART, 60.0, 101.0)
    assert (drain.ends_at, drain.reason) == (105.0, DrainReason.STOP)
    assert drain.due(101.0) is Action.CLOSE_IDLE


@pytest.mark.parametrize("reason", DrainReason)
@pytest.mark.parametrize("timeout", [0.0, 0.2, 0.5, 1.0, 30.0, 600.0])
@pytest.mark.parametrize("idle", [0, 1, 10_000])
def test_waiting_as_long_as_it_says_leads_to_the_end_in_time_with_nobody_left(reason, timeout, idle):
    closed, end = closings(Drain.begin(reason, timeout, 100.0), idle)
    assert end == pytest.approx(100.0 + timeout)
    if timeout > IDLE_GRACE_SECONDS or (timeout and reason is DrainReason.RESTART):
        assert sum(count for _, count in closed) == idle
