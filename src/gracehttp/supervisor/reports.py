"""What workers report: each message, and each end of a process, becomes an input of the fleet, an event, or both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gracehttp import events
from gracehttp.events.bus import EventBus
from gracehttp.supervisor.certificates.watch import CertificateWatch
from gracehttp.supervisor.fleet import Fleet, GenerationState, WorkerState, inputs
from gracehttp.supervisor.listeners.ports import Ports
from gracehttp.supervisor.processes.process import Ending, WorkerProcess
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.wire import messages


class Reports:
    """`receive` acts on a message of a worker, `exited` on the end of its process.

    `apply(input)` tells the fleet, `heard()` that a worker is alive, `tell_hooks(event)` what a worker has told of
    itself. `welcome(process, hello)` answers the first message of a worker.
    """

    def __init__(
        self,
        fleet: Fleet,
        workers: WorkerProcesses,
        ports: Ports,
        certificates: CertificateWatch,
        bus: EventBus,
        *,
        apply: Callable[[inputs.Input], None],
        welcome: Callable[[WorkerProcess, messages.Hello], None],
        heard: Callable[[], None] = lambda: None,
        tell_hooks: Callable[[str], None] = lambda event: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._fleet = fleet
        self._workers = workers
        self._ports = ports
        self._certificates = certificates
        self._bus = bus
        self._apply = apply
        self._welcome = welcome
        self._heard = heard
        self._tell_hooks = tell_hooks

    def receive(self, process: WorkerProcess, message: messages.Message) -> None:
        match message:
            case messages.Hello():
                self._introduced(process, message)
            case messages.CodeRecorded() | messages.CodeDiffers():
                self._told_of_code(process, message)
            case messages.StageBegan(doing):
                process.stage = doing
                stage = events.StartStageBegan(process.generation, process.number, process.pid, doing)
                self._bus.publish(stage)
            case messages.Ready():
                self._ready(process)
            case messages.Failed():
                process.failure = message
            case messages.StoppedAccepting():
                process.stopped_accepting = True
                self._apply(inputs.WorkerStoppedAccepting(process.number))
                self._close_listeners_if_no_worker_accepts()
            case messages.Paused():
                self._apply(inputs.WorkerStoppedAccepting(process.number))
            case messages.Alive(for_health):
                self._heard()
                if not for_health:
                    self._apply(inputs.WorkerAlive(process.number))
            case messages.Answered(responses, errors):
                self._apply(inputs.WorkerAnswered(process.number, responses, errors))
            case messages.DueForRecycling(reason):
                self._bus.publish(events.WorkerDueForRecycling(process.generation, process.number, reason))
                self._apply(inputs.WorkerDueForRecycling(process.number))
            case messages.Told(event):
                self._tell_hooks(event)
            case messages.Shed(listener, connections):
                self._ports.connections_shed(listener, connections)
            case messages.CertificatesLoaded():
                self._certificates.loaded(process.generation, process.number, message)
            case messages.CertificatesRefused():
                self._certificates.refused(process.generation, process.number, message)

    def exited(self, process: WorkerProcess, ending: Ending) -> None:
        """The process is gone, or could not be started."""
        self._bus.publish(events.WorkerExited(process.generation, process.number, process.pid, ending.reason))
        self._certificates.gone(process.generation, process.number)
        how = (ending.reason, ending.details, ending.unlogged)
        self._apply(inputs.WorkerExited(process.number, *how, doing=process.doing, refused=process.refused))
        # After that, because it may fail. A worker that has got its slot by now holds no permit before its welcome.
        self._ports.worker_died(process.slot)
        self._close_listeners_if_no_worker_accepts()

    def _introduced(self, process: WorkerProcess, hello: messages.Hello) -> None:
        process.introduced, process.build = True, hello.build
        process.offers_spare = "spare" in hello.offers
        self._apply(inputs.WorkerIntroduced(process.number, hello.settings))
        self._welcome(process, hello)

    def _told_of_code(self, process: WorkerProcess, message: messages.CodeRecorded | messages.CodeDiffers) -> None:
        if isinstance(message, messages.CodeRecorded):
            self._workers.starter.codes.keep(process.generation, message.record)
        else:
            self._apply(inputs.WorkerDiffers(process.number, message.files, message.more, message.alone))

    def _ready(self, process: WorkerProcess) -> None:
        seconds = self._loop.time() - process.started_at
        if wrote := process.early_stderr.release():
            self._bus.publish(events.WorkerWrote(process.generation, process.number, wrote))
        process.early_stderr.forget()
        generation = self._fleet.generation_of(process.number)
        if generation is not None and generation.state is GenerationState.ABANDONED:
            return  # its end is on its way
        coming = generation if generation is not None and generation is self._fleet.coming else None
        ready = len(coming.in_state(WorkerState.STANDING_BY)) + 1 if coming else 0
        wanted = coming.wanted if coming else 0
        event = events.WorkerBecameReady(process.generation, process.number, process.pid, seconds, ready, wanted)
        self._bus.publish(event)
        self._apply(inputs.WorkerReady(process.number))

    def _close_listeners_if_no_worker_accepts(self) -> None:
        if self._fleet.ending and self._workers.none_accepts:
            self._ports.close_listeners()  # their queues are empty: new connections are refused at once, not at the end
