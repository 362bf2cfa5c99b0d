"""Whether the service lives and takes requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from gracehttp.supervisor.fleet import Fleet, WorkerState
from gracehttp.supervisor.listeners.held_listener import HeldListener

ANSWER_SECONDS = 5.0
"""How long workers may take to show that one of their event loops turns. A client may have less patience."""

NO_WORKER_RUNS = "no worker runs"

_AT_WORK = (WorkerState.SERVING, WorkerState.STANDING_BY, WorkerState.DRAINING)


def not_ready(fleet: Fleet) -> str:
    """Why the service should get no new requests; "" if it should."""
    if fleet.stopping:
        return "stopping"
    if fleet.serving is None or not fleet.serving.in_state(WorkerState.SERVING):
        return "no worker serves"
    return ""


def free_percent(listeners: Iterable[HeldListener], slots: Iterable[int]) -> int:
    """How much of the limits on connections is free, over all listeners, from 1 to 100. Never 0, which to HAProxy is
    another word for draining."""
    slots = list(slots)
    counted = [one for one in listeners if one.pool is not None and one.admitting]
    limit = sum(one.limit for one in counted)
    used = sum(one.pool.open_connections(slots) for one in counted if one.pool is not None)
    return max(1, min(100, 100 * (limit - used) // limit)) if limit else 100


class Liveness:
    """Finds out whether a worker answers. `ping(worker)` asks one for a sign of life; call `heard` when one comes."""

    def __init__(self, fleet: Fleet, ping: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fleet = fleet
        self._ping = ping
        self._waiting: dict[asyncio.TimerHandle, Callable[[str], None]] = {}

    def ask(self, tell: Callable[[str], None], *, within_seconds: float = ANSWER_SECONDS) -> None:
        """Call `tell` once: with "" if the service lives, else with the reason why it doesn't.

        It lives if one of its workers answers. While none is at work, it lives as long as one is starting, for at most
        the ready timeout: a long import is no hang.
        """
        workers = [(one, worker) for one in self._fleet.generations.values() for worker in one.workers.values()]
        at_work = [worker.number for _, worker in workers if worker.state in _AT_WORK]
        if not at_work:
            starting = any(worker.state is WorkerState.STARTING for _, worker in workers)
            tell("" if starting else NO_WORKER_RUNS)
            return
        timer = self._loop.call_later(within_seconds, self._too_late, within_seconds)
        self._waiting[timer] = tell
        for number in at_work:
            self._ping(number)

    def heard(self) -> None:
        """A worker has answered."""
        waiting, self._waiting = self._waiting, {}
        for timer, tell in waiting.items():
            timer.cancel()
            tell("")

    def close(self) -> None:
        """Ask no more, and tell nothing to clients that wait."""
        for timer in self._waiting:
            timer.cancel()
        self._waiting.clear()

    def _too_late(self, seconds: float) -> None:
        now = self._loop.time()
        for timer, tell in list(self._waiting.items()):
            if timer.when() <= now:
                del self._waiting[timer]
                tell(f"no worker answered for {seconds:g} s")
