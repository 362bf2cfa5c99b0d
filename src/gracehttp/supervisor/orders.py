"""Carrying out what the fleet commands: orders go to workers and ports, facts to the log and to requesters."""

from __future__ import annotations

import signal
from collections.abc import Callable

from gracehttp import events
from gracehttp.events.bus import EventBus
from gracehttp.supervisor.certificates.watch import CertificateWatch
from gracehttp.supervisor.control.requesters import Requesters
from gracehttp.supervisor.first_failure import FirstFailure
from gracehttp.supervisor.fleet import DrainReason, Fleet, WorkerState, commands, inputs
from gracehttp.supervisor.listeners.ports import Ports
from gracehttp.supervisor.processes.process import TRACEBACK_SIGNAL
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.wire import messages
from gracehttp.wire.control import Outcome

_SIMPLE: dict[type[commands.Command], messages.Order] = {
    commands.Serve: messages.Serve(),
    commands.Hold: messages.Hold(),
    commands.Resume: messages.Resume(),
    commands.Ping: messages.Ping(),
}


class Orders:
    """`carry_out` carries out any command but `Finish`, which ends the turns.

    `apply(input)` is called if a command fails in a way that the fleet must know.
    """

    def __init__(
        self,
        fleet: Fleet,
        workers: WorkerProcesses,
        ports: Ports,
        certificates: CertificateWatch,
        requesters: Requesters,
        first_failure: FirstFailure,
        bus: EventBus,
        *,
        apply: Callable[[inputs.Input], None],
    ) -> None:
        self._fleet = fleet
        self._workers = workers
        self._ports = ports
        self._certificates = certificates
        self._requesters = requesters
        self._first_failure = first_failure
        self._bus = bus
        self._apply = apply
        self._users: tuple[set[int], int | None] = (set(), None)

    def carry_out(self, command: commands.Order | commands.Fact) -> None:
        match command:
            case commands.StartWorker(generation, worker):
                self._start_worker(generation, worker)
            case commands.Serve(worker) if self._fleet.stopping:
                self._workers.send(worker, messages.AnnounceStop())
                self._workers.send(worker, messages.Serve())
            case commands.Serve(worker) | commands.Hold(worker) | commands.Resume(worker) | commands.Ping(worker):
                self._workers.send(worker, _SIMPLE[type(command)])
            case commands.Pause(worker):
                self._pause(worker)
            case commands.Drain(worker, reason, timeout_seconds):
                self._drain(worker, reason, timeout_seconds)
            case commands.Dismiss(worker):
                self._dismiss(worker)
            case commands.RequestDump():
                self._request_dump(command)
            case commands.DumpTraceback(worker):
                self._workers.signal(worker, TRACEBACK_SIGNAL)
            case commands.Kill(generation, worker, reason):
                self._kill(generation, worker, reason)
            case commands.AnnounceStop(delay_seconds):
                self._bus.publish(events.StopDelayed(delay_seconds))
                self._workers.send_all(messages.AnnounceStop())
            case commands.StopAdmitting():
                self._workers.starter.end_spare()
                self._ports.stop_admitting()
            case _:
                self._tell(command)

    def leave_behind(self) -> None:
        """Stop admitting connections to listeners that no generation has any more that serves or stands by, and seal
        their handover queues."""
        coming = self._fleet.coming
        users = (self._fleet.in_use, coming.number if coming is not None else None)
        if users != self._users and self._fleet.serving is not None:
            self._ports.leave_behind(*users)
        self._users = users

    # --- orders ---

    def _start_worker(self, generation: int, worker: int) -> None:
        try:
            self._workers.start(worker, generation)
        except OSError as exc:
            self._apply(inputs.WorkerExited(worker, f"could not be started ({exc})"))

    def _pause(self, worker: int) -> None:
        serving = self._fleet.serving
        listeners, tls = self._ports.left_to([serving.number] if serving is not None else [])
        self._workers.send(worker, messages.Pause(listeners, self._ports.live_queues, tls))

    def _drain(self, worker: int, reason: DrainReason, timeout_seconds: float) -> None:
        # At a restart other workers go on with these, if their handover queue is the same.
        listeners, tls = self._ports.left_to(self._fleet.in_use if reason is DrainReason.RESTART else ())
        others_accept = reason is DrainReason.RESTART and self._fleet.others_accept(worker)
        order = messages.Drain(reason, timeout_seconds, listeners, self._ports.live_queues, tls, others_accept)
        self._workers.send(worker, order)
        generation = self._fleet.generation_of(worker)
        if generation is not None:
            self._certificates.gone(generation.number, worker)

    def _tell_others_stopped(self) -> None:
        """From here on each new connection comes to the generation that serves, if that was announced. If it wasn't, it
        has replaced one that was to be announced, whose workers may accept still."""
        serving = self._fleet.serving
        if serving is None or serving.announce_at is not None:
            return
        for generation in self._fleet.generations.values():
            for worker in generation.in_state(WorkerState.DRAINING):
                self._workers.send(worker.number, messages.OthersStopped())

    def _dismiss(self, worker: int) -> None:
        """Its listeners, and what waits in their queues, are left to others."""
        order = messages.Drain(DrainReason.RESTART, 0.0, self._ports.all_listeners, queues=())
        self._workers.send(worker, order)

    def _request_dump(self, asked: commands.RequestDump) -> None:
        worker = asked.worker
        generation = self._fleet.generation_of(worker)
        if generation is not None and asked.hangs:
            self._bus.publish(events.HungWorkerReplaced(generation.number, worker, self._workers.pid(worker)))
        elif generation is not None:
            seconds = generation.settings.ready_timeout_seconds
            self._bus.publish(events.WorkerHangs(generation.number, worker, seconds, self._workers.doing(worker)))
        self._workers.send(worker, messages.RequestDump(ends=asked.ends))

    def _kill(self, generation: int, worker: int, reason: str) -> None:
        self._bus.publish(events.WorkerCut(generation, worker, self._workers.pid(worker), reason))
        if not self._workers.signal(worker, signal.SIGKILL):  # then no process will be reaped for it
            self._apply(inputs.WorkerExited(worker, "had no process"))

    # --- facts ---

    def _tell(self, fact: commands.Fact) -> None:
        match fact:
            case commands.Promoted(generation, probation_seconds):
                self._promoted(generation, probation_seconds)
            case commands.ProbationEnded():
                self._probation_ended(fact)
            case commands.RolledBack():
                self._rolled_back(fact)
            case commands.GivenUp():
                self._given_up(fact)
            case commands.Superseded(generation, by):
                self._requesters.supersede(generation, by)
            case commands.Died():
                self._bus.publish(_death(fact))
            case commands.Hung(generation, worker, kind, seconds):
                pid = self._workers.pid(worker)
                self._bus.publish(events.WorkerHung(generation, worker, pid, kind, seconds))
            case commands.Recovered(generation, worker):
                self._bus.publish(events.WorkerRecovered(generation, worker, self._workers.pid(worker)))
            case commands.Differs(generation, worker, files, more):
                self._bus.publish(events.CodeDiffers(generation, worker, files, more))
            case commands.StartRepeated(generation, by):
                self._bus.publish(events.StartRepeated(generation, by))
            case commands.Gone(generation, served, seconds):
                self._gone(generation, seconds if served else None)

    def _promoted(self, number: int, probation_seconds: float) -> None:
        self._tell_others_stopped()
        self._ports.promote(number)
        self._bus.publish(events.GenerationPromoted(number, self._pids(number)))
        self._workers.prepare_for_next(number)
        if not probation_seconds:
            self._serves(number)
        elif (standing_by := self._fleet.standing_by) is not None:
            self._bus.publish(events.ProbationStarted(number, standing_by.number, probation_seconds))

    def _probation_ended(self, ended: commands.ProbationEnded) -> None:
        self._bus.publish(events.ProbationEnded(ended.generation, ended.seconds, ended.reason))
        if ended.passed:
            self._serves(ended.generation)
            return
        message = f"generation {ended.generation} was still on probation when {ended.reason}"
        self._requesters.concluded(Outcome(ok=False, message=message, generation=ended.generation))

    def _rolled_back(self, back: commands.RolledBack) -> None:
        self._tell_others_stopped()
        self._ports.promote(back.to)
        event = events.GenerationRolledBack(back.generation, back.to, back.seconds, back.reason)
        self._bus.publish(event)
        outcome = Outcome(ok=False, message=str(event), details=back.details, generation=back.generation)
        self._requesters.concluded(outcome)

    def _given_up(self, given_up: commands.GivenUp) -> None:
        serving = self._fleet.serving
        if serving is None:
            self._first_failure.given_up(given_up.reason, given_up.hint)
        number, goes_on = given_up.generation, serving.number if serving else None
        event = events.GenerationGivenUp(number, given_up.reason, goes_on, given_up.worker)
        # While the service stops, the fleet gives up what is coming because of that, and for no other reason.
        self._bus.publish(events.StartCalledOff(number) if self._fleet.stopping else event)
        if self._fleet.awaits_other_code:
            self._bus.publish(events.StartAwaitsChange())
        details = "\n".join(filter(None, (given_up.details, given_up.hint and f"Hint: {given_up.hint}")))
        outcome = Outcome(ok=False, message=event.with_reason, details=details, generation=number)
        self._requesters.concluded(outcome)

    def _gone(self, number: int, retired_for_seconds: float | None) -> None:
        """`retired_for_seconds` is None if the generation never served."""
        self._ports.forget(number, at_the_end=self._fleet.ending)
        self._workers.starter.forget(number)
        self._certificates.forget(number)
        if retired_for_seconds is not None:
            self._bus.publish(events.GenerationRetired(number, retired_for_seconds))

    def _serves(self, number: int) -> None:
        message = f"generation {number} serves"
        self._requesters.concluded(Outcome(ok=True, message=message, generation=number, pids=self._pids(number)))

    def _pids(self, number: int) -> tuple[int, ...]:
        generation = self._fleet.generations.get(number)  # it may have ended before its announcement was due
        return tuple(self._workers.pid(worker) for worker in generation.workers) if generation is not None else ()


def _death(died: commands.Died) -> events.Event:
    if died.served:
        return events.WorkerDied(died.generation, died.worker, died.reason, died.again_in_seconds)
    return events.WorkerFailedToStart(died.generation, died.worker, died.reason, died.unlogged, died.again_in_seconds)
