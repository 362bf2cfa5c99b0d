"""Every metric there is: its name, kind and help. Names as prometheus.io/docs/practices/naming says. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

PREFIX: Final = "gracehttp_"


class Entry(NamedTuple):
    kind: str
    help: str
    labels: tuple[str, ...] = ()


CATALOG: Final[dict[str, Entry]] = {
    # requests
    "http_requests_total": Entry(
        "counter",
        "Requests that ended, by method and class of the status; none: the client was gone before there was one.",
        ("method", "status"),
    ),
    "http_request_duration_seconds": Entry(
        "histogram", "From the head of a request to the end of its response; WebSockets are left out."
    ),
    "http_response_body_bytes_total": Entry("counter", "Bytes of response bodies that were sent."),
    "requests_in_flight": Entry("gauge", "Requests that applications work on."),
    "requests_cut_total": Entry("counter", "Requests that a drain has cut, because its time was over."),
    # connections
    "connections_open": Entry("gauge", "Open connections, over all workers and generations.", ("listener",)),
    "connections_idle": Entry("gauge", "Open connections that wait for their next request.", ("listener",)),
    "connections_waiting": Entry("gauge", "Connections that wait in the kernel's accept queue.", ("listener",)),
    "connections_limit": Entry("gauge", "How many connections may be open.", ("listener",)),
    "connections_free": Entry("gauge", "How many more connections may be accepted: free permits.", ("listener",)),
    "connections_accepted_total": Entry("counter", "Connections that were accepted.", ("listener",)),
    "connections_shed_total": Entry("counter", "Idle connections that were closed to make room.", ("listener",)),
    "connections_handed_over_total": Entry(
        "counter", "Connections that went from one worker to another and stayed open.", ("listener",)
    ),
    "received_bytes_total": Entry("counter", "Bytes that were read from connections.", ("listener",)),
    "sent_bytes_total": Entry("counter", "Bytes that were written to connections.", ("listener",)),
    # restarts
    "generation": Entry("gauge", "The number of the generation that serves; 0: none does."),
    "generations": Entry("gauge", "Generations, by state.", ("state",)),
    "restarts_total": Entry(
        "counter",
        "Restarts by outcome. One that was rolled back had been promoted before, and counts in both.",
        ("outcome",),
    ),
    "restart_duration_seconds": Entry("histogram", "From the request of a restart until its generation serves."),
    "drains_total": Entry("counter", "Drains of workers that have ended."),
    "drain_seconds_total": Entry("counter", "How long those drains took, all together."),
    # workers
    "workers": Entry("gauge", "Workers, by state.", ("state",)),
    "worker_starts_total": Entry("counter", "Workers that were started."),
    "worker_deaths_total": Entry("counter", "Workers that ended although they should have served.", ("cause",)),
    "worker_hangs_total": Entry(
        "counter", "Workers that were found to hang: their event loop, or all their threads.", ("kind",)
    ),
    "worker_resident_memory_bytes": Entry("gauge", "Memory of a worker that is in RAM.", ("worker", "generation")),
    "worker_cpu_seconds_total": Entry("counter", "CPU time of a worker.", ("worker", "generation")),
    "worker_loop_lag_seconds": Entry(
        "histogram", "How late the event loops of the workers come to a timer that is due."
    ),
    "worker_threads": Entry("gauge", "Threads for WSGI applications."),
    "worker_threads_busy": Entry("gauge", "Threads that run a WSGI application at the moment."),
    "worker_threads_queue_length": Entry("gauge", "Requests that wait for a thread."),
    # the supervisor
    "build_info": Entry("gauge", "Always 1; the labels tell release and build.", ("version", "build")),
    "start_time_seconds": Entry("gauge", "When the service was started, in seconds since 1970."),
    "supervisor_resident_memory_bytes": Entry("gauge", "Memory of the supervisor that is in RAM."),
    "supervisor_cpu_seconds_total": Entry("counter", "CPU time of the supervisor."),
    # certificates
    "certificate_expiry_time_seconds": Entry(
        "gauge", "When a certificate expires, in seconds since 1970.", ("certificate",)
    ),
}
"""Without `PREFIX`."""
