"""Rates and percentiles out of two readings of the metrics. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gracehttp.values import Value

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name and labels."""

_LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_BUCKETS = "gracehttp_http_request_duration_seconds_bucket"
_REQUESTS = "gracehttp_http_requests_total"


def read_samples(text: str) -> Samples:
    """The samples in a text that `supervisor.metrics` has written."""
    found = {}
    for line in text.splitlines():
        match = None if line.startswith("#") else _LINE.fullmatch(line)
        if match is not None:
            labels = frozenset((name, value) for name, value in _LABEL.findall(match[2] or ""))
            found[match[1], labels] = float(match[3])
    return found


class Figures(Value):
    """What happened between two looks. None: nothing is known of it, because there was no request, or the service
    counts none."""

    requests_per_second: float | None = None
    errors_per_second: float | None = None
    percentiles_seconds: Mapping[int, float] | None = None
    received_bytes_per_second: float | None = None
    sent_bytes_per_second: float | None = None
    cpu_share_of: Mapping[str, float] = {}
    """Of each worker, by its number: 1 is a whole core."""
    memory_bytes_of: Mapping[str, float] = {}


PERCENTILES = (50, 95, 99)


def figures(before: Samples, after: Samples, seconds: float) -> Figures:
    """`seconds` lie between the two readings."""
    counts = (_BUCKETS, frozenset({("le", "+Inf")})) in after and _total(
        after, "gracehttp_worker_loop_lag_seconds_count"
    )
    rise = _rises(before, after)
    cpu = {
        worker: change / seconds
        for (name, labels), change in rise.items()
        if name == "gracehttp_worker_cpu_seconds_total"
        and (worker := dict(labels).get("worker"))
        and (name, labels) in before
    }
    memory = {
        dict(labels)["worker"]: value
        for (name, labels), value in after.items()
        if name == "gracehttp_worker_resident_memory_bytes"
    }
    if not counts:
        return Figures(cpu_share_of=cpu, memory_bytes_of=memory)
    errors = sum(change for (name, labels), change in rise.items() if name == _REQUESTS and ("status", "5xx") in labels)
    return Figures(
        requests_per_second=_total(rise, _REQUESTS) / seconds,
        errors_per_second=errors / seconds,
        percentiles_seconds=_percentiles(rise),
        received_bytes_per_second=_total(rise, "gracehttp_received_bytes_total") / seconds,
        sent_bytes_per_second=_total(rise, "gracehttp_sent_bytes_total") / seconds,
        cpu_share_of=cpu,
        memory_bytes_of=memory,
    )


def _rises(before: Samples, after: Samples) -> Samples:
    """A counter that is lower than before began anew, with the service."""
    return {key: value - old if value >= (old := before.get(key, 0.0)) else value for key, value in after.items()}


def _total(samples: Samples, name: str) -> float:
    return sum(value for (one, _), value in samples.items() if one == name)


def _percentiles(rise: Samples) -> Mapping[int, float] | None:
    """The upper bounds of the buckets, between which is interpolated, as histogram_quantile() of Prometheus does."""
    buckets = sorted((float(dict(labels)["le"]), count) for (name, labels), count in rise.items() if name == _BUCKETS)
    total = buckets[-1][1] if buckets else 0.0
    if not total:
        return None
    return {percent: _quantile(buckets, percent / 100 * total) for percent in PERCENTILES}


def _quantile(buckets: list[tuple[float, float]], rank: float) -> float:
    lower, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower
