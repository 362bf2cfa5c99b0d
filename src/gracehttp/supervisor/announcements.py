"""Telling what became of generations and workers: to the log, to the listeners, and to whoever asked for it."""

from __future__ import annotations

from gracehttp import events
from gracehttp.event_bus import EventBus
from gracehttp.supervisor import fleet as table
from gracehttp.supervisor.control.requesters import Requesters
from gracehttp.supervisor.fleet import Fleet
from gracehttp.supervisor.listeners.auditor import Auditor
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.processes.workers import Crew
from gracehttp.wire.control import Outcome

Announcement = (
    table.RequestDump
    | table.Promoted
    | table.ProbationEnded
    | table.RolledBack
    | table.GivenUp
    | table.Superseded
    | table.Died
)
"""The commands of the table that are carried out here, or told before they are."""


class Announcer:
    """`announce` carries out one of these commands."""

    def __init__(
        self,
        fleet: Fleet,
        crew: Crew,
        listeners: ListenerTable,
        auditor: Auditor,
        requesters: Requesters,
        bus: EventBus,
    ) -> None:
        self._fleet = fleet
        self._crew = crew
        self._listeners = listeners
        self._auditor = auditor
        self._requesters = requesters
        self._bus = bus

    def announce(self, command: Announcement) -> None:
        match command:
            case table.Promoted(generation, probation_seconds):
                self._promoted(generation, probation_seconds)
            case table.ProbationEnded():
                self._probation_ended(command)
            case table.RolledBack():
                self._rolled_back(command)
            case table.GivenUp():
                self._given_up(command)
            case table.Superseded(generation, by):
                self._requesters.supersede(generation, by)
            case table.RequestDump(worker):
                self._hangs(worker)
            case table.Died():
                self._bus.publish(_death(command))

    def _hangs(self, worker: int) -> None:
        generation = self._fleet.generation_of(worker)
        if generation is not None:
            seconds = generation.settings.ready_timeout_seconds
            self._bus.publish(events.WorkerHangs(generation.number, worker, seconds, self._crew.doing(worker)))

    def _promoted(self, number: int, probation_seconds: float) -> None:
        self._take_over_listeners(number)
        self._bus.publish(events.GenerationPromoted(number, tuple(self._pids(number))))
        if not probation_seconds:
            self._serves(number)
        elif (standing_by := self._fleet.standing_by) is not None:
            self._bus.publish(events.ProbationStarted(number, standing_by.number, probation_seconds))

    def _probation_ended(self, ended: table.ProbationEnded) -> None:
        self._bus.publish(events.ProbationEnded(ended.generation, ended.seconds, ended.reason))
        if ended.passed:
            self._serves(ended.generation)
            return
        message = f"generation {ended.generation} was still on probation when {ended.reason}"
        self._requesters.concluded(Outcome(ok=False, message=message, generation=ended.generation))

    def _rolled_back(self, back: table.RolledBack) -> None:
        self._take_over_listeners(back.to)
        event = events.GenerationRolledBack(back.generation, back.to, back.seconds, back.reason)
        self._bus.publish(event)
        outcome = Outcome(ok=False, message=str(event), details=back.details, generation=back.generation)
        self._requesters.concluded(outcome)

    def _given_up(self, given_up: table.GivenUp) -> None:
        serving = self._fleet.serving
        number, goes_on = given_up.generation, serving.number if serving else None
        event = events.GenerationGivenUp(number, given_up.reason, goes_on, given_up.worker)
        # While the service stops, the table gives up what is coming because of that, and for no other reason.
        self._bus.publish(events.StartCalledOff(number) if self._fleet.stopping else event)
        outcome = Outcome(ok=False, message=event.with_reason, details=given_up.details, generation=number)
        self._requesters.concluded(outcome)

    def _take_over_listeners(self, number: int) -> None:
        self._listeners.promote(number)
        self._auditor.audit()

    def _serves(self, number: int) -> None:
        message = f"generation {number} serves"
        self._requesters.concluded(Outcome(ok=True, message=message, generation=number, pids=tuple(self._pids(number))))

    def _pids(self, number: int) -> list[int]:
        generation = self._fleet.generations.get(number)  # it may have ended before its announcement was due
        return [self._crew.pid(worker) for worker in generation.workers] if generation is not None else []


def _death(died: table.Died) -> events.Event:
    if died.served:
        return events.WorkerDied(died.generation, died.worker, died.reason, died.again_in_seconds)
    return events.WorkerFailedToStart(died.generation, died.worker, died.reason, died.unlogged, died.again_in_seconds)
