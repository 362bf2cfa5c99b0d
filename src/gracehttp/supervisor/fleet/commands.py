"""What a fleet wants done: orders to workers and ports, and facts that must be told.

Commands are imperative (`Serve`), facts are in the past tense (`Promoted`). Both must be carried out in the order in
which they come.
"""

from __future__ import annotations

from gracehttp.values import Value
from gracehttp.wire.messages import DrainReason

# --- orders ---


class StartWorker(Value):
    generation: int
    worker: int


class Serve(Value):
    """Tell a worker to accept connections, for the first time or again after `Pause`."""

    worker: int


class Pause(Value):
    """Tell a worker to leave to its successors the listeners that they have too, and to stay ready to serve again."""

    worker: int


class Drain(Value):
    """Tell a worker to drain. If it drains already, a shorter timeout replaces the longer one."""

    worker: int
    reason: DrainReason
    timeout_seconds: float


class Dismiss(Value):
    """Tell a worker that is ready, and never served, to shut its lifespan down and end."""

    worker: int


class Hold(Value):
    """Tell a worker that drains to keep its connections and serve them: no worker would take them now."""

    worker: int


class Resume(Value):
    """Tell a worker that holds to hand its connections over again."""

    worker: int


class Ping(Value):
    """Ask a worker for a sign of life. It answers if its event loop runs."""

    worker: int


class RequestDump(Value):
    """Tell a worker to write down where its tasks wait and the stacks of its threads, and to exit.

    Only a worker whose event loop runs can do that. `hangs` is empty if the worker was not ready in time; of one that
    served it is the kind of hang (`inputs.WorkerHung`). Without `ends` it runs on.
    """

    worker: int
    hangs: str = ""
    ends: bool = True


class DumpTraceback(Value):
    """Make the interpreter of a worker write down the stacks of its threads, which ends the worker."""

    worker: int


class Kill(Value):
    generation: int
    worker: int
    reason: str


class AnnounceStop(Value):
    """Tell workers and load balancers that the service will stop. Until `StopAdmitting` it goes on as before."""

    delay_seconds: float


class StopAdmitting(Value):
    """Let no new connection into the queues of the kernel: the service ends."""


class Finish(Value):
    """End the supervisor: there is nothing left to supervise."""

    could_start: bool
    """False: the first generation failed, and no stop was requested."""
    forced: bool


# --- facts ---


class Promoted(Value):
    """The generation serves, and no older one accepts any more.

    Its requesters must be told now, or if it is on probation, at the end of that.
    """

    generation: int
    probation_seconds: float = 0.0


class ProbationEnded(Value):
    """The generation has been on probation for `seconds`. Its requesters must be told."""

    generation: int
    seconds: float
    passed: bool
    reason: str = ""
    """If its time was not up: the rest of a sentence that begins with "the probation ended because"."""


class RolledBack(Value):
    """The generation failed its probation, and only generation `to` accepts any more. Its requesters must be told why.

    A generation remembers it until it is told, also when the supervisor replaces itself.
    """

    generation: int
    to: int
    seconds: float
    reason: str
    details: str


class GivenUp(Value):
    """The generation will not serve. Its requesters must be told why."""

    generation: int
    reason: str
    details: str
    worker: int | None = None
    """The worker that failed, if one did."""
    hint: str = ""


class Superseded(Value):
    """The generation was given up for the newer one `by`. Its requesters now wait for that."""

    generation: int
    by: int


class Died(Value):
    """A worker exited although it was not told to, and its generation serves, is coming, or stands by."""

    generation: int
    worker: int
    reason: str
    again_in_seconds: float | None
    """When a worker is started in its place; None: none is."""
    unlogged: str = ""
    """See `inputs.WorkerExited`."""
    served: bool = True
    """Whether it was ready before."""


class Hung(Value):
    """A worker that serves was found to hang. `kind` and `seconds` are as in `inputs.WorkerHung`."""

    generation: int
    worker: int
    kind: str
    seconds: float


class Recovered(Value):
    """A worker that hung goes on."""

    generation: int
    worker: int


class Differs(Value):
    """A worker that replaces another one, or comes in addition, runs other code than its generation. `files` and `more`
    are as in `inputs.WorkerDiffers`."""

    generation: int
    worker: int
    files: tuple[str, ...]
    more: int


class StartRepeated(Value):
    """Nothing serves yet, and the workers of the generation would not run the same code: it is superseded by `by`."""

    generation: int
    by: int


class Gone(Value):
    """The last worker of the generation exited, `seconds` after the generation began to drain or was abandoned."""

    generation: int
    served: bool
    seconds: float


Order = (
    StartWorker
    | Serve
    | Pause
    | Drain
    | Dismiss
    | Hold
    | Resume
    | Ping
    | RequestDump
    | DumpTraceback
    | Kill
    | AnnounceStop
    | StopAdmitting
)
"""Something is to be done."""

Fact = (
    Promoted
    | ProbationEnded
    | RolledBack
    | GivenUp
    | Superseded
    | Died
    | Hung
    | Recovered
    | Differs
    | StartRepeated
    | Gone
)
"""Something is decided, and others must hear of it."""

Command = Order | Fact | Finish
