"""Deadlines of many items on one timer."""

import random

from http_fakes import FakeLoop

from gracehttp.net.deadlines import Deadlines


class Item:
    def __init__(self, loop, deadlines=None, waits_again=0):
        self.loop, self.deadlines, self.waits_again = loop, deadlines, waits_again
        self.reached = []

    def timed_out(self):
        self.reached.append(self.loop.now)
        if self.waits_again:
            self.waits_again -= 1
            self.deadlines.add(self)


def make(seconds=10.0):
    loop = FakeLoop()
    return loop, Deadlines(seconds, loop), Item(loop)


def test_deadline_is_reached_once_at_its_time():
    loop, deadlines, item = make()
    deadlines.add(item)
    loop.pass_time(100.0)
    assert item.reached == [1010.0]
    assert len(deadlines) == 0


def test_item_that_waits_again_later_is_reached_at_the_later_time():
    loop, deadlines, item = make()
    deadlines.add(item)
    loop.pass_time(5.0)
    deadlines.discard(item)
    deadlines.add(item)
    loop.pass_time(100.0)
    assert item.reached == [1015.0]


def test_item_that_has_waited_elsewhere_is_reached_the_earlier():
    loop, deadlines, item = make()
    others = [Item(loop), Item(loop)]
    deadlines.add(others[0])
    deadlines.add(item, waited=7.0)
    deadlines.add(others[1])
    loop.pass_time(100.0)
    assert item.reached == [1003.0]
    assert [other.reached for other in others] == [[1010.0], [1010.0]]


def test_item_whose_time_is_over_already_is_reached_in_the_next_turn():
    loop, deadlines, item = make()
    deadlines.add(item, waited=1000.0)
    assert not item.reached, "not from within add"
    loop.pass_time(0.0)
    assert item.reached == [1000.0]


def test_discarded_item_is_not_reached():
    loop, deadlines, item = make()
    early = Item(loop)
    deadlines.add(item)
    deadlines.add(early, waited=5.0)
    deadlines.discard(item)
    deadlines.discard(early)
    deadlines.discard(early)
    loop.pass_time(100.0)
    assert not item.reached
    assert not early.reached


def test_item_can_wait_again_after_it_was_discarded_and_the_timer_ran_out():
    loop, deadlines, item = make()
    deadlines.add(item)
    deadlines.discard(item)
    loop.pass_time(50.0)
    deadlines.add(item)
    loop.pass_time(50.0)
    assert item.reached == [1060.0]


def test_early_item_that_begins_anew_has_its_whole_time():
    loop, deadlines, item = make()
    deadlines.add(item, waited=9.0)
    deadlines.discard(item)
    deadlines.add(item)
    loop.pass_time(100.0)
    assert item.reached == [1010.0]


def test_item_may_wait_again_when_it_is_reached():
    loop, deadlines, _ = make()
    item = Item(loop, deadlines, waits_again=2)
    deadlines.add(item)
    loop.pass_time(100.0)
    assert item.reached == [1010.0, 1020.0, 1030.0]


def test_items_may_discard_each_other_when_they_are_reached():
    loop, deadlines, _ = make()
    first, second = Item(loop), Item(loop)
    first.timed_out = lambda: deadlines.discard(second)
    deadlines.add(first)
    deadlines.add(second)
    loop.pass_time(100.0)
    assert not second.reached


def test_many_items_that_begin_anew_at_each_request_make_one_timer():
    loop, deadlines, _ = make(75.0)
    items = [Item(loop) for _ in range(10)]
    for _ in range(100):
        for item in items:
            deadlines.discard(item)
            deadlines.add(item)
        loop.pass_time(0.1)
    assert loop.timers_made == 1


def test_closed_deadlines_leave_no_timer():
    loop, deadlines, item = make()
    deadlines.add(item)
    deadlines.add(Item(loop), waited=5)
    deadlines.close()
    assert loop.timers_armed == 0
    loop.pass_time(100.0)
    assert not item.reached


def test_timer_that_fires_a_fraction_early_is_due():
    loop, deadlines, item = make()
    other = Item(loop)
    deadlines.add(other)
    loop.now += 0.0004
    deadlines.add(item)
    loop.pass_time(9.9996)
    assert item.reached == [1010.0]


def test_since_when_an_item_waits_is_known():
    loop, deadlines, item = make()
    assert deadlines.since(item) is None
    deadlines.add(item, waited=3.0)
    assert deadlines.since(item) == 997.0
    loop.pass_time(5)
    assert deadlines.since(item) == 997.0
    deadlines.discard(item)
    assert deadlines.since(item) is None


def test_longest_waiting_come_first_however_they_came():
    rng = random.Random(5)
    loop, deadlines, _ = make()
    waiting = {}
    items = [Item(loop) for _ in range(50)]
    for _ in range(500):
        item = rng.choice(items)
        if item in waiting:
            deadlines.discard(item)
            del waiting[item]
        else:
            waited = rng.choice([0.0, 0.0, rng.uniform(0, 9)])
            deadlines.add(item, waited=waited)
            waiting[item] = loop.now - waited
        loop.now += 0.001
        found = list(deadlines.longest())
        assert [item for _, item in found] == sorted(waiting, key=waiting.get)
        assert len(deadlines) == len(waiting)
    assert [since for since, _ in found] == sorted(since for since, _ in found)
    loop.pass_time(20)
    assert all(item.reached for item in waiting)
    assert len(deadlines) == 0


def test_items_that_came_early_and_went_are_not_kept():
    loop, deadlines, item = make()
    for _ in range(1000):
        deadlines.add(item, waited=1.0)
        deadlines.discard(item)
        loop.pass_time(0.1)
    assert len(deadlines._early) < 200
    loop.pass_time(20)
    assert not deadlines._early
