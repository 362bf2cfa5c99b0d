"""Permits over several workers: never one too many, and none lost with a worker that dies."""

from __future__ import annotations

import contextlib
import errno
import os

import permits_between_calls
import pytest
from counted_pool import PermitPool
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gracehttp.net.permits import LocalPermits, PoolRecord
from gracehttp.net.shared_page import anonymous_file
from gracehttp.net.shared_permits import SharedPermits
from gracehttp.values import Descriptor


def worker(pool, slot):
    return SharedPermits(*map(os.dup, pool.filenos()), slot)


def watched_worker(pool, slot):
    """Its system calls go through `os`."""
    return permits_between_calls.SharedPermits(*map(os.dup, pool.filenos()), slot)


@pytest.fixture
def pool():
    with contextlib.closing(PermitPool(3)) as made:
        yield made


def test_workers_share_one_limit(pool):
    with contextlib.closing(worker(pool, 0)) as one, contextlib.closing(worker(pool, 1)) as other:
        assert [one.take(), other.take(), one.take(), other.take()] == [True, True, True, False]
        one.give_back()
        assert other.take()
        assert (one.held, other.held) == (1, 2)


def test_permits_go_on_in_another_image_of_the_supervisor(pool):
    with contextlib.closing(worker(pool, 0)) as one:
        one.take()
        one.take()
        pool.resize(1)
        record = pool.carry()
        numbers = {name: Descriptor(os.dup(getattr(record, name))) for name in ("free", "owed", "ledger")}
        with contextlib.closing(PermitPool.adopt(PoolRecord(**{**record.fields(), **numbers}))) as after:
            assert (after.limit, after.debt, after.open_connections([0])) == (1, 1, 2)
            one.give_back()
            assert (after.debt, after.free) == (0, 0)
            one.give_back()
            assert after.free == 1


def test_the_supervisor_sees_what_each_worker_holds(pool):
    with contextlib.closing(worker(pool, 0)) as one, contextlib.closing(worker(pool, 1)) as other:
        one.take()
        other.take()
        assert pool.open_connections([0]) == 1
        assert pool.open_connections([0, 1]) == 2


def test_an_audit_puts_back_what_a_dead_worker_held(pool):
    with contextlib.closing(worker(pool, 0)) as living:
        living.take()
        with contextlib.closing(worker(pool, 1)) as dying:
            dying.take()
            dying.take()
        assert not living.take()
        pool.forget(1)
        assert pool.audit([0]) == 2
        assert [living.take(), living.take(), living.take()] == [True, True, False]


@pytest.mark.parametrize("taken_before_death", [False, True])
def test_a_worker_that_dies_between_taking_and_writing_it_down_loses_nothing(pool, taken_before_death):
    dying = worker(pool, 1)
    dying._open_entry()
    if taken_before_death:
        os.eventfd_read(pool.filenos()[0])
    pool.forget(1)
    assert pool.audit([]) == int(taken_before_death)
    assert pool.free == 3
    dying.close()


def test_an_audit_does_not_guess_while_a_worker_is_busy_with_a_permit(pool):
    with contextlib.closing(worker(pool, 0)) as busy:
        busy._open_entry()
        assert pool.audit([0]) is None
        busy._close_entry(0)
        assert pool.audit([0]) == 0


def test_a_worker_in_the_place_of_a_dead_one_begins_with_nothing(pool):
    dead = worker(pool, 0)
    dead.take()
    dead.close()
    pool.forget(0)
    with contextlib.closing(worker(pool, 0)) as successor:
        assert pool.audit([0]) == 1
        assert successor.take()
        assert pool.open_connections([0]) == 1


def test_a_higher_limit_holds_at_once(pool):
    pool.resize(5)
    assert pool.free == 5


def test_a_lower_limit_is_reached_as_connections_close(pool):
    with contextlib.closing(worker(pool, 0)) as one:
        assert [one.take() for _ in range(3)] == [True] * 3
        pool.resize(1)
        assert pool.debt == 2
        for left in (1, 0, 0):
            one.give_back()
            assert pool.debt == left
        assert pool.free == 1


def test_a_permit_that_pays_a_debt_can_not_be_taken_by_who_waits(pool):
    with contextlib.closing(worker(pool, 0)) as one, contextlib.closing(worker(pool, 1)) as waiting:
        assert [one.take() for _ in range(3)] == [True] * 3
        pool.resize(2)
        one.give_back()
        assert not waiting.take()
        one.give_back()
        assert waiting.take()


def test_what_a_dead_worker_held_pays_a_debt(pool):
    with contextlib.closing(worker(pool, 1)) as dying:
        assert [dying.take() for _ in range(3)] == [True] * 3
    pool.resize(1)
    pool.forget(1)
    assert pool.audit([]) == 3
    assert (pool.debt, pool.free) == (0, 1)


def test_an_audit_counts_a_debt_as_permits_that_exist(pool):
    with contextlib.closing(worker(pool, 0)) as one:
        one.take()
        one.take()
        pool.resize(1)
        assert pool.audit([0]) == 0


def test_a_transfer_keeps_the_audit_away_and_counts_what_it_is_told_of(pool):
    with contextlib.closing(worker(pool, 0)) as one, contextlib.closing(worker(pool, 1)) as other:
        one.take()
        one.take()
        with one.transfer() as transfer:
            assert pool.audit([0, 1]) is None
            transfer.sent(2)
        with other.transfer() as transfer:
            transfer.received()
            transfer.received()
        assert (one.held, other.held, pool.audit([0, 1])) == (0, 2, 0)


def test_a_transfer_that_fails_has_changed_nothing(pool):
    with contextlib.closing(worker(pool, 0)) as one:
        one.take()
        with pytest.raises(OSError, match="full"), one.transfer():
            raise OSError(errno.EAGAIN, "full")
        assert (one.held, pool.audit([0])) == (1, 0)


class SystemCalls(list):
    """The reads and writes of eventfds, in order; `after` is called once after a read that found nothing."""

    def __init__(self, monkeypatch):
        self.after = None
        self._read, self._write = os.eventfd_read, os.eventfd_write
        monkeypatch.setattr(os, "eventfd_read", self.read)
        monkeypatch.setattr(os, "eventfd_write", self.write)

    def read(self, fd):
        self.append("read")
        try:
            return self._read(fd)
        except BlockingIOError:
            after, self.after = self.after, None
            if after is not None:
                after()
            raise

    def write(self, fd, count):
        self.append("write")
        self._write(fd, count)


def test_a_worker_that_knows_of_no_debt_needs_one_system_call_to_take_and_one_to_give_back(pool, monkeypatch):
    with contextlib.closing(watched_worker(pool, 0)) as one:
        one.take()
        one.give_back()
        calls = SystemCalls(monkeypatch)
        for _ in range(3):
            one.take()
            one.give_back()
        assert calls == ["read", "write"] * 3


def test_a_worker_that_knew_of_no_debt_pays_one_that_is_new(pool):
    with contextlib.closing(worker(pool, 0)) as one:
        for limit in (2, 1):
            pool.resize(3)
            assert [one.take() for _ in range(3)] == [True] * 3
            one.give_back()
            assert one.take()
            pool.resize(limit)
            for _ in range(3):
                one.give_back()
            assert (pool.debt, pool.free) == (0, limit)


def test_a_debt_that_is_raised_while_a_worker_finds_none_is_paid_with_the_next_permit(pool, monkeypatch):
    with contextlib.closing(watched_worker(pool, 0)) as one:
        assert [one.take() for _ in range(3)] == [True] * 3
        calls = SystemCalls(monkeypatch)
        calls.after = lambda: pool.resize(2)
        one.give_back()  # it finds no debt, then there is one, then it frees a permit
        assert (pool.debt, pool.free) == (1, 1)
        one.give_back()
        assert (pool.debt, pool.free) == (0, 1)


def test_a_worker_looks_for_a_debt_each_time_while_the_supervisor_raises_it(pool, monkeypatch):
    with contextlib.closing(watched_worker(pool, 0)) as one:
        assert [one.take() for _ in range(3)] == [True] * 3
        one.give_back()
        raised = os.eventfd_write

        def raise_slowly(fd, count):
            monkeypatch.undo()
            one.give_back()  # before the eventfd is raised
            raised(fd, count)
            one.give_back()  # and after
            assert (pool.debt, pool.free) == (0, 2)

        monkeypatch.setattr(os, "eventfd_write", raise_slowly)
        pool.resize(2)
        assert (one.held, pool.debt, pool.free) == (0, 0, 2)


def test_a_supervisor_of_an_older_release_that_does_not_tell_of_debts_is_paid_too(pool):
    with contextlib.closing(worker(pool, 0)) as one:
        assert [one.take() for _ in range(3)] == [True] * 3
        pool._debts[0] = 0
        one.give_back()
        os.eventfd_write(pool.filenos()[1], 1)
        one.give_back()
        assert (pool.debt, pool.free) == (0, 1)


def test_a_page_of_an_older_release_is_continued():
    before = PermitPool(2)
    with contextlib.closing(worker(before, 5)) as one:
        one.take()
    ledger, older = before.filenos()[2], anonymous_file("test")
    os.write(older, os.pread(ledger, 8192, 0))  # as long as it was without the sequence number of the debt
    os.dup2(older, ledger, inheritable=False)
    os.close(older)
    with contextlib.closing(PermitPool.adopt(before.carry())) as after, contextlib.closing(worker(after, 6)) as other:
        assert after.open_connections([5]) == 1
        assert other.take()
        after.resize(1)
        other.give_back()
        assert (after.debt, after.free) == (0, 0)
    before._owned.pop_all()  # its descriptors are those of the other one


def test_a_limit_that_goes_down_and_up_again_ends_where_it_should(pool):
    with contextlib.closing(worker(pool, 0)) as one:
        for _ in range(3):
            one.take()
        pool.resize(1)
        pool.resize(4)
        assert (pool.debt, pool.free) == (0, 1)


@pytest.mark.usefixtures("undisturbed")
def test_a_pool_leaves_no_descriptor_behind():
    before = set(os.listdir("/proc/self/fd"))
    PermitPool(1).close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_local_permits_count():
    permits = LocalPermits(2)
    assert [permits.take(), permits.take(), permits.take()] == [True, True, False]
    permits.give_back()
    assert permits.take()
    assert permits.fileno() is None


class Permits(RuleBasedStateMachine):
    """Any order of taking, giving back, dying and changing the limit: the sum is always right."""

    def __init__(self):
        super().__init__()
        self.pool = PermitPool(4)
        self.workers = {slot: worker(self.pool, slot) for slot in range(3)}
        self.limits = [4]

    @rule(slot=st.integers(0, 2))
    def take(self, slot):
        self.workers[slot].take()

    @precondition(lambda self: any(one.held for one in self.workers.values()))
    @rule(data=st.data())
    def give_back(self, data):
        holders = [slot for slot, one in self.workers.items() if one.held]
        self.workers[data.draw(st.sampled_from(holders))].give_back()

    @rule(slot=st.integers(0, 2), within=st.booleans())
    def die(self, slot, within):
        if within:
            self.workers[slot]._open_entry()
        self.workers[slot].close()
        self.pool.forget(slot)
        self.workers[slot] = worker(self.pool, slot)
        assert self.pool.audit(self.workers) is not None

    @rule(limit=st.integers(1, 8))
    def change_the_limit(self, limit):
        self.pool.resize(limit)
        self.limits.append(limit)

    @invariant()
    def no_permit_is_lost_or_invented(self):
        held = sum(one.held for one in self.workers.values())
        assert self.pool.free + held == self.pool.limit + self.pool.debt

    @invariant()
    def nothing_is_free_while_there_is_a_debt(self):
        assert not (self.pool.debt and self.pool.free)

    def teardown(self):
        for one in self.workers.values():
            one.close()
        self.pool.close()


TestPermits = Permits.TestCase
TestPermits.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_system_call_that_fails_leaves_no_entry_open(pool):
    with contextlib.closing(worker(pool, 0)) as one:
        with open(os.devnull, "wb") as not_to_be_read:
            free = os.dup(one.fileno())
            os.dup2(not_to_be_read.fileno(), one.fileno())
            with pytest.raises(OSError, match="Bad file descriptor"):
                one.take()
            os.dup2(free, one.fileno())
            os.close(free)
        assert pool.audit([0]) == 0
        assert one.take()
