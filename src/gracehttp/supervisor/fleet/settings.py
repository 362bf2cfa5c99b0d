"""What a generation wants of its supervisor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """The canary of a generation says it, so each deploy brings its own."""

    workers: int = 1
    ready_timeout_seconds: float = 60.0
    drain_timeout_seconds: float = 30.0
