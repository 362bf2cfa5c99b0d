"""How one generation takes over from another: at a promotion, and on the way back. Pure.

In both directions the workers that take over serve first, and the others stop accepting after that. In between, both
accept. It is announced when the others have stopped.
"""

from __future__ import annotations

from gracehttp.supervisor.fleet.commands import Ping, RolledBack, Superseded
from gracehttp.supervisor.fleet.generation import STOP_ACCEPTING_SECONDS, Generation
from gracehttp.supervisor.fleet.generations import Generations
from gracehttp.supervisor.fleet.probation import Probation
from gracehttp.supervisor.fleet.staffing import start_missing
from gracehttp.supervisor.fleet.states import GenerationState, WorkerState
from gracehttp.supervisor.fleet.turn import Turn
from gracehttp.wire.messages import DrainReason

MOST_DRAINING_GENERATIONS = 4


def promote_if_complete(generation: Generation, generations: Generations, turn: Turn) -> None:
    """Let `generation` serve instead of the one that does, if it is coming and all its workers are ready."""
    ready = generation.in_state(WorkerState.STANDING_BY)
    if generation.state is not GenerationState.COMPLETING or len(ready) < generation.wanted:
        return
    draining = generations.in_state(GenerationState.DRAINING)
    before, stood_by = generations.serving, generations.standing_by
    generation.become(GenerationState.SERVING)
    for worker in ready:
        worker.serve(turn)
    generation.announce_at = turn.now + STOP_ACCEPTING_SECONDS
    if before is not None:
        _replace(before, stood_by, generation, turn)
    _tell_of_successors(draining, turn)
    if not generation.predecessors:
        generation.announce(turn)
    _hurry_oldest(generations, turn)


def _replace(before: Generation, stood_by: Generation | None, successor: Generation, turn: Turn) -> None:
    """Let `before` and `stood_by` stand by or drain: `successor` serves.

    If `successor` is on probation, the latest generation that has passed its own stands by. That is `before`, or
    `stood_by` if `before` is on probation itself.
    """
    passed = before
    if before.probation is not None:
        before.probation = None  # how it would have ended stays unknown
        turn.add(Superseded(before.number, by=successor.number))
        passed = stood_by or before
    older = [one for one in (stood_by, before) if one is not None]
    # With those that `before` itself still waits for: three generations may overlap.
    successor.predecessors = before.predecessors.union(
        worker.number for one in older for worker in one.in_state(WorkerState.SERVING, WorkerState.STANDING_BY)
    )
    seconds = successor.settings.probation_seconds
    if seconds:
        successor.probation = Probation(began_at=turn.now, ends_at=turn.now + seconds)
    for one in older:
        if seconds and one is passed and one.settings.stands_by:
            one.stand_by(turn)
        else:
            one.drain(DrainReason.RESTART, turn)


def stopped_accepting(worker: int, generations: Generations, turn: Turn) -> None:
    """`worker` accepts no more. If that was the last predecessor of a generation, announce the generation."""
    for generation in generations.values():
        if worker in generation.predecessors:
            generation.predecessors.discard(worker)
            if not generation.predecessors:
                generation.announce(turn)


def review_probation(generations: Generations, turn: Turn, *, time_passed: bool) -> None:
    """Decide about the generation on probation, if there is one: roll it back, let it pass, or wait.

    Too many errors end the probation at any moment, as a death does (`roll_back`). It passes at the earliest when the
    generation has been announced, its time is up, and each worker that serves has answered a ping since then.

    `time_passed`: nothing else happened. Only then does a missing answer count, because answers that have arrived
    already are applied first.
    """
    serving = generations.serving
    if serving is None or serving.probation is None:
        return
    probation = serving.probation
    announced = serving.announce_at is None
    if generations.fallback is None:
        if announced:
            reason = "no worker of the generation before is left that could take over again"
            _pass_probation(serving, generations, turn, reason)
        return
    time_is_up = announced and probation.ends_at <= turn.now
    in_service = {one.number for one in serving.in_state(WorkerState.SERVING)}
    probation.silent &= in_service  # a worker that drains by now, because fewer are wanted, need not answer
    fault = probation.too_many_errors(serving.settings.probation_max_errors, time_is_up=time_is_up)
    if time_passed:
        fault = fault or probation.missing_answer(turn.now)
    if fault:
        roll_back(generations, fault, "", turn)
    elif time_is_up and probation.answers_due is None:
        probation.expect_answers(in_service, turn.now)
        turn.add(*map(Ping, sorted(in_service)))
        _settle(generations.in_state(GenerationState.DRAINING), generations, turn)
    elif time_is_up and not probation.silent:
        _pass_probation(serving, generations, turn)


def _pass_probation(serving: Generation, generations: Generations, turn: Turn, reason: str = "") -> None:
    draining, before = generations.in_state(GenerationState.DRAINING), generations.standing_by
    serving.end_probation(turn, passed=True, reason=reason)
    if before is not None:
        before.drain(DrainReason.RESTART, turn)
    _settle(draining, generations, turn)


def roll_back(generations: Generations, reason: str, details: str, turn: Turn) -> None:
    """Let the generation before serve again, with as many workers as it wants, and drain the one on probation.

    It is announced when no other generation accepts any more, as at a promotion.
    """
    serving, before = generations.serving, generations.fallback
    assert serving is not None
    assert serving.probation is not None
    assert before is not None
    draining = generations.in_state(GenerationState.DRAINING)
    seconds = turn.now - serving.probation.began_at
    before.rolled_back = RolledBack(serving.number, before.number, seconds, reason, details)
    before.become(GenerationState.SERVING)
    before.predecessors = {one.number for one in serving.in_state(WorkerState.SERVING)}
    before.predecessors |= serving.predecessors - before.workers.keys()
    before.announce_at = turn.now + STOP_ACCEPTING_SECONDS
    for worker in before.in_state(WorkerState.STANDING_BY):
        worker.serve(turn)
    serving.probation = None
    serving.forget_announcement()  # it serves no more
    serving.drain(DrainReason.RESTART, turn)
    start_missing(before, turn)
    if not before.predecessors:
        before.announce(turn)
    _settle(draining, generations, turn)


def _settle(draining: list[Generation], generations: Generations, turn: Turn) -> None:
    """Tell the generations that drained before a decision what it means for them."""
    _tell_of_successors(draining, turn)
    _hurry_oldest(generations, turn)


def _tell_of_successors(draining: list[Generation], turn: Turn) -> None:
    """Tell workers that drain already to which listeners they hand over from now on: there may be fewer."""
    for generation in draining:
        generation.drain_again(DrainReason.RESTART, turn)


def _hurry_oldest(generations: Generations, turn: Turn) -> None:
    """Give no more time to the oldest generations that drain, beyond `MOST_DRAINING_GENERATIONS`."""
    for generation in generations.in_state(GenerationState.DRAINING)[:-MOST_DRAINING_GENERATIONS]:
        generation.drain_again(DrainReason.RESTART, turn, timeout_seconds=0.0)
