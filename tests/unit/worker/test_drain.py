"""When a drain closes connections that are at rest, how many at a time, and when it ends."""

from __future__ import annotations

import math

import pytest

from gracehttp.http.connection import Pace
from gracehttp.wire.messages import DrainReason
from gracehttp.worker.drain import CLOSING_STEP_SECONDS, LONGEST_WAIT_SECONDS, Action, Drain

HTTP = Pace()
SPREAD = Pace(grace_seconds=0.0, stop_spread_seconds=5.0)
"""Of a protocol whose clients would all come back at once, such as WebSocket."""


def begin(reason, timeout, now=100.0, paces=(HTTP,)):
    drain = Drain(reason, timeout, now)
    drain.expect(paces)
    return drain


def closings(drain, at_rest, now=100.0):
    """Play a drain during which `at_rest` connections of each kind stay at rest; returns when how many of each kind
    were closed, and the end."""
    if isinstance(at_rest, int):
        at_rest = {HTTP: at_rest}
    left = dict(at_rest)
    closed = {pace: [] for pace in left}
    while (action := drain.due(now)) is not Action.CUT:
        if action is Action.CLOSE_IDLE:
            for pace, pacer in drain.closing(now):
                count = pacer.how_many(left[pace], now)
                left[pace] -= count
                closed[pace].append((now, count))
        before, now = now, now + drain.seconds_to_next(now)
        assert now > before or drain.due(now) is not action, "it doesn't spin"
        assert sum(map(len, closed.values())) < 4000
    return (closed[HTTP] if list(left) == [HTTP] else closed), now


def test_after_a_restart_connections_at_rest_stay_until_the_last_quarter():
    drain = begin(DrainReason.RESTART, 40.0)
    assert drain.due(100.0) is Action.WAIT
    assert drain.due(129.9) is Action.WAIT
    assert drain.due(130.0) is Action.CLOSE_IDLE


def test_the_last_part_of_a_short_drain_is_half_a_second():
    drain = begin(DrainReason.RESTART, 1.0)
    assert drain.due(100.49) is Action.WAIT
    assert drain.due(100.5) is Action.CLOSE_IDLE


def test_closings_are_spread_evenly_over_the_last_part():
    closed, _ = closings(begin(DrainReason.RESTART, 40.0), 1000)
    assert sum(count for _, count in closed) == 1000
    assert max(count for _, count in closed) <= 2 * 1000 * CLOSING_STEP_SECONDS / 8.0
    halfway = sum(count for at, count in closed if at < 134.0)
    assert 450 <= halfway <= 550


def test_all_connections_at_rest_are_closed_before_the_end():
    closed, end = closings(begin(DrainReason.RESTART, 40.0), 1000)
    assert end == 140.0
    assert closed[-1][0] <= 138.0 + 1e-6


def test_few_connections_are_closed_one_by_one_over_all_of_the_last_part():
    closed, _ = closings(begin(DrainReason.RESTART, 40.0), 4)
    times = [at for at, count in closed if count == 1]
    assert times == pytest.approx([132.0, 134.0, 136.0, 138.0], abs=0.3)


def test_connections_that_come_to_rest_in_the_last_part_have_their_share_too():
    drain = begin(DrainReason.RESTART, 40.0)
    ((_, pacer),) = drain.closing(130.0)
    assert pacer.how_many(0, 130.0) == 0
    assert pacer.how_many(100, 134.0) > 0


def test_at_a_stop_all_connections_at_rest_are_closed_after_a_moment():
    closed, _ = closings(begin(DrainReason.STOP, 30.0), 1000)
    assert closed == [(100.0 + HTTP.grace_seconds, 1000)]


@pytest.mark.parametrize("reason", DrainReason)
def test_when_all_were_closed_only_the_end_is_waited_for(reason):
    drain = begin(reason, 30.0)
    ((_, pacer),) = drain.closing(129.9)
    pacer.how_many(5, 129.9)
    assert pacer.closing_at == math.inf
    assert drain.closing(129.9) == []
    assert drain.seconds_to_next(129.0) == 1.0


@pytest.mark.parametrize("reason", DrainReason)
def test_at_the_deadline_everything_is_cut(reason):
    assert begin(reason, 30.0).due(130.0) is Action.CUT


@pytest.mark.parametrize("reason", DrainReason)
def test_no_time_at_all_cuts_at_once(reason):
    assert begin(reason, 0.0).due(100.0) is Action.CUT


@pytest.mark.parametrize("reason", DrainReason)
def test_without_connections_only_the_end_is_waited_for(reason):
    drain = begin(reason, 30.0, paces=())
    assert drain.due(129.9) is Action.WAIT
    assert drain.seconds_to_next(100.0) == 30.0


def test_a_stop_during_the_drain_of_a_restart_closes_connections_at_rest_soon():
    drain = begin(DrainReason.RESTART, 30.0)
    drain.ordered_again(DrainReason.STOP, 30.0, 110.0)
    assert drain.ends_at == 130.0
    assert drain.reason is DrainReason.STOP
    assert drain.due(111.0) is Action.CLOSE_IDLE
    ((_, pacer),) = drain.closing(111.0)
    assert pacer.how_many(1000, 111.0) == 1000


def test_a_later_order_never_prolongs():
    drain = begin(DrainReason.STOP, 5.0)
    drain.ordered_again(DrainReason.RESTART, 60.0, 101.0)
    assert (drain.ends_at, drain.reason) == (105.0, DrainReason.STOP)
    assert drain.due(101.0) is Action.CLOSE_IDLE


# --- several kinds of connections ---


@pytest.mark.parametrize("reason", DrainReason)
def test_each_kind_is_closed_at_its_own_pace(reason):
    kinds = {HTTP: 100, SPREAD: 1000}
    together, _ = closings(begin(reason, 40.0, paces=kinds), kinds)
    for pace, at_rest in kinds.items():
        alone, _ = closings(begin(reason, 40.0, paces=[pace]), {pace: at_rest})
        assert [one for one in together[pace] if one[1]] == [
            one for one in (alone if pace == HTTP else alone[pace]) if one[1]
        ]


def test_a_kind_that_asks_for_it_is_spread_over_a_stop_too():
    closed, _ = closings(begin(DrainReason.STOP, 30.0, paces=[SPREAD]), {SPREAD: 1000})
    times = [at for at, _ in closed[SPREAD]]
    assert (times[0], times[-1]) == (100.0, pytest.approx(105.0))
    assert max(count for _, count in closed[SPREAD]) <= 2 * 1000 * CLOSING_STEP_SECONDS / 5.0
    assert sum(count for _, count in closed[SPREAD]) == 1000


def test_a_spread_that_is_longer_than_the_drain_is_cut_to_it():
    closed, end = closings(begin(DrainReason.STOP, 2.0, paces=[SPREAD]), {SPREAD: 1000})
    assert end == 102.0
    assert sum(count for _, count in closed[SPREAD]) >= 900, "what is left is cut with the others"


def test_a_kind_that_shows_up_late_is_under_all_orders_so_far():
    early, late = (Drain(DrainReason.RESTART, 40.0, 100.0) for _ in range(2))
    early.expect([HTTP])
    for drain in (early, late):
        drain.ordered_again(DrainReason.STOP, 10.0, 105.0)
    late.expect([HTTP])
    (one,), (other,) = early._pacers.values(), late._pacers.values()
    assert (one.closing_at, one.closing_until) == (other.closing_at, other.closing_until)
    early.expect([HTTP])
    assert list(early._pacers.values()) == [one], "a kind that is known keeps its pacer"


@pytest.mark.parametrize("reason", DrainReason)
@pytest.mark.parametrize("timeout", [0.0, 0.2, 0.5, 1.0, 30.0, 600.0])
@pytest.mark.parametrize("at_rest", [0, 1, 10_000])
def test_waiting_as_long_as_it_says_leads_to_the_end_in_time_with_no_connection_left(reason, timeout, at_rest):
    closed, end = closings(begin(reason, timeout), at_rest)
    assert end == pytest.approx(100.0 + timeout)
    if timeout > HTTP.grace_seconds or (timeout and reason is DrainReason.RESTART):
        assert sum(count for _, count in closed) == at_rest


# --- those that can be ended at any time, and whose clients come back at once: WebSockets ---

RATE = 100.0
SOCKETS = Pace(any_time=True, per_second=RATE, grace_seconds=5.0, stop_spread_seconds=5.0)


def closings_of_sockets(reason, timeout, count):
    """When how many were closed, in seconds from the begin of the drain."""
    closed, end = closings(begin(reason, timeout, paces=[SOCKETS]), {SOCKETS: count})
    return [(at - 100.0, number) for at, number in closed[SOCKETS] if number], end - 100.0


@pytest.mark.parametrize("reason", DrainReason)
def test_websockets_are_closed_when_the_application_has_had_its_time(reason):
    closed, _ = closings_of_sockets(reason, 30.0, 1)
    assert closed == [(5.0, 1)]


@pytest.mark.parametrize("reason", DrainReason)
def test_few_websockets_are_closed_at_a_fixed_rate(reason):
    closed, _ = closings_of_sockets(reason, 60.0, 50)
    assert sum(number for _, number in closed) == 50
    assert max(number for _, number in closed) <= RATE * CLOSING_STEP_SECONDS
    assert closed[-1][0] == pytest.approx(5.0 + 50 / RATE, abs=2 * CLOSING_STEP_SECONDS)


def test_ten_thousand_websockets_do_not_come_back_at_once():
    closed, end = closings_of_sockets(DrainReason.RESTART, 30.0, 10_000)
    assert sum(number for _, number in closed) == 10_000
    assert end == 30.0
    last = closed[-1][0]
    assert 25.0 < last < 29.0, "all of the time is used, and the last one can still answer"
    evenly = 10_000 / (last - 5.0)
    for second in range(5, int(last)):
        assert sum(number for at, number in closed if second <= at < second + 1) < 1.3 * evenly


def test_at_a_stop_ten_thousand_websockets_are_closed_within_their_spread():
    closed, _ = closings_of_sockets(DrainReason.STOP, 30.0, 10_000)
    assert sum(number for _, number in closed) == 10_000
    assert closed[0][0] == 5.0
    assert closed[-1][0] == pytest.approx(10.0, abs=0.01)
    assert max(number for _, number in closed) < 300


@pytest.mark.parametrize("reason", DrainReason)
@pytest.mark.parametrize("timeout", [0.2, 1.0, 5.0, 6.0])
@pytest.mark.parametrize("count", [1, 50, 10_000])
def test_websockets_are_told_before_the_end_however_short_the_drain_is(reason, timeout, count):
    closed, _ = closings_of_sockets(reason, timeout, count)
    assert sum(number for _, number in closed) == count
    assert closed[-1][0] < timeout


@pytest.mark.parametrize("reason", DrainReason)
def test_websocket_that_is_accepted_late_is_told_too(reason):
    drain = begin(reason, 30.0, paces=[SOCKETS])
    _, until = next(iter(drain._orders)).closing(SOCKETS)
    for now in (until + 0.5, until + 1.0):
        ((_, pacer),) = drain.closing(now)
        assert pacer.how_many(1, now) == 1
        assert pacer.closing_at == now + CLOSING_STEP_SECONDS


def test_later_order_hurries_websockets_too():
    drain = begin(DrainReason.RESTART, 60.0, paces=[SOCKETS])
    drain.ordered_again(DrainReason.STOP, 4.0, 101.0)
    ((_, pacer),) = drain.closing(105.0)
    assert pacer.closing_at < 105.0
    assert pacer.how_many(10_000, 105.0) == 10_000


# --- others that may accept still ---

CLOSED_AT_ONCE = Pace(grace_seconds=0.3, any_time=True, per_second=100.0)


def waits(drain, now=100.0):
    return drain.seconds_for_others(now)


def test_clients_are_sent_away_only_when_no_other_worker_accepts():
    drain = Drain(DrainReason.RESTART, 30.0, 100.0, others_accept=True)
    assert waits(drain) == LONGEST_WAIT_SECONDS
    drain.others_stopped()
    assert waits(drain, 100.5) == 0.0
    drain.send_away(100.5)
    drain.expect([CLOSED_AT_ONCE])
    closed, _ = closings(drain, {CLOSED_AT_ONCE: 1}, 100.5)
    assert [at for at, count in closed[CLOSED_AT_ONCE] if count] == [pytest.approx(100.8)], "the grace counts from then"


def test_another_worker_that_hangs_is_not_waited_for_without_end():
    assert waits(Drain(DrainReason.RESTART, 30.0, 100.0, others_accept=True), 102.0) == 0.0
    assert waits(Drain(DrainReason.RESTART, 1.0, 100.0, others_accept=True)) == 0.25


def test_a_worker_that_is_alone_or_that_stops_waits_for_no_other():
    assert waits(Drain(DrainReason.RESTART, 30.0, 100.0)) == 0.0
    assert waits(Drain(DrainReason.STOP, 30.0, 100.0, others_accept=True)) == 0.0
    drain = Drain(DrainReason.RESTART, 30.0, 100.0, others_accept=True)
    drain.ordered_again(DrainReason.STOP, 30.0, 100.1)
    assert waits(drain, 100.1) == 0.0


def test_a_drain_that_must_hurry_waits_for_no_other():
    drain = Drain(DrainReason.RESTART, 30.0, 100.0, others_accept=True)
    drain.ordered_again(DrainReason.RESTART, 0.0, 100.1)
    assert waits(drain, 100.1) == 0.0
