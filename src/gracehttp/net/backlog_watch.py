"""Looking whether somebody waits in the queue of a full port, for whom room could be made."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from gracehttp.net.idle_ranking import LOOK_SECONDS
from gracehttp.net.kernel_view import is_readable, queue_length
from gracehttp.net.permits import Permits

MakeRoom = Callable[[int], None]
"""Takes how many wait at most."""


class Lookout:
    """Between `begin` and `end`, calls `make_room` now and then while newcomers wait because there is no permit.

    `listener` and `permits` stay the caller's, and have to be open until `end`. Whoever accepts need not be this
    process: connections that only wait for their end take places on a port that others serve.
    """

    def __init__(
        self, listener: socket.socket, permits: Permits, make_room: MakeRoom | None, *, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Without `make_room` nothing is looked at."""
        self._listener = listener
        self._permits = permits
        self._make_room = make_room
        self._loop = loop
        self._next: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on. May be called again."""
        # A listener with a queue stays readable, so to watch it would spin: hence a timer.
        if self._make_room is not None and self._next is None:
            self._next = self._loop.call_later(LOOK_SECONDS, self._look)

    def end(self) -> None:
        """Look no more. May be called again."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _look(self) -> None:
        self._next = None
        self.begin()
        if self._make_room is not None and not self._permits.available and is_readable(self._listener.fileno()):
            self._make_room(queue_length(self._listener))
