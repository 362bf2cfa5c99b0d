"""One generation and its workers: their states, and the steps from one to the next. Pure.

A step changes the state and returns the commands that make it true.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

from gracehttp.supervisor.fleet.commands import (
    Command,
    DumpTraceback,
    Kill,
    Pause,
    ProbationEnded,
    Promoted,
    RequestDump,
    Retire,
    RolledBack,
    Serve,
    Superseded,
)
from gracehttp.supervisor.fleet.probation import Probation
from gracehttp.supervisor.fleet.settings import FleetSettings

STOP_ACCEPTING_SECONDS = 2.0
"""How long the workers of the old generation may take to stop accepting before the new one is announced anyway."""
TASKS_SECONDS = 1.0
"""How long a worker that hangs while it starts has to tell by itself where."""
TRACEBACK_SECONDS = 1.0
"""How long it has, if it does not, until the interpreter has written down its stacks."""
HURRY_SECONDS = 2.0
"""How long a worker may take to end after its drain timeout has passed, or was taken away."""
LIFESPAN_SECONDS = 10.0
"""How long the lifespan shutdown of an application may take after the drain."""


class GenerationState(enum.Enum):
    STARTING = "starting"  # the canary is starting
    COMPLETING = "completing"  # the canary is ready, its siblings are starting
    SERVING = "serving"
    STANDING_BY = "standing_by"  # its successor is on probation: it may have to serve again
    DRAINING = "draining"  # its successor serves, or the service stops
    ABANDONED = "abandoned"  # it was given up before it served


class WorkerState(enum.Enum):
    STARTING = "starting"
    STANDING_BY = "standing_by"  # ready, and accepts nothing that others accept
    SERVING = "serving"
    DRAINING = "draining"
    DUMPING = "dumping"  # asked where it hangs, then made to write it down, to be killed next
    KILLED = "killed"


@dataclass(slots=True)
class Worker:
    number: int
    state: WorkerState
    started_at: float
    deadline: float | None  # of the state that it is in
    holding: bool = False  # told to hand nothing over, because nobody would take it
    silent: bool = False  # it hangs, and did not tell where when it was asked

    def let_serve(self) -> Serve:
        self.state, self.deadline = WorkerState.SERVING, None
        return Serve(self.number)

    def pause(self) -> Pause:
        self.state, self.deadline = WorkerState.STANDING_BY, None
        return Pause(self.number)

    def drain(self, reason: str, timeout_seconds: float, now: float) -> Retire:
        """Said again, it can only be hurried up."""
        deadline = now + timeout_seconds + (LIFESPAN_SECONDS if timeout_seconds else HURRY_SECONDS)
        if self.state is WorkerState.DRAINING and self.deadline is not None:
            deadline = min(deadline, self.deadline)
        self.state, self.deadline = WorkerState.DRAINING, deadline
        return Retire(self.number, reason, timeout_seconds)


@dataclass(slots=True)
class Generation:
    number: int
    state: GenerationState
    settings: FleetSettings
    wanted: int
    workers: dict[int, Worker] = field(default_factory=dict)
    retired_at: float = 0.0
    deaths_in_a_row: int = 0
    start_again_at: list[float] = field(default_factory=list)
    tired: list[int] = field(default_factory=list)
    """Workers that have had enough and serve until it is their turn to be recycled."""
    recycling: int | None = None
    """The one whose turn it is, until it is gone. Meanwhile there may be one worker more than wanted."""
    predecessors: set[int] = field(default_factory=set)
    """Workers of older code that may still accept; the generation is announced when there are none."""
    announce_at: float | None = None
    probation: Probation | None = None
    """There is one while it serves and the generation before stands by."""
    rolled_back: RolledBack | None = None
    """What is to be announced instead of its promotion, if it serves again."""

    # --- looking ---

    def in_state(self, *states: WorkerState) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.state in states]

    @property
    def planned(self) -> int:
        """How many workers serve the generation or will do so, those included that wait to be started again.

        A worker whose successor is on its way is leaving, and doesn't count.
        """
        staying = self.in_state(WorkerState.STARTING, WorkerState.STANDING_BY, WorkerState.SERVING, WorkerState.DUMPING)
        return sum(worker.number != self.recycling for worker in staying) + len(self.start_again_at)

    def deadlines(self) -> Iterable[float]:
        """When something is due, if nothing happens before."""
        yield from (worker.deadline for worker in self.workers.values() if worker.deadline is not None)
        yield from self.start_again_at
        if self.announce_at is not None:
            yield self.announce_at
        elif self.probation is not None:  # which is not over before the generation was announced
            yield self.probation.deadline

    def hung(self, doing: str) -> str:
        """How a worker failed that was not ready in time, and still `doing` something."""
        told = f"was not ready within {self.settings.ready_timeout_seconds:g} s"
        return f"{told}: it was still {doing} (ready_timeout allows more)" if doing else told

    # --- steps ---

    def announce(self) -> list[Command]:
        """Tell that it serves, if that was not told before."""
        if self.announce_at is None:
            return []
        self.forget_announcement()
        if self.rolled_back is not None:
            told, self.rolled_back = self.rolled_back, None
            return [told]
        return [Promoted(self.number, self.settings.probation_seconds if self.probation is not None else 0.0)]

    def forget_announcement(self) -> None:
        self.announce_at = None
        self.predecessors.clear()

    def succeed(self, before: Generation, stood_by: Generation | None, now: float) -> list[Command]:
        """It serves instead of `before`, for good or on probation; then the last one that has proved itself stands by:
        that is `before`, or `stood_by` if `before` is on probation itself."""
        commands: list[Command] = []
        proved = before
        if before.probation is not None:  # nobody will know any more how it would have ended
            before.probation = None
            commands.append(Superseded(before.number, by=self.number))
            proved = stood_by or before
        older = [one for one in (stood_by, before) if one is not None]
        # Also those that the one before still waits for: three generations may overlap.
        self.predecessors = before.predecessors.union(
            one.number
            for older_one in older
            for one in older_one.in_state(WorkerState.SERVING, WorkerState.STANDING_BY)
        )
        seconds = self.settings.probation_seconds
        if seconds:
            self.probation = Probation(began_at=now, ends_at=now + seconds)
        for one in older:
            stays = seconds and one is proved and one.settings.stands_by
            commands += one.stand_by() if stays else one.retire("restart", now)
        return commands

    def end_probation(self, now: float, *, passed: bool, reason: str = "") -> list[Command]:
        """Tell how its probation ended, if it is on one. What becomes of the one that stands by is the caller's."""
        if self.probation is None:
            return []
        seconds = now - self.probation.began_at
        self.probation = None
        return [ProbationEnded(self.number, seconds, passed, reason)]

    def stand_by(self) -> list[Command]:
        """Its successor serves, and may turn out to be worse: those of its workers that serve keep themselves ready.

        Said again, it tells them which listeners the newest successor has.
        """
        commands = self.announce()
        self.state = GenerationState.STANDING_BY
        self.start_again_at.clear()
        for worker in self.workers.values():
            if worker.state in {WorkerState.SERVING, WorkerState.STANDING_BY}:
                commands.append(worker.pause())
            elif worker.state is WorkerState.STARTING:
                commands.append(self.kill(worker, "its generation stands by, and starts nobody"))
        return commands

    def retire(self, reason: str, now: float) -> list[Command]:
        """It has served: those of its workers that do, or stand by, drain, the others are not needed any more.

        Those that drain already, each for itself, learn that they have other successors now, or none.
        """
        commands = self.announce()
        self.state = GenerationState.DRAINING
        self.retired_at = now
        self.start_again_at.clear()
        timeout = self.settings.drain_timeout_seconds
        for worker in self.workers.values():
            if worker.state in {WorkerState.SERVING, WorkerState.STANDING_BY, WorkerState.DRAINING}:
                commands.append(worker.drain(reason, timeout, now))
            elif worker.state is WorkerState.STARTING:
                commands.append(self.kill(worker, "its generation was retired before it served"))
        return commands

    def drain_again(self, reason: str, timeout_seconds: float, now: float) -> list[Command]:
        """Tell those that drain already what has changed."""
        return [one.drain(reason, timeout_seconds, now) for one in self.in_state(WorkerState.DRAINING)]

    def abandon(self, reason: str, now: float) -> list[Command]:
        """It will not serve: all its workers go at once."""
        self.state = GenerationState.ABANDONED
        self.retired_at = now
        return [self.kill(one, reason) for one in self.workers.values() if one.state is not WorkerState.KILLED]

    def kill(self, worker: Worker, reason: str) -> Kill:
        worker.state, worker.deadline = WorkerState.KILLED, None
        return Kill(self.number, worker.number, reason)

    def overdue(self, worker: Worker, now: float) -> Command:
        """The deadline of the state that `worker` is in has passed."""
        if worker.state is WorkerState.STARTING:
            worker.state, worker.deadline = WorkerState.DUMPING, now + TASKS_SECONDS
            return RequestDump(worker.number)
        if worker.state is WorkerState.DUMPING and not worker.silent:
            worker.silent, worker.deadline = True, now + TRACEBACK_SECONDS
            return DumpTraceback(worker.number)
        if worker.state is WorkerState.DUMPING:
            # Still to be counted as a failed start, so the state stays; the process is gone in a moment.
            worker.deadline = None
            return Kill(self.number, worker.number, f"not ready within {self.settings.ready_timeout_seconds:g} s")
        return self.kill(worker, "its drain timeout passed")
