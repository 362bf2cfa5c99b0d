"""Answering a worker that says hello: which version of the protocol to speak, and the listeners that it asks for."""

from __future__ import annotations

import os

from gracehttp.errors import GraceHTTPError
from gracehttp.supervisor.fleet import Generation
from gracehttp.supervisor.listeners.queues import HandoverQueue, HandoverQueues
from gracehttp.supervisor.listeners.table import HeldListener, ListenerTable
from gracehttp.supervisor.processes.process import WorkerProcess
from gracehttp.supervisor.processes.workers import Crew
from gracehttp.values import Descriptor
from gracehttp.wire import messages


def receive_worker(
    process: WorkerProcess,
    hello: messages.Hello,
    generation: Generation,
    listeners: ListenerTable,
    queues: HandoverQueues,
    crew: Crew,
    stderr: int,
) -> None:
    """Answer `hello` with the listeners and `Welcome`, or with `Refuse`.

    `stderr` is the supervisor's own: the worker writes there once it is ready. `queues` has those in which
    older workers hand their connections over.
    """
    version = max(set(hello.versions) & set(messages.VERSIONS), default=None)
    if version is None:
        spoken = ", ".join(map(str, messages.VERSIONS))
        sentence = f"this supervisor speaks only version {spoken} of the control channel"
        crew.tell(process.number, messages.Refuse(sentence, hint="stop and start it"))
        return
    try:
        found = listeners.provide(hello.listeners, generation.number)
        given = [(listener, queues.of(listener.number, generation.number)) for listener in found]
    except GraceHTTPError as exc:
        crew.tell(process.number, messages.Refuse(exc.message, exc.hint))
        return
    for (listener, queue), request in zip(given, hello.listeners, strict=True):
        crew.tell(process.number, _listener(listener, request.address, generation.wanted, queue))
    if "template" in hello.offers and (template := crew.templates.expect(generation.number)) is not None:
        crew.tell(process.number, messages.LeaveTemplate(Descriptor(template)))
    if "code" in hello.offers:
        record = crew.codes.of(generation.number)
        order = messages.CompareCode(record) if record is not None else messages.RecordCode()
        crew.tell(process.number, order)
    welcome = messages.Welcome(
        version=version,
        generation=generation.number,
        worker=process.number,
        slot=process.slot,
        workers=generation.wanted,
        tty=os.isatty(stderr),
        stderr=Descriptor(stderr),
    )
    crew.tell(process.number, welcome)


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
    )
