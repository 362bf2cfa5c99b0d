"""Deadlines of many connections: whose time is up first, and the one timer that tells."""

from __future__ import annotations

import gc
import math

import pytest
from floor import Clock
from hypothesis import given
from hypothesis import strategies as st

from gracehttp.net.deadlines import Deadlines, Place

SECONDS = 10.0


class Item:
    def __init__(self, name, told, clock):
        self.name, self.told, self.clock = name, told, clock
        self.then = lambda: None

    def __repr__(self):
        return self.name

    def timed_out(self):
        self.told.append((self.name, self.clock.now))
        self.then()


class Linked(Item, Place):
    """As `Item`, and it has its place in itself."""

    def __init__(self, name, told, clock):
        Place.__init__(self)
        Item.__init__(self, name, told, clock)


class World:
    def __init__(self, kind=Item):
        self.kind = kind
        self.clock = Clock()
        self.deadlines = Deadlines(SECONDS, self.clock)
        self.told = []

    def item(self, name):
        return self.kind(name, self.told, self.clock)

    def add(self, name, waited=0.0):
        item = self.item(name)
        self.deadlines.add(item, waited)
        return item


@pytest.fixture(params=[Item, Linked])
def world(request):
    return World(request.param)


@pytest.fixture
def linked():
    return World(Linked)


def test_each_is_told_once_when_its_time_is_up_in_the_order_in_which_they_began(world):
    for name in "abc":
        world.add(name)
        world.clock.pass_time(1)
    world.clock.pass_time(100)
    assert world.told == [("a", 1010), ("b", 1011), ("c", 1012)]


def test_one_that_has_waited_elsewhere_is_told_so_much_earlier(world):
    world.add("new")
    world.add("waited", waited=4.0)
    world.add("waited longer", waited=6.0)
    world.clock.pass_time(100)
    assert world.told == [("waited longer", 1004), ("waited", 1006), ("new", 1010)]


def test_one_whose_time_was_over_before_it_came_is_told_at_once_but_not_within_the_call(world):
    world.add("late", waited=1000.0)
    assert world.told == []
    world.clock.pass_time(0)
    assert world.told == [("late", 1000)]


def test_a_discarded_one_is_not_told(world):
    item, other = world.add("a"), world.add("waited", waited=5.0)
    world.deadlines.discard(item)
    world.deadlines.discard(other)
    world.deadlines.discard(other)
    world.clock.pass_time(100)
    assert world.told == []
    assert len(world.deadlines) == 0


def test_one_that_was_discarded_and_comes_back_has_all_its_time_again(world):
    for waited in (0.0, 3.0):
        item = world.add(f"{waited}", waited)
        world.clock.pass_time(5)
        world.deadlines.discard(item)
        world.deadlines.add(item)
    world.clock.pass_time(100)
    assert world.told == [("0.0", 1015), ("3.0", 1020)]


def test_one_may_wait_again_within_timed_out(world):
    item = world.add("a")
    item.then = lambda: len(world.told) < 3 and world.deadlines.add(item, waited=len(world.told))
    world.clock.pass_time(100)
    assert world.told == [("a", 1010), ("a", 1019), ("a", 1027)]


def test_one_may_discard_others_within_timed_out(world):
    item, other = world.add("a"), world.add("b")
    item.then = lambda: world.deadlines.discard(other)
    world.clock.pass_time(100)
    assert world.told == [("a", 1010)]


def test_many_that_come_and_go_need_one_timer(world):
    for _ in range(1000):
        item = world.add("a")
        world.clock.pass_time(0.001)
        world.deadlines.discard(item)
    assert world.clock.timers_made == 1
    assert len(world.clock.armed) == 1


def test_a_thousand_that_wait_have_one_timer_at_a_time_for_the_first_of_them(world):
    for number in range(1000):
        world.add(str(number))
        world.clock.pass_time(0.001)
    assert world.clock.armed == [1010]
    world.clock.pass_time(9.5)
    assert len(world.clock.armed) == 1
    assert world.clock.timers_made < 600


def test_a_timer_that_fires_a_fraction_early_tells_and_does_not_spin(world):
    """uvloop counts in milliseconds."""
    world.add("a")
    world.clock.now += 9.9995
    world.deadlines._fire()
    assert [name for name, _ in world.told] == ["a"]
    assert world.clock.timers_made == 1


def test_many_that_begin_anew_with_each_request_need_one_timer(world):
    items = [world.item(str(number)) for number in range(10)]
    for _ in range(50):
        for item in items:
            world.deadlines.discard(item)
            world.deadlines.add(item)
        world.clock.pass_time(0.1)
    assert world.clock.timers_made == 1
    assert world.told == []


def test_items_that_came_early_and_went_are_not_kept(world):
    for _ in range(1000):
        item = world.add("a", waited=1.0)
        world.deadlines.discard(item)
        world.clock.pass_time(0.1)
    assert len(world.deadlines._early) < 200
    world.clock.pass_time(20)
    assert not world.deadlines._early


def test_since_tells_when_one_began_also_elsewhere(world):
    new, waited = world.add("new"), world.add("waited", waited=4.0)
    assert world.deadlines.since(new) == 1000
    assert world.deadlines.since(waited) == 996
    world.deadlines.discard(new)
    assert world.deadlines.since(new) is None
    assert (new in world.deadlines, waited in world.deadlines) == (False, True)


def test_longest_tells_those_that_wait_longest_first_wherever_they_began(world):
    world.add("third")
    world.clock.pass_time(1)
    world.add("first", waited=5.0)
    world.add("second", waited=2.0)
    gone = world.add("gone", waited=3.0)
    world.add("last")
    world.deadlines.discard(gone)
    assert [(since, item.name) for since, item in world.deadlines.longest()] == [
        (996, "first"), (999, "second"), (1000, "third"), (1001, "last"),
    ]  # fmt: skip
    assert len(world.deadlines) == 4


def test_longest_tells_one_that_came_back_at_the_same_moment_once(world):
    item = world.add("a", waited=2.0)
    world.deadlines.discard(item)
    world.deadlines.add(item, waited=2.0)
    assert [item.name for _, item in world.deadlines.longest()] == ["a"]


def test_one_that_was_renewed_has_all_its_time_again_and_its_place_behind_those_that_began_before(linked):
    renewed, other = linked.add("renewed"), linked.add("other")
    linked.clock.pass_time(4)
    renewed.renewed_at = linked.clock.now
    linked.clock.pass_time(1)
    linked.add("last")
    assert linked.deadlines.since(renewed) == 1004
    assert [(since, item.name) for since, item in linked.deadlines.longest()] == [
        (1000, "other"), (1004, "renewed"), (1005, "last"),
    ]  # fmt: skip
    linked.deadlines.discard(other)
    linked.clock.pass_time(100)
    assert linked.told == [("renewed", 1014), ("last", 1015)]


def test_one_that_is_renewed_again_and_again_is_looked_at_once_in_its_time(linked):
    item = linked.add("a")
    for _ in range(1000):
        item.renewed_at = linked.clock.now
        linked.clock.pass_time(0.1)
    assert linked.told == []
    assert linked.clock.timers_made <= 11
    assert len(linked.deadlines._early) == 1
    linked.clock.pass_time(100)
    assert linked.told == [("a", pytest.approx(1099.9 + SECONDS))]


def test_one_that_begins_to_wait_for_something_else_waits_for_the_first_no_more(linked):
    others = Deadlines(2 * SECONDS, linked.clock)
    item, other = linked.add("a"), linked.add("b")
    others.add(item)
    assert (item in linked.deadlines, item in others, len(linked.deadlines), len(others)) == (False, True, 1, 1)
    linked.deadlines.discard(item)
    assert (linked.deadlines.since(item), others.since(item)) == (None, 1000)
    linked.deadlines.discard(other)
    linked.clock.pass_time(100)
    assert linked.told == [("a", 1020)]
    assert (len(linked.deadlines), len(others)) == (0, 0)


def test_what_was_renewed_before_it_waited_here_counts_no_more(linked):
    item = linked.add("item")
    linked.clock.pass_time(5)
    item.renewed_at = linked.clock.now
    linked.deadlines.discard(item)
    linked.deadlines.add(item, waited=4.0)
    assert linked.deadlines.since(item) == 1001
    linked.clock.pass_time(100)
    assert linked.told == [("item", 1011)]


def test_a_clock_may_begin_at_0(world):
    world.clock.now = 0.0
    world.add("waited elsewhere", waited=4.0)
    world.clock.pass_time(100)
    assert world.told == [("waited elsewhere", 6)]


def test_many_that_wait_are_forgotten_with_those_who_let_them_wait(linked):
    """A chain of thousands of links is freed, whoever frees it, without a call within a call for each."""
    for number in range(50_000):
        linked.add(str(number))
    linked.deadlines = None
    linked.clock.armed.clear()
    gc.collect()


def test_close_forgets_all_and_leaves_no_timer(world):
    world.add("a")
    world.add("b", waited=1.0)
    world.deadlines.close()
    assert world.clock.armed == []
    world.clock.pass_time(100)
    assert world.told == []
    assert list(world.deadlines.longest()) == []


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 5), st.sampled_from([0.0, 0.0, 1.0, 2.5, 9.0, 50.0])),
    st.tuples(st.just("discard"), st.integers(0, 5), st.none()),
    st.tuples(st.just("renew"), st.integers(0, 5), st.none()),
    st.tuples(st.just("pass"), st.sampled_from([0.0, 0.5, 1.0, 2.5, 7.0, 20.0]), st.none()),
)


@given(st.lists(STEPS, max_size=40))
def test_in_any_history_each_is_told_at_its_time(steps):
    world = World(Linked)
    items = [world.item(str(number)) for number in range(6)]
    expected = {}  # the model: when the time of each is up
    for kind, value, waited in steps:
        if kind == "pass":
            end = world.clock.now + value
            due = sorted((max(when, world.clock.now), item.name) for item, when in expected.items() if when <= end)
            world.told.clear()
            world.clock.pass_time(value)
            assert sorted((when, name) for name, when in world.told) == due
            assert [when for _, when in world.told] == sorted(when for _, when in world.told)
            expected = {item: when for item, when in expected.items() if when > end}
        elif kind == "renew":
            if items[value] in expected:
                items[value].renewed_at = world.clock.now
                expected[items[value]] = world.clock.now + SECONDS
        else:
            world.deadlines.discard(items[value])
            expected.pop(items[value], None)
            items[value].renewed_at = 0.0
            if kind == "add":
                world.deadlines.add(items[value], waited)
                expected[items[value]] = world.clock.now + SECONDS - waited
        longest = list(world.deadlines.longest())
        assert [since for since, _ in longest] == sorted(when - SECONDS for when in expected.values())
        assert {item for _, item in longest} == set(expected)
        assert len(world.deadlines) == len(expected)
        assert all(world.deadlines.since(item) == expected.get(item, math.inf) - SECONDS for item in expected)
        assert len(world.clock.armed) <= 1
        assert not expected or world.clock.armed[0] <= min(expected.values())


def test_one_that_raises_keeps_no_other_from_being_told(world):
    first = world.add("first")

    def fail():
        raise RuntimeError("a defect")

    first.then = fail
    world.add("second")
    world.clock.pass_time(1)
    world.add("third")
    with pytest.raises(RuntimeError):
        world.clock.pass_time(100)
    assert world.clock.armed, "the others still wait"
    world.clock.pass_time(100)
    assert [name for name, _ in world.told] == ["first", "second", "third"]
