"""What a generation wants of its supervisor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """The canary of a generation says it, so each deploy brings its own. Each field has a default, for the workers of
    a release that doesn't know it.

    `probation_max_errors` is a share of all responses, from 0 to 1; None: they are not counted.
    """

    workers: int = 1
    ready_timeout_seconds: float = 60.0
    drain_timeout_seconds: float = 30.0
    probation_seconds: float = 0.0
    probation_max_errors: float | None = None
    stands_by: bool = False
    """Whether its workers know how to pause and go on."""
