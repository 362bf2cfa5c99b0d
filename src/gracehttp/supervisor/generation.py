"""The generations and their workers, and what to do when something happens to them. Pure: no clock, no process.

The one rule that everything here serves (promise 4): a new generation becomes ready as a whole or vanishes as a
whole, and until it is ready the old one serves, untouched.

    STARTING ----canary ready----> COMPLETING ----all ready----> SERVING ----successor ready----> DRAINING --> gone
        |                              |
        +------- anything fails -------+--> ABANDONED --> gone

`Fleet.apply(input, now)` changes the state and returns commands, in the order in which they must be carried out.
`Fleet.next_deadline()` tells when `apply(TimePassed(), now)` is due.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from gracehttp.supervisor.backoff import FORGIVEN_AFTER_SECONDS, wait_before_restart

MOST_DRAINING_GENERATIONS = 4
HURRY_SECONDS = 2.0
"""How long a worker may take to end after its drain timeout has passed, or was taken away."""
DEAF_SECONDS = 2.0
"""How long the workers of the old generation may take to stop accepting before the new one is announced anyway."""
LIFESPAN_SECONDS = 10.0
"""How long the lifespan shutdown of an application may take after the drain."""
SAME_STOP_SECONDS = 0.05
"""Stop signals this close together are one: whoever signals a process group often signals its leader as well."""
TRACEBACK_SECONDS = 1.0
"""How long a worker that hangs while it starts has to write down where."""


class GenerationState(enum.Enum):
    STARTING = "starting"  # the canary is starting
    COMPLETING = "completing"  # the canary is ready, its siblings are starting
    SERVING = "serving"
    DRAINING = "draining"  # its successor serves, or the service stops
    ABANDONED = "abandoned"  # it was given up before it served


class WorkerState(enum.Enum):
    STARTING = "starting"
    STANDING_BY = "standing_by"  # ready, accepts nothing yet
    SERVING = "serving"
    DRAINING = "draining"
    DUMPING = "dumping"  # asked to write down where it hangs, to be killed next
    KILLED = "killed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """What a generation wants of its supervisor; its canary says it."""

    workers: int = 1
    ready_timeout_seconds: float = 60.0
    drain_timeout_seconds: float = 30.0


@dataclass(slots=True)
class Worker:
    number: int
    state: WorkerState
    started_at: float
    deadline: float | None  # of the state that it is in
    holding: bool = False  # told to hand nothing over, because nobody would take it


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

    def in_state(self, *states: WorkerState) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.state in states]


# --- inputs ---


@dataclass(frozen=True, slots=True)
class RestartRequested:
    """Somebody wants a new generation. The first one is asked for in the same way."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody wants the service to end; by force if this is the second time, or if `force`."""

    force: bool = False


@dataclass(frozen=True, slots=True)
class ScaleRequested:
    by: int


@dataclass(frozen=True, slots=True)
class WorkerIntroduced:
    """A worker said hello, with the settings that its code was given."""

    worker: int
    settings: FleetSettings


@dataclass(frozen=True, slots=True)
class WorkerReady:
    worker: int


@dataclass(frozen=True, slots=True)
class WorkerDeaf:
    """A worker that was told to drain accepts no more."""

    worker: int


@dataclass(frozen=True, slots=True)
class WorkerTired:
    """A worker has served as many requests, or as long, as one is to serve, or has grown too big."""

    worker: int


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """A process is gone. `reason` completes the sentence "the worker ...", `details` is its last words."""

    worker: int
    reason: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class TimePassed:
    pass


Input = (
    RestartRequested
    | StopRequested
    | ScaleRequested
    | WorkerIntroduced
    | WorkerReady
    | WorkerDeaf
    | WorkerTired
    | WorkerExited
    | TimePassed
)


# --- commands ---


@dataclass(frozen=True, slots=True)
class StartWorker:
    generation: int
    worker: int


@dataclass(frozen=True, slots=True)
class LetServe:
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
class DumpTraceback:
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
    """The generation serves, and no older one accepts any more; whoever asked for it is to be told."""

    generation: int


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The generation will not serve; whoever asked for it is to be told why."""

    generation: int
    reason: str
    details: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """The generation was given up for a newer one, on which its requesters wait now."""

    generation: int
    by: int


@dataclass(frozen=True, slots=True)
class Died:
    """A worker of a serving generation is gone unasked."""

    generation: int
    worker: int
    reason: str
    again_in_seconds: float | None


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
    | Retire
    | Hold
    | GoOn
    | DumpTraceback
    | Kill
    | CloseDoors
    | Promoted
    | GivenUp
    | Superseded
    | Died
    | Gone
    | Finish
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMemory:
    """All that a fleet knows, to go on with in another process with the same clock.

    A generation that is just starting is remembered like any other: the restart that follows supersedes it.
    """

    generations: dict[int, Generation]
    settings: FleetSettings
    last_generation: int
    last_worker: int


class Fleet:
    """All generations of one supervisor."""

    def __init__(self, settings: FleetSettings, memory: FleetMemory | None = None) -> None:
        """Without generations, or with what another process remembered; then `settings` are not needed."""
        memory = memory or FleetMemory(generations={}, settings=settings, last_generation=0, last_worker=0)
        self.generations = memory.generations
        self.stopping = False
        self.forced = False
        self._settings = memory.settings  # for the first worker of a generation, until it has introduced itself
        self._last_generation = memory.last_generation
        self._last_worker = memory.last_worker
        self._finished = False
        self._stopping_since = 0.0

    # --- looking ---

    def stop_forces(self, force: bool, now: float) -> bool:
        """Whether a request to stop at `now` is one by force: because it says so, or because it is the second one."""
        return force or (self.stopping and now - self._stopping_since > SAME_STOP_SECONDS)

    @property
    def serving(self) -> Generation | None:
        return self._find(GenerationState.SERVING)

    @property
    def next_generation(self) -> int:
        """The number that the next generation will have."""
        return self._last_generation + 1

    @property
    def coming(self) -> Generation | None:
        """The generation that is on its way to serve."""
        return self._find(GenerationState.STARTING, GenerationState.COMPLETING)

    def memory(self) -> FleetMemory:
        """What there is to remember. To be taken while the service doesn't stop."""
        assert not self.stopping
        return FleetMemory(
            generations=self.generations,
            settings=self._settings,
            last_generation=self._last_generation,
            last_worker=self._last_worker,
        )

    def generation_of(self, worker: int) -> Generation | None:
        return next((one for one in self.generations.values() if worker in one.workers), None)

    def next_deadline(self) -> float | None:
        """When `TimePassed` has something to do; None: never, as things stand."""
        times = [
            worker.deadline
            for generation in self.generations.values()
            for worker in generation.workers.values()
            if worker.deadline is not None
        ]
        for generation in self.generations.values():
            times += generation.start_again_at
            if generation.announce_at is not None:
                times.append(generation.announce_at)
        return min(times, default=None)

    # --- changing ---

    def apply(self, happened: Input, now: float) -> list[Command]:
        """What `happened` at `now` (seconds, any monotonic clock) makes necessary."""
        match happened:
            case RestartRequested():
                commands = self._restart(now)
            case StopRequested(force):
                commands = self._stop(force, now)
            case ScaleRequested(by):
                commands = self._scale(by, now)
            case WorkerIntroduced(worker, settings):
                commands = self._introduced(worker, settings, now)
            case WorkerReady(worker):
                commands = self._ready(worker, now)
            case WorkerDeaf(worker):
                commands = self._heard_last(worker)
            case WorkerTired(worker):
                commands = self._tired(worker)
            case WorkerExited(worker, reason, details):
                commands = self._heard_last(worker) + self._exited(worker, reason, details, now)
            case TimePassed():
                commands = self._time_passed(now)
        return commands + self._recycle(now) + self._match_senders_to_takers() + self._sweep(now)

    def _restart(self, now: float) -> list[Command]:
        if self.stopping:
            return []
        self._last_generation += 1
        generation = Generation(
            self._last_generation, GenerationState.STARTING, self._settings, wanted=self._settings.workers
        )
        commands: list[Command] = []
        if (coming := self.coming) is not None:
            # Its files may be half of one deploy and half of the next: only the newer generation is worth waiting for.
            commands += [Superseded(coming.number, by=generation.number)]
            commands += self._abandon(coming, "superseded", now)
        self.generations[generation.number] = generation
        return [*commands, self._start_worker(generation, now)]

    def _stop(self, force: bool, now: float) -> list[Command]:
        if self.stop_forces(force, now):
            return self._force_stop(now, first=not self.stopping)
        if self.stopping:
            return []
        self.stopping = True
        self._stopping_since = now
        serving = self.serving
        # What is announced may open doors: so that comes before they are closed.
        commands: list[Command] = [*(self._announce(serving) if serving is not None else ()), CloseDoors()]
        if (coming := self.coming) is not None:
            commands += self._give_up(coming, "the service was told to stop", "", now)
        if serving is not None:
            commands += self._retire(serving, "stop", now)
        # Those that drain already keep their deadlines, but close what is idle soon: there is no successor to wait for.
        for generation in self.generations.values():
            if generation.state is GenerationState.DRAINING and generation is not serving:
                timeout = generation.settings.drain_timeout_seconds
                commands += [
                    self._drain(one, "stop", timeout, now) for one in generation.in_state(WorkerState.DRAINING)
                ]
        return commands

    def _force_stop(self, now: float, *, first: bool) -> list[Command]:
        self.stopping = self.forced = True
        serving = self.serving
        commands: list[Command] = [*self._announce(serving)] if serving is not None else []
        if first:
            commands.append(CloseDoors())
        if (coming := self.coming) is not None:
            commands += self._give_up(coming, "the service was told to stop", "", now)
        for generation in self.generations.values():
            if generation.state is GenerationState.SERVING:
                generation.state = GenerationState.DRAINING
                generation.retired_at = now
            generation.start_again_at.clear()
            for worker in generation.workers.values():
                if worker.state is not WorkerState.KILLED:
                    commands.append(self._kill(generation, worker, "a forced stop"))
        return commands

    def _scale(self, by: int, now: float) -> list[Command]:
        commands: list[Command] = []
        for generation in (self.serving, self.coming):
            if generation is None or self.stopping:
                continue
            generation.wanted = max(1, generation.wanted + by)
            if generation.state is GenerationState.STARTING:
                continue  # its siblings are not started yet: the number alone tells how many to start
            missing = generation.wanted - _planned(generation)
            for _ in range(missing):
                commands.append(self._start_worker(generation, now))
            for _ in range(-missing):
                commands += self._take_one(generation, now)
            commands += self._promote_if_complete(generation, now)
        return commands

    def _take_one(self, generation: Generation, now: float) -> list[Command]:
        if generation.start_again_at:  # one that isn't there yet is missed by nobody
            generation.start_again_at.pop()
            return []
        not_serving = generation.in_state(WorkerState.STARTING, WorkerState.STANDING_BY, WorkerState.DUMPING)
        if not_serving:
            return [self._kill(generation, not_serving[-1], "one worker less is wanted")]
        serving = generation.in_state(WorkerState.SERVING)
        if len(serving) <= 1:
            return []
        goes = next((worker for worker in serving if worker.number in generation.tired), serving[-1])
        return [self._drain(goes, "restart", generation.settings.drain_timeout_seconds, now)]

    def _introduced(self, number: int, settings: FleetSettings, now: float) -> list[Command]:
        generation = self.generation_of(number)
        if generation is None or generation.state is not GenerationState.STARTING:
            return []  # siblings and replacements keep to what the canary said
        worker = generation.workers[number]
        generation.wanted = max(1, settings.workers + generation.wanted - generation.settings.workers)
        generation.settings = settings
        if worker.state is WorkerState.STARTING:
            worker.deadline = worker.started_at + settings.ready_timeout_seconds
        return []

    def _ready(self, number: int, now: float) -> list[Command]:
        generation = self.generation_of(number)
        if generation is None:
            return []
        worker = generation.workers[number]
        if worker.state is not WorkerState.STARTING:
            return []
        worker.state, worker.deadline = WorkerState.STANDING_BY, None
        if generation.state is GenerationState.SERVING:
            return [self._let_serve(worker)]
        if generation.state is GenerationState.STARTING:
            generation.state = GenerationState.COMPLETING
            missing = generation.wanted - len(generation.workers)
            commands: list[Command] = [self._start_worker(generation, now) for _ in range(missing)]
            return commands + self._promote_if_complete(generation, now)
        return self._promote_if_complete(generation, now)

    def _promote_if_complete(self, generation: Generation, now: float) -> list[Command]:
        standing_by = generation.in_state(WorkerState.STANDING_BY)
        if generation.state is not GenerationState.COMPLETING or len(standing_by) < generation.wanted:
            return []
        before = self.serving
        generation.state = GenerationState.SERVING
        self._settings = generation.settings
        # The successors accept before the predecessors stop; in between, newcomers wait in the kernel's queue.
        commands: list[Command] = [self._let_serve(worker) for worker in standing_by]
        generation.announce_at = now + DEAF_SECONDS
        if before is not None:
            generation.predecessors = {worker.number for worker in before.in_state(WorkerState.SERVING)}
            commands += self._retire(before, "restart", now)
        # Those that drain already hand over to other listeners from now on: the table of the new code may have fewer.
        for older in self.generations.values():
            if older.state is GenerationState.DRAINING and older is not before:
                timeout = older.settings.drain_timeout_seconds
                commands += [self._drain(one, "restart", timeout, now) for one in older.in_state(WorkerState.DRAINING)]
        if not generation.predecessors:
            commands += self._announce(generation)
        return commands + self._cut_excess(now)

    def _heard_last(self, worker: int) -> list[Command]:
        """`worker` accepts no more: the generation that waited for it is the only one that does."""
        commands: list[Command] = []
        for generation in self.generations.values():
            if worker in generation.predecessors:
                generation.predecessors.discard(worker)
                if not generation.predecessors:
                    commands += self._announce(generation)
        return commands

    @staticmethod
    def _announce(generation: Generation) -> list[Command]:
        if generation.announce_at is None:
            return []
        generation.announce_at = None
        generation.predecessors.clear()
        return [Promoted(generation.number)]

    def _retire(self, generation: Generation, reason: str, now: float) -> list[Command]:
        commands: list[Command] = [*self._announce(generation)]
        generation.state = GenerationState.DRAINING
        generation.retired_at = now
        generation.start_again_at.clear()
        timeout = generation.settings.drain_timeout_seconds
        for worker in generation.workers.values():
            if worker.state is WorkerState.SERVING:
                commands.append(self._drain(worker, reason, timeout, now))
            elif worker.state in {WorkerState.STARTING, WorkerState.STANDING_BY}:
                commands.append(self._kill(generation, worker, "its generation was retired before it served"))
        return commands

    def _cut_excess(self, now: float) -> list[Command]:
        draining = [one for one in self.generations.values() if one.state is GenerationState.DRAINING]
        commands: list[Command] = []
        for generation in draining[:-MOST_DRAINING_GENERATIONS]:
            for worker in generation.in_state(WorkerState.DRAINING):
                commands.append(self._drain(worker, "restart", 0.0, now))
        return commands

    def _exited(self, number: int, reason: str, details: str, now: float) -> list[Command]:
        generation = self.generation_of(number)
        if generation is None:
            return []
        worker = generation.workers.pop(number)
        expected = worker.state in {WorkerState.KILLED, WorkerState.DRAINING}
        if generation.recycling == number:
            generation.recycling = None
        if worker.state is WorkerState.DUMPING:
            reason = f"was not ready within {generation.settings.ready_timeout_seconds:g} s"
        if generation.state in {GenerationState.STARTING, GenerationState.COMPLETING}:
            return [] if expected else self._give_up(generation, f"its worker {number} {reason}", details, now)
        if generation.state is not GenerationState.SERVING or expected:
            return []
        if worker.state is WorkerState.SERVING and now - worker.started_at >= FORGIVEN_AFTER_SECONDS:
            generation.deaths_in_a_row = 0
        generation.deaths_in_a_row += 1
        if _planned(generation) >= generation.wanted:  # it has a successor already, or fewer are wanted by now
            return [Died(generation.number, number, reason, None)]
        wait = wait_before_restart(generation.deaths_in_a_row)
        generation.start_again_at.append(now + wait)
        return [Died(generation.number, number, reason, wait)]

    def _time_passed(self, now: float) -> list[Command]:
        commands: list[Command] = []
        for generation in list(self.generations.values()):
            due = [at for at in generation.start_again_at if at <= now]
            generation.start_again_at = [at for at in generation.start_again_at if at > now]
            commands += [self._start_worker(generation, now) for _ in due]
            if generation.announce_at is not None and generation.announce_at <= now:
                commands += self._announce(generation)
            for worker in list(generation.workers.values()):
                if worker.deadline is not None and worker.deadline <= now:
                    commands.append(self._overdue(generation, worker, now))
        return commands

    def _overdue(self, generation: Generation, worker: Worker, now: float) -> Command:
        if worker.state is WorkerState.STARTING:
            worker.state, worker.deadline = WorkerState.DUMPING, now + TRACEBACK_SECONDS
            return DumpTraceback(worker.number)
        if worker.state is WorkerState.DUMPING:
            # Still to be counted as a failed start, so the state stays; the process is gone in a moment.
            worker.deadline = None
            return Kill(
                generation.number,
                worker.number,
                f"not ready within {generation.settings.ready_timeout_seconds:g} s",
            )
        return self._kill(generation, worker, "its drain timeout passed")

    # --- recycling and handing over ---

    def _tired(self, number: int) -> list[Command]:
        generation = self.generation_of(number)
        if generation is not None and number not in {*generation.tired, generation.recycling}:
            generation.tired.append(number)
        return []

    def _recycle(self, now: float) -> list[Command]:
        """Replace those that are tired, one at a time: a successor first, and when all that are wanted serve beside
        it, the tired one goes. If the successor fails, it is tried again as after any death, and nobody is missing.
        """
        serving = self.serving
        if serving is None or self.stopping:
            return []
        commands: list[Command] = []
        tired = [one for one in serving.tired if one in serving.workers]
        serving.tired = [one for one in tired if serving.workers[one].state is WorkerState.SERVING]
        if serving.recycling is None and serving.tired and self.coming is None:
            # While a new generation comes, it can wait: either that replaces it, or the files were broken just now.
            serving.recycling = serving.tired.pop(0)
            if now - serving.workers[serving.recycling].started_at >= FORGIVEN_AFTER_SECONDS:
                serving.deaths_in_a_row = 0
            commands.append(self._start_worker(serving, now))
        in_service = serving.in_state(WorkerState.SERVING)
        if len(in_service) > serving.wanted:
            timeout = serving.settings.drain_timeout_seconds
            commands += [
                self._drain(one, "restart", timeout, now) for one in in_service if one.number == serving.recycling
            ]
        return commands

    def _match_senders_to_takers(self) -> list[Command]:
        """Connections may be handed over while somebody lives who takes them; at a stop nobody does, by the order."""
        if self.stopping:
            return []
        takers = self.serving is not None and self.serving.in_state(WorkerState.SERVING)
        commands: list[Command] = []
        for generation in self.generations.values():
            for worker in generation.in_state(WorkerState.DRAINING):
                if worker.holding and takers:
                    commands.append(GoOn(worker.number))
                elif not worker.holding and not takers:
                    commands.append(Hold(worker.number))
                worker.holding = not takers
        return commands

    # --- steps that are used above ---

    def _find(self, *states: GenerationState) -> Generation | None:
        return next((one for one in self.generations.values() if one.state in states), None)

    def _start_worker(self, generation: Generation, now: float) -> StartWorker:
        self._last_worker += 1
        deadline = now + generation.settings.ready_timeout_seconds
        generation.workers[self._last_worker] = Worker(self._last_worker, WorkerState.STARTING, now, deadline)
        return StartWorker(generation.number, self._last_worker)

    @staticmethod
    def _let_serve(worker: Worker) -> LetServe:
        worker.state, worker.deadline = WorkerState.SERVING, None
        return LetServe(worker.number)

    @staticmethod
    def _drain(worker: Worker, reason: str, timeout_seconds: float, now: float) -> Retire:
        deadline = now + timeout_seconds + (LIFESPAN_SECONDS if timeout_seconds else HURRY_SECONDS)
        if worker.state is WorkerState.DRAINING and worker.deadline is not None:
            deadline = min(deadline, worker.deadline)
        worker.state, worker.deadline = WorkerState.DRAINING, deadline
        return Retire(worker.number, reason, timeout_seconds)

    @staticmethod
    def _kill(generation: Generation, worker: Worker, reason: str) -> Kill:
        worker.state, worker.deadline = WorkerState.KILLED, None
        return Kill(generation.number, worker.number, reason)

    def _abandon(self, generation: Generation, reason: str, now: float) -> list[Command]:
        generation.state = GenerationState.ABANDONED
        generation.retired_at = now
        return [
            self._kill(generation, worker, reason)
            for worker in generation.workers.values()
            if worker.state is not WorkerState.KILLED
        ]

    def _give_up(self, generation: Generation, reason: str, details: str, now: float) -> list[Command]:
        return [
            GivenUp(generation.number, reason, details),
            *self._abandon(generation, "its generation was given up", now),
        ]

    def _sweep(self, now: float) -> list[Command]:
        """Forget the generations of which nothing is left, and finish when there is nothing to wait for."""
        commands: list[Command] = []
        for generation in list(self.generations.values()):
            over = generation.state in {GenerationState.DRAINING, GenerationState.ABANDONED}
            if over and not generation.workers:
                del self.generations[generation.number]
                served = generation.state is GenerationState.DRAINING
                commands.append(Gone(generation.number, served, now - generation.retired_at))
        if self._last_generation and not self.generations and not self._finished:
            self._finished = True
            commands.append(Finish(could_start=self.stopping, forced=self.forced))
        return commands


def _planned(generation: Generation) -> int:
    """How many workers serve the generation or will do so, those included that wait to be started again.

    A worker whose successor is on its way is leaving, and doesn't count.
    """
    staying = generation.in_state(
        WorkerState.STARTING, WorkerState.STANDING_BY, WorkerState.SERVING, WorkerState.DUMPING
    )
    return sum(worker.number != generation.recycling for worker in staying) + len(generation.start_again_at)
