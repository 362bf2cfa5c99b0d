"""Telling of connections that were closed because of what they began with, without flooding the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gracehttp.events import ConnectionsNotIntroduced, Event

_PAUSE_SECONDS: Final = 1.0


class TurnedAway:
    """Tells of the first one at once, and then of all that came within a second together."""

    def __init__(
        self,
        address: str,
        loop: asyncio.AbstractEventLoop,
        publish: Callable[[Event], None],
        fact: Callable[[str, int, str, str], Event] = ConnectionsNotIntroduced,
    ) -> None:
        """`fact` makes the event of the address, how many they were, and the peer and the reason of the first one."""
        self._fact = fact
        self._address = address
        self._loop = loop
        self._publish = publish
        self._pause: asyncio.TimerHandle | None = None
        self._untold = 0
        self._first = ("", "")

    def tell(self, peer: tuple[str, int] | None, reason: str) -> None:
        """A connection of `peer`, None for a Unix socket, was closed for this reason."""
        if not self._untold:
            self._first = (peer[0] if peer is not None else "a Unix socket", reason)
        self._untold += 1
        if self._pause is None:
            self._tell_now()

    def close(self) -> None:
        """Tell of the last ones."""
        if self._pause is not None:
            self._pause.cancel()
            self._tell_now()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _tell_now(self) -> None:
        self._pause = None
        if self._untold:
            self._publish(self._fact(self._address, self._untold, *self._first))
            self._untold = 0
            self._pause = self._loop.call_later(_PAUSE_SECONDS, self._tell_now)
