"""Making room on a full port: connections that nobody uses go, for newcomers who wait in the kernel's queue.

Without it, a thousand browsers that keep their connections open just in case lock out the health check that tells the
load balancer whether the service lives.

Nothing is written down while requests are served: when room is needed, all connections are asked since when they are
idle, and the longest idle of them are remembered, so that even a port with 100,000 connections is asked seldom.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable

from gracehttp.events import Event
from gracehttp.http.connection import Connection
from gracehttp.net.idle_ranking import Seniority

REMEMBERED = 64
ASKED_EVERY_SECONDS = 1.0
TOLD_EVERY_SECONDS = 1.0


def longest_idle(connections: Iterable[Connection], *, most: int) -> list[tuple[float, Connection]]:
    """At most `most` of those that are idle, with the time since when, longest first."""
    since = ((idle, one) for one in connections if (idle := one.idle_since) is not None)
    return heapq.nsmallest(most, since, key=lambda found: found[0])


class Shedder:
    """Closes connections out of `connections` for those who wait, if some have been idle for long enough.

    `connections` are those that are open: the owner takes out what is closed.
    """

    def __init__(
        self,
        connections: Collection[Connection],
        *,
        idle_after_seconds: float,
        seniority: Seniority,
        loop: asyncio.AbstractEventLoop,
        told: Callable[[int], Event],
        publish: Callable[[Event], None],
    ) -> None:
        """`told(n)` is the event that says that `n` connections were closed; it is published once a second at most."""
        self._connections = connections
        self._idle_after_seconds = idle_after_seconds
        self._seniority = seniority
        self._loop = loop
        self._told = told
        self._publish = publish
        self._leaving: list[Connection] = []
        self._candidates: deque[tuple[float, Connection]] = deque()
        self._asked_at = float("-inf")
        self._untold = 0
        self._quiet_until: asyncio.TimerHandle | None = None

    def make_room(self, waiting: int) -> None:
        """Close the connections that have been idle longest, politely, if that is long enough: one for each of
        `waiting`.

        Not those of which another worker has one that has been idle longer, which goes first; and fewer by those that
        are being closed already, which over TLS takes a moment.
        """
        self._leaving = [one for one in self._leaving if one in self._connections]
        now = self._loop.time()
        turn: float | None = None
        while len(self._leaving) < waiting and self._say(now) and self._seniority.comes_first(now):
            since, connection = self._candidates[0]
            if now - since < self._idle_after_seconds:
                break
            self._candidates.popleft()
            # It may be speaking just now: the kernel knows, and `close_idle` looks. No lingering: the response before
            # was read long ago, and it is the place that is needed.
            if connection.close_idle(linger=False):
                self._leaving.append(connection)
                self._count()
                turn = since if turn is None else turn
        if turn is not None:
            # It stays our turn until we look again: by then newcomers have the places, and nobody makes more of them.
            self._seniority.say(turn, now)

    def _say(self, now: float) -> bool:
        """Say which is our longest idle; tells whether there is one. It is the first of the candidates then."""
        while self._candidates or self._ask(now):
            since, connection = self._candidates[0]
            if connection.idle_since == since:
                self._seniority.say(since, now)
                return True
            self._candidates.popleft()  # it has spoken since we asked
        self._seniority.say(None, now)
        return False

    def close(self) -> None:
        """Tell what was not told yet, and end."""
        if self._quiet_until is not None:
            self._quiet_until.cancel()
        if self._untold:
            self._publish(self._told(self._untold))
            self._untold = 0

    def _ask(self, now: float) -> bool:
        if now - self._asked_at < ASKED_EVERY_SECONDS:
            return False
        self._asked_at = now
        self._candidates.extend(longest_idle(self._connections, most=REMEMBERED))
        return bool(self._candidates)

    def _count(self) -> None:
        self._untold += 1
        if self._quiet_until is None:
            self._tell()

    def _tell(self) -> None:
        self._quiet_until = None
        if self._untold:
            count, self._untold = self._untold, 0
            self._publish(self._told(count))
            self._quiet_until = self._loop.call_later(TOLD_EVERY_SECONDS, self._tell)
