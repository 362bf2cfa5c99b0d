"""Permits of workers that are killed come back, whenever it happens, and no system call of ours needs /proc for it.

The workers here are processes that SIGKILL ends at a line of `net.permits` or of `net.shared_permits`, each
line in turn.
"""

from __future__ import annotations

import builtins
import contextlib
import itertools
import os
import signal
import sys
from functools import partial

import pytest
from counted_pool import PermitPool
from permits_between_calls import SOURCE, SharedPermits

from gracehttp.net import permits

LIMIT = 5


def worker(pool, slot):
    return SharedPermits(*map(os.dup, pool.filenos()), slot)


class Queue:
    """Between two workers: one byte for each connection."""

    def __init__(self):
        self.ends = os.pipe()
        os.set_blocking(self.ends[0], False)

    def close(self):
        for end in self.ends:
            os.close(end)

    def send(self, one):
        with one.transfer() as transfer:
            os.write(self.ends[1], b"..")
            transfer.sent(2)

    def receive(self, one):
        with contextlib.suppress(BlockingIOError), one.transfer() as transfer:
            transfer.received(len(os.read(self.ends[0], 2)))


def take(one, _queue):
    one.take()


def give_back(one, _queue):
    one.give_back()


def send(one, queue):
    queue.send(one)


def receive(one, queue):
    queue.receive(one)


def killed_at(line, operation):
    """Do the operation in a process that is killed before the given line of it; tells whether it came to that."""
    pid = os.fork()
    if not pid:
        left = itertools.count(line, -1)

        def trace(frame, event, _argument):
            if event == "line" and frame.f_code.co_filename in (__file__, permits.__file__, SOURCE) and not next(left):
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        with contextlib.suppress(BaseException):
            sys.settrace(trace)
            operation()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def moments(operation, prepare):
    """A pool, a worker in slot 0 and the queue between it and one in slot 1 that has died in the middle of the
    operation, for each line of it."""
    for line in itertools.count():
        with contextlib.ExitStack() as opened:
            pool, queue = (opened.enter_context(contextlib.closing(one)) for one in (PermitPool(LIMIT), Queue()))
            living, dying = (opened.enter_context(contextlib.closing(worker(pool, slot))) for slot in (0, 1))
            prepare(pool, living, dying)
            if operation is receive:
                queue.send(living)
            killed = killed_at(line, partial(operation, dying, queue))
            pool.forget(1)
            yield pool, living, queue
        if not killed:
            assert line > 4, "it was killed in between"
            return


@pytest.fixture
def no_proc(monkeypatch):
    """A system without /proc."""
    real = builtins.open

    def refuse(file, *arguments, **options):
        assert not str(file).startswith("/proc"), file
        return real(file, *arguments, **options)

    @contextlib.contextmanager
    def active():
        with monkeypatch.context() as patched:
            patched.setattr(builtins, "open", refuse)
            yield

    return active


def hold_some(_pool, living, dying):
    for one in (living, dying, living, dying):
        one.take()


def hold_too_many(pool, living, dying):
    hold_some(pool, living, dying)
    pool.resize(2)


@pytest.mark.parametrize("prepare", [hold_some, hold_too_many])
@pytest.mark.parametrize("operation", [take, give_back, send, receive])
def test_what_a_killed_worker_held_comes_back_exactly_whatever_it_was_at(operation, prepare, no_proc):
    for pool, living, queue in moments(operation, prepare):
        queue.receive(living)
        with no_proc():
            assert pool.audit([0]) is not None
        assert pool.free + living.held == pool.limit + pool.debt
        assert not (pool.free and pool.debt)
        while living.take():
            pass
        assert living.held == pool.limit + pool.debt


def test_what_a_killed_worker_held_is_kept_in_mind_when_the_supervisor_replaces_itself():
    for pool, living, _ in moments(give_back, hold_some):
        after = PermitPool.adopt(pool.carry())
        assert after.audit([0]) is not None
        assert after.free + living.held == LIMIT
        after._owned.pop_all()  # its descriptors are those of the other one


def test_the_permits_of_connections_that_are_lost_in_a_queue_come_back():
    with contextlib.closing(PermitPool(LIMIT)) as pool, contextlib.closing(worker(pool, 0)) as one:
        hold_some(pool, one, one)
        with one.transfer() as transfer:
            transfer.sent(2)
        pool.doubt()
        assert pool.audit([0], lambda: False) is None, "not while they may arrive"
        assert pool.audit([0]) == 2
        assert (pool.free, one.held) == (3, 2)


def test_an_audit_that_has_nothing_to_find_takes_no_permit(monkeypatch):
    with contextlib.closing(PermitPool(LIMIT)) as pool, contextlib.closing(worker(pool, 0)) as one:
        one.take()
        monkeypatch.setattr(os, "eventfd_read", None)
        assert pool.audit([0]) == 0


# --- what living workers do while the supervisor counts ---


class Living:
    """Two workers that do something in the middle of an audit, and the limit that holds all the time."""

    def __init__(self, pool):
        self.pool = pool
        self.one, self.other = worker(pool, 0), worker(pool, 1)
        self.finish = lambda: None  # what it was interrupted in

    def close(self):
        self.one.close()
        self.other.close()

    @property
    def open(self):
        return self.one.held + self.other.held

    def take(self):
        self.one.take()

    def give_back(self):
        if self.one.held:
            self.one.give_back()

    def move(self):
        if self.one.held:
            with self.one.transfer() as sending:
                sending.sent()
            with self.other.transfer() as receiving:
                receiving.received()

    def take_slowly(self):
        """Interrupted when it has the permit."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.pool.filenos()[0])
            self._begin(+1)

    def give_back_slowly(self):
        if self.one.held:
            self._begin(-1)
            os.eventfd_write(self.pool.filenos()[0], 1)

    def _begin(self, change):
        self.one._open_entry()
        self.finish = lambda: self.one._close_entry(change)

    def swap(self):
        self.give_back()
        self.other.take()


@contextlib.contextmanager
def between_system_calls(monkeypatch, act, at):
    """Call `act` before the system call number `at`; yields a list that grows with each call."""
    calls = []

    def counted(real):
        def call(*arguments):
            calls.append(real)
            if len(calls) - 1 == at:
                act()
            return real(*arguments)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(os, "eventfd_read", counted(os.eventfd_read))
        patched.setattr(os, "eventfd_write", counted(os.eventfd_write))
        patched.setattr(permits, "is_readable", counted(permits.is_readable))
        yield calls


@pytest.mark.parametrize("lowered_to", [LIMIT, 2])
@pytest.mark.parametrize("held", range(LIMIT))
@pytest.mark.parametrize("what", ["take", "give_back", "move", "swap", "take_slowly", "give_back_slowly"])
def test_what_living_workers_do_while_the_supervisor_counts_neither_loses_nor_invents_a_permit(
    monkeypatch, what, held, lowered_to
):
    for at in itertools.count():
        with contextlib.closing(PermitPool(LIMIT)) as pool, contextlib.closing(Living(pool)) as living:
            for _ in range(held):
                living.one.take()
            lost = min(1, LIMIT - held)
            for _ in range(lost):
                os.eventfd_read(pool.filenos()[0])  # a worker that died with it
            pool.resize(lowered_to)
            pool.doubt()
            most = max(lowered_to, living.open)
            with between_system_calls(monkeypatch, getattr(living, what), at) as calls:
                audits = 1
                while pool.audit([0, 1]) is None:
                    audits += 1
                    if audits > 2:
                        finish, living.finish = living.finish, lambda: None
                        finish()
            living.finish()
            assert living.open <= most, "never over, also while it counts"
            assert pool.audit([0, 1]) == 0
            assert pool.free + living.open == pool.limit + pool.debt
            assert not (pool.free and pool.debt)
            if at >= len(calls):
                return
