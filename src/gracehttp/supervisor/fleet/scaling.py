"""One worker more or less, in one generation. Pure."""

from __future__ import annotations

from collections.abc import Callable

from gracehttp.supervisor.fleet.commands import Command
from gracehttp.supervisor.fleet.generation import Generation, GenerationState, WorkerState


def scale(
    generation: Generation, by: int, now: float, *, start: Callable[[Generation, float], Command]
) -> list[Command]:
    """Want `by` workers more, but never less than one; `start` starts one."""
    generation.wanted = max(1, generation.wanted + by)
    if generation.state is GenerationState.STARTING:
        return []  # its siblings are not started yet: the number alone tells how many to start
    missing = generation.wanted - generation.planned
    commands: list[Command] = [start(generation, now) for _ in range(missing)]
    for _ in range(-missing):
        commands += _take_one(generation, now)
    return commands


def _take_one(generation: Generation, now: float) -> list[Command]:
    if generation.start_again_at:  # one that isn't there yet is missed by nobody
        generation.start_again_at.pop()
        return []
    not_serving = generation.in_state(WorkerState.STARTING, WorkerState.STANDING_BY, WorkerState.DUMPING)
    if not_serving:
        return [generation.kill(not_serving[-1], "one worker less is wanted")]
    serving = generation.in_state(WorkerState.SERVING)
    if len(serving) <= 1:
        return []
    goes = next((worker for worker in serving if worker.number in generation.tired), serving[-1])
    return [goes.drain("restart", generation.settings.drain_timeout_seconds, now)]
