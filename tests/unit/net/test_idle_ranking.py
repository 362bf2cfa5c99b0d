"""Comparing the longest idle connections of several workers."""

from __future__ import annotations

import pytest

from gracehttp.net.idle_ranking import SCAN_SECONDS, LocalRanking, SharedRanking


@pytest.fixture
def page():
    return memoryview(bytearray(8 * 8)).cast("Q")


def scan(ranking, since, now):
    ranking.publish(since, now)
    return ranking.is_oldest(now)


def test_without_other_workers_it_is_the_oldest():
    assert scan(LocalRanking(), 5.0, 10.0)


def test_the_first_scan_only_publishes_and_the_next_one_decides(page):
    one = SharedRanking(page, 0)
    assert not scan(one, 5.0, 10.0)
    assert scan(one, 5.0, 10.0 + SCAN_SECONDS)


def test_the_longest_idle_comes_first_and_then_the_next(page):
    one, other = SharedRanking(page, 0), SharedRanking(page, 7)
    assert not scan(one, 5.0, 10.0)
    assert not scan(other, 4.0, 10.05)
    assert not scan(one, 5.0, 10.1)
    assert scan(other, 4.0, 10.15)
    other.publish(6.0, 10.15)
    assert scan(one, 5.0, 10.2)


def test_a_worker_that_has_none_any_more_is_not_waited_for(page):
    one, other = SharedRanking(page, 0), SharedRanking(page, 7)
    scan(one, 5.0, 10.0)
    scan(other, 4.0, 10.0)
    other.publish(None, 10.05)
    assert scan(one, 5.0, 10.1)
    assert not other.is_oldest(10.2)


def test_of_two_that_are_idle_for_the_same_time_one_comes_first(page):
    pair = SharedRanking(page, 2), SharedRanking(page, 5)
    for one in pair:
        scan(one, 5.0, 10.0)
    assert [scan(one, 5.0, 10.1) for one in pair] == [True, False]


@pytest.mark.parametrize("when", [10.0, 1e7 + 0.05], ids=["soon", "after a long time"])
def test_a_worker_that_does_not_scan_any_more_is_not_waited_for(page, when):
    one, gone = SharedRanking(page, 0), SharedRanking(page, 1)
    scan(gone, 1.0, when)
    scan(one, 5.0, when)
    assert not scan(one, 5.0, when + 0.2)
    assert scan(one, 5.0, when + 0.4)


def test_a_worker_that_has_not_scanned_for_long_scans_twice_again(page):
    one = SharedRanking(page, 0)
    scan(one, 5.0, 10.0)
    assert not scan(one, 5.0, 11.0)
    assert scan(one, 5.0, 11.1)


def test_the_published_time_wraps_without_harm(page):
    wraps_at = 2**24 / 1000
    one = SharedRanking(page, 0)
    assert not scan(one, 5.0, wraps_at - 0.05)
    assert scan(one, 5.0, wraps_at + 0.05)
