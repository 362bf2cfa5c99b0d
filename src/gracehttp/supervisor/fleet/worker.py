"""One worker as the fleet knows it: its state, what it is told, and how long it may take. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gracehttp.supervisor.fleet.commands import Dismiss, Drain, DumpTraceback, Pause, RequestDump, Serve
from gracehttp.supervisor.fleet.states import WORKER_STEPS, WorkerState, step
from gracehttp.supervisor.fleet.turn import Turn
from gracehttp.wire.messages import DrainReason

TASKS_SECONDS = 1.0
"""How long a worker that hangs at its start has to write down by itself where its tasks wait."""
TRACEBACK_SECONDS = 1.0
"""How long the interpreter then has to write down the stacks of its threads."""
HURRY_SECONDS = 2.0
"""How long a worker that must drain in no time may take to exit."""
LIFESPAN_SECONDS = 10.0
"""How long the lifespan shutdown of the application may take after the drain."""

HANGING_DRAIN_SECONDS = 5.0
"""How long a worker whose threads hang may drain: their requests don't end."""
LOOP = "loop"
"""What hangs is the event loop."""


@dataclass(slots=True)
class Worker:
    number: int
    state: WorkerState
    started_at: float
    deadline: float | None
    """When the time of its state is over."""
    holding: bool = False
    """It drains, and must keep its connections for now: no worker serves that could take them."""
    silent: bool = False
    """It hangs, and did not write down where when it was asked."""
    hangs: str = ""
    """It serves, and hangs: `loop` or `threads`, as in `inputs.WorkerHung`."""
    other_code: bool = False
    """It runs other code than its generation started with."""

    def become(self, state: WorkerState, deadline: float | None = None) -> None:
        """Raises `ForbiddenStep` if no step leads there."""
        self.state, self.deadline = step(WORKER_STEPS, self.state, state), deadline

    def serve(self, turn: Turn) -> None:
        self.become(WorkerState.SERVING)
        turn.add(Serve(self.number))

    def pause(self, turn: Turn) -> None:
        self.become(WorkerState.STANDING_BY)
        turn.add(Pause(self.number))

    def drain(self, reason: DrainReason, timeout_seconds: float, turn: Turn) -> None:
        """Begin to drain. If it drains already, the earlier deadline counts."""
        deadline = turn.now + timeout_seconds + (LIFESPAN_SECONDS if timeout_seconds else HURRY_SECONDS)
        if self.state is WorkerState.DRAINING and self.deadline is not None:
            deadline = min(deadline, self.deadline)
        self.become(WorkerState.DRAINING, deadline)
        turn.add(Drain(self.number, reason, timeout_seconds))

    def dismiss(self, turn: Turn) -> None:
        """It is ready, and will not serve: it has nothing to drain."""
        self.become(WorkerState.DRAINING, turn.now + LIFESPAN_SECONDS + HURRY_SECONDS)
        turn.add(Dismiss(self.number))

    def request_dump(self, turn: Turn) -> None:
        """It was not ready in time. Only a worker whose event loop runs can tell where its tasks wait."""
        self.become(WorkerState.DUMPING, turn.now + TASKS_SECONDS)
        turn.add(RequestDump(self.number))

    def end_hanging(self, drain_timeout_seconds: float, turn: Turn) -> None:
        """Its successor serves: write down where it hangs, and end it.

        A worker whose loop still turns drains: it can hand over the connections that no thread works for.
        """
        if self.hangs == LOOP:
            self.become(WorkerState.DUMPING, turn.now + TASKS_SECONDS)
            turn.add(RequestDump(self.number, self.hangs))
        else:
            turn.add(RequestDump(self.number, self.hangs, ends=False))
            self.drain(DrainReason.RESTART, min(drain_timeout_seconds, HANGING_DRAIN_SECONDS), turn)

    def dump_traceback(self, turn: Turn) -> None:
        """Its event loop does not run: the interpreter tells."""
        self.silent, self.deadline = True, turn.now + TRACEBACK_SECONDS
        turn.add(DumpTraceback(self.number))
