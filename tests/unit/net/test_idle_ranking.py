"""Comparing the longest idle connections of several workers."""

from __future__ import annotations

import pytest

from gracehttp.net.idle_ranking import LOOK_SECONDS, Alone, SharedSeniority


@pytest.fixture
def page():
    return memoryview(bytearray(8 * 8)).cast("Q")


def look(seniority, since, now):
    seniority.say(since, now)
    return seniority.comes_first(now)


def test_who_is_alone_comes_first():
    assert look(Alone(), 5.0, 10.0)


def test_the_first_look_only_says_so_and_the_next_one_counts(page):
    one = SharedSeniority(page, 0)
    assert not look(one, 5.0, 10.0)
    assert look(one, 5.0, 10.0 + LOOK_SECONDS)


def test_the_longest_idle_comes_first_and_then_the_next(page):
    one, other = SharedSeniority(page, 0), SharedSeniority(page, 7)
    assert not look(one, 5.0, 10.0)
    assert not look(other, 4.0, 10.05)
    assert not look(one, 5.0, 10.1)
    assert look(other, 4.0, 10.15)
    other.say(6.0, 10.15)
    assert look(one, 5.0, 10.2)


def test_who_has_none_any_more_is_not_waited_for(page):
    one, other = SharedSeniority(page, 0), SharedSeniority(page, 7)
    look(one, 5.0, 10.0)
    look(other, 4.0, 10.0)
    other.say(None, 10.05)
    assert look(one, 5.0, 10.1)
    assert not other.comes_first(10.2)


def test_of_two_that_are_idle_for_the_same_time_one_comes_first(page):
    pair = SharedSeniority(page, 2), SharedSeniority(page, 5)
    for one in pair:
        look(one, 5.0, 10.0)
    assert [look(one, 5.0, 10.1) for one in pair] == [True, False]


@pytest.mark.parametrize("when", [10.0, 1e7 + 0.05], ids=["soon", "after a long time"])
def test_a_worker_that_does_not_look_any_more_is_not_waited_for(page, when):
    one, gone = SharedSeniority(page, 0), SharedSeniority(page, 1)
    look(gone, 1.0, when)
    look(one, 5.0, when)
    assert not look(one, 5.0, when + 0.2)
    assert look(one, 5.0, when + 0.4)


def test_who_has_not_looked_for_long_looks_twice_again(page):
    one = SharedSeniority(page, 0)
    look(one, 5.0, 10.0)
    assert not look(one, 5.0, 11.0)
    assert look(one, 5.0, 11.1)


def test_the_time_that_is_written_down_wraps_without_harm(page):
    wraps_at = 2**24 / 1000
    one = SharedSeniority(page, 0)
    assert not look(one, 5.0, wraps_at - 0.05)
    assert look(one, 5.0, wraps_at + 0.05)
