"""The supervisor: one process for the life of the service. It holds the sockets, asks `Fleet` what to do, and does it.

It imports neither the application nor any protocol code, so nothing that a deploy brings can break it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque

from gracehttp import events
from gracehttp.event_bus import EventBus
from gracehttp.listeners.limit import raise_descriptor_limit
from gracehttp.supervisor import fleet as table
from gracehttp.supervisor.announcements import Announcer
from gracehttp.supervisor.control.fixed_options import ignored, kept
from gracehttp.supervisor.control.requesters import Requester, Requesters
from gracehttp.supervisor.control.socket import ControlSocket, open_control
from gracehttp.supervisor.control.status import status_of
from gracehttp.supervisor.first_failure import FirstFailure
from gracehttp.supervisor.fleet import Fleet, FleetSettings, Generation, GenerationState
from gracehttp.supervisor.guard import guarded
from gracehttp.supervisor.listeners.auditor import Auditor
from gracehttp.supervisor.listeners.queues import HandoverQueues
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.pidfile import take_over, write
from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.processes.process import TRACEBACK_SIGNAL, Ending, WorkerProcess
from gracehttp.supervisor.processes.workers import Crew
from gracehttp.supervisor.reception import receive_worker
from gracehttp.supervisor.signals import ignore_from_now_on
from gracehttp.supervisor.succession.execve import let_signals_come
from gracehttp.supervisor.succession.replacement import Replacement
from gracehttp.supervisor.succession.state import SupervisorState
from gracehttp.values import Value
from gracehttp.wire import messages
from gracehttp.wire.control import Outcome, Status
from gracehttp.wire.signals import SIGNALS, Meaning

_TOO_LATE = "the service is stopping, and takes no restart any more; start it again when it has ended."
_ORDERS: dict[type[table.Command], messages.Order] = {
    table.Serve: messages.Serve(),
    table.Hold: messages.Hold(),
    table.Resume: messages.Resume(),
    table.Ping: messages.Ping(),
}


class SupervisorOptions(Value):
    """What holds for the life of the supervisor. `control` is a path; None is the abstract name, False no socket.

    A supervisor that goes on for another one keeps that one's pidfile and control socket, whatever is said here.
    """

    release: str
    command_line: CommandLine
    fleet: FleetSettings
    pidfile: str | None = None
    control: str | bool | None = None
    log_is_json: bool = False
    errors_are_logged: bool = True


class Supervisor:
    """`run()` is its life; everything else is called by the loop when something happens."""

    def __init__(self, options: SupervisorOptions, bus: EventBus, predecessor: SupervisorState | None = None) -> None:
        """`predecessor` is what another image of this very process left."""
        self._options = options
        self._bus = bus
        self._predecessor = predecessor
        self._fleet = Fleet(options.fleet, predecessor.fleet if predecessor else None)
        self._inputs: deque[table.Input] = deque()
        self._users: tuple[set[int], int | None] = (set(), None)
        self._acting = False
        self._requesters = Requesters(predecessor.last_outcome if predecessor else None)
        self._first_failure = FirstFailure(errors_are_logged=options.errors_are_logged)
        self._timer: asyncio.TimerHandle | None = None
        self._control: ControlSocket | None = None
        self._stderr = sys.stderr.fileno() if sys.stderr is not None else os.open(os.devnull, os.O_WRONLY)

    async def run(self) -> int:
        """Supervise until told to stop. Returns the exit status; raises `StartError` if it never could serve."""
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[table.Finish] = self._loop.create_future()
        self._set_up(self._predecessor)
        try:
            for number, meaning in SIGNALS.items():
                self._loop.add_signal_handler(number, self._on_signal, number, meaning)
            if self._predecessor is None:
                self._bus.publish(events.SupervisorStarted(os.getpid(), self._options.release))
                self._control = open_control(self._options.control, self, self._bus)
                self._apply(table.RestartRequested())
            else:
                self._go_on(self._predecessor)
            finish = await self._finished
            return await self._shut_down(finish)
        finally:
            self._replacement.cancel()
            self._auditor.close()
            self._listeners.close_all()
            for lost in self._queues.keep(()):
                self._bus.publish(lost)
            if self._pidfile is not None:
                self._pidfile.remove()
            ignore_from_now_on(self._loop)

    def _set_up(self, carried: SupervisorState | None) -> None:
        """Make what it works with, or take it over."""
        self._started_at = carried.started_at if carried else self._loop.time()
        self._pidfile = take_over(carried.pidfile) if carried else write(self._options.pidfile)
        self._listeners = ListenerTable(
            descriptors=raise_descriptor_limit(),
            publish=self._bus.publish,
            record=carried.listeners if carried else None,
        )
        self._crew = Crew(
            self._options.command_line,
            self._stderr,
            on_message=self._on_message,
            on_exit=self._on_worker_exit,
            publish=self._bus.publish,
            hold_words=self._options.log_is_json,
            record=carried.crew if carried else None,
        )
        self._queues = HandoverQueues(carried.queues if carried else None)
        self._auditor = Auditor(self._listeners, self._crew.slots, self._queues.empty, self._bus.publish)
        self._announcer = Announcer(
            self._fleet, self._crew, self._listeners, self._auditor, self._requesters, self._bus
        )
        self._replacement = Replacement(
            self._options.command_line, self._crew, carry=self._carry, on_failure=self._not_replaced
        )

    def _carry(self, source: str) -> SupervisorState:
        """All that the next image needs to go on, between two turns of the loop."""

        def awaited_by(requester: Requester) -> int | None:
            return self._requesters.awaited_by(requester, next_generation=self._fleet.next_generation)

        return SupervisorState(
            release=self._options.release,
            source=source,
            started_at=self._started_at,
            fleet=self._fleet.memory(),
            crew=self._crew.carry(),
            listeners=self._listeners.carry(),
            queues=self._queues.carry(),
            pidfile=self._pidfile.carry() if self._pidfile else None,
            control=self._control.carry(awaited_by) if self._control else None,
            last_outcome=self._requesters.last,
        )

    def _go_on(self, carried: SupervisorState) -> None:
        """Where the image before left off; then restart, as it was asked to."""
        if carried.control is not None:
            self._control = ControlSocket.adopt(carried.control, self, self._bus, self._requesters.of_restart)
        let_signals_come()
        self._bus.publish(events.SupervisorReplaced(os.getpid(), self._options.release, carried.release))
        self._crew.bury()
        self._auditor.audit()
        self._restart(carried.source)

    async def _shut_down(self, finish: table.Finish) -> int:
        self._listeners.close_all()
        await self._crew.templates.ended()
        self._bus.publish(events.SupervisorStopped(os.getpid()))
        self._requesters.stopped(Outcome(ok=True, message="stopped by force" if finish.forced else "stopped"))
        if self._control is not None:
            await self._control.close()
        if not finish.could_start:
            raise self._first_failure.error
        return 1 if finish.forced else 0

    # --- what is asked of it ---

    def _on_signal(self, number: signal.Signals, meaning: Meaning) -> None:
        match meaning:
            case Meaning.RESTART:
                self._restart(number.name)
            case Meaning.REPLACE:
                self._replace(number.name)
            case Meaning.STOP:
                self._stop(number.name, force=False)
            case Meaning.SCALE_UP:
                self._apply(table.ScaleRequested(+1))
            case Meaning.SCALE_DOWN:
                self._apply(table.ScaleRequested(-1))

    def restart(self, source: str, requester: Requester) -> None:
        """Start a new generation. The requester is told in the end whether it serves, and if not, why."""
        self._requesters.of_restart(self._fleet.next_generation, requester)
        self._restart(source)

    def replace(self, source: str, requester: Requester) -> None:
        """Replace this image of the supervisor, then restart. The requester is told in the end, by the new image,
        whether the new generation serves; or by this one why it is still there."""
        self._requesters.of_replacement(requester)
        self._replace(source)

    def stop(self, source: str, requester: Requester, *, force: bool) -> None:
        """Stop the service. The requester is told when all workers are gone."""
        self._requesters.of_stop(requester)
        if force or not self._fleet.stopping:
            self._stop(source, force=force)

    def status(self) -> Status:
        """All that is known."""
        return status_of(
            self._fleet,
            self._crew,
            self._listeners,
            last=self._requesters.last,
            release=self._options.release,
            started_at=self._started_at,
            now=self._loop.time(),
        )

    def _restart(self, source: str) -> None:
        if self._fleet.stopping:
            self._requesters.concluded(Outcome(ok=False, message=_TOO_LATE, generation=self._fleet.next_generation))
            return
        self._bus.publish(events.RestartRequested(self._fleet.next_generation, source))
        self._apply(table.RestartRequested())

    def _replace(self, source: str) -> None:
        if self._fleet.stopping:
            self._not_replaced("the service is stopping")
            return
        self._bus.publish(events.ReplacementRequested(source))
        newest = self._fleet.coming or self._fleet.serving
        settings = newest.settings if newest is not None else self._options.fleet
        self._replacement.begin(source, timeout_seconds=settings.ready_timeout_seconds)

    def _not_replaced(self, reason: str, details: str = "", unlogged: str = "") -> None:
        self._bus.publish(events.ReplacementGivenUp(reason, unlogged))
        message = str(events.ReplacementGivenUp(reason))
        self._requesters.not_replaced(Outcome(ok=False, message=message, details=details))

    def _stop(self, source: str, *, force: bool) -> None:
        forced = self._fleet.stop_forces(force, self._loop.time())
        self._bus.publish(events.StopRequested(source, forced))
        if self._replacement.cancel():
            self._not_replaced("the service is stopping")
        self._apply(table.StopRequested(force))

    # --- deciding and doing ---

    def _apply(self, happened: table.Input) -> None:
        """Ask the table, and do what it says. What happens meanwhile waits its turn."""
        self._inputs.append(happened)
        if self._acting:
            return
        self._acting = True
        try:
            while self._inputs:
                commands = self._fleet.apply(self._inputs.popleft(), self._loop.time())
                guarded("leave ports behind", self._leave_behind)  # before those hear of it who used them
                for command in commands:
                    guarded("carry out {}", self._carry_out, command)
        finally:
            self._acting = False
            self._set_timer()  # also after a defect of ours: what was decided before keeps its deadlines

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._fleet.next_deadline()
        if deadline is not None and not self._finished.done():
            self._timer = self._loop.call_at(deadline, self._apply, table.TimePassed())

    def _carry_out(self, command: table.Command) -> None:
        match command:
            case table.StartWorker(generation, worker):
                self._start_worker(generation, worker)
            case table.Serve(worker) | table.Hold(worker) | table.Resume(worker) | table.Ping(worker):
                self._crew.tell(worker, _ORDERS[type(command)])
            case table.Pause(worker):
                serving = self._fleet.serving
                goes_on = self._listeners.used_by(serving.number) if serving is not None else []
                self._crew.tell(worker, messages.Pause(tuple(goes_on), self._queues.live()))
            case table.Retire(worker, reason, timeout_seconds):
                self._retire(worker, reason, timeout_seconds)
            case table.RequestDump(worker):
                self._announcer.announce(command)
                self._crew.tell(worker, messages.RequestDump())
            case table.DumpTraceback(worker):
                self._crew.signal(worker, TRACEBACK_SIGNAL)
            case table.Kill(generation, worker, reason):
                self._bus.publish(events.WorkerCut(generation, worker, self._crew.pid(worker), reason))
                if not self._crew.signal(worker, signal.SIGKILL):  # then nothing else will tell that it is gone
                    self._inputs.append(table.WorkerExited(worker, "had no process"))
            case table.StopAdmitting():
                self._listeners.close_doors()
                self._queues.seal_all()
            case table.GivenUp():
                self._give_up(command)
            case table.Promoted() | table.ProbationEnded() | table.RolledBack() | table.Superseded() | table.Died():
                self._announcer.announce(command)
            case table.Gone(generation, served, seconds):
                self._listeners.forget(generation)
                self._crew.forget(generation)
                if not self._fleet.stopping:
                    self._close_queues(gone=generation)
                if served:
                    self._bus.publish(events.GenerationRetired(generation, seconds))
            case table.Finish():
                self._finished.set_result(command)

    def _start_worker(self, generation: int, worker: int) -> None:
        try:
            self._crew.start(worker, generation)
        except OSError as exc:
            self._inputs.append(table.WorkerExited(worker, f"could not be started ({exc})"))

    def _retire(self, worker: int, reason: messages.DrainReason, timeout_seconds: float) -> None:
        goes_on: set[int] = set()
        if reason is messages.DrainReason.RESTART:  # then others take connections of these listeners
            goes_on = {number for one in self._fleet.in_use for number in self._listeners.used_by(one)}
        live = self._queues.live()
        order = messages.Drain(reason, timeout_seconds, tuple(sorted(goes_on)), live)
        self._crew.tell(worker, order)

    def _leave_behind(self) -> None:
        """Close the doors, and seal the queues, of ports that no generation has any more that serves or stands by."""
        coming = self._fleet.coming
        users = (self._fleet.in_use, coming.number if coming is not None else None)
        if users != self._users and self._fleet.serving is not None:
            self._queues.seal(self._listeners.leave_behind(*users))
        self._users = users

    def _close_queues(self, *, gone: int) -> None:
        kept = {one.number for one in self._listeners}
        for lost in (*self._queues.forget(gone), *self._queues.keep(kept)):
            self._bus.publish(lost)

    def _give_up(self, command: table.GivenUp) -> None:
        if self._fleet.serving is None:
            self._first_failure.given_up(command.reason)
        self._announcer.announce(command)

    # --- what workers say and do ---

    def _on_message(self, process: WorkerProcess, message: messages.Message) -> None:
        match message:
            case messages.Hello():
                process.introduced = True
                self._apply(table.WorkerIntroduced(process.number, message.settings))
                generation = self._fleet.generation_of(process.number)
                self._tell_what_is_ignored(generation, message.fixed)
                if generation is not None and not self._fleet.stopping:
                    held = self._listeners, self._queues, self._crew, self._stderr
                    receive_worker(process, message, generation, *held)
            case messages.CodeRecorded(record):
                self._crew.codes.keep(process.generation, record)
            case messages.StageBegan(doing):
                process.stage = doing
            case messages.Ready():
                seconds = self._loop.time() - process.started_at
                if wrote := process.last_words.release():
                    self._bus.publish(events.WorkerWrote(process.generation, process.number, wrote))
                self._bus.publish(events.WorkerBecameReady(process.generation, process.number, process.pid, seconds))
                self._apply(table.WorkerReady(process.number))
            case messages.Failed():
                process.failure = message
            case messages.StoppedAccepting():
                process.deaf = True
                self._apply(table.WorkerStoppedAccepting(process.number))
                self._close_listeners_if_all_are_deaf()
            case messages.Paused():
                self._apply(table.WorkerStoppedAccepting(process.number))
            case messages.Alive():
                self._apply(table.WorkerAlive(process.number))
            case messages.Answered(responses, errors):
                self._apply(table.WorkerAnswered(process.number, responses, errors))
            case messages.DueForRecycling(reason):
                self._bus.publish(events.WorkerTired(process.generation, process.number, reason))
                self._apply(table.WorkerDueForRecycling(process.number))
            case messages.Shed(listener, connections):
                self._listeners.connections_shed(listener, connections)

    def _tell_what_is_ignored(self, generation: Generation | None, wanted: messages.FixedOptions | None) -> None:
        if wanted is None or generation is None or generation.state is not GenerationState.STARTING:
            return  # only the first worker of a generation is asked
        if self._fleet.serving is not None:
            for fact in ignored(wanted, kept(self._pidfile, self._control)):
                self._bus.publish(fact)

    def _on_worker_exit(self, process: WorkerProcess, ending: Ending) -> None:
        if self._fleet.serving is None:
            self._first_failure.worker_ended(process, ending)
        told = (ending.reason, ending.details, ending.unlogged)
        self._apply(table.WorkerExited(process.number, *told, doing=process.doing))
        # After that: it may fail, and whoever has its place by now holds no permit before it is welcomed.
        self._auditor.worker_died(process.slot)
        self._close_listeners_if_all_are_deaf()

    def _close_listeners_if_all_are_deaf(self) -> None:
        if self._fleet.stopping and self._crew.all_deaf():
            self._listeners.close_all()  # the queues are empty: newcomers are refused at once, not at the end
