"""The supervisor: one process for the life of the service. It asks `Fleet` what to do about all that happens.

It imports neither the application nor any protocol code, so nothing that a deploy brings can break it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from gracehttp import events
from gracehttp.accounts import Credentials
from gracehttp.compiled import BUILD
from gracehttp.event_bus import EventBus
from gracehttp.net.limits import raise_descriptor_limit
from gracehttp.supervisor import fleet as table
from gracehttp.supervisor.certificates.files import FilesForWorkers
from gracehttp.supervisor.certificates.watch import CertificateWatch
from gracehttp.supervisor.control.fixed_options import kept
from gracehttp.supervisor.control.recent import RecentEvents
from gracehttp.supervisor.control.requesters import Requester, Requesters
from gracehttp.supervisor.control.socket import ControlSocket, open_control
from gracehttp.supervisor.control.status import status_of
from gracehttp.supervisor.first_failure import FirstFailure
from gracehttp.supervisor.fleet import Fleet, FleetSettings
from gracehttp.supervisor.guard import guarded
from gracehttp.supervisor.health.addresses import HealthAddresses, HealthOptions
from gracehttp.supervisor.health.checks import Liveness
from gracehttp.supervisor.heard_signals import hear
from gracehttp.supervisor.hook_process import HookProcess
from gracehttp.supervisor.ignored_signals import ignore_from_now_on
from gracehttp.supervisor.listeners.auditor import Auditor
from gracehttp.supervisor.listeners.queues import HandoverQueues
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.metrics.collector import Collector
from gracehttp.supervisor.metrics.exporter import Exporter
from gracehttp.supervisor.metrics.facts import Facts
from gracehttp.supervisor.metrics.pages import WorkerPages
from gracehttp.supervisor.orders import Orders
from gracehttp.supervisor.pidfile import take_over, write
from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.processes.process import Ending, WorkerProcess
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.supervisor.reloading.reloader import Reloader, ReloadSettings
from gracehttp.supervisor.reports import Reports
from gracehttp.supervisor.service_manager.manager import ServiceManager
from gracehttp.supervisor.succession.execve import let_signals_come
from gracehttp.supervisor.succession.replacement import Replacement
from gracehttp.supervisor.succession.state import MetricsRecord, SupervisorState
from gracehttp.supervisor.terminal import Terminal
from gracehttp.supervisor.watchdog import Watchdog
from gracehttp.values import Value
from gracehttp.wire import messages
from gracehttp.wire.control import Outcome, Status
from gracehttp.wire.signals import SIGNALS, Meaning

_TOO_LATE = "the service is stopping, and takes no restart any more; start it again when it has ended."

INTERRUPT_DRAIN_SECONDS = 0.1
"""With `--reload`: how long requests in flight may take after Ctrl+C."""
INTERRUPT_SECONDS = 0.8
"""And how long after it everything that is left is ended by force. A person doesn't want to wait a second."""


class SupervisorOptions(Value):
    """What holds for the life of the supervisor. `control` is a path; None is the abstract name, False no socket.
    `metrics` is where those are served, None: nowhere.

    A supervisor that goes on for another one keeps that one's pidfile and control socket, whatever these options say.
    """

    release: str
    command_line: CommandLine
    fleet: FleetSettings
    health: HealthOptions = HealthOptions()
    fd_store: str = "auto"
    pidfile: str | None = None
    control: str | bool | None = None
    log_is_json: bool = False
    errors_are_logged: bool = True
    user: str | None = None
    group: str | None = None
    credentials: Credentials | None = None
    """What workers become, of `user` and `group`. The supervisor stays what it is."""
    tls_files: tuple[str, ...] = ()
    """The absolute paths of the files of TLS that may be read for them."""
    reload: ReloadSettings | None = None
    metrics: str | None = None


class Supervisor:
    """`run()` is its life; everything else is called by the loop when something happens."""

    def __init__(self, options: SupervisorOptions, bus: EventBus, predecessor: SupervisorState | None = None) -> None:
        """`predecessor` is what another image of this very process left."""
        self._options = options
        self._bus = bus
        self._predecessor = predecessor
        memory = predecessor.fleet if predecessor else None
        self._fleet = Fleet(options.fleet, memory, outlives_failed_starts=options.reload is not None)
        self._inputs: deque[table.Input] = deque()
        self._acting = False
        self._requesters = Requesters(predecessor.last_outcome if predecessor else None)
        self._first_failure = FirstFailure(errors_are_logged=options.errors_are_logged)
        self._timer: asyncio.TimerHandle | None = None
        self._control: ControlSocket | None = None
        self._reloader: Reloader | None = None
        self._terminal = Terminal()
        self._exporter: Exporter | None = None
        self._recent = RecentEvents()
        bus.subscribe(self._recent.on_event)
        self._stderr = sys.stderr.fileno() if sys.stderr is not None else os.open(os.devnull, os.O_WRONLY)

    async def run(self) -> int:
        """Supervise until told to stop. Returns the exit status; raises `StartError` if it never could serve."""
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[table.Finish] = self._loop.create_future()
        self._set_up(self._predecessor)
        try:
            for number, meaning in SIGNALS.items():
                hear(self._loop, number, partial(self._on_signal, number, meaning))
            if self._predecessor is None:
                self._bus.publish(events.SupervisorStarted(os.getpid(), self._options.release, str(BUILD)))
                self._health.open()
                if self._options.metrics is not None:
                    self._exporter = Exporter.listen(self._options.metrics, self._collector.text)
                    self._bus.publish(events.MetricsServed(self._exporter.bound))
                self._control = open_control(self._options.control, self, self._bus)
                self._begin_to_reload()
                self._apply(table.RestartRequested())
            else:
                self._go_on(self._predecessor)
            self._watchdog.begin()
            finish = await self._finished
            return await self._shut_down(finish)
        finally:
            self._watchdog.end()
            self._replacement.cancel()
            if self._reloader is not None:
                self._reloader.close()
            self._liveness.close()
            self._health.close()
            self._auditor.close()
            self._certificates.close()
            if self._exporter is not None:
                self._exporter.close()
            self._pages.close()
            self._listeners.close_all()
            for lost in self._queues.keep(()):
                self._bus.publish(lost)
            if self._pidfile is not None:
                self._pidfile.remove()
            self._manager.close()
            ignore_from_now_on(self._loop)
            self._terminal.restore()

    def _set_up(self, carried: SupervisorState | None) -> None:
        """Make the parts of the supervisor, or take them over from the image before."""
        self._started_at = carried.started_at if carried else self._loop.time()
        self._pidfile = take_over(carried.pidfile) if carried else write(self._options.pidfile)
        self._manager = ServiceManager(os.environ, self._bus, fd_store=self._options.fd_store, is_first=carried is None)
        self._listeners = ListenerTable(
            descriptors=raise_descriptor_limit(),
            publish=self._bus.publish,
            owner=self._options.credentials,
            record=carried.listeners if carried else None,
            store=self._manager.store,
        )
        self._workers = WorkerProcesses(
            self._options.command_line,
            self._stderr,
            on_message=self._on_message,
            on_exit=self._on_exit,
            publish=self._bus.publish,
            hold_early_stderr=self._options.log_is_json,
            credentials=self._options.credentials,
            record=carried.processes if carried else None,
        )
        self._queues = HandoverQueues(carried.queues if carried else None)
        self._certificates = CertificateWatch(
            self._workers.send,
            self._bus.publish,
            lambda: self._fleet.serving.number if self._fleet.serving is not None else None,
            carried.certificates if carried else None,
            read=self._files_for_workers(),
        )
        counted = (carried and carried.metrics) or MetricsRecord()
        self._pages = WorkerPages(self._listeners.name_of, counted.pages)
        self._facts = Facts(self._loop.time, counted.facts)
        self._bus.subscribe(self._facts.on_event)
        self._hook_process = HookProcess(
            self._options.command_line,
            self._workers,
            self._stderr,
            self._bus,
            self._events_with_hooks,
            self._options.credentials,
            carried.hook_events if carried else "",
        )
        self._bus.subscribe(self._hook_process.on_event)
        self._collector = Collector(
            self._fleet,
            self._workers,
            self._listeners,
            self._pages,
            self._facts,
            release=self._options.release,
            uptime_seconds=lambda: self._loop.time() - self._started_at,
            certificates=lambda: {one.path: one.not_after for one in self._certificates.used},
        )
        self._watchdog = Watchdog(self._fleet, self._workers, self._pages, self._apply)
        if counted.exporter is not None:
            self._exporter = Exporter.adopt(counted.exporter, self._collector.text)
        self._auditor = Auditor(self._listeners, self._workers.slots, self._queues.empty, self._bus.publish)
        self._liveness = Liveness(
            self._fleet, lambda worker: self._workers.send(worker, messages.Ping(for_health=True))
        )
        self._manager.begin(self._fleet, self._liveness)
        self._health = HealthAddresses(
            self._options.health,
            self._fleet,
            self._workers,
            self._listeners,
            self._liveness,
            self._bus.publish,
            metrics=self._collector.text,
        )
        self._orders = Orders(
            self._fleet,
            self._workers,
            self._listeners,
            self._queues,
            self._auditor,
            self._certificates,
            self._requesters,
            self._first_failure,
            self._bus,
            apply=self._apply,
            finish=self._finished.set_result,
        )
        self._reports = Reports(
            self._fleet,
            self._workers,
            self._listeners,
            self._queues,
            self._auditor,
            self._certificates,
            self._pages,
            self._first_failure,
            self._bus,
            apply=self._apply,
            fixed_options=lambda: kept(
                self._pidfile,
                self._control,
                self._health,
                self._exporter,
                user=self._options.user,
                group=self._options.group,
            ),
            stderr=self._stderr,
            heard=self._liveness.heard,
            answers_probes=lambda: self._health.admin is not None,
            tell_hooks=self._hook_process.pass_on,
        )
        self._replacement = Replacement(
            self._options.command_line, self._workers, carry=self._carry, on_failure=self._not_replaced
        )

    def _files_for_workers(self) -> Callable[[Iterable[str]], int | None]:
        credentials = self._options.credentials
        return FilesForWorkers(self._options.tls_files, credentials).read if credentials else lambda paths: None

    def _carry(self, source: str) -> SupervisorState:
        """All that the next image needs to go on. Must be called between two turns of the loop."""

        def awaited_by(requester: Requester) -> int | None:
            return self._requesters.awaited_by(requester, next_generation=self._fleet.next_generation)

        return SupervisorState(
            release=self._options.release,
            source=source,
            started_at=self._started_at,
            fleet=self._fleet.memory(),
            processes=self._workers.carry(),
            listeners=self._listeners.carry(),
            queues=self._queues.carry(),
            pidfile=self._pidfile.carry() if self._pidfile else None,
            control=self._control.carry(awaited_by) if self._control else None,
            last_outcome=self._requesters.last,
            certificates=self._certificates.carry(),
            health=self._health.carry(),
            metrics=MetricsRecord(
                pages=self._pages.carry(),
                facts=self._facts.carry(),
                exporter=self._exporter.carry() if self._exporter is not None else None,
            ),
            hook_events=self._hook_process.carry(),
        )

    def _go_on(self, carried: SupervisorState) -> None:
        """Where the image before left off; then restart, as it was asked to."""
        if carried.control is not None:
            self._control = ControlSocket.adopt(carried.control, self, self._bus, self._requesters.of_restart)
        self._health.adopt(carried.health)
        let_signals_come()
        self._bus.publish(events.SupervisorReplaced(os.getpid(), self._options.release, carried.release))
        self._workers.reap()
        self._hook_process.go_on()
        self._auditor.audit()
        self._begin_to_reload()
        self._restart(carried.source)

    def _begin_to_reload(self) -> None:
        if self._options.reload is not None:
            self._reloader = Reloader(
                self._options.reload,
                watch_child=self._workers.watch,
                publish=self._bus.publish,
                restart=self._restart,
                stderr=self._stderr,
            )
            self._reloader.start()

    async def _shut_down(self, finish: table.Finish) -> int:
        self._listeners.close_all()
        await self._workers.templates.ended()
        self._bus.publish(events.SupervisorStopped(os.getpid()))
        await self._hook_process.end()
        self._requesters.stopped(Outcome(ok=True, message="stopped by force" if finish.forced else "stopped"))
        if self._control is not None:
            await self._control.close()
        if not finish.could_start:
            raise self._first_failure.error
        return 1 if finish.forced else 0

    # --- what is asked of it ---

    def _on_signal(self, number: signal.Signals, meaning: Meaning) -> None:
        match meaning:
            case Meaning.RESTART if number is signal.SIGHUP and self._terminal.is_closed:
                self._stop_as_soon_as_wanted("the closed terminal")
            case Meaning.RESTART:
                self._restart(number.name)
            case Meaning.REPLACE:
                self._replace(number.name)
            case Meaning.STOP if number is signal.SIGINT:
                self._stop_as_soon_as_wanted(number.name)
            case Meaning.STOP:
                self._stop(number.name, force=False)
            case Meaning.SCALE_UP:
                self._apply(table.ScaleRequested(+1))
            case Meaning.SCALE_DOWN:
                self._apply(table.ScaleRequested(-1))

    def restart(self, source: str, requester: Requester, *, supersede: bool) -> None:
        """Start a new generation. The requester is told in the end whether it serves, and if not, why.

        If another one is starting, this one waits for its end, or ends it with `supersede`.
        """
        coming = self._fleet.coming
        if coming is not None and not supersede and not self._fleet.stopping:
            self._requesters.of_queued_restart(source, requester)
            self._bus.publish(events.RestartQueued(source, coming.number))
            return
        self._requesters.of_restart(self._fleet.next_generation, requester)
        self._restart(source)

    def replace(self, source: str, requester: Requester) -> None:
        """Replace this image of the supervisor, then restart. In the end the new image tells the requester whether the
        new generation serves, or this one why it was not replaced."""
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
            self._workers,
            self._listeners,
            self._certificates.used,
            last=self._requesters.last,
            release=self._options.release,
            started_at=self._started_at,
            now=self._loop.time(),
        )

    def metrics(self) -> str:
        """As Prometheus reads them."""
        return self._collector.text()

    def recent_events(self) -> str:
        """See `RecentEvents.lines`."""
        return self._recent.lines()

    def _events_with_hooks(self) -> tuple[str, ...]:
        newest = self._fleet.serving or self._fleet.coming
        return newest.settings.hooks if newest is not None else self._options.fleet.hooks

    def _restart(self, source: str) -> None:
        if self._fleet.stopping:
            self._requesters.concluded(Outcome(ok=False, message=_TOO_LATE, generation=self._fleet.next_generation))
            return
        self._workers.launches.tell_moved_links()
        self._requesters.begin_queued(self._fleet.next_generation)
        self._requesters.restart_began(self._fleet.next_generation, source)
        self._bus.publish(events.RestartRequested(self._fleet.next_generation, source))
        self._apply(table.RestartRequested())

    def _replace(self, source: str) -> None:
        if self._fleet.stopping:
            self._not_replaced("the service is stopping")
            return
        self._workers.launches.tell_moved_links()
        self._requesters.replacement_began(source)
        self._bus.publish(events.ReplacementRequested(source))
        newest = self._fleet.coming or self._fleet.serving
        settings = newest.settings if newest is not None else self._options.fleet
        self._replacement.begin(source, timeout_seconds=settings.ready_timeout_seconds)

    def _not_replaced(self, reason: str, details: str = "", unlogged: str = "") -> None:
        self._bus.publish(events.ReplacementGivenUp(reason, unlogged))
        message = str(events.ReplacementGivenUp(reason))
        self._requesters.not_replaced(Outcome(ok=False, message=message, details=details))

    def _stop_as_soon_as_wanted(self, source: str) -> None:
        """For a person at the terminal. Who develops doesn't wait for streams that never end."""
        if self._options.reload is None:
            self._stop(source, force=False)
            return
        if not self._fleet.stopping:
            self._loop.call_later(INTERRUPT_SECONDS, self._end_what_is_left, f"{source} {INTERRUPT_SECONDS:g} s ago")
        self._stop(source, force=False, drain_timeout_seconds=INTERRUPT_DRAIN_SECONDS)

    def _end_what_is_left(self, source: str) -> None:
        if not self._finished.done() and not self._fleet.forced:
            self._stop(source, force=True)

    def _stop(self, source: str, *, force: bool, drain_timeout_seconds: float | None = None) -> None:
        forced = self._fleet.stop_forces(force, self._loop.time())
        self._bus.publish(events.StopRequested(source, forced))
        if self._replacement.cancel():
            self._not_replaced("the service is stopping")
        self._apply(table.StopRequested(force, drain_timeout_seconds))

    # --- deciding and doing ---

    def _apply(self, happened: table.Input) -> None:
        """Ask the fleet, and do what it says. What happens meanwhile waits its turn."""
        self._inputs.append(happened)
        if self._acting:
            return
        self._acting = True
        try:
            while self._inputs:
                commands = self._fleet.apply(self._inputs.popleft(), self._loop.time())
                guarded("leave ports behind", self._orders.leave_behind)  # before their workers are told to drain
                for command in commands:
                    guarded("carry out {}", self._orders.carry_out, command)
            if self._reloader is not None:
                self._reloader.look(restarting=self._fleet.coming is not None)
        finally:
            self._acting = False
            self._set_timer()  # also after a defect: what was decided before keeps its deadlines
        if (source := self._requesters.queued_source) and self._fleet.coming is None and not self._fleet.stopping:
            self._restart(source)

    def _on_message(self, process: WorkerProcess, message: messages.Message) -> None:
        self._reports.receive(process, message)

    def _on_exit(self, process: WorkerProcess, ending: Ending) -> None:
        self._reports.exited(process, ending)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._fleet.next_deadline()
        if deadline is not None and not self._finished.done():
            self._timer = self._loop.call_at(deadline, self._apply, table.TimePassed())
