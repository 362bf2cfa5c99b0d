"""Fills the catalog with what is known at this moment."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from gracehttp.compiled import BUILD
from gracehttp.net.kernel_view import waiting_in
from gracehttp.net.permits import PermitPool
from gracehttp.net.worker_page import DURATION_BOUNDS_SECONDS, LAG_BOUNDS_SECONDS, METHODS, MICROSECONDS, STATUSES
from gracehttp.supervisor.fleet import Fleet
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.metrics.catalog import CATALOG, PREFIX
from gracehttp.supervisor.metrics.exposition import Metric, Sample, histogram, render
from gracehttp.supervisor.metrics.facts import RESTART_BOUNDS_SECONDS, Facts
from gracehttp.supervisor.metrics.pages import Counts, WorkerPages
from gracehttp.supervisor.processes.process_view import view_of
from gracehttp.supervisor.processes.workers import WorkerProcesses


class Collector:
    """`text()` is what Prometheus reads. All that it asks is asked at that moment."""

    def __init__(
        self,
        fleet: Fleet,
        workers: WorkerProcesses,
        listeners: ListenerTable,
        pages: WorkerPages,
        facts: Facts,
        *,
        release: str,
        uptime_seconds: Callable[[], float],
        certificates: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """`certificates` tells when each expires, by its name, in seconds since 1970."""
        self._fleet = fleet
        self._workers = workers
        self._listeners = listeners
        self._pages = pages
        self._facts = facts
        self._release = release
        self._uptime_seconds = uptime_seconds
        self._certificates = certificates

    def text(self) -> str:
        return render(self.metrics())

    def metrics(self) -> list[Metric]:
        """All that have samples, in the order of the catalog."""
        counts = self._pages.counts()
        samples = {
            **_requests(counts),
            **self._of_connections(counts),
            **self._of_generations(counts),
            **self._of_workers(counts),
            **self._of_the_supervisor(),
        }
        return [Metric(PREFIX + name, one.kind, one.help, list(samples[name])) for name, one in CATALOG.items()]

    def _of_connections(self, counts: Counts) -> dict[str, Iterable[Sample]]:
        idle = self._pages.idle()
        held = [(one.bound, one, self._open(one.pool)) for one in self._listeners]
        counted = {name: _by("listener", counts.port_count(field)) for name, field in _PORT_COUNTS.items()}
        return {
            "connections_open": _by("listener", {bound: count for bound, _, count in held if count is not None}),
            "connections_idle": _by("listener", {bound: idle.get(bound, 0) for bound, _, _ in held}),
            "connections_waiting": _by(
                "listener", {bound: waiting_in(one.socket) for bound, one, _ in held if _tells_who_waits(one.socket)}
            ),
            "connections_limit": _by("listener", {bound: one.limit for bound, one, _ in held}),
            "connections_free": _by(
                "listener", {bound: max(0, one.limit - count) for bound, one, count in held if count is not None}
            ),
            "connections_shed_total": _by("listener", {bound: one.shed for bound, one, _ in held}),
            **counted,
        }

    def _of_generations(self, counts: Counts) -> dict[str, Iterable[Sample]]:
        drains, cut, microseconds = counts.groups["drains"]
        serving, facts = self._fleet.serving, self._facts
        return {
            "generation": [Sample(serving.number if serving is not None else 0)],
            "generations": _by("state", Counter(one.state.value for one in self._fleet.generations.values())),
            "restarts_total": _by("outcome", facts.labelled("restarts")),
            "restart_duration_seconds": histogram(
                RESTART_BOUNDS_SECONDS, facts.durations, facts.duration_microseconds / MICROSECONDS
            ),
            "drains_total": [Sample(drains)],
            "drain_seconds_total": [Sample(microseconds / MICROSECONDS)],
            "requests_cut_total": [Sample(cut)],
        }

    def _of_workers(self, counts: Counts) -> dict[str, Iterable[Sample]]:
        loads = self._pages.loads().values()
        living = [(one, number) for one in self._fleet.generations.values() for number in one.workers]
        views = [
            ({"worker": str(number), "generation": str(one.number)}, view)
            for one, number in living
            if (pid := self._workers.pid(number)) and (view := view_of(pid)) is not None
        ]
        return {
            "workers": _by("state", Counter(one.workers[number].state.value for one, number in living)),
            "worker_starts_total": [Sample(self._facts.counts["worker_starts"])],
            "worker_deaths_total": _by("cause", self._facts.labelled("worker_deaths")),
            "worker_hangs_total": _by("kind", self._facts.labelled("worker_hangs")),
            "worker_resident_memory_bytes": [Sample(view.resident_bytes, labels) for labels, view in views],
            "worker_cpu_seconds_total": [Sample(view.cpu_seconds, labels) for labels, view in views],
            "worker_loop_lag_seconds": _histogram(LAG_BOUNDS_SECONDS, counts.groups["lags"]),
            "requests_in_flight": [Sample(sum(one["in_flight"] for one in loads))],
            "worker_threads": [Sample(sum(one["threads"] for one in loads))],
            "worker_threads_busy": [Sample(sum(one["busy_threads"] for one in loads))],
            "worker_threads_queue_length": [Sample(sum(one["waiting_for_threads"] for one in loads))],
        }

    def _of_the_supervisor(self) -> dict[str, Iterable[Sample]]:
        view = view_of(os.getpid())
        build = "compiled" if BUILD.compiled else "interpreted"
        return {
            "build_info": [Sample(1, {"version": self._release, "build": build})],
            "start_time_seconds": [Sample(round(time.time() - self._uptime_seconds(), 3))],
            "supervisor_resident_memory_bytes": [Sample(view.resident_bytes)] if view is not None else [],
            "supervisor_cpu_seconds_total": [Sample(view.cpu_seconds)] if view is not None else [],
            "certificate_expiry_time_seconds": _by("certificate", self._certificates()),
        }

    def _open(self, pool: PermitPool | None) -> int | None:
        """How many connections are open; None where each worker counts its own."""
        return pool.open_connections(self._workers.slots()) if pool is not None else None


_PORT_COUNTS = {
    "connections_accepted_total": "accepted",
    "connections_handed_over_total": "handed_over",
    "received_bytes_total": "received_bytes",
    "sent_bytes_total": "sent_bytes",
}


def _requests(counts: Counts) -> dict[str, Iterable[Sample]]:
    words = counts.groups["requests"]
    by_place = [(method, status) for method in METHODS for status in STATUSES]
    return {
        "http_requests_total": [
            Sample(count, {"method": method, "status": status})
            for (method, status), count in zip(by_place, words, strict=True)
            if count
        ],
        "http_request_duration_seconds": _histogram(DURATION_BOUNDS_SECONDS, counts.groups["durations"]),
        "http_response_body_bytes_total": [Sample(counts.groups["body_bytes"][0])],
    }


def _histogram(bounds: Sequence[float], words: Sequence[int]) -> list[Sample]:
    *counts, microseconds = words
    return histogram(bounds, counts, microseconds / MICROSECONDS)


def _by(label: str, values: Mapping[str, float]) -> list[Sample]:
    return [Sample(value, {label: name}) for name, value in values.items()]


def _tells_who_waits(listener: socket.socket) -> bool:
    """Whether the kernel does (`waiting_in`)."""
    return sys.platform == "linux" and listener.family in (socket.AF_INET, socket.AF_INET6)
