"""The supervisor: one process for the life of the service. It asks `Fleet` what to do about all that happens.

It imports neither the application nor any protocol code, so nothing that a deploy brings can break it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial

from gracehttp import events
from gracehttp.compiled import BUILD
from gracehttp.events.bus import EventBus
from gracehttp.net.limits import raise_descriptor_limit
from gracehttp.supervisor.certificates.files import FilesForWorkers
from gracehttp.supervisor.certificates.watch import CertificateWatch
from gracehttp.supervisor.control.fixed_options import kept
from gracehttp.supervisor.control.recent import RecentEvents
from gracehttp.supervisor.control.requesters import Requester, Requesters
from gracehttp.supervisor.control.socket import ControlSocket, open_control
from gracehttp.supervisor.control.status import status_of
from gracehttp.supervisor.endpoints.addresses import Addresses, AddressOptions
from gracehttp.supervisor.endpoints.health import Liveness
from gracehttp.supervisor.first_failure import FirstFailure
from gracehttp.supervisor.fleet import Fleet, FleetSettings, commands, inputs
from gracehttp.supervisor.hook_process import HookProcess
from gracehttp.supervisor.listeners.ports import Ports
from gracehttp.supervisor.listeners.queues import HandoverQueues
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.metrics.collector import Collector
from gracehttp.supervisor.metrics.facts import Facts
from gracehttp.supervisor.metrics.pages import WorkerPages
from gracehttp.supervisor.operator_requests import OperatorRequests
from gracehttp.supervisor.orders import Orders
from gracehttp.supervisor.pidfile import take_over, write
from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.processes.process import Ending, WorkerProcess
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.supervisor.reception import Reception
from gracehttp.supervisor.reloading.reloader import Reloader, ReloadSettings
from gracehttp.supervisor.reports import Reports
from gracehttp.supervisor.service_manager.manager import ServiceManager
from gracehttp.supervisor.signals import hear, ignore_from_now_on
from gracehttp.supervisor.succession.execve import let_signals_come
from gracehttp.supervisor.succession.replacement import Replacement
from gracehttp.supervisor.succession.state import MetricsRecord, SupervisorState
from gracehttp.supervisor.terminal import Terminal
from gracehttp.supervisor.turns import Turns
from gracehttp.supervisor.watchdog import Watchdog
from gracehttp.system.credentials import Credentials
from gracehttp.values import Value
from gracehttp.wire import messages
from gracehttp.wire.control import Outcome, Status
from gracehttp.wire.signals import SIGNALS


class SupervisorOptions(Value):
    """What holds for the life of the supervisor. `control` is a path; None is the abstract name, False no socket.

    A supervisor that goes on for another one keeps that one's pidfile and control socket, whatever these options say.
    """

    release: str
    command_line: CommandLine
    fleet: FleetSettings
    addresses: AddressOptions = AddressOptions()
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


class Supervisor:
    """Makes the parts and joins them. `run()` is its life, from the first listener to the last worker.

    The parts talk in one circle: `OperatorRequests`, `Reports` and `Watchdog` tell `Turns` what has happened; that asks
    the fleet, and has `Orders` carry out what it commands. `requests` takes what is asked for.
    """

    def __init__(self, options: SupervisorOptions, bus: EventBus, predecessor: SupervisorState | None = None) -> None:
        """`predecessor` is what another image of this very process left."""
        self._options = options
        self._bus = bus
        self._predecessor = predecessor
        memory = predecessor.fleet if predecessor else None
        self._fleet = Fleet(options.fleet, memory, outlives_failed_starts=options.reload is not None)
        self._requesters = Requesters(predecessor.last_outcome if predecessor else None)
        self._first_failure = FirstFailure(errors_are_logged=options.errors_are_logged)
        self._control: ControlSocket | None = None
        self._reloader: Reloader | None = None
        self._terminal = Terminal()
        self._recent = RecentEvents()
        bus.subscribe(self._recent.on_event)
        self._stderr = sys.stderr.fileno() if sys.stderr is not None else os.open(os.devnull, os.O_WRONLY)

    async def run(self) -> int:
        """Supervise until told to stop. Returns the exit status; raises `StartError` if it never could serve."""
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[commands.Finish] = self._loop.create_future()
        self._set_up(self._predecessor)
        try:
            for number, meaning in SIGNALS.items():
                hear(self._loop, number, partial(self.requests.on_signal, number, meaning))
            if self._predecessor is None:
                self._begin()
            else:
                self._go_on(self._predecessor)
            self._watchdog.begin()
            return await self._shut_down(await self._finished)
        finally:
            self._close()

    def _set_up(self, carried: SupervisorState | None) -> None:
        """Make the parts of the supervisor, or take them over from the image before."""
        self._set_up_holdings(carried)
        self._set_up_views(carried)
        self._set_up_decisions()

    def _set_up_holdings(self, carried: SupervisorState | None) -> None:
        """What the next image takes over: files, sockets, processes, and what is known of them."""
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
        self._ports = Ports(self._listeners, self._queues, self._workers.slots, self._bus.publish)
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

    def _set_up_views(self, carried: SupervisorState | None) -> None:
        """What tells others of the service, and answers them."""
        self._hook_process = HookProcess(
            self._options.command_line,
            self._workers,
            self._stderr,
            self._bus,
            self._events_with_hooks,
            self._options.credentials,
            self._predecessor.hook_events if self._predecessor else "",
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
        self._liveness = Liveness(
            self._fleet, lambda worker: self._workers.send(worker, messages.Ping(for_health=True))
        )
        self._manager.begin(self._fleet, self._liveness)
        self._addresses = Addresses(
            self._options.addresses,
            self._fleet,
            self._workers,
            self._listeners,
            self._liveness,
            self._bus.publish,
            metrics=self._collector.text,
        )

    def _set_up_decisions(self) -> None:
        """What becomes an input of the fleet, and what carries its commands out."""
        self._turns = Turns(self._fleet, self._finished, self._turn_ended)
        self._watchdog = Watchdog(self._fleet, self._workers, self._pages, self._turns.apply)
        self._turns.orders = Orders(
            self._fleet,
            self._workers,
            self._ports,
            self._certificates,
            self._requesters,
            self._first_failure,
            self._bus,
            apply=self._turns.apply,
        )
        reception = Reception(
            self._fleet,
            self._workers,
            self._ports,
            self._certificates,
            self._pages,
            publish=self._bus.publish,
            fixed_options=lambda: kept(
                self._pidfile,
                self._control,
                self._addresses,
                user=self._options.user,
                group=self._options.group,
            ),
            answers_probes=lambda: self._addresses.of("admin") is not None,
        )
        self._reports = Reports(
            self._fleet,
            self._workers,
            self._ports,
            self._certificates,
            self._bus,
            apply=self._turns.apply,
            welcome=reception.welcome,
            heard=self._liveness.heard,
            tell_hooks=self._hook_process.pass_on,
        )
        self.requests = OperatorRequests(
            self._fleet,
            self._workers.launches,
            self._requesters,
            self._bus,
            self._terminal,
            self._finished,
            apply=self._turns.apply,
            settings=self._options.fleet,
            ends_at_once=self._options.reload is not None,
        )
        self.requests.replacement = Replacement(
            self._options.command_line, self._workers, carry=self._carry, on_failure=self.requests.not_replaced
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
            addresses=self._addresses.carry(),
            metrics=MetricsRecord(pages=self._pages.carry(), facts=self._facts.carry()),
            hook_events=self._hook_process.carry(),
        )

    def _begin(self) -> None:
        """The first generation starts."""
        self._bus.publish(events.SupervisorStarted(os.getpid(), self._options.release, str(BUILD)))
        self._addresses.open()
        self._control = open_control(self._options.control, self.requests, self, self._bus)
        self._begin_to_reload()
        self._turns.apply(inputs.RestartRequested())

    def _go_on(self, carried: SupervisorState) -> None:
        """Where the image before left off; then restart, as it was asked to."""
        if carried.control is not None:
            self._control = ControlSocket.adopt(
                carried.control, self.requests, self, self._bus, self._requesters.of_restart
            )
        self._addresses.adopt(carried.addresses)
        let_signals_come()
        self._bus.publish(events.SupervisorReplaced(os.getpid(), self._options.release, carried.release))
        self._workers.reap()
        self._hook_process.go_on()
        self._ports.audit()
        self._begin_to_reload()
        self.requests.restart_now(carried.source)

    def _begin_to_reload(self) -> None:
        if self._options.reload is not None:
            self._reloader = Reloader(
                self._options.reload,
                watch_child=self._workers.watch,
                publish=self._bus.publish,
                restart=self.requests.restart_now,
                stderr=self._stderr,
            )
            self._reloader.start()

    async def _shut_down(self, finish: commands.Finish) -> int:
        self._listeners.close_all()
        await self._workers.ended()
        self._bus.publish(events.SupervisorStopped(os.getpid()))
        await self._hook_process.end()
        self._requesters.stopped(Outcome(ok=True, message="stopped by force" if finish.forced else "stopped"))
        if self._control is not None:
            await self._control.close()
        if not finish.could_start:
            raise self._first_failure.error
        return 1 if finish.forced else 0

    def _close(self) -> None:
        """Let go of all that is held, whatever has happened. The pidfile goes late: until then no other one starts."""
        self._watchdog.end()
        self.requests.replacement.cancel()
        if self._reloader is not None:
            self._reloader.close()
        self._liveness.close()
        self._addresses.close()
        self._certificates.close()
        self._pages.close()
        self._ports.close()
        if self._pidfile is not None:
            self._pidfile.remove()
        self._manager.close()
        ignore_from_now_on(self._loop)
        self._terminal.restore()

    # --- what the control socket shows ---

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

    def _turn_ended(self) -> None:
        if self._reloader is not None:
            self._reloader.look(restarting=self._fleet.coming is not None)
        self.requests.begin_queued_restart()

    def _on_message(self, process: WorkerProcess, message: messages.Message) -> None:
        self._reports.receive(process, message)

    def _on_exit(self, process: WorkerProcess, ending: Ending) -> None:
        if self._fleet.serving is None:
            self._first_failure.worker_ended(process, ending)
        self._pages.gone(process.number)
        self._reports.exited(process, ending)
