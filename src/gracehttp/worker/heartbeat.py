"""The worker's page: its heartbeat, by which the supervisor sees that it lives, and what it counts for the metrics.

Each request is counted when it ends (`http.request_counter`). All else is written down at each beat, so that no
connection pays for it.
"""

from __future__ import annotations

import asyncio
import sys
from array import array
from bisect import bisect_left
from typing import Final

from gracehttp.events import DrainFinished, Event, RequestsCut
from gracehttp.net.shared_page import SharedPage
from gracehttp.net.worker_page import (
    BEATS,
    DEBUGGED,
    LAG_BOUNDS_SECONDS,
    MICROSECONDS,
    MOST_PORTS,
    PORT_FIELDS,
    PROGRESS,
)
from gracehttp.worker.port import Port
from gracehttp.worker.service import Service

BEAT_SECONDS: Final = 1.0
BEATS_PER_TIMEOUT: Final = 4
"""How often, within the hang timeout, the heart beats at least."""
DEBUGGERS: Final = ("debugpy", "pydevd")


class Heartbeat:
    """Beats from `begin` to `end`."""

    def __init__(
        self, page: SharedPage, service: Service, loop: asyncio.AbstractEventLoop, *, hang_timeout_seconds: float
    ) -> None:
        """`hang_timeout_seconds` may be 0."""
        self._state = page.words("state")
        self._lags = page.words("lags")
        self._ports = page.words("ports")
        self._loads = page.words("loads")
        self._drains = page.words("drains")
        self._service = service
        self._loop = loop
        shortest = hang_timeout_seconds / BEATS_PER_TIMEOUT
        self._seconds = min(BEAT_SECONDS, shortest) if shortest else BEAT_SECONDS
        self._timer: asyncio.TimerHandle | None = None
        self._calls: list[list[int]] = []
        self._breakpoint = sys.breakpointhook

    def begin(self) -> None:
        """The worker is ready."""
        if self._timer is None:
            sys.breakpointhook = self._debugged
            self._beat(self._loop.time())

    def end(self) -> None:
        """The worker ends: write the rest down."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            sys.breakpointhook = self._breakpoint
            self._write_down()

    def on_event(self, event: Event) -> None:
        """A subscriber of the event bus."""
        if isinstance(event, (DrainFinished, RequestsCut)):
            self._drains[0] += 1
            self._drains[1] += len(event.cut) if isinstance(event, RequestsCut) else 0
            self._drains[2] += int(event.seconds * MICROSECONDS)

    def _beat(self, due: float) -> None:
        now = self._loop.time()
        lag = max(0.0, now - due)
        self._lags[bisect_left(LAG_BOUNDS_SECONDS, lag)] += 1
        self._lags[len(LAG_BOUNDS_SECONDS) + 1] += int(lag * MICROSECONDS)
        if sys.gettrace() is not None or any(name in sys.modules for name in DEBUGGERS):
            self._state[DEBUGGED] = 1
        self._write_down()
        if not self._threads_hang():
            self._state[PROGRESS] += 1
        self._state[BEATS] += 1
        self._timer = self._loop.call_at(now + self._seconds, self._beat, now + self._seconds)

    def _threads_hang(self) -> bool:
        """Whether all threads of an application are where they were at the last beat, and requests wait for one."""
        pools = self._service.thread_pools
        before, self._calls = self._calls, [list(pool.calls) for pool in pools]
        return any(
            pool.waiting and all(call & 1 for call in calls) and calls == earlier
            for pool, calls, earlier in zip(pools, self._calls, before, strict=False)  # at first there is no earlier
        )

    def _write_down(self) -> None:
        service, pools = self._service, self._service.thread_pools
        threads = sum(len(pool.calls) for pool in pools)
        busy, waiting = sum(pool.busy for pool in pools), sum(pool.waiting for pool in pools)
        self._loads[:] = memoryview(_words(service.in_flight, threads, busy, waiting))
        totals: list[list[int]] = []
        for port in service.ports:
            if len(totals) < MOST_PORTS:
                totals.append(_counts(port))
            else:
                totals[-1][1:] = [one + two for one, two in zip(totals[-1], _counts(port), strict=True)][1:]
        for at, counts in enumerate(totals):
            begin = at * len(PORT_FIELDS)
            self._ports[begin : begin + len(PORT_FIELDS)] = memoryview(_words(*counts))

    def _debugged(self, *arguments: object, **keywords: object) -> object:
        """In place of `sys.breakpointhook`: a person stops this worker, which is no hang."""
        self._state[DEBUGGED] = 1
        return self._breakpoint(*arguments, **keywords)


def _counts(port: Port) -> list[int]:
    one = port.connections
    counts = (one.accepted, one.adopted, one.handed_over, one.received_bytes, one.sent_bytes, one.idle)
    return [port.number + 1, *counts]


def _words(*numbers: int) -> array[int]:
    return array("Q", numbers)
