"""Permits: the limit on the open connections of one port, over all workers and generations (promise 5).

A worker takes a permit *before* `accept()` and gives it back when the connection is closed. While there is none,
newcomers wait in the kernel's accept queue and cost no descriptor.

The permits of a port are the count of one eventfd in semaphore mode (eventfd(2)), inherited by every worker.
What each worker holds is written down in the port's *ledger*, a page of shared memory with one 64-bit word for each
worker. A worker that is killed can't give back, so the supervisor audits the ledger:

    permits in circulation = count of the eventfd + what the living workers hold + what the dead have lost

Only the last term is unknown. A word changes to an odd sequence number before the eventfd is touched, and to an
even one afterwards with the new number held (a seqlock), so an audit that saw all words even and unchanged around
its look at the eventfd saw one consistent moment.

Behind these words the ledger has as many others, by which workers compare their idle connections
(`listeners.seniority`).

A limit that is lowered below the number of open connections leaves a *debt*, the count of a second eventfd. Who gives
a permit back pays the debt first: a free permit would be taken at once by the next one who waits in the queue.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
from collections.abc import Callable, Iterable
from typing import Protocol, Self

from gracehttp.listeners.seniority import Alone, Seniority, SharedSeniority
from gracehttp.values import Descriptor, Value

MAX_WORKERS = 512
LEDGER_BYTES = 2 * MAX_WORKERS * 8

_HELD_BITS = 32
_HELD_MASK = (1 << _HELD_BITS) - 1
_SEQUENCE_MASK = (1 << 32) - 1

HAS_SHARED_PERMITS = hasattr(os, "eventfd") and hasattr(os, "memfd_create")


class Permits(Protocol):
    """What an acceptor needs of a limit."""

    seniority: Seniority
    """Compares the connections of this process with those of others that share the limit."""

    def take(self) -> bool:
        """Take one permit if there is one. Never blocks."""

    def give_back(self) -> None:
        """Return one permit that was taken."""

    @property
    def held(self) -> int:
        """How many permits this process holds."""

    @property
    def available(self) -> bool:
        """Whether there is one to take at this moment."""

    def begin_transfer(self) -> None:
        """A connection, its permit with it, may go to another process or come from one; end with `end_transfer`."""

    def end_transfer(self, change: int) -> None:
        """-1: the permit went with its connection; +1: one came; 0: nothing happened."""

    def fileno(self) -> int | None:
        """A descriptor that is readable while there are permits; None if only `give_back` here can free one."""

    def close(self) -> None:
        """Release the descriptors. Permits that are held stay taken."""


class LocalPermits:
    """A limit that one process keeps for itself: for `serving()`, and for systems without eventfd."""

    def __init__(self, limit: int) -> None:
        self.seniority: Seniority = Alone()
        self._limit = limit
        self._held = 0

    @property
    def held(self) -> int:
        return self._held

    def take(self) -> bool:
        if self._held >= self._limit:
            return False
        self._held += 1
        return True

    def give_back(self) -> None:
        self._held -= 1

    @property
    def available(self) -> bool:
        return self._held < self._limit

    def begin_transfer(self) -> None:
        return

    def end_transfer(self, change: int) -> None:
        self._held += change

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        return


class SharedPermits:
    """A worker's side of a limit that all workers share. Owns the descriptors it is given, those of a `PermitPool`."""

    def __init__(self, free: int, owed: int, ledger: int, slot: int) -> None:
        self._free = free
        self._owed = owed
        self._page = mmap.mmap(ledger, LEDGER_BYTES)
        os.close(ledger)
        self._words = memoryview(self._page).cast("Q")
        self._idle_words = self._words[MAX_WORKERS:]
        self.seniority: Seniority = SharedSeniority(self._idle_words, slot)
        self._slot = slot
        self._held = 0
        self._sequence = self._words[slot] >> _HELD_BITS

    @property
    def held(self) -> int:
        return self._held

    def take(self) -> bool:
        self._open_entry()
        try:
            os.eventfd_read(self._free)
        except BlockingIOError:
            self._close_entry()
            return False
        self._held += 1
        self._close_entry()
        return True

    def give_back(self) -> None:
        self._open_entry()
        try:
            os.eventfd_read(self._owed)
        except BlockingIOError:  # there is no debt
            os.eventfd_write(self._free, 1)
        self._held -= 1
        self._close_entry()

    @property
    def available(self) -> bool:
        return is_readable(self._free)  # an eventfd is while its count isn't 0 (eventfd(2))

    def begin_transfer(self) -> None:
        self._open_entry()

    def end_transfer(self, change: int) -> None:
        self._held += change
        self._close_entry()

    def fileno(self) -> int | None:
        return self._free

    def close(self) -> None:
        self._idle_words.release()
        self._words.release()
        self._page.close()
        os.close(self._free)
        os.close(self._owed)

    def _open_entry(self) -> None:
        self._sequence = (self._sequence + 1) & _SEQUENCE_MASK
        self._words[self._slot] = self._sequence << _HELD_BITS | self._held

    _close_entry = _open_entry  # the sequence number becomes even again


class PoolRecord(Value):
    """The supervisor's side of the permits of one port, to go on with in another process."""

    limit: int
    free: Descriptor
    owed: Descriptor
    ledger: Descriptor


class PermitPool:
    """The supervisor's side: makes the permits of one port, changes their number, and recovers lost ones."""

    def __init__(self, limit: int, record: PoolRecord | None = None) -> None:
        """New permits, or those that `record` carries from another process."""
        self.limit = limit
        with contextlib.ExitStack() as opened:
            self._free = _owned(record.free if record else _counter(limit), opened)
            self._owed = _owned(record.owed if record else _counter(0), opened)
            self._ledger = _owned(record.ledger if record else _new_ledger(), opened)
            self._page = opened.enter_context(mmap.mmap(self._ledger, LEDGER_BYTES))
            self._words = opened.enter_context(memoryview(self._page).cast("Q"))
            self._owned = opened.pop_all()

    @classmethod
    def adopt(cls, record: PoolRecord) -> Self:
        """Go on with what another process carried."""
        return cls(record.limit, record)

    def carry(self) -> PoolRecord:
        free, owed, ledger = map(Descriptor, self.filenos())
        return PoolRecord(limit=self.limit, free=free, owed=owed, ledger=ledger)

    def close(self) -> None:
        self._owned.close()

    def filenos(self) -> tuple[int, int, int]:
        """What a worker needs for its `SharedPermits`; they stay the pool's."""
        return self._free, self._owed, self._ledger

    @property
    def free(self) -> int:
        """Permits that nobody holds."""
        return eventfd_count(self._free)

    @property
    def debt(self) -> int:
        """Permits that a lowered limit wants back and that connections still hold."""
        return eventfd_count(self._owed)

    def open_connections(self, slots: Iterable[int]) -> int:
        """How many permits the workers in `slots` hold."""
        return sum(self._words[slot] & _HELD_MASK for slot in slots)

    def resize(self, limit: int) -> None:
        """Change the limit. A lower one is reached as connections close."""
        difference = limit - self.limit
        self.limit = limit
        if difference < 0:
            os.eventfd_write(self._owed, -difference)
            with contextlib.suppress(OSError):  # the count can't be read now: the next audit collects the rest
                self._collect()
            return
        forgiven = _take(self._owed, difference)
        if difference > forgiven:
            os.eventfd_write(self._free, difference - forgiven)

    def _collect(self) -> None:
        """Pay as much of the debt as there are free permits."""
        taken = _take(self._free, self.debt)
        paid = _take(self._owed, taken)
        if taken > paid:  # workers were faster
            os.eventfd_write(self._free, taken - paid)

    def forget(self, slot: int) -> None:
        """The worker in `slot` is dead: what it held is lost until the next audit finds it."""
        self._words[slot] = 0

    def audit(self, living: Iterable[int], none_on_their_way: Callable[[], bool] = lambda: True) -> int | None:
        """Put back the permits that dead workers have lost, given the slots of all living workers.

        `none_on_their_way` tells whether no permit is between two workers. Returns how many were put back, or None
        when that moment showed no clear picture: try again soon.
        """
        slots = tuple(living)
        before = [self._words[slot] for slot in slots]
        clear = none_on_their_way()
        free, debt = self.free, self.debt
        after = [self._words[slot] for slot in slots]
        if not clear or before != after or any(word >> _HELD_BITS & 1 for word in before):
            return None
        lost = self.limit + debt - free - sum(word & _HELD_MASK for word in before)
        if lost > 0:
            os.eventfd_write(self._free, lost)
        self._collect()
        return max(lost, 0)


def _owned(fd: int, owner: contextlib.ExitStack) -> int:
    owner.callback(os.close, fd)
    return fd


def _counter(count: int) -> int:
    return os.eventfd(count, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def _new_ledger() -> int:
    fd = os.memfd_create("gracehttp-ledger", os.MFD_CLOEXEC)
    os.ftruncate(fd, LEDGER_BYTES)
    return fd


def _take(fd: int, most: int) -> int:
    """Take up to `most` from an eventfd; returns how many there were."""
    for taken in range(most):
        try:
            os.eventfd_read(fd)
        except BlockingIOError:
            return taken
    return most


def is_readable(fd: int) -> bool:
    """Whether a read, or an accept, would not block (poll(2))."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def eventfd_count(fd: int) -> int:
    """The count of an eventfd, without taking from it (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("eventfd-count:"):
                return int(line.split()[1], 16)
    raise OSError(f"descriptor {fd} is no eventfd")
