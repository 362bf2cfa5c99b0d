"""Which deaths of workers explain the failure of a connection. Pure.

A connection may fail with the worker that had it. That is the one that answered last, or, when that one had begun to
drain, a worker of its own or a later generation: the connection was on its way to it, or it had just taken it. A
connection on which no worker has answered yet may have been with any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

READ_LATE_SECONDS = 0.5
"""How much later than it came a client may have read an answer: its thread shares an interpreter with others."""


@dataclass(frozen=True)
class Death:
    """A worker was ended by force, by SIGKILL of the test or of the supervisor. `at` is of `time.monotonic`."""

    pid: int
    at: float


@dataclass(frozen=True)
class History:
    """What the log tells: the generation of each worker, and when each began to drain, by PID."""

    generations: Mapping[int, int]
    draining_since: Mapping[int, float]


def culprits(failure, deaths: Iterable[Death], history: History):
    """Those of `deaths` that explain `failure`, one of `callers.Failure`."""
    return [
        death
        for death in deaths
        if failure.last_answer_at - READ_LATE_SECONDS <= death.at <= failure.at
        and _may_have_had_it(failure, death, history)
    ]


def _may_have_had_it(failure, death, history):
    if death.pid not in history.generations:
        return False  # a template, which has no connections
    if not failure.pids:
        return True
    last = failure.pids[-1]
    if death.pid == last:
        return True
    left = history.draining_since.get(last)
    return (
        left is not None
        and left - READ_LATE_SECONDS <= failure.at
        and history.generations[death.pid] >= history.generations[last]
    )
