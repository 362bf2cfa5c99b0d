"""What workers report: each message, and each end of a process, becomes an input of the fleet, an event, or both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from gracehttp import events
from gracehttp.errors import GraceHTTPError
from gracehttp.events.bus import EventBus
from gracehttp.observe.local_time import offsets
from gracehttp.supervisor.certificates.watch import CertificateWatch
from gracehttp.supervisor.control.fixed_options import ignored
from gracehttp.supervisor.first_failure import FirstFailure
from gracehttp.supervisor.fleet import Fleet, Generation, GenerationState, WorkerState, inputs
from gracehttp.supervisor.listeners.auditor import Auditor
from gracehttp.supervisor.listeners.queues import HandoverQueue, HandoverQueues
from gracehttp.supervisor.listeners.table import HeldListener, ListenerTable
from gracehttp.supervisor.metrics.pages import WorkerPages
from gracehttp.supervisor.processes.process import Ending, WorkerProcess
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.values import Descriptor
from gracehttp.wire import messages


class Reports:
    """`receive` acts on a message of a worker, `exited` on the end of its process.

    `apply(input)` tells the fleet, `heard()` that a worker is alive. `fixed_options()` are those that the supervisor
    keeps. `answers_probes()` tells whether it has an admin address. `stderr` is the supervisor's own: each worker
    writes there once it is ready.
    """

    def __init__(
        self,
        fleet: Fleet,
        workers: WorkerProcesses,
        listeners: ListenerTable,
        queues: HandoverQueues,
        auditor: Auditor,
        certificates: CertificateWatch,
        pages: WorkerPages,
        first_failure: FirstFailure,
        bus: EventBus,
        *,
        apply: Callable[[inputs.Input], None],
        fixed_options: Callable[[], messages.FixedOptions],
        stderr: int,
        heard: Callable[[], None] = lambda: None,
        answers_probes: Callable[[], bool] = lambda: False,
        tell_hooks: Callable[[str], None] = lambda event: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._fleet = fleet
        self._workers = workers
        self._listeners = listeners
        self._queues = queues
        self._auditor = auditor
        self._certificates = certificates
        self._pages = pages
        self._first_failure = first_failure
        self._bus = bus
        self._apply = apply
        self._fixed_options = fixed_options
        self._stderr = stderr
        self._refused: set[int] = set()
        self._heard = heard
        self._answers_probes = answers_probes
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
                self._listeners.connections_shed(listener, connections)
            case messages.CertificatesLoaded():
                self._certificates.loaded(process.generation, process.number, message)
            case messages.CertificatesRefused():
                self._certificates.refused(process.generation, process.number, message)

    def exited(self, process: WorkerProcess, ending: Ending) -> None:
        """The process is gone, or could not be started."""
        if self._fleet.serving is None:
            self._first_failure.worker_ended(process, ending)
        self._pages.gone(process.number)
        self._bus.publish(events.WorkerExited(process.generation, process.number, process.pid, ending.reason))
        how = (ending.reason, ending.details, ending.unlogged)
        self._certificates.gone(process.generation, process.number)
        self._apply(
            inputs.WorkerExited(process.number, *how, doing=process.doing, refused=process.number in self._refused)
        )
        self._refused.discard(process.number)
        # After that, because it may fail. A worker that has got its slot by now holds no permit before its welcome.
        self._auditor.worker_died(process.slot)
        self._close_listeners_if_no_worker_accepts()

    def _told_of_code(self, process: WorkerProcess, message: messages.CodeRecorded | messages.CodeDiffers) -> None:
        if isinstance(message, messages.CodeRecorded):
            self._workers.codes.keep(process.generation, message.record)
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
            self._listeners.close_all()  # their queues are empty: new connections are refused at once, not at the end

    def _refuse(self, process: WorkerProcess, refusal: messages.Refuse) -> None:
        self._refused.add(process.number)
        self._workers.send(process.number, refusal)

    # --- a worker says hello ---

    def _introduced(self, process: WorkerProcess, hello: messages.Hello) -> None:
        process.introduced, process.build = True, hello.build
        self._apply(inputs.WorkerIntroduced(process.number, hello.settings))
        generation = self._fleet.generation_of(process.number)
        if generation is None:
            return
        self._tell_ignored_options(generation, hello.fixed)
        if self._fleet.ending:
            return
        try:
            self._answer(process, hello, generation)
        except OSError as exc:  # without an answer it would wait until it is killed
            sentence = f"the supervisor can't give this worker what it needs: {exc.strerror or exc}."
            self._refuse(process, messages.Refuse(sentence, hint=""))

    def _tell_ignored_options(self, generation: Generation, wanted: messages.FixedOptions | None) -> None:
        """For the first worker of a generation, unless that is the first generation."""
        is_first = generation.state is GenerationState.STARTING
        if wanted is not None and is_first and self._fleet.serving is not None:
            for event in ignored(wanted, self._fixed_options()):
                self._bus.publish(event)

    def _answer(self, process: WorkerProcess, hello: messages.Hello, generation: Generation) -> None:
        """Send the listeners and `Welcome`, or `Refuse`."""
        version = max(set(hello.versions) & set(messages.VERSIONS), default=None)
        if version is None:
            self._refuse(process, _other_version(hello))
            return
        try:
            found = self._listeners.provide(hello.listeners, generation.number)
            given = [(listener, self._queues.of(listener.number, generation.number)) for listener in found]
        except GraceHTTPError as exc:
            self._refuse(process, messages.Refuse(exc.message, exc.hint))
            return
        for (listener, queue), request in zip(given, hello.listeners, strict=True):
            self._workers.send(process.number, _listener(listener, request.address, generation.wanted, queue))
        self._order_offers(process, hello, generation.number)
        self._certificates.introduced(generation.number, process.number, hello.tls_files)
        welcome = messages.Welcome(
            version=version,
            generation=generation.number,
            worker=process.number,
            slot=process.slot,
            workers=generation.wanted,
            tty=os.isatty(self._stderr),
            stderr=Descriptor(self._stderr),
            utc_offsets=offsets(),
            probes_are_answered=self._answers_probes(),
        )
        self._workers.send(process.number, welcome)

    def _order_offers(self, process: WorkerProcess, hello: messages.Hello, generation: int) -> None:
        if "template" in hello.offers and (channel := self._workers.templates.expect(generation)) is not None:
            self._workers.send(process.number, messages.LeaveTemplate(Descriptor(channel)))
        if "page" in hello.offers:
            self._workers.send(process.number, messages.TakePage(self._pages.give(process.number)))
        if "code" in hello.offers:
            record = self._workers.codes.of(generation)
            order = messages.CompareCode(record) if record is not None else messages.RecordCode()
            self._workers.send(process.number, order)


def _other_version(hello: messages.Hello) -> messages.Refuse:
    """A worker of a release that has another channel can be used only by a supervisor of its own release."""
    ours, theirs = (", ".join(map(str, versions)) for versions in (messages.VERSIONS, hello.versions))
    release = f" of gracehttp {hello.release}" if hello.release else ""
    return messages.Refuse(
        f"this supervisor speaks version {ours} of the channel to its workers, and the worker{release} {theirs}",
        hint="gracehttp restart --supervisor (or kill -USR2) replaces the supervisor by the new release too",
    )


def _listener(
    listener: HeldListener, asked_for: str, workers: int, queue: HandoverQueue | None
) -> messages.TakeListener:
    permits, limit = None, max(1, listener.limit // workers)
    if listener.pool is not None:
        permits, limit = messages.PermitDescriptors(*map(Descriptor, listener.pool.filenos())), listener.limit
    return messages.TakeListener(
        number=listener.number,
        address=asked_for,
        bound=listener.bound,
        limit=limit,
        socket=Descriptor(listener.socket.fileno()),
        permits=permits,
        queue=messages.QueueEnds(queue.identity, *map(Descriptor, queue.filenos())) if queue is not None else None,
        kept=listener.kept,
    )
