"""Permits: the limit on the open connections of one port, over all workers and generations (promise 5).

A worker takes a permit *before* `accept()` and gives it back when the connection is closed. While there is none, new
connections wait in the kernel's accept queue and cost no descriptor.

The permits of a port are the count of one eventfd in semaphore mode (eventfd(2)), inherited by every worker. Each
worker also writes down how many it holds: its *entry*, one word of the port's shared page. An entry has a sequence
number in its upper half (a seqlock): a worker makes it odd before it touches the eventfd, and even again afterwards,
with the new number of permits in the lower half. A permit may also go from worker to worker with its connection: then
the entry of each is odd while it sends or receives it (`Transfer`).

A worker that is killed can't give back, so the supervisor does it. An even entry tells what the dead worker held. An
odd one doesn't: the permit of the operation in which it died may be taken or not. Then the supervisor counts:

    permits in circulation = count of the eventfd + what the living workers hold + what dead workers have lost

Only the last term is unknown. No system call tells the count of an eventfd (/proc does, where it is mounted). So the
supervisor takes all free permits for some milliseconds, in which the port can only seem fuller. The eventfd that is
empty then, and all entries even and unchanged around the look at it, are one consistent moment.

A limit that is lowered below the number of open connections leaves a *debt*, the count of a second eventfd. `give_back`
pays the debt first: a free permit would be taken at once by a worker with new connections in its queue. To spare it the
system call that finds no debt, one more word of the page is a sequence number too, of the supervisor: odd while it
raises the debt, and even afterwards. Workers only pay, so a worker that has found no debt under an even number need not
look again until the number has changed. As long may a closed connection leave its permit to the next one.

Here are the supervisor's side and what a worker needs of a limit in general; its side of these is in `shared_permits`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol, Self

from gracehttp.net.kernel_view import is_readable
from gracehttp.net.shared_page import CALL_MISSING, SharedPage, anonymous_file
from gracehttp.values import Descriptor, Value

_HELD_MASK = (1 << 32) - 1
_ODD = 1 << 32  # the lowest bit of the sequence number, which is the upper half of the word

_NOT_TO_BE_HAD = CALL_MISSING | {errno.ENOENT}  # ENOENT: no folder for temporary files, in place of memfd_create(2)

_LOOKS: Final = 3
"""How often an audit that counts looks for a consistent moment before it puts everything back."""


class Permits(Protocol):
    """What an acceptor needs of a limit."""

    def take(self) -> bool:
        """Take one permit if there is one. Never blocks. Raises `OSError` if the system does not let it look."""

    def give_back(self) -> None:
        """Return one permit that was taken."""

    def may_pass_on(self) -> bool:
        """Whether the connection that is closed may leave its permit to the next one, instead of `give_back` and
        `take`. False if the limit may have been lowered."""

    @property
    def held(self) -> int:
        """How many permits this process holds."""

    @property
    def available(self) -> bool:
        """Whether there is one to take at this moment."""

    def transfer(self) -> Transfer:
        """To be entered around sending connections to another process, or receiving some, with their permits."""

    def fileno(self) -> int | None:
        """A descriptor that is readable while there are permits; None if only `give_back` here can free one."""

    def close(self) -> None:
        """Release the descriptors. Permits that are held stay taken."""


class Transfer:
    """A context in which permits may go to another process, or come from one, with their connections.

    Within it the supervisor doesn't audit this process, and nothing may be taken or given back. Without a call of
    `sent` or `received`, also after an exception, nothing has changed.
    """

    __slots__ = ("_begin", "_change", "_end")

    def __init__(self, begin: Callable[[], None], end: Callable[[int], None]) -> None:
        """`end` takes by how many permits this process holds more."""
        self._begin = begin
        self._end = end
        self._change = 0

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end(self._change)

    def sent(self, connections: int = 1) -> None:
        """So many are on their way to another process, which holds their permits as soon as it receives them."""
        self._change -= connections

    def received(self, connections: int = 1) -> None:
        """So many have come from another process."""
        self._change += connections


class LocalPermits:
    """A limit that one process keeps for itself: for `serving()`, and for systems without eventfd."""

    def __init__(self, limit: int) -> None:
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

    def may_pass_on(self) -> bool:
        return True

    @property
    def available(self) -> bool:
        return self._held < self._limit

    def transfer(self) -> Transfer:
        return Transfer(lambda: None, self._add)

    def _add(self, change: int) -> None:
        self._held += change

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        return


class PoolRecord(Value):
    """The supervisor's side of the permits of one port, for the process that continues with it. `must_count` tells that
    dead workers may have lost permits that were not found yet."""

    limit: int
    free: Descriptor
    owed: Descriptor
    ledger: Descriptor
    must_count: bool = False


class PermitPool:
    """The supervisor's side: makes the permits of one port, changes their number, and recovers lost ones."""

    def __init__(self, limit: int, record: PoolRecord | None = None) -> None:
        """New permits, or those that `record` carries from another process."""
        self.limit = limit
        self._lost = 0  # what dead workers held and that was not put back yet
        self._must_count = record is not None and record.must_count
        with contextlib.ExitStack() as opened:
            self._free = _owned(record.free if record else _counter(limit), opened)
            self._owed = _owned(record.owed if record else _counter(0), opened)
            self._ledger = _owned(record.ledger if record else anonymous_file("port"), opened)
            page = SharedPage(self._ledger)
            opened.callback(page.close)
            self._entries, self._debts = page.words("held"), page.words("debts")
            self._advice = page.words("takes"), page.words("leaves")
            self._debts[0] = self._debts[0] or 2  # new, or of an older release
            self._owned = opened.pop_all()

    @classmethod
    def adopt(cls, record: PoolRecord) -> Self:
        """Continue with what another process carried."""
        return cls(record.limit, record)

    def carry(self) -> PoolRecord:
        free, owed, ledger = map(Descriptor, self.filenos())
        must_count = self._must_count or self._lost > 0
        return PoolRecord(limit=self.limit, free=free, owed=owed, ledger=ledger, must_count=must_count)

    def close(self) -> None:
        self._owned.close()

    def filenos(self) -> tuple[int, int, int]:
        """The eventfds and the file of the page that a worker needs for its `SharedPermits`; they stay the pool's."""
        return self._free, self._owed, self._ledger

    def open_connections(self, slots: Iterable[int]) -> int:
        """How many permits the workers in `slots` hold."""
        return sum(self._entries[slot] & _HELD_MASK for slot in slots)

    def resize(self, limit: int) -> None:
        """Change the limit. A lower one is reached as connections close."""
        difference = limit - self.limit
        self.limit = limit
        if difference < 0:
            self._debts[0] += 1
            os.eventfd_write(self._owed, -difference)
            self._debts[0] += 1
            self._collect(-difference)
            return
        forgiven = _take(self._owed, difference)
        if difference > forgiven:
            os.eventfd_write(self._free, difference - forgiven)

    def _collect(self, most: int) -> int:
        """Pay up to `most` of the debt with free permits; returns how many were paid."""
        taken = _take(self._free, most)
        paid = _take(self._owed, taken)
        if taken > paid:  # workers were faster
            os.eventfd_write(self._free, taken - paid)
        return paid

    def _put_back(self, permits: int) -> None:
        """Put permits into circulation again that no process holds: the debt comes first."""
        paid = _take(self._owed, permits)
        if permits > paid:
            os.eventfd_write(self._free, permits - paid)

    def forget(self, slot: int) -> None:
        """The worker in `slot` is dead: what it held is lost until the next audit."""
        entry = self._entries[slot]
        if entry & _ODD:
            self._must_count = True  # it died in the middle of an operation
        else:
            self._lost += entry & _HELD_MASK
        self._entries[slot] = 0
        for words in self._advice:
            words[slot] = 0

    def doubt(self) -> None:
        """Permits were lost, and none can tell how many: the next audit counts."""
        self._must_count = True

    def audit(self, living: Iterable[int], none_on_their_way: Callable[[], bool] = lambda: True) -> int | None:
        """Put back the permits that dead workers have lost, given the slots of all living workers.

        `none_on_their_way` tells whether no permit is between two workers. Returns how many were put back, or None if
        the workers were busy with permits at that moment: try again soon.
        """
        while is_readable(self._owed) and self._collect(1):
            pass  # a worker has freed this permit, because it did not know of the debt yet
        slots = tuple(living)
        if not none_on_their_way() or any(self._entries[slot] & _ODD for slot in slots):
            return None
        if self._must_count:
            found = self._count(slots, none_on_their_way)
            if found is None:
                return None
            self._must_count = False
        else:
            found = self._lost
            self._put_back(found)
        self._lost = 0
        return found

    def _count(self, living: Collection[int], none_on_their_way: Callable[[], bool]) -> int | None:
        """Find by subtraction how many permits are lost, and put them back. None if there was no moment to count at.

        What is in our hand meanwhile can't be taken by a worker. A debt in our hand can't be paid, so more permits may
        become free than should, but not one more comes into circulation.
        """
        free = owed = 0
        self._debts[0] += 1  # odd: no worker may conclude that there is no debt
        try:
            for _ in range(_LOOKS):
                owed += _take_all(self._owed)
                free += _take_all(self._free)
                before = [self._entries[slot] for slot in living]
                clear = none_on_their_way() and not is_readable(self._owed) and not is_readable(self._free)
                after = [self._entries[slot] for slot in living]
                if clear and before == after and not any(entry & _ODD for entry in before):
                    lost = self.limit + owed - free - sum(entry & _HELD_MASK for entry in before)
                    free += max(lost, 0)
                    return max(lost, 0)
            return None
        finally:
            paid = min(free, owed)
            if owed > paid:
                os.eventfd_write(self._owed, owed - paid)
            self._debts[0] += 1
            if free > paid:
                os.eventfd_write(self._free, free - paid)


def shared_permits(limit: int) -> PermitPool | None:
    """New permits; None on a system that lacks what they are made of. Raises `OSError` if it is short of something."""
    if not hasattr(os, "eventfd"):
        return None
    try:
        return PermitPool(limit)
    except OSError as exc:
        if exc.errno in _NOT_TO_BE_HAD:
            return None
        raise


def _owned(fd: int, owner: contextlib.ExitStack) -> int:
    owner.callback(os.close, fd)
    return fd


def _counter(count: int) -> int:
    return os.eventfd(count, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def _take(fd: int, most: int) -> int:
    """Take up to `most` from an eventfd; returns how many there were."""
    for taken in range(most):
        try:
            os.eventfd_read(fd)
        except BlockingIOError:
            return taken
    return most


def _take_all(fd: int) -> int:
    """Take all that is in an eventfd; returns how many there were."""
    taken = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            os.eventfd_read(fd)
            taken += 1
    return taken
