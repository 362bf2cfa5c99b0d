"""Deadlines of many connections without a timer for each.

All that wait for the same thing have the same time for it. So they stand in the order in which they began to wait, and
the first of them is the first whose time is up. One timer of the event loop watches that first one.

What waits anew with each request notes only when (`Timed.renewed_at`). Its place is looked after when its turn comes:
once in the time of the deadline, and not with each request.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Iterator
from itertools import count
from typing import Any, Protocol

_RESOLUTION_SECONDS = 0.001
"""uvloop's timers have milliseconds: an item whose time is up within one is due, or the timer would spin."""


class Timed(Protocol):
    """What can wait. It is hashed by identity.

    It may have `renewed_at`, a time by `Deadlines.now`. To set that while it waits does what `Deadlines.add` would do.
    """

    def timed_out(self) -> None:
        """The time is up. The item waits no longer; it may wait again at once."""


class Deadlines:
    """The items that wait for one thing, each for `seconds` from its `add`. For the thread of the loop.

    An item that is added again waits anew.
    """

    __slots__ = ("_armed_for", "_early", "_loop", "_number", "_order", "_timer", "now", "seconds")

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.seconds = seconds
        self._loop = loop
        self.now = loop.time
        # Of each item, when its time is up, unless it was renewed since.
        self._order: OrderedDict[Timed, float] = OrderedDict()
        # Items that had waited elsewhere before, or were renewed: their place in the order is later than their time.
        self._early: list[tuple[float, int, Timed]] = []
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, item: Timed) -> bool:
        return item in self._order

    def add(self, item: Timed, waited: float = 0.0) -> None:
        """Wait for `item` from now on; `waited` seconds of its time are over already."""
        when = self.now() + self.seconds - waited
        if waited:
            self._forget_stale()
            self._place_early(item, when)
        else:
            order = self._order
            size = len(order)
            order[item] = when
            if len(order) == size:  # it was there before, in an earlier place
                order.move_to_end(item)
        if self._timer is None or when < self._armed_for:
            self._arm(when)

    def discard(self, item: Timed) -> None:
        """Stop waiting for `item`, if it waits here."""
        # The timer stays armed: it fires at most once too early, and re-arms itself for the one that is first then.
        self._order.pop(item, None)

    def since(self, item: Timed) -> float | None:
        """Since when, by the loop's clock, `item` waits; None if it doesn't."""
        when = self._order.get(item)
        return None if when is None else self._renewed(item, when) - self.seconds

    def longest(self) -> Iterator[tuple[float, Any]]:
        """The items and since when they wait, longest first. Nothing may be added, discarded or renewed meanwhile."""
        later: list[tuple[float, int, Timed]] = []  # those that were renewed, and so come later than their place
        for place, item in self._in_place():
            while later and later[0][0] <= place:
                when, _number, found = heapq.heappop(later)
                yield when - self.seconds, found
            when = self._renewed(item, place)
            if when > place:
                heapq.heappush(later, (when, next(self._number), item))
            else:
                yield when - self.seconds, item
        for when, _number, found in sorted(later):
            yield when - self.seconds, found

    def _in_place(self) -> Iterator[tuple[float, Timed]]:
        """The items in the order of when their time is up, had none been renewed."""
        self._forget_stale()
        # A dictionary, because an item that came back at the same moment has two entries.
        early = {item: when for when, _number, item in sorted(self._early) if self._order.get(item) == when}
        in_order = ((when, item) for item, when in self._order.items() if not early or item not in early)
        return heapq.merge(((when, item) for item, when in early.items()), in_order, key=lambda found: found[0])

    def close(self) -> None:
        """Forget all items."""
        self._order.clear()
        self._early.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _place_early(self, item: Timed, when: float) -> None:
        """The time of `item` is up at `when`, which is not later than that of one that begins to wait now."""
        self._order[item] = when
        self._order.move_to_end(item)
        heapq.heappush(self._early, (when, next(self._number), item))

    def _renewed(self, item: Timed, when: float) -> float:
        """When the time of `item` is up, whose place says `when`."""
        renewed_at: float | None = getattr(item, "renewed_at", None)
        return when if renewed_at is None else max(when, renewed_at + self.seconds)

    def _forget_stale(self) -> None:
        early = self._early
        while early and self._order.get(early[0][2]) != early[0][0]:
            heapq.heappop(early)

    def _first(self) -> tuple[float, Timed] | None:
        if not self._order:
            self._early.clear()
            return None
        item = next(iter(self._order))
        first = self._order[item], item
        self._forget_stale()
        if self._early and self._early[0][0] < first[0]:
            first = self._early[0][0], self._early[0][2]
        return first

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = when
        self._timer = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        limit = self._loop.time() + _RESOLUTION_SECONDS
        try:
            while (first := self._first()) is not None and first[0] <= limit:
                item = first[1]
                when = self._renewed(item, first[0])
                if when > limit:
                    self._place_early(item, when)
                else:
                    del self._order[item]
                    item.timed_out()
        finally:  # also when one of them raises: the others still wait
            first = self._first()
            if first is not None and (self._timer is None or first[0] < self._armed_for):
                self._arm(first[0])
