"""How many workers a generation has, and which: scaling, recycling, and starting again those that died. Pure."""

from __future__ import annotations

from gracehttp.supervisor.fleet.backoff import (
    FORGIVEN_AFTER_SECONDS,
    LONGEST_BETWEEN_HANGS_SECONDS,
    wait_before_restart,
    wait_between_hangs,
)
from gracehttp.supervisor.fleet.generation import Generation
from gracehttp.supervisor.fleet.states import GenerationState, WorkerState
from gracehttp.supervisor.fleet.turn import Turn
from gracehttp.supervisor.fleet.worker import Worker
from gracehttp.wire.messages import DrainReason


def start_missing(generation: Generation, turn: Turn) -> None:
    """Start as many workers as it has fewer than it wants."""
    for _ in range(generation.wanted - generation.planned):
        generation.start(turn)


def start_due(generation: Generation, turn: Turn) -> None:
    """Start the workers whose wait after a death is over."""
    due = [at for at in generation.start_again_at if at <= turn.now]
    generation.start_again_at = [at for at in generation.start_again_at if at > turn.now]
    for _ in due:
        generation.start(turn)


# --- after a death ---


def count_death(generation: Generation, worker: Worker, turn: Turn, *, served: bool) -> None:
    """Count a death, and forgive those before it if `worker` has served for some time."""
    if served:
        _forgive(generation, worker, turn)
    generation.deaths_in_a_row += 1


def plan_restart(generation: Generation, turn: Turn) -> float | None:
    """Plan to start a worker in place of one that died, and return in how many seconds.

    Returns None if none is needed: fewer are wanted by now, or the one that died has its successor already, or the
    generation doesn't serve.
    """
    if generation.state is not GenerationState.SERVING or generation.planned >= generation.wanted:
        return None
    seconds = wait_before_restart(generation.deaths_in_a_row)
    generation.start_again_at.append(turn.now + seconds)
    return seconds


def _forgive(generation: Generation, worker: Worker, turn: Turn) -> None:
    if turn.now - worker.started_at >= FORGIVEN_AFTER_SECONDS:
        generation.deaths_in_a_row = 0


# --- scaling ---


def scale(generation: Generation, by: int, turn: Turn) -> None:
    """Want `by` workers more (fewer if negative), but at least one; then start or remove the difference."""
    generation.wanted = max(1, generation.wanted + by)
    if generation.state is GenerationState.STARTING:
        return  # `wanted` tells how many siblings start when the canary is ready
    surplus = generation.planned - generation.wanted
    start_missing(generation, turn)
    for _ in range(surplus):
        _remove_one(generation, turn)


def _remove_one(generation: Generation, turn: Turn) -> None:
    """Remove the worker that costs the clients least: one that isn't there yet, one that doesn't serve, one that is due
    for recycling, the newest. The last one that serves stays."""
    if generation.start_again_at:
        generation.start_again_at.pop()
        return
    if not_serving := generation.in_state(WorkerState.STARTING, WorkerState.STANDING_BY, WorkerState.DUMPING):
        generation.kill(not_serving[-1], "one worker less is wanted", turn)
        return
    serving = generation.in_state(WorkerState.SERVING)
    if len(serving) > 1:
        leaving = next((worker for worker in serving if worker.number in generation.due_for_recycling), serving[-1])
        leaving.drain(DrainReason.RESTART, generation.settings.drain_timeout_seconds, turn)


# --- recycling ---


def note_due(generation: Generation, worker: int) -> None:
    """Remember that `worker` is due for recycling. It may say so twice."""
    if worker not in {*generation.due_for_recycling, generation.recycling}:
        generation.due_for_recycling.append(worker)


def recycle(serving: Generation, turn: Turn, *, may_begin: bool) -> None:
    """Replace the workers that are due, one at a time; begin with another one only if `may_begin`.

    First a successor starts. When all workers that are wanted serve beside the old one, that drains. If the successor
    fails, it is started again as after any death.
    """
    due = [one for one in serving.due_for_recycling if one in serving.workers]
    serving.due_for_recycling = [one for one in due if serving.workers[one].state is WorkerState.SERVING]
    if serving.recycling is None and may_begin and (chosen := _next_to_recycle(serving)) is not None:
        serving.recycling = chosen
        serving.due_for_recycling.remove(chosen)
        if serving.workers[chosen].hangs:
            _count_hang(serving, turn)
        _forgive(serving, serving.workers[serving.recycling], turn)
        serving.start(turn)
    in_service = serving.in_state(WorkerState.SERVING)
    if len(in_service) > serving.wanted:
        for worker in in_service:
            if worker.number == serving.recycling and worker.hangs:
                worker.end_hanging(serving.settings.drain_timeout_seconds, turn)
            elif worker.number == serving.recycling:
                worker.drain(DrainReason.RESTART, serving.settings.drain_timeout_seconds, turn)


def _next_to_recycle(serving: Generation) -> int | None:
    """Those that hang wait until `hang_wait_until`, and come first then."""
    hanging = [one for one in serving.due_for_recycling if serving.workers[one].hangs]
    others = [one for one in serving.due_for_recycling if one not in hanging]
    first = hanging if serving.hang_wait_until is None else []
    return next(iter([*first, *others]), None)


# --- workers that hang ---


def note_hung(generation: Generation, worker: Worker, kind: str) -> None:
    """`worker`, which serves, hangs: it is due for recycling."""
    worker.hangs = kind
    note_due(generation, worker.number)


def note_recovered(generation: Generation, worker: Worker) -> None:
    """It goes on. If its successor starts already, it is replaced, as one that is due for recycling for another
    reason."""
    worker.hangs = ""
    if worker.number in generation.due_for_recycling:
        generation.due_for_recycling.remove(worker.number)


def _count_hang(generation: Generation, turn: Turn) -> None:
    timeout = generation.settings.hang_timeout_seconds
    if turn.now - generation.hang_replaced_at > LONGEST_BETWEEN_HANGS_SECONDS + timeout:
        generation.hangs_in_a_row = 0
    generation.hangs_in_a_row += 1
    generation.hang_replaced_at = turn.now
    generation.hang_wait_until = turn.now + wait_between_hangs(generation.hangs_in_a_row, timeout)
