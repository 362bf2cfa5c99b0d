"""What each of several workers should take of what is handed over."""

from __future__ import annotations

import pytest

from gracehttp.net.handover_shares import ALONE, SharedShares


@pytest.fixture
def workers():
    takes, leaves = (memoryview(bytearray(8 * 8)).cast("Q") for _ in range(2))
    return [SharedShares(takes, leaves, slot) for slot in range(8)]


def test_workers_without_shared_memory_have_no_share():
    ALONE.begin_taking()
    ALONE.begin_leaving(8)
    assert ALONE.share() is None


def test_those_that_take_share_what_all_others_leave(workers):
    old, older, new, newer, *_ = workers
    old.begin_leaving(7)
    older.begin_leaving(2)
    new.begin_taking()
    newer.begin_taking()
    assert {one.share() for one in workers} == {5}
    older.end_leaving()
    assert new.share() == 4


def test_one_alone_takes_all(workers):
    old, new, newer, *_ = workers
    old.begin_leaving(7)
    new.begin_taking()
    assert new.share() is None
    newer.begin_taking()
    newer.end_taking()
    assert new.share() is None


def test_without_a_word_of_what_there_is_nobody_holds_back(workers):
    _, new, newer, *_ = workers
    new.begin_taking()
    newer.begin_taking()
    assert new.share() is None
