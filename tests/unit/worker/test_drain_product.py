"""A drain over the product of reasons, phases, paces and inputs: what was promised when it began is never put off."""

from __future__ import annotations

import itertools
import math

import pytest

from gracehttp.http.connection import Pace
from gracehttp.wire.messages import DrainReason
from gracehttp.worker.drain import CLOSING_STEP_SECONDS, Action, Drain, Pacer

BEGAN = 1000.0
TIMEOUTS = (0.0, 0.3, 2.0, 40.0)
PARTS = (0.0, 0.5, 0.75, 0.9, 0.95, 0.999, 1.0, 1.5)
"""Phases: how much of the timeout has passed. At the start, before closings, as they begin, during them, between the
last of them and the end, just before it, at it, after it."""
AT_REST = (0, 1, 7, 10_000)
PACES = (
    Pace(),
    Pace(grace_seconds=0.0, stop_spread_seconds=5.0),
    Pace(any_time=True, per_second=100.0, grace_seconds=5.0, stop_spread_seconds=5.0),
)
ROUNDING = 1e-9
URGENCY = [Action.WAIT, Action.CLOSE_IDLE, Action.CUT]

each_pace = pytest.mark.parametrize("pace", PACES, ids=["together at a stop", "spread at a stop", "at any time"])


def drains(pace):
    """A drain of each reason and timeout, in each of its phases, with the closings until then done."""
    for reason, timeout, part, at_rest in itertools.product(DrainReason, TIMEOUTS, PARTS, AT_REST):
        drain = Drain(reason, timeout, BEGAN)
        drain.expect([pace])
        now = BEGAN + timeout * part
        left = advance(drain, at_rest, BEGAN, now)
        yield drain, left, now


def advance(drain, at_rest, now, until):
    """Do what is due from `now` on before `until`; returns how many are at rest then."""
    for _ in range(1000):
        action = drain.due(now)
        if action is Action.CUT:
            return at_rest
        if action is Action.CLOSE_IDLE:
            for _, pacer in drain.closing(now):
                count = pacer.how_many(at_rest, now)
                assert 0 <= count <= at_rest
                at_rest -= count
        if drain.due(now) is Action.WAIT:
            seconds = drain.seconds_to_next(now)
            assert seconds > 0
            now = now + seconds
            if now >= until:
                return at_rest
    raise AssertionError(f"it spins: {drain}")


def orders():
    """No later order, or one, or two in either order."""
    single = list(itertools.product(DrainReason, TIMEOUTS))
    yield ()
    yield from ((one,) for one in single)
    yield from itertools.product(single, single)


def pacer_of(drain):
    (pacer,) = drain._pacers.values()
    return pacer


def deadlines(drain):
    pacer = pacer_of(drain)
    return (drain.ends_at, pacer.closing_until, pacer.closing_at)


def copy(drain):
    copied = Drain(DrainReason.RESTART, 0.0, drain.began_at)
    copied._orders = list(drain._orders)
    for pace, pacer in drain._pacers.items():
        copied._pacers[pace] = one = Pacer(pacer.closing_at, pacer.closing_until)
        one.owed = pacer.owed
    return copied


def ordered(drain, order, now):
    one = copy(drain)
    for reason, timeout in order:
        one.ordered_again(reason, timeout, now)
    return one


@each_pace
def test_a_later_order_moves_no_deadline_back_and_a_stop_stays_one(pace):
    for (drain, _, now), order in itertools.product(drains(pace), orders()):
        one = copy(drain)
        for reason, timeout in order:
            before = copy(one)
            one.ordered_again(reason, timeout, now)
            assert all(map(float.__le__, deadlines(one), deadlines(before))), (before, one)
            assert one.ends_at <= now + timeout or one.ends_at == before.ends_at
        if DrainReason.STOP in (drain.reason, *(reason for reason, _ in order)):
            assert one.reason is DrainReason.STOP


@each_pace
def test_after_an_order_to_stop_all_at_rest_are_closed_within_the_time_of_their_kind(pace):
    for drain, at_rest, now in drains(pace):
        one = ordered(drain, [(DrainReason.STOP, 40.0)], now)
        at = now + pace.grace_seconds + pace.stop_spread_seconds
        if one.ends_at > at:
            assert advance(one, at_rest, now, math.nextafter(at, math.inf)) == 0, (drain, one)


@each_pace
def test_with_time_what_is_due_becomes_only_more_urgent(pace):
    for drain, _, now in drains(pace):
        moments = sorted({now, *deadlines(drain), now + 0.05, now + 1.0, drain.ends_at + 1} - {math.inf})
        seen = [URGENCY.index(drain.due(moment)) for moment in moments]
        assert seen == sorted(seen), (drain, moments)


@each_pace
def test_it_tells_exactly_how_long_nothing_is_due(pace):
    for drain, _, now in drains(pace):
        seconds = drain.seconds_to_next(now)
        assert seconds >= 0
        if drain.due(now) is Action.WAIT:
            assert seconds > 0
            assert drain.due(now + seconds - ROUNDING) is Action.WAIT or seconds < ROUNDING
            assert drain.due(now + seconds + ROUNDING) is not Action.WAIT
        else:
            assert seconds == 0


@pytest.mark.parametrize("order", list(orders()), ids=str)
def test_all_at_rest_are_closed_before_the_end(order):
    """But for a drain that leaves no time to close any: there the end is the closing."""
    for pace in PACES:
        for drain, at_rest, now in drains(pace):
            one = ordered(drain, order, now)
            if pacer_of(one).closing_until < one.ends_at and one.due(now) is not Action.CUT:
                assert advance(one, at_rest, now, one.ends_at) == 0, (drain, one)


@each_pace
def test_a_closing_leads_to_a_later_one_within_a_step_until_there_is_none(pace):
    for (drain, at_rest, now), order in itertools.product(drains(pace), orders()):
        one = ordered(drain, order, now)
        if one.due(now) is Action.CLOSE_IDLE:
            pacer = pacer_of(one)
            pacer.how_many(at_rest, now)
            assert pacer.closing_at == math.inf or now < pacer.closing_at <= now + CLOSING_STEP_SECONDS
            assert 0 <= pacer.owed < 1 + at_rest


@each_pace
def test_a_kind_that_shows_up_after_the_orders_has_no_deadline_later_than_one_that_was_there(pace):
    for reason, timeout, order in itertools.product(DrainReason, TIMEOUTS, orders()):
        there, late = Drain(reason, timeout, BEGAN), Drain(reason, timeout, BEGAN)
        there.expect([pace])
        for drain in (there, late):
            for again, seconds in order:
                drain.ordered_again(again, seconds, BEGAN + 0.1)
        late.expect([pace])
        assert deadlines(late) == deadlines(there)
