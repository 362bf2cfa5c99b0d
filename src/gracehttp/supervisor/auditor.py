"""Putting the permits of dead workers back into circulation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from gracehttp.events import Event, PermitsReclaimed
from gracehttp.supervisor.listener_table import ListenerTable

AGAIN_SECONDS = 0.01


class Auditor:
    """Audits the ledgers of all listeners. `living_slots` tells the ledger places of the workers that live."""

    def __init__(
        self,
        listeners: ListenerTable,
        living_slots: Callable[[], Iterable[int]],
        none_on_their_way: Callable[[int], bool],
        publish: Callable[[Event], None],
    ) -> None:
        """`none_on_their_way` tells whether the handover queue of a listener is empty: nobody holds the permits of what
        is in it."""
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._living_slots = living_slots
        self._none_on_their_way = none_on_their_way
        self._publish = publish
        self._again: asyncio.TimerHandle | None = None

    def worker_died(self, slot: int) -> None:
        """The process with this place in the ledgers is gone, and the kernel has closed what it held."""
        for listener in self._listeners:
            if listener.pool is not None:
                listener.pool.forget(slot)
        self.audit()

    def audit(self) -> None:
        """Audit now, and again soon if a worker is busy with a permit at this moment."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        again = False
        for listener in self._listeners:
            if listener.pool is None:
                continue
            reclaimed = listener.pool.audit(self._living_slots(), partial(self._none_on_their_way, listener.number))
            again |= reclaimed is None
            if reclaimed:
                self._publish(PermitsReclaimed(listener.bound, reclaimed))
        if again:
            self._again = self._loop.call_later(AGAIN_SECONDS, self.audit)

    def close(self) -> None:
        if self._again is not None:
            self._again.cancel()
