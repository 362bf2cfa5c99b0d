"""What a fleet wants done, and the outcomes that it tells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartWorker:
    generation: int
    worker: int


@dataclass(frozen=True, slots=True)
class LetServe:
    worker: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Tell a worker to leave to its successors what they have too, and to keep itself ready to go on."""

    worker: int


@dataclass(frozen=True, slots=True)
class Retire:
    """Tell a worker to drain; said again, a shorter timeout replaces the longer one."""

    worker: int
    reason: str  # "restart" or "stop"
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Tell a worker that drains to keep its connections and serve them: nobody would take them now."""

    worker: int


@dataclass(frozen=True, slots=True)
class GoOn:
    """Tell a worker that holds to hand its connections over again."""

    worker: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a worker whether it is there."""

    worker: int


@dataclass(frozen=True, slots=True)
class AskWhere:
    """Ask a worker that is not ready in time to write down where its tasks wait, and the stacks of its threads, and to
    end. Only one whose event loop runs can do so."""

    worker: int


@dataclass(frozen=True, slots=True)
class DumpTraceback:
    """Make a worker that did not answer write down the stacks of its threads, which ends it."""

    worker: int


@dataclass(frozen=True, slots=True)
class Kill:
    generation: int
    worker: int
    reason: str


@dataclass(frozen=True, slots=True)
class CloseDoors:
    """Let no new connection into the queues: the service ends."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """The generation serves, and no older one accepts any more. Whoever asked for it is to be told, unless it is on
    probation: then when that is over."""

    generation: int
    probation_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ProbationEnded:
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
    the former is to be told why."""

    generation: int
    to: int
    seconds: float
    reason: str
    details: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The generation will not serve; whoever asked for it is to be told why. `worker` is the one that failed."""

    generation: int
    reason: str
    details: str
    worker: int | None = None


@dataclass(frozen=True, slots=True)
class Superseded:
    """The generation was given up for a newer one, on which its requesters wait now."""

    generation: int
    by: int


@dataclass(frozen=True, slots=True)
class Died:
    """A worker is gone unasked, from a generation that serves, will, or has to be ready to. `unlogged` is as it was
    told."""

    generation: int
    worker: int
    reason: str
    again_in_seconds: float | None
    unlogged: str = ""
    served: bool = True


@dataclass(frozen=True, slots=True)
class Gone:
    """The last worker of the generation is gone, `seconds` after it was retired."""

    generation: int
    served: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Finish:
    """There is nothing left to supervise."""

    could_start: bool
    forced: bool


Command = (
    StartWorker
    | LetServe
    | Pause
    | Retire
    | Hold
    | GoOn
    | Ask
    | AskWhere
    | DumpTraceback
    | Kill
    | CloseDoors
    | Promoted
    | ProbationEnded
    | RolledBack
    | GivenUp
    | Superseded
    | Died
    | Gone
    | Finish
)
