"""What tells others of the service: hooks, metrics, health checks, and what the control socket shows."""

from __future__ import annotations

import asyncio

from gracehttp.events.bus import EventBus
from gracehttp.supervisor.control.recent import RecentEvents
from gracehttp.supervisor.control.requesters import Requesters
from gracehttp.supervisor.control.status import status_of
from gracehttp.supervisor.endpoints.addresses import Addresses
from gracehttp.supervisor.endpoints.health import Liveness
from gracehttp.supervisor.fleet import Fleet
from gracehttp.supervisor.holdings import Holdings
from gracehttp.supervisor.hook_process import HookProcess
from gracehttp.supervisor.metrics.collector import Collector
from gracehttp.supervisor.options import SupervisorOptions
from gracehttp.wire import messages
from gracehttp.wire.control import Status


class Observability:
    """Makes the parts, and answers the control socket (`control.socket.Views`). It changes nothing."""

    def __init__(
        self,
        options: SupervisorOptions,
        fleet: Fleet,
        held: Holdings,
        requesters: Requesters,
        bus: EventBus,
        recent: RecentEvents,
        *,
        stderr: int,
        hook_events: str = "",
    ) -> None:
        """`hook_events` are those that another image of this process has carried (`HookProcess.carry`)."""
        self._loop = asyncio.get_running_loop()
        self._options = options
        self._fleet = fleet
        self._held = held
        self._requesters = requesters
        self._recent = recent
        self.hook_process = HookProcess(
            options.command_line,
            held.workers.children,
            stderr,
            bus,
            self._events_with_hooks,
            options.credentials,
            hook_events,
        )
        bus.subscribe(self.hook_process.on_event)
        self._collector = Collector(
            fleet,
            held.workers,
            held.listeners,
            held.pages,
            held.facts,
            release=options.release,
            uptime_seconds=lambda: self._loop.time() - held.started_at,
            certificates=lambda: {one.path: one.not_after for one in held.certificates.used},
        )
        self.liveness = Liveness(fleet, lambda worker: held.workers.send(worker, messages.Ping(for_health=True)))
        held.manager.begin(fleet, self.liveness)
        self.addresses = Addresses(
            options.addresses,
            fleet,
            held.workers,
            held.listeners,
            self.liveness,
            bus.publish,
            metrics=self._collector.text,
        )

    def status(self) -> Status:
        """What `gracehttp status` shows."""
        return status_of(
            self._fleet,
            self._held.workers,
            self._held.listeners,
            self._held.certificates.used,
            last=self._requesters.last,
            release=self._options.release,
            started_at=self._held.started_at,
            now=self._loop.time(),
        )

    def metrics(self) -> str:
        """The text that Prometheus reads."""
        return self._collector.text()

    def recent_events(self) -> str:
        """See `RecentEvents.lines`."""
        return self._recent.lines()

    def close(self) -> None:
        self.liveness.close()
        self.addresses.close()

    def _events_with_hooks(self) -> tuple[str, ...]:
        newest = self._fleet.serving or self._fleet.coming
        return newest.settings.hooks if newest is not None else self._options.fleet.hooks
