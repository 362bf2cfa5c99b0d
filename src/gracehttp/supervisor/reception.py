"""Receiving a worker that says hello: which version of the channel to speak, and the listeners that it asks for."""

from __future__ import annotations

import os

from gracehttp.channel import VERSIONS, Message
from gracehttp.errors import GraceHTTPError
from gracehttp.records import from_plain
from gracehttp.supervisor.crew import Crew
from gracehttp.supervisor.fleet import Generation
from gracehttp.supervisor.handover_queue import HandoverQueue, HandoverQueues
from gracehttp.supervisor.listener_table import HeldListener, ListenerTable, ListenRequest
from gracehttp.supervisor.processes import WorkerProcess


def receive_worker(
    process: WorkerProcess,
    hello: Message,
    generation: Generation,
    listeners: ListenerTable,
    queues: HandoverQueues,
    crew: Crew,
    stderr: int,
) -> None:
    """Answer `hello` with the listeners and `welcome`, or with `refused`.

    `stderr` is the supervisor's own: the worker writes there once it is ready. `queues` has those in which
    older workers hand their connections over.
    """
    version = max(set(hello["versions"]) & set(VERSIONS), default=None)
    if version is None:
        spoken = ", ".join(map(str, VERSIONS))
        _refuse(
            crew,
            process,
            f"this supervisor speaks only version {spoken} of the control channel",
            "stop and start it",
        )
        return
    try:
        found = listeners.provide([from_plain(ListenRequest, one) for one in hello["listeners"]], generation.number)
        given = [(listener, queues.of(listener.number, generation.number)) for listener in found]
    except GraceHTTPError as exc:
        _refuse(crew, process, exc.message, exc.hint)
        return
    for (listener, queue), request in zip(given, hello["listeners"], strict=True):
        manifest = _manifest(listener, request["address"], generation.wanted, queue)
        crew.tell(process.number, manifest, _descriptors(listener, queue))
    offers = set(hello.get("offers", ()))
    if "template" in offers and (template := crew.templates.expect(generation.number)) is not None:
        crew.tell(process.number, {"type": "template"}, [template])
    if "code" in offers:
        crew.tell(process.number, {"type": "code"}, crew.codes.of(generation.number))
    welcome = {
        "type": "welcome",
        "version": version,
        "generation": generation.number,
        "worker": process.number,
        "slot": process.slot,
        "workers": generation.wanted,
        "tty": os.isatty(stderr),
    }
    crew.tell(process.number, welcome, [stderr])


def _manifest(listener: HeldListener, asked_for: str, workers: int, queue: HandoverQueue | None) -> dict[str, object]:
    shared = listener.pool is not None
    limit = listener.limit if shared else max(1, listener.limit // workers)
    return {
        "type": "listener",
        "number": listener.number,
        "address": asked_for,
        "bound": listener.bound,
        "limit": limit,
        "permits": "shared" if shared else "split",
        "handover": queue is not None,
        "queue": queue.identity if queue is not None else 0,
    }


def _descriptors(listener: HeldListener, queue: HandoverQueue | None) -> list[int]:
    pool = listener.pool
    return [listener.socket.fileno(), *(pool.filenos() if pool else ()), *(queue.filenos() if queue else ())]


def _refuse(crew: Crew, process: WorkerProcess, message: str, hint: str) -> None:
    crew.tell(process.number, {"type": "refused", "message": message, "hint": hint})
