"""Putting the permits of dead workers back into circulation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from gracehttp.events import Event, PermitsNotCounted, PermitsReclaimed
from gracehttp.supervisor.listeners.held_listener import HeldListener
from gracehttp.supervisor.listeners.table import ListenerTable

AGAIN_SECONDS = 0.01
"""When to look again after a moment that showed no clear picture: a worker may be stopped in the middle of an
operation. Each further time is twice as late, up to `REFUSED_SECONDS`."""
REFUSED_SECONDS = 1.0
"""When to look again after the system did not let us look (ENOMEM: poll(2))."""


class Auditor:
    """Audits the ledgers of all listeners. `living_slots` tells the slots of the workers that live."""

    def __init__(
        self,
        listeners: ListenerTable,
        living_slots: Callable[[], Iterable[int]],
        none_on_their_way: Callable[[int], bool],
        publish: Callable[[Event], None],
    ) -> None:
        """`none_on_their_way` tells whether the handover queue of a listener is empty: no worker holds the permits of
        the connections in it."""
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._living_slots = living_slots
        self._none_on_their_way = none_on_their_way
        self._publish = publish
        self._again: asyncio.TimerHandle | None = None
        self._refused: set[int] = set()
        self._unclear: dict[int, float] = {}  # listener -> how long it was waited for a clear picture

    def worker_died(self, slot: int) -> None:
        """The process with this slot is gone, and the kernel has closed what it held."""
        for listener in self._listeners:
            if listener.pool is not None:
                listener.pool.forget(slot)
        self._unclear.clear()
        self.audit()

    def connections_lost(self) -> None:
        """Connections were lost in a handover queue, and their permits with them."""
        for listener in self._listeners:
            if listener.pool is not None:
                listener.pool.doubt()
        self.audit()

    def audit(self) -> None:
        """Audit now, and again soon if a worker is busy with a permit at this moment, or if the system refuses it."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        waits = [seconds for listener in self._listeners if (seconds := self._audit(listener)) is not None]
        if waits:
            self._again = self._loop.call_later(min(waits), self.audit)

    def _audit(self, listener: HeldListener) -> float | None:
        """In how many seconds to try again; None: not at all."""
        if listener.pool is None:
            return None
        try:
            reclaimed = listener.pool.audit(self._living_slots(), partial(self._none_on_their_way, listener.number))
        except OSError as exc:
            if listener.number not in self._refused:  # told once, however long it lasts
                self._publish(PermitsNotCounted(listener.bound, exc.strerror or str(exc)))
            self._refused.add(listener.number)
            return REFUSED_SECONDS
        if reclaimed is None:
            seconds = min(2 * self._unclear.get(listener.number, AGAIN_SECONDS / 2), REFUSED_SECONDS)
            self._unclear[listener.number] = seconds
            return seconds
        self._unclear.pop(listener.number, None)
        self._refused.discard(listener.number)
        if reclaimed:
            self._publish(PermitsReclaimed(listener.bound, reclaimed))
        return None

    def close(self) -> None:
        if self._again is not None:
            self._again.cancel()
