"""A point in time that moves often and is reached seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `callback` once when the loop's clock reaches `when`.

    Moving the deadline to a later time, or clearing it, costs one assignment: the timer that is armed already fires
    too early, sees it, and arms itself for the rest. Thus a busy keep-alive connection makes one timer per timeout,
    not one per request.
    """

    __slots__ = ("_armed_for", "_callback", "_loop", "_timer", "when")

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0
        self.when = 0.0
        """In seconds of the loop's clock; 0 is no deadline. Assign 0 to clear it."""

    def move(self, when: float) -> None:
        """Set the deadline to `when`, earlier or later than before."""
        self.when = when
        if self._timer is None or when < self._armed_for:
            self._arm(when)

    def cancel(self) -> None:
        """Clear the deadline for good. This lets go of the callback, too: who has the deadline is often whom it calls,
        and without this cycle no garbage collector is needed."""
        self.when = 0.0
        self._callback = _nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = when
        self._timer = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        when = self.when
        if not when:
            return
        # uvloop's timers have milliseconds: one that fires a fraction early is due, or it would spin for the rest.
        if when - self._loop.time() >= 0.001:
            self._arm(when)
            return
        self.when = 0.0
        self._callback()


def _nothing() -> None:
    return
