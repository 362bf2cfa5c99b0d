"""What can happen to a fleet."""

from __future__ import annotations

from gracehttp.supervisor.fleet.settings import FleetSettings
from gracehttp.values import Value


class RestartRequested(Value):
    """Somebody wants a new generation. The first one is asked for in the same way."""


class StopRequested(Value):
    """Somebody wants the service to end; by force if this is the second time, or if `force`."""

    force: bool = False


class ScaleRequested(Value):
    by: int


class WorkerIntroduced(Value):
    """A worker said hello, with the settings that its code was given."""

    worker: int
    settings: FleetSettings


class WorkerReady(Value):
    worker: int


class WorkerStoppedAccepting(Value):
    """A worker that was told to drain, or to pause, accepts nothing any more that its successors accept too."""

    worker: int


class WorkerAnswered(Value):
    """So many responses more were sent by a worker, of which so many were server errors."""

    worker: int
    responses: int
    errors: int


class WorkerAlive(Value):
    """A worker that was asked whether it is there says so: its event loop turns."""

    worker: int


class WorkerDueForRecycling(Value):
    """A worker has served as many requests, or as long, as one is to serve, or has grown too big."""

    worker: int


class WorkerExited(Value):
    """A process is gone. `reason` completes the sentence "the worker ...", `details` is its last words, and
    `unlogged` what of them the log hasn't got yet. `doing` is what it was at when it was last heard of, if it was on
    its way to be ready."""

    worker: int
    reason: str
    details: str = ""
    unlogged: str = ""
    doing: str = ""


class TimePassed(Value):
    pass


Input = (
    RestartRequested
    | StopRequested
    | ScaleRequested
    | WorkerIntroduced
    | WorkerReady
    | WorkerStoppedAccepting
    | WorkerAnswered
    | WorkerAlive
    | WorkerDueForRecycling
    | WorkerExited
    | TimePassed
)
