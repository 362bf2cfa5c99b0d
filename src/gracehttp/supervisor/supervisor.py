"""The supervisor: one process for the life of the service. It asks `Fleet` what to do about all that happens.

It imports neither the application nor any protocol code, so nothing that a deploy brings can break it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from gracehttp import events
from gracehttp.compiled import BUILD
from gracehttp.events.bus import EventBus
from gracehttp.supervisor.control.fixed_options import kept
from gracehttp.supervisor.control.recent import RecentEvents
from gracehttp.supervisor.control.requesters import Requester, Requesters
from gracehttp.supervisor.control.socket import ControlSocket, open_control
from gracehttp.supervisor.first_failure import FirstFailure
from gracehttp.supervisor.fleet import Fleet, commands, inputs
from gracehttp.supervisor.holdings import Holdings
from gracehttp.supervisor.observability import Observability
from gracehttp.supervisor.operator_requests import OperatorRequests
from gracehttp.supervisor.options import SupervisorOptions
from gracehttp.supervisor.orders import Orders
from gracehttp.supervisor.processes.process import Ending, WorkerProcess
from gracehttp.supervisor.reception import Reception
from gracehttp.supervisor.reports import Reports
from gracehttp.supervisor.signals import hear, ignore_from_now_on
from gracehttp.supervisor.succession.execve import let_signals_come
from gracehttp.supervisor.succession.replacement import Replacement
from gracehttp.supervisor.succession.state import MetricsRecord, SupervisorState
from gracehttp.supervisor.terminal import Terminal
from gracehttp.supervisor.turns import Turns
from gracehttp.supervisor.watchdog import Watchdog
from gracehttp.wire import messages
from gracehttp.wire.control import Outcome
from gracehttp.wire.signals import SIGNALS

if TYPE_CHECKING:
    from gracehttp.supervisor.reloading.reloader import Reloader


class Supervisor:
    """Makes the parts and joins them. `run()` is its life, from the first listener to the last worker.

    The parts talk in one circle: `OperatorRequests`, `Reports` and `Watchdog` tell `Turns` what has happened; that asks
    the fleet, and has `Orders` carry out what it commands. `requests` takes what is asked for.
    """

    def __init__(self, options: SupervisorOptions, bus: EventBus, predecessor: SupervisorState | None = None) -> None:
        """Must be called in a running loop. `predecessor` is what another image of this process left."""
        self._options = options
        self._bus = bus
        self._predecessor = predecessor
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[commands.Finish] = self._loop.create_future()
        self._stderr = sys.stderr.fileno() if sys.stderr is not None else os.open(os.devnull, os.O_WRONLY)
        self._control: ControlSocket | None = None
        self._reloader: Reloader | None = None
        self._terminal = Terminal()
        recent = RecentEvents()
        bus.subscribe(recent.on_event)  # first, so that it hears what the others publish when they are made
        memory = predecessor.fleet if predecessor else None
        self._fleet = Fleet(options.fleet, memory, outlives_failed_starts=options.reload is not None)
        self._requesters = Requesters(predecessor.last_outcome if predecessor else None)
        self._first_failure = FirstFailure(errors_are_logged=options.errors_are_logged)
        self._holdings = Holdings(
            options,
            self._fleet,
            bus,
            predecessor,
            stderr=self._stderr,
            on_message=self._on_message,
            on_exit=self._on_exit,
        )
        self._observability = Observability(
            options,
            self._fleet,
            self._holdings,
            self._requesters,
            bus,
            recent,
            stderr=self._stderr,
            hook_events=predecessor.hook_events if predecessor else "",
        )

        # What becomes an input of the fleet, and what carries its commands out.
        self._turns = Turns(self._fleet, self._finished, self._turn_ended)
        self._watchdog = Watchdog(self._fleet, self._holdings.workers, self._holdings.pages, self._turns.apply)
        self._turns.orders = self._orders()
        self._reports = self._reports_to_fleet()
        self.requests = OperatorRequests(
            self._fleet,
            self._holdings.workers.starter.launches,
            self._requesters,
            bus,
            self._terminal,
            self._finished,
            apply=self._turns.apply,
            settings=options.fleet,
            ends_at_once=options.reload is not None,
        )
        self.requests.replacement = Replacement(
            options.command_line, self._holdings.workers, carry=self._carry, on_failure=self.requests.not_replaced
        )

    async def run(self) -> int:
        """Supervise until told to stop. Returns the exit status; raises `StartError` if it never could serve."""
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

    def _orders(self) -> Orders:
        return Orders(
            self._fleet,
            self._holdings.workers,
            self._holdings.ports,
            self._holdings.certificates,
            self._requesters,
            self._first_failure,
            self._bus,
            apply=self._turns.apply,
        )

    def _reports_to_fleet(self) -> Reports:
        options, held = self._options, self._holdings
        reception = Reception(
            self._fleet,
            held.workers,
            held.ports,
            held.certificates,
            held.pages,
            publish=self._bus.publish,
            fixed_options=lambda: kept(
                held.pidfile, self._control, self._observability.addresses, user=options.user, group=options.group
            ),
            answers_probes=lambda: self._observability.addresses.of("admin") is not None,
        )
        return Reports(
            self._fleet,
            held.workers,
            held.ports,
            held.certificates,
            self._bus,
            apply=self._turns.apply,
            welcome=reception.welcome,
            heard=self._observability.liveness.heard,
            tell_hooks=self._observability.hook_process.pass_on,
        )

    def _carry(self, source: str) -> SupervisorState:
        """What the next image needs. Must be called between two turns of the loop."""

        def awaited_by(requester: Requester) -> int | None:
            return self._requesters.awaited_by(requester, next_generation=self._fleet.next_generation)

        return SupervisorState(
            release=self._options.release,
            source=source,
            started_at=self._holdings.started_at,
            fleet=self._fleet.memory(),
            processes=self._holdings.workers.carry(),
            listeners=self._holdings.listeners.carry(),
            queues=self._holdings.queues.carry(),
            pidfile=self._holdings.pidfile.carry() if self._holdings.pidfile else None,
            control=self._control.carry(awaited_by) if self._control else None,
            last_outcome=self._requesters.last,
            certificates=self._holdings.certificates.carry(),
            addresses=self._observability.addresses.carry(),
            metrics=MetricsRecord(pages=self._holdings.pages.carry(), facts=self._holdings.facts.carry()),
            hook_events=self._observability.hook_process.carry(),
        )

    def _begin(self) -> None:
        """The first generation starts."""
        self._bus.publish(events.SupervisorStarted(os.getpid(), self._options.release, str(BUILD)))
        self._observability.addresses.open()
        self._control = open_control(self._options.control, self.requests, self._observability, self._bus)
        self._begin_to_reload()
        self._turns.apply(inputs.RestartRequested())

    def _go_on(self, carried: SupervisorState) -> None:
        """Where the image before left off; then restart, as it was asked to."""
        if carried.control is not None:
            self._control = ControlSocket.adopt(
                carried.control, self.requests, self._observability, self._bus, self._requesters.of_restart
            )
        self._observability.addresses.adopt(carried.addresses)
        let_signals_come()
        self._bus.publish(events.SupervisorReplaced(os.getpid(), self._options.release, carried.release))
        self._holdings.workers.children.reap()
        self._observability.hook_process.go_on()
        self._holdings.ports.audit()
        self._begin_to_reload()
        self.requests.restart_now(carried.source)

    def _begin_to_reload(self) -> None:
        if self._options.reload is not None:
            from gracehttp.supervisor.reloading.reloader import Reloader  # a service that is in use has none

            self._reloader = Reloader(
                self._options.reload,
                watch_child=self._holdings.workers.children.watch,
                publish=self._bus.publish,
                restart=self.requests.restart_now,
                stderr=self._stderr,
            )
            self._reloader.start()

    async def _shut_down(self, finish: commands.Finish) -> int:
        self._holdings.listeners.close_all()
        await self._holdings.workers.starter.ended()
        self._bus.publish(events.SupervisorStopped(os.getpid()))
        await self._observability.hook_process.end()
        self._requesters.stopped(Outcome(ok=True, message="stopped by force" if finish.forced else "stopped"))
        if self._control is not None:
            await self._control.close()
        if not finish.could_start:
            raise self._first_failure.error
        return 1 if finish.forced else 0

    def _close(self) -> None:
        """Let go of all that is held, whatever has happened."""
        self._watchdog.end()
        self.requests.replacement.cancel()
        if self._reloader is not None:
            self._reloader.close()
        self._observability.close()
        self._holdings.close()
        ignore_from_now_on(self._loop)
        self._terminal.restore()

    def _turn_ended(self) -> None:
        if self._reloader is not None:
            self._reloader.look(restarting=self._fleet.coming is not None)
        self.requests.begin_queued_restart()

    def _on_message(self, process: WorkerProcess, message: messages.Message) -> None:
        self._reports.receive(process, message)

    def _on_exit(self, process: WorkerProcess, ending: Ending) -> None:
        if self._fleet.serving is None:
            self._first_failure.worker_ended(process, ending)
        self._holdings.pages.gone(process.number)
        self._reports.exited(process, ending)


async def supervise(options: SupervisorOptions, bus: EventBus, predecessor: SupervisorState | None) -> int:
    """The life of a supervisor: see `Supervisor`."""
    return await Supervisor(options, bus, predecessor).run()
