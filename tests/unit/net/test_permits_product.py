"""Permits over the product of states and operations: none is lost or invented, and the limit is never exceeded.

A state is what two workers hold, what is free, what is owed, what is lost with the dead, what is on its way between two
workers, whether a worker is in the middle of a transfer, and whether it believes that there is no debt. All of them are
reached by operations, from a new pool on.
"""

from __future__ import annotations

import os

import pytest
from counted_pool import PermitPool

from gracehttp.net.permits import PoolRecord
from gracehttp.net.shared_permits import SharedPermits

LIMITS = (1, 2)
BEGIN = 2


class World:
    """A pool, two workers in its slots 0 and 1, and a model that counts by itself."""

    def __init__(self):
        self.pool = PermitPool(BEGIN)
        self.workers = [self._worker(slot) for slot in (0, 1)]
        self.held = [0, 0]
        self.open = [None, None]  # transfers that are going on
        self.travelling = 0
        self.lost = 0

    def _worker(self, slot):
        return SharedPermits(*map(os.dup, self.pool.filenos()), slot)

    def close(self):
        for worker in self.workers:
            worker.close()
        self.pool.close()

    @property
    def circulating(self):
        """Connections that are open, or that nobody knows to be closed."""
        return sum(self.held) + self.travelling + self.lost

    # --- operations; each tells whether it makes sense now ---

    def take(self, slot):
        if self.open[slot]:
            return False
        taken = self.workers[slot].take()
        assert taken == (self.circulating < self.pool.limit), "exactly up to the limit"
        self.held[slot] += taken
        return True

    def give_back(self, slot):
        if self.open[slot] or not self.held[slot]:
            return False
        self.workers[slot].give_back()
        self.held[slot] -= 1
        return True

    def begin(self, slot):
        if self.open[slot]:
            return False
        self.open[slot] = self.workers[slot].transfer()
        self.open[slot].__enter__()
        return True

    def end(self, slot, change):
        if not self.open[slot] or (change > 0 and not self.travelling) or (change < 0 and not self.held[slot]):
            return False
        if change < 0:
            self.open[slot].sent(-change)
        elif change > 0:
            self.open[slot].received(change)
        self.open[slot].__exit__()
        self.open[slot] = None
        self.held[slot] += change
        self.travelling -= change
        return True

    def die(self, slot):
        """Killed, perhaps in the middle of a transfer, and another one in its place."""
        self.workers[slot].close()
        self.pool.forget(slot)
        self.lost += self.held[slot]
        self.held[slot], self.open[slot] = 0, None
        self.workers[slot] = self._worker(slot)
        return True

    def audit(self):
        found = self.pool.audit([0, 1], lambda: not self.travelling)
        if any(self.open) or self.travelling:
            assert found is None, "it doesn't guess"
        else:
            assert found == self.lost
            self.lost = 0
        return True

    def resize(self, limit):
        self.pool.resize(limit)
        return True

    def carry(self):
        """The supervisor replaces itself: another object, the same descriptors."""
        record = self.pool.carry()
        ours = {name: _dup(getattr(record, name)) for name in ("free", "owed", "ledger")}
        successor = PermitPool.adopt(PoolRecord(**{**record.fields(), **ours}))
        self.pool.close()
        self.pool = successor
        return True

    # --- what holds at any time ---

    def check(self, case):
        pool = self.pool
        assert [worker.held for worker in self.workers] == self.held, case
        assert pool.open_connections([0, 1]) == sum(self.held), case
        assert pool.free + self.circulating == pool.limit + pool.debt, case
        assert not (pool.free and pool.debt), (case, "a debt is paid first")
        assert pool.free <= pool.limit, case
        if pool.debt:
            assert not any(worker.may_pass_on() for worker in self.workers), (case, "all workers pay")

    def state(self):
        pool = self.pool
        busy = [one is not None for one in self.open]
        settled = [worker.may_pass_on() for worker in self.workers]
        return (pool.limit, pool.free, pool.debt, *self.held, *busy, *settled, self.travelling, self.lost)


def _dup(descriptor):
    return type(descriptor)(os.dup(descriptor))


OPERATIONS = [
    *((name, slot) for name in ("take", "give_back", "begin", "die") for slot in (0, 1)),
    *(("end", slot, change) for slot in (0, 1) for change in (-1, 0, 1)),
    ("audit",),
    ("carry",),
    *(("resize", limit) for limit in LIMITS),
]


def played(way):
    """The world after these operations, or None if the last of them makes no sense there."""
    world = World()
    for name, *arguments in way:
        if not getattr(world, name)(*arguments):
            world.close()
            return None
    world.check(way)  # the shorter ways were checked before
    return world


@pytest.mark.usefixtures("undisturbed")
def test_whatever_happens_in_whatever_state_no_permit_is_lost_or_invented():
    """Every operation in every state; each state by a shortest way to it."""
    before = set(os.listdir("/proc/self/fd"))
    seen: set[tuple[object, ...]] = set()
    new: list[tuple[tuple[object, ...], ...]] = [()]
    steps = 0
    while new:
        ways, new = new, []
        for way in ways:
            for operation in OPERATIONS:
                world = played((*way, operation))
                if world is None:
                    continue
                steps += 1
                state = world.state()
                if state not in seen:
                    seen.add(state)
                    new.append((*way, operation))
                world.close()
    assert len(seen) > 100
    assert steps > 1000
    assert set(os.listdir("/proc/self/fd")) == before
