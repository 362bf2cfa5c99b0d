"""What can happen to a fleet."""

from __future__ import annotations

from gracehttp.values import Value
from gracehttp.wire.messages import FleetSettings


class RestartRequested(Value):
    """A new generation is wanted. The first one is requested in the same way."""


class StopRequested(Value):
    """The service must end: by force if `force`, or if this is the second request."""

    force: bool = False
    drain_timeout_seconds: float | None = None
    """How long workers may drain at most. None: as long as each generation's settings say."""


class ScaleRequested(Value):
    by: int
    """How many workers more are wanted; negative: fewer."""


class WorkerIntroduced(Value):
    """A worker said hello, with the settings that its code was given."""

    worker: int
    settings: FleetSettings


class WorkerReady(Value):
    worker: int


class WorkerStoppedAccepting(Value):
    """A worker that was told to drain or to pause accepts no more connections that its successors accept too."""

    worker: int


class WorkerAnswered(Value):
    """A worker sent `responses` more to its clients, of which `errors` were server errors."""

    worker: int
    responses: int
    errors: int


class WorkerAlive(Value):
    """A worker answered a ping: its event loop runs."""

    worker: int


class WorkerDueForRecycling(Value):
    """A worker has reached one of its limits: of requests, of time, or of memory."""

    worker: int


class WorkerHung(Value):
    """A worker that serves has shown no progress for `seconds`. `kind` is `loop` if its event loop doesn't turn,
    `threads` if all its threads are at the same requests, and others wait."""

    worker: int
    kind: str
    seconds: float


class WorkerRecovered(Value):
    """A worker that hung shows progress again."""

    worker: int


class WorkerDiffers(Value):
    """A worker found that it has imported other code than the first one of its generation. With `alone` it has imported
    these files before they changed, and others after they changed."""

    worker: int
    files: tuple[str, ...]
    more: int = 0
    """How many files besides `files`."""
    alone: bool = False


class WorkerExited(Value):
    """The process of a worker is gone, or could not be started."""

    worker: int
    reason: str
    """The rest of a sentence that begins with "the worker"."""
    details: str = ""
    """What it wrote last, for its requesters."""
    unlogged: str = ""
    """The part of it that the log doesn't have yet."""
    doing: str = ""
    """What it was last known to do on its way to be ready."""
    refused: bool = False
    """The supervisor had not what it asked for, such as a port: other code would not help."""


class TimePassed(Value):
    """A deadline of the fleet has come."""


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
    | WorkerHung
    | WorkerRecovered
    | WorkerDiffers
    | WorkerExited
    | TimePassed
)
