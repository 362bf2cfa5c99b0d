"""Counting what the supervisor tells: restarts, starts and deaths of workers, hangs. A subscriber of the event bus."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from gracehttp import events
from gracehttp.values import Value

RESTART_BOUNDS_SECONDS: Final = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_SIGNAL = re.compile(r"was killed by (?:signal )?(\w+)")
_STATUS = re.compile(r"ended with status (\d+)")


class FactsRecord(Value):
    """What was counted, to go on with in another process."""

    counts: tuple[tuple[str, int], ...] = ()
    durations: tuple[int, ...] = ()
    duration_microseconds: int = 0


class Facts:
    """`counts` has each count under `NAME` or `NAME:LABEL`; `durations` those of restarts that were promoted, between
    the bounds."""

    def __init__(self, now: Callable[[], float], record: FactsRecord | None = None) -> None:
        record = record or FactsRecord()
        self._now = now
        self.counts: dict[str, int] = dict(record.counts)
        self.durations: list[int] = list(record.durations) or [0] * (len(RESTART_BOUNDS_SECONDS) + 1)
        self.duration_microseconds = record.duration_microseconds
        self._requested: dict[int, float] = {}  # generation -> when
        for name in ("restarts:promoted", "restarts:given_up", "restarts:rolled_back", "worker_starts"):
            self.counts.setdefault(name, 0)

    def carry(self) -> FactsRecord:
        return FactsRecord(tuple(self.counts.items()), tuple(self.durations), self.duration_microseconds)

    def labelled(self, name: str) -> dict[str, int]:
        """The counts `NAME:LABEL`, by label."""
        found = (key.partition(":") for key in self.counts)
        return {label: self.counts[f"{name}:{label}"] for kind, colon, label in found if colon and kind == name}

    def on_event(self, event: events.Event) -> None:
        match event:
            case events.RestartRequested(generation, _):
                self._requested[generation] = self._now()
            case events.GenerationPromoted(generation, _):
                self._restarted(generation, "promoted")
            case events.GenerationGivenUp(generation=generation):
                self._restarted(generation, "given_up")
            case events.GenerationRolledBack():
                self._count("restarts:rolled_back")
            case events.WorkerStarted():
                self._count("worker_starts")
            case events.WorkerDied(how=how):
                self._count(f"worker_deaths:{cause_of(how)}")
            case events.WorkerFailedToStart():
                self._count("worker_deaths:start_failed")
            case events.WorkerHung(kind=kind):
                self._count(f"worker_hangs:{kind}")

    def _restarted(self, generation: int, outcome: str) -> None:
        """The first start, which was not requested, is no restart."""
        for superseded in [one for one in self._requested if one < generation]:
            del self._requested[superseded]
        since = self._requested.pop(generation, None)
        if since is None:
            return
        self._count(f"restarts:{outcome}")
        if outcome == "promoted":
            seconds = self._now() - since
            self.durations[bisect_left(RESTART_BOUNDS_SECONDS, seconds)] += 1
            self.duration_microseconds += int(seconds * 1_000_000)

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1


def cause_of(how: str) -> str:
    """Why a worker died, as a label with few values: a signal, a status, or `other`. `how` is the sentence's rest."""
    if match := _SIGNAL.match(how):
        return match[1] if match[1].startswith("SIG") else f"signal_{match[1]}"
    if match := _STATUS.match(how):
        return f"status_{match[1]}"
    if how.startswith("hung"):
        return "hung"
    return "other"
