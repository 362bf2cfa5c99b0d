"""One generation and its workers: what it wants, what it knows, and its steps. Pure.

A step changes the state and adds to the turn the commands that make it true. Steps that concern two generations at
once are in `takeover`, those that choose how many workers there are in `staffing`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gracehttp.supervisor.fleet.commands import (
    GivenUp,
    Hold,
    Kill,
    ProbationEnded,
    Promoted,
    Resume,
    RolledBack,
    StartWorker,
)
from gracehttp.supervisor.fleet.probation import Probation
from gracehttp.supervisor.fleet.states import GENERATION_STEPS, GenerationState, WorkerState, step
from gracehttp.supervisor.fleet.turn import Turn
from gracehttp.supervisor.fleet.worker import Worker
from gracehttp.wire.messages import DrainReason, FleetSettings

STOP_ACCEPTING_SECONDS = 2.0
"""How long the workers of the old generation may take to stop accepting before the new one is announced anyway."""


@dataclass(slots=True)
class Generation:
    number: int
    state: GenerationState
    settings: FleetSettings
    wanted: int
    """How many workers it should have."""
    workers: dict[int, Worker] = field(default_factory=dict)
    retired_at: float = 0.0
    """When it began to drain, or was abandoned."""
    deaths_in_a_row: int = 0
    start_again_at: list[float] = field(default_factory=list)
    """When workers are to be started in place of those that died."""
    due_for_recycling: list[int] = field(default_factory=list)
    """Workers that serve until it is their turn to be recycled."""
    recycling: int | None = None
    """The worker that is being recycled, until it is gone. Meanwhile there may be one worker more than wanted."""
    hangs_in_a_row: int = 0
    """How many of its workers were replaced because they hung, without a long time in between."""
    hang_replaced_at: float = 0.0
    hang_wait_until: float | None = None
    """Before this time no other worker that hangs is replaced."""
    predecessors: set[int] = field(default_factory=set)
    """Workers of other generations that may still accept. The generation is announced when there are none."""
    announce_at: float | None = None
    """When it is announced at the latest. None: it was announced, or has not served yet."""
    probation: Probation | None = None
    rolled_back: RolledBack | None = None
    """What is announced instead of its promotion, if it serves again."""

    # --- questions ---

    def in_state(self, *states: WorkerState) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.state in states]

    @property
    def planned(self) -> int:
        """How many workers it has or will have, with those that wait to be started again.

        The worker that is being recycled doesn't count: its successor does.
        """
        staying = self.in_state(WorkerState.STARTING, WorkerState.STANDING_BY, WorkerState.SERVING, WorkerState.DUMPING)
        return sum(worker.number != self.recycling for worker in staying) + len(self.start_again_at)

    def deadlines(self) -> Iterable[float]:
        """The times at which something is due if nothing happens before."""
        yield from (worker.deadline for worker in self.workers.values() if worker.deadline is not None)
        yield from self.start_again_at
        if self.hang_wait_until is not None:
            yield self.hang_wait_until
        if self.announce_at is not None:
            yield self.announce_at
        elif self.probation is not None:  # it does not end before the generation was announced
            yield self.probation.deadline

    def why_not_ready(self, doing: str) -> str:
        """Why a worker failed that was not ready in time: the rest of a sentence that begins with "the worker".

        `doing` says what the worker was still doing; "" if that is not known.
        """
        sentence = f"was not ready within {self.settings.ready_timeout_seconds:g} s"
        return f"{sentence}: it was still {doing} (ready_timeout allows more)" if doing else sentence

    # --- steps on the way to serve ---

    def become(self, state: GenerationState) -> None:
        """Raises `ForbiddenStep` if no step leads there."""
        self.state = step(GENERATION_STEPS, self.state, state)

    def start(self, turn: Turn) -> None:
        """Start one more worker."""
        number = turn.numbers.next_worker()
        deadline = turn.now + self.settings.ready_timeout_seconds
        self.workers[number] = Worker(number, WorkerState.STARTING, turn.now, deadline)
        turn.add(StartWorker(self.number, number))

    def take_settings(self, settings: FleetSettings, canary: Worker) -> None:
        """Take the settings that the canary brought. What was scaled meanwhile counts on top of them."""
        self.wanted = max(1, settings.workers + self.wanted - self.settings.workers)
        self.settings = settings
        if canary.state is WorkerState.STARTING:
            canary.deadline = canary.started_at + settings.ready_timeout_seconds

    def announce(self, turn: Turn) -> None:
        """Tell that it serves, or serves again, unless that was told before."""
        if self.announce_at is None:
            return
        self.forget_announcement()
        if self.rolled_back is not None:
            turn.add(self.rolled_back)
            self.rolled_back = None
        else:
            turn.add(Promoted(self.number, self.settings.probation_seconds if self.probation is not None else 0.0))

    def forget_announcement(self) -> None:
        self.announce_at = None
        self.predecessors.clear()

    def end_probation(self, turn: Turn, *, passed: bool, reason: str = "") -> None:
        """Tell how its probation ended, if it is on probation. It changes no generation's state."""
        if self.probation is not None:
            turn.add(ProbationEnded(self.number, turn.now - self.probation.began_at, passed, reason))
            self.probation = None

    # --- steps on the way out ---

    def stand_by(self, turn: Turn) -> None:
        """Its successor serves on probation: its workers keep themselves ready to serve again.

        If it stands by already, its workers learn which listeners the newest successor has.
        """
        self.announce(turn)
        self.become(GenerationState.STANDING_BY)
        self.start_again_at.clear()
        for worker in self.workers.values():
            if worker.state in {WorkerState.SERVING, WorkerState.STANDING_BY}:
                worker.pause(turn)
            elif worker.state is WorkerState.STARTING:
                self.kill(worker, "its generation stands by, and starts no worker", turn)

    def drain(self, reason: DrainReason, turn: Turn, *, timeout_seconds: float | None = None) -> None:
        """It has served: its workers drain, and those that are not ready are killed. None: as its settings say.

        Workers that drain already learn that they have other successors now, or none.
        """
        self.announce(turn)
        self.leave(GenerationState.DRAINING, turn)
        timeout = self.settings.drain_timeout_seconds if timeout_seconds is None else timeout_seconds
        for worker in self.workers.values():
            if worker.state in {WorkerState.SERVING, WorkerState.STANDING_BY, WorkerState.DRAINING}:
                worker.drain(reason, timeout, turn)
            elif worker.state is WorkerState.STARTING:
                self.kill(worker, "its generation was retired before it served", turn)

    def drain_again(self, reason: DrainReason, turn: Turn, *, timeout_seconds: float | None = None) -> None:
        """Tell the workers that drain already what has changed. `timeout_seconds`: their time has, too."""
        timeout = self.settings.drain_timeout_seconds if timeout_seconds is None else timeout_seconds
        for worker in self.in_state(WorkerState.DRAINING):
            worker.drain(reason, timeout, turn)

    def hold_or_resume(self, turn: Turn, *, takers: bool) -> None:
        """Tell the workers that drain whether there are workers that take their connections, if that has changed."""
        for worker in self.in_state(WorkerState.DRAINING):
            if worker.holding and takers:
                turn.add(Resume(worker.number))
            elif not worker.holding and not takers:
                turn.add(Hold(worker.number))
            worker.holding = not takers

    def give_up(
        self,
        reason: str,
        turn: Turn,
        *,
        details: str = "",
        hint: str = "",
        worker: int | None = None,
        forced: bool = False,
    ) -> None:
        """It will not serve, because of a failure or a stop. Its requesters learn why. `forced`: its workers are killed
        later in this turn."""
        turn.add(GivenUp(self.number, reason, details, worker, hint))
        if forced:
            self.leave(GenerationState.ABANDONED, turn)
        else:
            self.abandon("its generation was given up", turn)

    def abandon(self, reason: str, turn: Turn) -> None:
        """It will not serve: kill its workers at once, except those that are ready. These shut their lifespan down."""
        self.leave(GenerationState.ABANDONED, turn)
        for worker in self.in_state(WorkerState.STANDING_BY):
            worker.dismiss(turn)
        for worker in self.in_state(WorkerState.STARTING, WorkerState.DUMPING):
            self.kill(worker, reason, turn)

    def leave(self, state: GenerationState, turn: Turn) -> None:
        self.become(state)
        self.retired_at = turn.now
        self.start_again_at.clear()

    def kill_all(self, reason: str, turn: Turn) -> None:
        for worker in self.workers.values():
            if worker.state is not WorkerState.KILLED:
                self.kill(worker, reason, turn)

    def kill(self, worker: Worker, reason: str, turn: Turn) -> None:
        worker.become(WorkerState.KILLED)
        turn.add(Kill(self.number, worker.number, reason))

    def overdue(self, worker: Worker, turn: Turn) -> None:
        """The deadline of the state of `worker` has passed."""
        if worker.state is WorkerState.STARTING:
            worker.request_dump(turn)
        elif worker.state is WorkerState.DUMPING and not worker.silent:
            worker.dump_traceback(turn)
        elif worker.state is WorkerState.DUMPING:
            # The state stays, because the exit must count as a failed start.
            worker.deadline = None
            reason = "it hangs" if worker.hangs else f"not ready within {self.settings.ready_timeout_seconds:g} s"
            turn.add(Kill(self.number, worker.number, reason))
        else:
            self.kill(worker, "its drain timeout passed", turn)
