"""What observes the requests of a worker, as its options want it: the access log, and all that counts."""

from __future__ import annotations

import asyncio

from gracehttp.applications.probes import Answers, without_probes
from gracehttp.config import ProcessOptions
from gracehttp.http.exchange import RequestFinished, RequestHead
from gracehttp.http.request_counter import RequestCounter
from gracehttp.net.shared_page import SharedPage
from gracehttp.observe.access_log import access_log_of
from gracehttp.worker.connections import RequestFailed
from gracehttp.worker.error_counter import ErrorCounter
from gracehttp.worker.manifest import Manifest
from gracehttp.worker.recycling import Usage, UsageLimits


class Observers:
    """The observers of one worker. The ports tell them of each request, through `request_finished` and
    `request_failed`. Where no option wants one, these are None, which costs nothing."""

    def __init__(self, process: ProcessOptions, manifest: Manifest, page: SharedPage | None, probes: Answers) -> None:
        """What counts for the metrics stands on `page`. Only the access log hears of health checks (`probes`), if its
        options say so."""
        loop = asyncio.get_running_loop()
        self.usage = Usage(_usage_limits(process), loop)
        self.error_counter = _error_counter(process, loop)
        access_log = access_log_of(process, manifest.worker, manifest.generation)
        counting = as_one(self.error_counter, self.usage if self.usage.counts_requests else None)
        finished: RequestFinished | None = as_one(
            access_log if process.log_probes else without_probes(access_log, probes), without_probes(counting, probes)
        )
        if page is not None and has_metrics(process):
            requests, durations, body_bytes = map(page.words, ("requests", "durations", "body_bytes"))
            finished = RequestCounter(requests, durations, body_bytes, then=finished)
        self.request_finished = finished
        self.request_failed: RequestFailed | None = self.error_counter.failed if self.error_counter else None


def as_one(*observers: RequestFinished | None) -> RequestFinished | None:
    """One observer that tells all of `observers`, in order; None if there are none, so that this costs nothing."""
    present = tuple(one for one in observers if one is not None)
    if len(present) < 2:
        return present[0] if present else None

    def tell_all(head: RequestHead, status: int, body_bytes: int, seconds: float, /) -> None:
        for observer in present:
            observer(head, status, body_bytes, seconds)

    return tell_all


def has_metrics(process: ProcessOptions) -> bool:
    """Whether the metrics have an address."""
    return process.metrics is not None or process.admin is not None


def _usage_limits(process: ProcessOptions) -> UsageLimits:
    return UsageLimits.drawn(
        requests=process.max_requests,
        requests_jitter=process.max_requests_jitter,
        age_seconds=process.max_worker_age,
        memory_bytes=process.max_worker_memory,
    )


def _error_counter(process: ProcessOptions, loop: asyncio.AbstractEventLoop) -> ErrorCounter | None:
    """What counts for a probation."""
    if not process.probation or process.probation_max_errors is None:
        return None
    return ErrorCounter(process.probation, loop)
