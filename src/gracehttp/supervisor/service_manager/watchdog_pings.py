"""WATCHDOG=1, as long as the service lives (sd_watchdog_enabled(3))."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from gracehttp.supervisor.endpoints.health import ANSWER_SECONDS, NO_WORKER_RUNS, Liveness


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """After how long without a sign of life the manager ends the service; None if it doesn't watch this process."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isdecimal() and int(text) else None


class WatchdogPings:
    """Gives a sign of life twice in the time that the manager allows, if a worker answers.

    If no worker runs, it gives it too. The supervisor logs a service that crashes again and again, and starts it anew;
    to end the supervisor as well would only lose the queues.
    """

    def __init__(self, allowed_seconds: float, liveness: Liveness, send: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._every_seconds = allowed_seconds / 2
        self._liveness = liveness
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self._look()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._every_seconds, self._look)
        self._liveness.ask(self._tell, within_seconds=min(ANSWER_SECONDS, self._every_seconds / 2))

    def _tell(self, reason: str) -> None:
        if reason in ("", NO_WORKER_RUNS):
            self._send("WATCHDOG=1")
