"""A drain over the product of reasons, phases and inputs: what was promised when it began is never put off."""

from __future__ import annotations

import itertools
import math

import pytest

from gracehttp.wire.messages import DrainReason
from gracehttp.worker.drain import CLOSING_STEP_SECONDS, IDLE_GRACE_SECONDS, Action, Drain

BEGAN = 1000.0
TIMEOUTS = (0.0, 0.3, 2.0, 40.0)
PARTS = (0.0, 0.5, 0.75, 0.9, 0.95, 0.999, 1.0, 1.5)
"""Phases: how much of the timeout has passed. At the start, before closings, as they begin, during them, between the
last of them and the end, just before it, at it, after it."""
IDLE = (0, 1, 7, 10_000)
ROUNDING = 1e-9
URGENCY = [Action.WAIT, Action.CLOSE_IDLE, Action.CUT]


def drains():
    """A drain of each reason and timeout, in each of its phases, with the closings until then done."""
    for reason, timeout, part, idle in itertools.product(DrainReason, TIMEOUTS, PARTS, IDLE):
        drain = Drain.begin(reason, timeout, BEGAN)
        now = BEGAN + timeout * part
        left = advance(drain, idle, BEGAN, now)
        yield drain, left, now


def advance(drain, idle, now, until):
    """Do what is due from `now` on before `until`; returns how many are idle then."""
    for _ in range(1000):
        action = drain.due(now)
        if action is Action.CUT:
            return idle
        if action is Action.CLOSE_IDLE:
            count = drain.how_many_to_close(idle, now)
            assert 0 <= count <= idle
            idle -= count
        if drain.due(now) is Action.WAIT:
            seconds = drain.seconds_to_next(now)
            assert seconds > 0
            now = now + seconds
            if now >= until:
                return idle
    raise AssertionError(f"it spins: {drain}")


def orders():
    """No later order, or one, or two in either order."""
    single = list(itertools.product(DrainReason, TIMEOUTS))
    yield ()
    yield from ((one,) for one in single)
    yield from itertools.product(single, single)


def deadlines(drain):
    return (drain.ends_at, drain.closing_until, drain.closing_at)


def copy(drain):
    return Drain(drain.reason, drain.began_at, drain.ends_at, drain.closing_at, drain.closing_until, drain.owed)


def test_a_later_order_moves_no_deadline_back_and_a_stop_stays_one():
    for (drain, _, now), order in itertools.product(drains(), orders()):
        one = copy(drain)
        for reason, timeout in order:
            before = copy(one)
            one.ordered_again(reason, timeout, now)
            assert all(map(float.__le__, deadlines(one), deadlines(before))), (before, one)
            assert one.ends_at <= now + timeout or one.ends_at == before.ends_at
        if DrainReason.STOP in (drain.reason, *(reason for reason, _ in order)):
            assert one.reason is DrainReason.STOP


def test_after_an_order_to_stop_all_idle_are_closed_within_a_moment():
    for drain, idle, now in drains():
        one = copy(drain)
        one.ordered_again(DrainReason.STOP, 40.0, now)
        at = now + IDLE_GRACE_SECONDS
        if one.ends_at > at:
            assert advance(one, idle, now, math.nextafter(at, math.inf)) == 0, (drain, one)


def test_with_time_what_is_due_becomes_only_more_urgent():
    for drain, _, now in drains():
        moments = sorted({now, *deadlines(drain), now + 0.05, now + 1.0, drain.ends_at + 1} - {math.inf})
        seen = [URGENCY.index(drain.due(moment)) for moment in moments]
        assert seen == sorted(seen), (drain, moments)


def test_it_tells_exactly_how_long_nothing_is_due():
    for drain, _, now in drains():
        seconds = drain.seconds_to_next(now)
        assert seconds >= 0
        if drain.due(now) is Action.WAIT:
            assert seconds > 0
            assert drain.due(now + seconds - ROUNDING) is Action.WAIT or seconds < ROUNDING
            assert drain.due(now + seconds + ROUNDING) is not Action.WAIT
        else:
            assert seconds == 0


@pytest.mark.parametrize("order", list(orders()), ids=str)
def test_all_idle_are_closed_before_the_end(order):
    """But for a drain that leaves no time to close anybody: there the end is the closing."""
    for drain, idle, now in drains():
        one = copy(drain)
        for reason, timeout in order:
            one.ordered_again(reason, timeout, now)
        if one.closing_until < one.ends_at and one.due(now) is not Action.CUT:
            assert advance(one, idle, now, one.ends_at) == 0, (drain, one)


def test_a_closing_leads_to_a_later_one_within_a_step_until_there_is_none():
    for (drain, idle, now), order in itertools.product(drains(), orders()):
        one = copy(drain)
        for reason, timeout in order:
            one.ordered_again(reason, timeout, now)
        if one.due(now) is Action.CLOSE_IDLE:
            one.how_many_to_close(idle, now)
            assert one.closing_at == math.inf or now < one.closing_at <= now + CLOSING_STEP_SECONDS
            assert 0 <= one.owed < 1 + idle
