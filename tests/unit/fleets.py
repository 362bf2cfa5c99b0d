"""Fleets in the states in which many tests begin, and what is asked of the commands that they return."""

from __future__ import annotations

from gracehttp.supervisor.fleet import (
    Fleet,
    FleetSettings,
    RestartRequested,
    StartWorker,
    WorkerIntroduced,
    WorkerReady,
    WorkerStoppedAccepting,
)

TWO = FleetSettings(workers=2, ready_timeout_seconds=60, drain_timeout_seconds=30)


def only(commands, kind):
    """The commands of one kind."""
    return [command for command in commands if isinstance(command, kind)]


def started(commands):
    """The numbers of the workers that the commands start."""
    return [command.worker for command in only(commands, StartWorker)]


def serving_fleet(settings=TWO, now=0.0):
    """A fleet whose first generation serves."""
    fleet = Fleet(settings)
    restart(fleet, settings, now)
    return fleet


def restart(fleet, settings=TWO, now=0.0):
    """Request a restart and let every worker become ready; returns the commands of the promotion."""
    (canary,) = started(fleet.apply(RestartRequested(), now))
    fleet.apply(WorkerIntroduced(canary, settings), now)
    commands = fleet.apply(WorkerReady(canary), now)
    for sibling in started(commands):
        commands = fleet.apply(WorkerReady(sibling), now)
    return commands


def stop_accepting(fleet, number, now):
    """The workers of a draining generation say that they accept no more."""
    for worker in list(fleet.generations[number].workers):
        fleet.apply(WorkerStoppedAccepting(worker), now)
