"""What `gracehttp status` shows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence

from gracehttp.compiled import BUILD
from gracehttp.supervisor.certificates.changes import days
from gracehttp.supervisor.fleet import Fleet, Generation
from gracehttp.supervisor.listeners.held_listener import HeldListener
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.wire.control import (
    CertificateStatus,
    GenerationStatus,
    ListenerStatus,
    Outcome,
    RestartStatus,
    Status,
    WorkerStatus,
)
from gracehttp.wire.messages import CertificateFacts


def status_of(
    fleet: Fleet,
    workers: WorkerProcesses,
    listeners: ListenerTable,
    certificates: Iterable[CertificateFacts],
    *,
    last: Outcome | None,
    release: str,
    started_at: float,
    now: float,
) -> Status:
    """The supervisor, its generations, workers and listeners. `last` is how the latest restart ended."""
    serving = fleet.serving.number if fleet.serving is not None else None
    held = tuple(listeners)
    return Status(
        pid=os.getpid(),
        version=release,
        uptime_seconds=round(now - started_at, 3),
        generations=tuple(
            _generation(one, workers, held, now, coming=one is fleet.coming) for one in fleet.generations.values()
        ),
        listeners=tuple(_listener(one, workers, serving) for one in held),
        last_restart=_restart(last) if last is not None else None,
        build=str(BUILD),
        certificates=tuple(map(_certificate, certificates)),
    )


def _restart(last: Outcome) -> RestartStatus:
    return RestartStatus(last.ok, last.message, last.generation, last.source, last.ended_at)


def _generation(
    generation: Generation, workers: WorkerProcesses, listeners: Sequence[HeldListener], now: float, *, coming: bool
) -> GenerationStatus:
    probation = generation.probation
    return GenerationStatus(
        generation=generation.number,
        state="starting" if coming else generation.state.value,
        template=workers.starter.templates.pid(generation.number),
        probation_seconds_left=None if probation is None else round(max(0.0, probation.ends_at - now), 3),
        starts_in_seconds=tuple(round(max(0.0, at - now), 3) for at in sorted(generation.start_again_at)),
        workers=tuple(
            WorkerStatus(
                one.number,
                workers.pid(one.number),
                one.state.value,
                workers.build(one.number),
                _connections(workers.slot(one.number), listeners),
                one.other_code,
            )
            for one in generation.workers.values()
        ),
    )


def _connections(slot: int | None, listeners: Sequence[HeldListener]) -> int | None:
    """How many connections the worker in `slot` has open."""
    pools = [one.pool for one in listeners if one.pool is not None]
    if slot is None or not pools or len(pools) < len(listeners):
        return None
    return sum(pool.open_connections([slot]) for pool in pools)


def _certificate(facts: CertificateFacts) -> CertificateStatus:
    left = facts.not_after - time.time()
    return CertificateStatus(facts.path, facts.names, facts.not_after, days(left))


def _listener(listener: HeldListener, workers: WorkerProcesses, serving: int | None) -> ListenerStatus:
    wish = listener.wishes.get(serving) if serving is not None else None
    return ListenerStatus(
        address=str(listener.address),
        bound=listener.bound,
        max_connections=listener.limit,
        open_connections=listener.pool.open_connections(workers.slots()) if listener.pool else None,
        shed_connections=listener.shed,
        tls=wish is not None and wish.tls,
    )
