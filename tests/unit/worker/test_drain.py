"""When a drain closes idle connections and when it ends."""

from __future__ import annotations

import pytest

from gracehttp.worker.drain import IDLE_GRACE_SECONDS, LAST_MOMENT_SECONDS, Action, Drain, DrainReason


def test_after_a_restart_idle_connections_stay_until_the_last_moment():
    drain = Drain.begin(DrainReason.RESTART, 30.0, 100.0)
    assert drain.due(100.0) is Action.WAIT
    assert drain.due(130.0 - LAST_MOMENT_SECONDS - 0.01) is Action.WAIT
    assert drain.due(130.0 - LAST_MOMENT_SECONDS) is Action.CLOSE_IDLE


def test_at_a_stop_idle_connections_stay_for_a_moment():
    drain = Drain.begin(DrainReason.STOP, 30.0, 100.0)
    assert drain.due(100.0) is Action.WAIT
    assert drain.due(100.0 + IDLE_GRACE_SECONDS) is Action.CLOSE_IDLE


def test_idle_connections_are_closed_once():
    drain = Drain.begin(DrainReason.STOP, 30.0, 100.0)
    drain.idle_closed = True
    assert drain.due(110.0) is Action.WAIT


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


def test_a_later_order_never_prolongs():
    drain = Drain.begin(DrainReason.STOP, 5.0, 100.0)
    drain.ordered_again(DrainReason.RESTART, 60.0, 101.0)
    assert (drain.ends_at, drain.reason) == (105.0, DrainReason.STOP)


@pytest.mark.parametrize("reason", DrainReason)
@pytest.mark.parametrize("timeout", [0.0, 0.2, 1.0, 30.0])
def test_waiting_as_long_as_it_says_leads_to_the_next_action(reason, timeout):
    drain = Drain.begin(reason, timeout, 100.0)
    now, seen = 100.0, []
    while not seen or seen[-1] is not Action.CUT:
        action = drain.due(now)
        seen.append(action)
        if action is Action.CLOSE_IDLE:
            drain.idle_closed = True
        now += drain.seconds_to_next(now)
        assert len(seen) < 6
    assert now <= 100.0 + timeout + 1e-6
