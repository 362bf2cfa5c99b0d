"""What the supervisor holds, and its next image takes over: files, sockets, processes, and what is known of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

from gracehttp.events.bus import EventBus
from gracehttp.net.limits import raise_descriptor_limit
from gracehttp.supervisor.certificates.files import FilesForWorkers
from gracehttp.supervisor.certificates.watch import CertificateWatch
from gracehttp.supervisor.fleet import Fleet
from gracehttp.supervisor.listeners.ports import Ports
from gracehttp.supervisor.listeners.queues import HandoverQueues
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.metrics.facts import Facts
from gracehttp.supervisor.metrics.pages import WorkerPages
from gracehttp.supervisor.options import SupervisorOptions
from gracehttp.supervisor.pidfile import take_over, write
from gracehttp.supervisor.processes.process import Ending, WorkerProcess
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.supervisor.service_manager.manager import ServiceManager
from gracehttp.supervisor.succession.state import MetricsRecord, SupervisorState
from gracehttp.wire import messages


class Holdings:
    """Makes them, or takes over what `carried` has, in a process with a running loop. `stderr` stays the caller's."""

    def __init__(
        self,
        options: SupervisorOptions,
        fleet: Fleet,
        bus: EventBus,
        carried: SupervisorState | None,
        *,
        stderr: int,
        on_message: Callable[[WorkerProcess, messages.Message], None],
        on_exit: Callable[[WorkerProcess, Ending], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.started_at = carried.started_at if carried else loop.time()
        self.pidfile = take_over(carried.pidfile) if carried else write(options.pidfile)
        self.manager = ServiceManager(os.environ, bus, fd_store=options.fd_store, is_first=carried is None)
        self.listeners = ListenerTable(
            descriptors=raise_descriptor_limit(),
            publish=bus.publish,
            owner=options.credentials,
            record=carried.listeners if carried else None,
            store=self.manager.store,
        )
        self.workers = WorkerProcesses(
            options.command_line,
            stderr,
            on_message=on_message,
            on_exit=on_exit,
            publish=bus.publish,
            hold_early_stderr=options.log_is_json,
            credentials=options.credentials,
            record=carried.processes if carried else None,
        )
        self.queues = HandoverQueues(carried.queues if carried else None)
        self.ports = Ports(self.listeners, self.queues, self.workers.slots, bus.publish)
        self.certificates = CertificateWatch(
            self.workers.send,
            bus.publish,
            lambda: fleet.serving.number if fleet.serving is not None else None,
            carried.certificates if carried else None,
            read=_files_for_workers(options),
        )
        counted = (carried and carried.metrics) or MetricsRecord()
        self.pages = WorkerPages(self.listeners.name_of, counted.pages)
        self.facts = Facts(loop.time, counted.facts)
        bus.subscribe(self.facts.on_event)

    def close(self) -> None:
        """Let go of all of it. The pidfile goes late: until then no other supervisor starts."""
        self.certificates.close()
        self.pages.close()
        self.ports.close()
        if self.pidfile is not None:
            self.pidfile.remove()
        self.manager.close()


def _files_for_workers(options: SupervisorOptions) -> Callable[[Iterable[str]], int | None]:
    credentials = options.credentials
    return FilesForWorkers(options.tls_files, credentials).read if credentials else lambda paths: None
