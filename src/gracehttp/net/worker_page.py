"""What a worker counts, on a page of memory that it shares with its supervisor (`net.shared_page`).

The worker writes, without locks and without a system call; the supervisor reads at any time. A worker that is killed
takes nothing along: its page stays, and the supervisor adds it to what older workers have counted. Counts are words
that only grow; what stands in `state` and `loads` is as it was at the worker's last beat.

A page may be read by a supervisor of another release. So groups are only added at the end, and the order of what is in
them never changes.
"""

from __future__ import annotations

from typing import Final

from gracehttp.net.shared_page import Layout

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "other")
STATUSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""`none`: the client was gone before there was a status."""
DURATION_BOUNDS_SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
LAG_BOUNDS_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
MICROSECONDS: Final = 1_000_000

MOST_PORTS: Final = 32
"""Ports beyond these are counted together with the last of them."""
PORT_FIELDS: Final = ("listener", "accepted", "adopted", "handed_over", "received_bytes", "sent_bytes", "idle")
"""Of each port. `listener` is the number of the listener and 1: 0 is a place that no port has."""
LOADS: Final = ("in_flight", "threads", "busy_threads", "waiting_for_threads")
DRAIN_FIELDS: Final = ("drains", "requests_cut", "microseconds")

# The words of `state`:
BEATS: Final = 0
"""How often the event loop has turned for the heartbeat; 0: the worker isn't ready yet."""
PROGRESS: Final = 1
"""As `BEATS`, without the beats at which all threads were where they had been before, and requests waited for one."""
DEBUGGED: Final = 2
"""1: a person may have stopped the worker, in a debugger."""

WORKER_LAYOUT: Layout = {
    "state": 3,
    "requests": len(METHODS) * len(STATUSES),
    "durations": len(DURATION_BOUNDS_SECONDS) + 2,  # one for each bound, one above all of them, the sum in microseconds
    "body_bytes": 1,
    "lags": len(LAG_BOUNDS_SECONDS) + 2,
    "ports": MOST_PORTS * len(PORT_FIELDS),
    "loads": len(LOADS),
    "drains": len(DRAIN_FIELDS),
}
"""In bytes about 2.8 KB, which is one page of the system."""

COUNTS: Final = ("requests", "durations", "body_bytes", "lags", "drains")
"""The groups of which every word only grows."""
