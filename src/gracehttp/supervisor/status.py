"""What `gracehttp status` shows."""

from __future__ import annotations

import os
from typing import Any

from gracehttp.supervisor.crew import Crew
from gracehttp.supervisor.fleet import Fleet, Generation
from gracehttp.supervisor.listener_table import HeldListener, ListenerTable
from gracehttp.supervisor.outcome import Outcome


def status_of(
    fleet: Fleet,
    crew: Crew,
    listeners: ListenerTable,
    *,
    last: Outcome | None,
    release: str,
    born_at: float,
    now: float,
) -> dict[str, Any]:
    """The supervisor, its generations, workers and listeners, as JSON can carry it. `last` is the latest restart."""
    return {
        "pid": os.getpid(),
        "version": release,
        "uptime_seconds": round(now - born_at, 3),
        "generations": [_generation(one, crew, now, coming=one is fleet.coming) for one in fleet.generations.values()],
        "listeners": [_listener(one, crew) for one in listeners],
        "last_restart": None if last is None else {"ok": last.ok, "message": last.message},
    }


def _generation(generation: Generation, crew: Crew, now: float, *, coming: bool) -> dict[str, Any]:
    probation = generation.probation
    return {
        "generation": generation.number,
        "state": "starting" if coming else generation.state.value,
        "template": crew.templates.pid(generation.number),
        "probation_seconds_left": None if probation is None else round(max(0.0, probation.ends_at - now), 3),
        "starts_in_seconds": [round(max(0.0, at - now), 3) for at in sorted(generation.start_again_at)],
        "workers": [
            {"worker": one.number, "pid": crew.pid(one.number), "state": one.state.value}
            for one in generation.workers.values()
        ],
    }


def _listener(listener: HeldListener, crew: Crew) -> dict[str, Any]:
    return {
        "address": str(listener.address),
        "bound": listener.bound,
        "max_connections": listener.limit,
        "open_connections": listener.pool.open_connections(crew.slots()) if listener.pool else None,
        "shed_connections": listener.shed,
    }
