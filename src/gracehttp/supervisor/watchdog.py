"""The hang watchdog: looks at the pages of the workers that serve, and tells the fleet which of them hang, and which no
longer do. The watchdog of systemd is `service_manager.watchdog_pings`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gracehttp.net.worker_page import BEATS, DEBUGGED, PROGRESS
from gracehttp.supervisor.fleet import Fleet, Generation, WorkerState, inputs
from gracehttp.supervisor.fleet.hang_detector import HangDetector, Observation, seconds_between_looks
from gracehttp.supervisor.metrics.pages import WorkerPages
from gracehttp.supervisor.processes.process_view import view_of
from gracehttp.supervisor.processes.workers import WorkerProcesses

LOOK_FOR_GENERATIONS_SECONDS = 2.0
"""How often it is looked whether there is a generation that wants to be watched, while there is none."""


class Watchdog:
    """Looks from `begin` to `end`. `apply(input)` tells the fleet."""

    def __init__(
        self, fleet: Fleet, workers: WorkerProcesses, pages: WorkerPages, apply: Callable[[inputs.Input], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._fleet = fleet
        self._workers = workers
        self._pages = pages
        self._apply = apply
        self._detectors: dict[int, HangDetector] = {}
        self._hanging: set[int] = set()
        self._looked_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._looked_at = self._loop.time()
        self._timer = self._loop.call_later(self._pause_seconds(), self._look)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _pause_seconds(self) -> float:
        watched = [one.settings.hang_timeout_seconds for one in self._watched()]
        return min(map(seconds_between_looks, watched), default=LOOK_FOR_GENERATIONS_SECONDS)

    def _watched(self) -> list[Generation]:
        return [one for one in self._fleet.generations.values() if one.settings.hang_timeout_seconds]

    def _look(self) -> None:
        now = self._loop.time()
        seconds, self._looked_at = now - self._looked_at, now
        self._timer = self._loop.call_later(self._pause_seconds(), self._look)
        seen = {
            worker.number: (observation, generation.settings.hang_timeout_seconds)
            for generation in self._watched()
            for worker in generation.in_state(WorkerState.SERVING)
            if (observation := self._observation(worker.number)) is not None
        }
        self._detectors = {worker: self._detectors.get(worker, HangDetector()) for worker in seen}
        hangs = {
            worker: self._detectors[worker].observe(observation, seconds, timeout)
            for worker, (observation, timeout) in seen.items()
        }
        before, self._hanging = self._hanging, {worker for worker, hang in hangs.items() if hang is not None}
        for worker, hang in hangs.items():
            if hang is not None and worker not in before:
                self._apply(inputs.WorkerHung(worker, hang.kind, hang.seconds))
            elif hang is None and worker in before:
                self._apply(inputs.WorkerRecovered(worker))

    def _observation(self, worker: int) -> Observation | None:
        words, view = self._pages.state(worker), view_of(self._workers.pid(worker))
        if words is None:
            return None
        stopped = view is not None and view.stopped
        return Observation(words[BEATS], words[PROGRESS], debugged=bool(words[DEBUGGED]), stopped=stopped)
