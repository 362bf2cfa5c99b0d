"""Deadlines of many connections without a timer for each.

All that wait for the same thing have the same time for it. So they stand in the order in which they began to wait, and
the first of them is the first whose time is up. One timer of the event loop watches that first one.

What waits anew with each request notes only when (`Place.renewed_at`). Its place is looked after when its turn comes:
once in the time of the deadline, and not with each request.

Thousands of connections wait all the time, so each of them is a link in the chain itself (`Place`). What waits now and
then is held by a link of its own.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator
from itertools import count
from typing import Any, Protocol

_RESOLUTION_SECONDS = 0.001
"""uvloop's timers have milliseconds: an item whose time is up within one is due, or the timer would spin."""


_NEVER = float("-inf")


class Timed(Protocol):
    """What can wait. It is hashed by identity."""

    def timed_out(self) -> None:
        """The time is up. The item waits no longer; it may wait again at once."""


class Place:
    """An item that is a link of the chain in which it waits, one at a time. See `Timed`.

    It may be renewed: to set `renewed_at` to a time by `Deadlines.now` while it waits does what `Deadlines.add` would
    do.
    """

    __slots__ = ("after", "before", "due_at", "renewed_at", "waits_in")

    def __init__(self) -> None:
        self.before: Place | None = None
        self.after: Place | None = None
        self.waits_in: Deadlines | None = None
        self.due_at = 0.0  # unless it was renewed since
        self.renewed_at = _NEVER

    def timed_out(self) -> None:
        raise NotImplementedError


class _Held(Place):
    """The place of an item that has none in itself."""

    __slots__ = ("item",)

    def __init__(self, item: Timed) -> None:
        Place.__init__(self)
        self.item = item

    def timed_out(self) -> None:
        self.item.timed_out()


class Deadlines:
    """The items that wait for one thing, each for `seconds` from its `add`. For the thread of the loop.

    An item that is added again waits anew, also one that is a `Place` and waits for something else.
    """

    __slots__ = (
        "_armed_for",
        "_early",
        "_first",
        "_held",
        "_last",
        "_length",
        "_loop",
        "_number",
        "_timer",
        "now",
        "seconds",
    )

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.seconds = seconds
        self._loop = loop
        self.now = loop.time
        self._first: Place | None = None
        self._last: Place | None = None
        self._length = 0
        self._held: dict[Timed, _Held] = {}
        # Items that had waited elsewhere before, or were renewed: their place in the chain is later than their time.
        self._early: list[tuple[float, int, Place]] = []
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def __len__(self) -> int:
        return self._length

    def __contains__(self, item: Timed) -> bool:
        return self._place_of(item) is not None

    def add(self, item: Timed, waited: float = 0.0) -> None:
        """Wait for `item` from now on; `waited` seconds of its time are over already."""
        when = self.now() + self.seconds - waited
        place: Place
        if isinstance(item, Place):
            place = item
        else:
            held = self._held.get(item)
            if held is None:
                held = self._held[item] = _Held(item)
            place = held
        if place.waits_in is not None:
            place.waits_in._unlink(place)
        if waited:
            self._forget_stale()
            self._place_early(place, when)
        else:
            self._link(place, when)
        if self._timer is None or when < self._armed_for:
            self._arm(when)

    def discard(self, item: Timed) -> None:
        """Stop waiting for `item`, if it waits here."""
        # The timer stays armed: it fires at most once too early, and re-arms itself for the one that is first then.
        place = self._place_of(item)
        if place is not None:
            self._remove(place)

    def since(self, item: Timed) -> float | None:
        """Since when, by the loop's clock, `item` waits; None if it doesn't."""
        place = self._place_of(item)
        return None if place is None else self._renewed(place) - self.seconds

    def longest(self) -> Iterator[tuple[float, Any]]:
        """The items and since when they wait, longest first. Nothing may be added, discarded or renewed meanwhile."""
        later: list[tuple[float, int, Place]] = []  # those that were renewed, and so come later than their place
        for due_at, place in self._in_place():
            while later and later[0][0] <= due_at:
                when, _number, found = heapq.heappop(later)
                yield when - self.seconds, _item(found)
            when = self._renewed(place)
            if when > due_at:
                heapq.heappush(later, (when, next(self._number), place))
            else:
                yield when - self.seconds, _item(place)
        for when, _number, found in sorted(later):
            yield when - self.seconds, _item(found)

    def close(self) -> None:
        """Forget all items."""
        while self._first is not None:
            self._unlink(self._first)
        self._held.clear()
        self._early.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- the chain ---

    def _place_of(self, item: Timed) -> Place | None:
        """Where `item` waits here, if it does."""
        if isinstance(item, Place):
            return item if item.waits_in is self else None
        return self._held.get(item)

    def _link(self, place: Place, when: float) -> None:
        """Put `place`, which waits nowhere, at the end."""
        last = self._last
        place.waits_in = self
        place.due_at = when
        place.renewed_at = _NEVER  # what was before it began to wait here doesn't count
        place.before = last
        if last is None:
            self._first = place
        else:
            last.after = place
        self._last = place
        self._length += 1

    def _unlink(self, place: Place) -> None:
        before, after = place.before, place.after
        if before is None:
            self._first = after
        else:
            before.after = after
        if after is None:
            self._last = before
        else:
            after.before = before
        place.before = place.after = place.waits_in = None
        self._length -= 1

    def _remove(self, place: Place) -> None:
        self._unlink(place)
        if isinstance(place, _Held):
            del self._held[place.item]

    def _in_place(self) -> Iterator[tuple[float, Place]]:
        """The items in the order of when their time is up, had none been renewed."""
        self._forget_stale()
        # A dictionary, because an item that came back at the same moment has two entries.
        early = {place: when for when, _number, place in sorted(self._early) if self._is_current(when, place)}
        in_order = ((place.due_at, place) for place in self._chain() if not early or place not in early)
        return heapq.merge(((when, place) for place, when in early.items()), in_order, key=lambda found: found[0])

    def _chain(self) -> Iterator[Place]:
        place = self._first
        while place is not None:
            yield place
            place = place.after

    # --- those whose place is later than their time ---

    def _place_early(self, place: Place, when: float) -> None:
        """The time of `place` is up at `when`, which is not later than that of one that begins to wait now."""
        self._link(place, when)
        heapq.heappush(self._early, (when, next(self._number), place))

    def _is_current(self, when: float, place: Place) -> bool:
        return place.waits_in is self and place.due_at == when

    def _renewed(self, place: Place) -> float:
        """When the time of `place` is up."""
        return max(place.due_at, place.renewed_at + self.seconds)

    def _forget_stale(self) -> None:
        early = self._early
        while early and not self._is_current(early[0][0], early[0][2]):
            heapq.heappop(early)

    # --- the timer ---

    def _next(self) -> Place | None:
        """The one whose time is up first."""
        first = self._first
        if first is None:
            self._early.clear()
            return None
        self._forget_stale()
        if self._early and self._early[0][0] < first.due_at:
            first = self._early[0][2]
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
            while (place := self._next()) is not None and place.due_at <= limit:
                when = self._renewed(place)
                if when > limit:
                    self._unlink(place)
                    self._place_early(place, when)
                else:
                    self._remove(place)
                    place.timed_out()
        finally:  # also when one of them raises: the others still wait
            first = self._next()
            if first is not None and (self._timer is None or first.due_at < self._armed_for):
                self._arm(first.due_at)


def _item(place: Place) -> Any:
    return place.item if isinstance(place, _Held) else place
