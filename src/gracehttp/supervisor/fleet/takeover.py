"""How a probation ends: the generation that stands by goes, or takes over again. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

from gracehttp.supervisor.fleet.commands import Command, Ping, RolledBack
from gracehttp.supervisor.fleet.generation import STOP_ACCEPTING_SECONDS, Generation, GenerationState, WorkerState
from gracehttp.supervisor.fleet.inputs import Input, TimePassed

Start = Callable[[Generation, float], Command]


def can_take_over(standing_by: Generation | None) -> TypeGuard[Generation]:
    """Whether there is somebody to go back to."""
    return standing_by is not None and bool(standing_by.in_state(WorkerState.STANDING_BY))


def judge(
    happened: Input, serving: Generation, standing_by: Generation | None, now: float, *, start: Start
) -> list[Command]:
    """What the workers of `serving`, the time, and the state of the one that stands by say, if there is a probation.

    An objection ends it at any moment, as a death does (`roll_back`). It is passed at the earliest when the generation
    has been announced, its time is up, and each of its workers that serve has answered since then.
    """
    probation = serving.probation
    if probation is None:
        return []
    announced = serving.announce_at is None
    over = announced and probation.ends_at <= now
    if not can_take_over(standing_by):
        reason = "no worker of the generation before is left that could take over again"
        return _pass(serving, standing_by, now, reason) if announced else []
    in_service = {one.number for one in serving.in_state(WorkerState.SERVING)}
    probation.silent &= in_service  # who was told to drain meanwhile, because fewer are wanted, need not answer
    objection = probation.objection(serving.settings.probation_max_errors, at_the_end=over)
    if isinstance(happened, TimePassed):  # not before: answers that are there already are heard first
        objection = objection or probation.no_answer(now)
    if objection:
        return roll_back(serving, standing_by, objection, "", now, start=start)
    if over and probation.answers_due is None:
        probation.ask(in_service, now)
        return [Ping(one) for one in sorted(in_service)]
    return _pass(serving, standing_by, now) if over and not probation.silent else []


def _pass(serving: Generation, standing_by: Generation | None, now: float, reason: str = "") -> list[Command]:
    commands = serving.end_probation(now, passed=True, reason=reason)
    return commands + standing_by.retire("restart", now) if standing_by is not None else commands


def roll_back(
    serving: Generation, before: Generation, reason: str, details: str, now: float, *, start: Start
) -> list[Command]:
    """`before` serves again, and `serving`, which is on probation, is retired, in this order: so there is no moment in
    which nobody accepts. Workers of `before` that died meanwhile are replaced, by `start`.

    It is told when nobody else than `before` accepts any more, as at a promotion.
    """
    assert serving.probation is not None
    before.rolled_back = RolledBack(serving.number, before.number, now - serving.probation.began_at, reason, details)
    before.state = GenerationState.SERVING
    before.predecessors = {one.number for one in serving.in_state(WorkerState.SERVING)}
    before.predecessors |= serving.predecessors - before.workers.keys()
    before.announce_at = now + STOP_ACCEPTING_SECONDS
    commands: list[Command] = [one.let_serve() for one in before.in_state(WorkerState.STANDING_BY)]
    serving.probation = None
    serving.forget_announcement()  # that it serves is not true any more
    commands += serving.retire("restart", now)
    commands += [start(before, now) for _ in range(before.wanted - before.planned)]
    return commands if before.predecessors else commands + before.announce()
