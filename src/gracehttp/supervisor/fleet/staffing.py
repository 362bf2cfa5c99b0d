"""Replacing workers that have had enough, one at a time, and whether those that go may hand over. Pure."""

from __future__ import annotations

from collections.abc import Callable

from gracehttp.supervisor.fleet.backoff import FORGIVEN_AFTER_SECONDS
from gracehttp.supervisor.fleet.commands import Command, Hold, Resume
from gracehttp.supervisor.fleet.generation import Generation, WorkerState


def recycle(
    serving: Generation, now: float, *, start: Callable[[Generation, float], Command], may_begin: bool
) -> list[Command]:
    """A successor first, by `start`, and when all that are wanted serve beside it, the tired one goes.

    If the successor fails, it is tried again as after any death, and nobody is missing. Nobody else's turn begins
    unless `may_begin`.
    """
    commands: list[Command] = []
    tired = [one for one in serving.tired if one in serving.workers]
    serving.tired = [one for one in tired if serving.workers[one].state is WorkerState.SERVING]
    if serving.recycling is None and serving.tired and may_begin:
        serving.recycling = serving.tired.pop(0)
        if now - serving.workers[serving.recycling].started_at >= FORGIVEN_AFTER_SECONDS:
            serving.deaths_in_a_row = 0
        commands.append(start(serving, now))
    in_service = serving.in_state(WorkerState.SERVING)
    if len(in_service) > serving.wanted:
        timeout = serving.settings.drain_timeout_seconds
        commands += [one.drain("restart", timeout, now) for one in in_service if one.number == serving.recycling]
    return commands


def hold_or_go_on(generation: Generation, *, takers: bool) -> list[Command]:
    """Tell the workers that drain whether there is somebody who takes their connections, if that has changed."""
    commands: list[Command] = []
    for worker in generation.in_state(WorkerState.DRAINING):
        if worker.holding and takers:
            commands.append(Resume(worker.number))
        elif not worker.holding and not takers:
            commands.append(Hold(worker.number))
        worker.holding = not takers
    return commands
