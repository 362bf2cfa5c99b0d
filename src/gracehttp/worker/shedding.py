"""Making room on a full port: idle connections are closed for new connections that wait in the kernel's queue.

Without it, a thousand browsers with connections that they may never use again lock out the health check of the load
balancer.

Serving a request costs nothing for this: connections that wait for their next request stand in the order in which they
began to wait (`net.deadlines`). When room is needed, the first of them are remembered for a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection

from gracehttp.events import Event
from gracehttp.http.connection import Connection
from gracehttp.net.idle_ranking import IdleRanking

REMEMBERED = 64
SEARCH_EVERY_SECONDS = 1.0
REPORT_EVERY_SECONDS = 1.0


class Shedder:
    """Closes connections out of `connections` that have been idle for long enough.

    `connections` are the open ones: the owner removes a connection when it is closed.
    """

    def __init__(
        self,
        connections: Collection[Connection],
        longest_idle: Callable[[int], list[tuple[float, Connection]]],
        *,
        idle_after_seconds: float,
        ranking: IdleRanking,
        loop: asyncio.AbstractEventLoop,
        closed: Callable[[int], Event],
        publish: Callable[[Event], None],
    ) -> None:
        """`longest_idle(n)` finds at most n that aren't busy, with since when, the longest idle first.

        `closed(n)` makes the event that n connections were closed; it is published once a second at most.
        """
        self._connections = connections
        self._longest_idle = longest_idle
        self._idle_after_seconds = idle_after_seconds
        self._ranking = ranking
        self._loop = loop
        self._closed = closed
        self._publish = publish
        self._closing: list[Connection] = []
        self._candidates: deque[tuple[float, Connection]] = deque()
        self._searched_at = float("-inf")
        self._unreported = 0
        self._report_timer: asyncio.TimerHandle | None = None

    def make_room(self, waiting: int) -> None:
        """Close the connections that have been idle longest, politely, if that is long enough: one for each of
        `waiting`.

        Skips our connections if another worker has an older one. Counts connections that are still closing (TLS takes a
        moment).
        """
        self._closing = [one for one in self._closing if one in self._connections]
        now = self._loop.time()
        oldest: float | None = None
        while len(self._closing) < waiting and self._publish_oldest(now) and self._ranking.is_oldest(now):
            since, connection = self._candidates[0]
            if now - since < self._idle_after_seconds:
                break
            self._candidates.popleft()
            # The client may be sending just now: `close_idle` asks the kernel. No lingering: the client has read the
            # last response long ago, and the place is needed.
            if connection.close_idle(linger=False):
                self._closing.append(connection)
                self._count()
                oldest = since if oldest is None else oldest
        if oldest is not None:
            # It stays our turn until the next scan: by then new connections have the places, so no worker frees more.
            self._ranking.publish(oldest, now)

    def _publish_oldest(self, now: float) -> bool:
        """Publish our longest idle connection, the first candidate then. Returns whether there is one."""
        while self._candidates or self._search(now):
            since, connection = self._candidates[0]
            if connection.idle_since == since:
                self._ranking.publish(since, now)
                return True
            self._candidates.popleft()  # the client has sent something since the search
        self._ranking.publish(None, now)
        return False

    def close(self) -> None:
        """Report the rest, and end."""
        if self._report_timer is not None:
            self._report_timer.cancel()
        if self._unreported:
            self._publish(self._closed(self._unreported))
            self._unreported = 0

    def _search(self, now: float) -> bool:
        if now - self._searched_at < SEARCH_EVERY_SECONDS:
            return False
        self._searched_at = now
        self._candidates.extend(self._longest_idle(REMEMBERED))
        return bool(self._candidates)

    def _count(self) -> None:
        self._unreported += 1
        if self._report_timer is None:
            self._report()

    def _report(self) -> None:
        self._report_timer = None
        if self._unreported:
            count, self._unreported = self._unreported, 0
            self._publish(self._closed(count))
            self._report_timer = self._loop.call_later(REPORT_EVERY_SECONDS, self._report)
