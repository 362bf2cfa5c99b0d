"""What a fleet wants done, and the outcomes that it tells."""

from __future__ import annotations

from dataclasses import dataclass

from gracehttp.values import Value


class StartWorker(Value):
    generation: int
    worker: int


class Serve(Value):
    worker: int


class Pause(Value):
    """Tell a worker to leave to its successors what they have too, and to keep itself ready to go on."""

    worker: int


class Retire(Value):
    """Tell a worker to drain; said again, a shorter timeout replaces the longer one."""

    worker: int
    reason: str  # "restart" or "stop"
    timeout_seconds: float


class Hold(Value):
    """Tell a worker that drains to keep its connections and serve them: nobody would take them now."""

    worker: int


class Resume(Value):
    """Tell a worker that holds to hand its connections over again."""

    worker: int


class Ping(Value):
    """Ask a worker whether it is there."""

    worker: int


class RequestDump(Value):
    """Ask a worker that is not ready in time to write down where its tasks wait, and the stacks of its threads, and to
    end. Only one whose event loop runs can do so."""

    worker: int


class DumpTraceback(Value):
    """Make a worker that did not answer write down the stacks of its threads, which ends it."""

    worker: int


class Kill(Value):
    generation: int
    worker: int
    reason: str


class StopAdmitting(Value):
    """Let no new connection into the queues: the service ends."""


class Promoted(Value):
    """The generation serves, and no older one accepts any more. Whoever asked for it is to be told, unless it is on
    probation: then when that is over."""

    generation: int
    probation_seconds: float = 0.0


class ProbationEnded(Value):
    """The generation has been on probation for `seconds`; whoever asked for it is to be told.

    `reason` tells why, if it is not that the time was up: it completes the sentence "the probation ended because ...".
    """

    generation: int
    seconds: float
    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The generation did not stand its probation, and nobody but generation `to` accepts any more; whoever asked for
    the former is to be told why. A generation remembers it until then, also through a replacement of the supervisor."""

    generation: int
    to: int
    seconds: float
    reason: str
    details: str


class GivenUp(Value):
    """The generation will not serve; whoever asked for it is to be told why. `worker` is the one that failed."""

    generation: int
    reason: str
    details: str
    worker: int | None = None


class Superseded(Value):
    """The generation was given up for a newer one, on which its requesters wait now."""

    generation: int
    by: int


class Died(Value):
    """A worker is gone unasked, from a generation that serves, will, or has to be ready to. `unlogged` is as it was
    told."""

    generation: int
    worker: int
    reason: str
    again_in_seconds: float | None
    unlogged: str = ""
    served: bool = True


class Gone(Value):
    """The last worker of the generation is gone, `seconds` after it was retired."""

    generation: int
    served: bool
    seconds: float


class Finish(Value):
    """There is nothing left to supervise."""

    could_start: bool
    forced: bool


Command = (
    StartWorker
    | Serve
    | Pause
    | Retire
    | Hold
    | Resume
    | Ping
    | RequestDump
    | DumpTraceback
    | Kill
    | StopAdmitting
    | Promoted
    | ProbationEnded
    | RolledBack
    | GivenUp
    | Superseded
    | Died
    | Gone
    | Finish
)
