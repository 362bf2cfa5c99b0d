"""Watching the accept queue of a full port, so that room can be made for the connections that wait in it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from gracehttp.net.idle_ranking import SCAN_SECONDS
from gracehttp.net.kernel_view import is_readable, queue_length
from gracehttp.net.permits import Permits

MakeRoom = Callable[[int], None]
"""Takes how many connections wait at most."""


class BacklogWatch:
    """Between `start` and `stop`, calls `make_room` at every scan that finds no permit and connections that wait.

    `listener` and `permits` stay the caller's, and must be open until `stop`. Other processes may be the ones that
    accept: connections of a worker that drains take places on a port that newer workers serve.
    """

    def __init__(
        self, listener: socket.socket, permits: Permits, make_room: MakeRoom | None, *, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Without `make_room` nothing is watched."""
        self._listener = listener
        self._permits = permits
        self._make_room = make_room
        self._loop = loop
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Scan from now on. A second call changes nothing."""
        # A listener with a queue stays readable, so an event loop that watched it would spin: hence a timer.
        if self._make_room is not None and self._next is None:
            self._next = self._loop.call_later(SCAN_SECONDS, self._scan)

    def stop(self) -> None:
        """Scan no more. A second call changes nothing."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _scan(self) -> None:
        self._next = None
        self.start()
        if self._make_room is not None and not self._permits.available and is_readable(self._listener.fileno()):
            self._make_room(queue_length(self._listener))
