"""What a fleet remembers when its supervisor replaces itself."""

from __future__ import annotations

from dataclasses import dataclass

from gracehttp.supervisor.fleet.generation import Generation
from gracehttp.supervisor.fleet.settings import FleetSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMemory:
    """All that a fleet knows, to go on with in another process with the same clock.

    A generation that is just starting is remembered like any other: the restart that follows supersedes it.
    """

    generations: dict[int, Generation]
    settings: FleetSettings
    last_generation: int
    last_worker: int
