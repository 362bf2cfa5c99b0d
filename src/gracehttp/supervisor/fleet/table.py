"""The generations and their workers, and what to do when something happens to them. Pure: no clock, no process.

The one rule that everything here serves (promise 4): a new generation becomes ready as a whole or vanishes as a
whole, and until it is ready the old one serves, untouched.

    STARTING ----canary ready----> COMPLETING ----all ready----> SERVING ----successor ready----> DRAINING --> gone
        |                              |
        +------- anything fails -------+--> ABANDONED --> gone

With a probation there is a step more. The successor serves, and if it fails within that time, they change places:

    SERVING ----successor ready----> STANDING_BY ----probation passed----> DRAINING
       ^                                  |
       +-------- successor fails ---------+   (and the successor drains)

`Fleet.apply(input, now)` changes the state and returns commands, in the order in which they must be carried out.
`Fleet.next_deadline()` tells when `apply(TimePassed(), now)` is due.
"""

from __future__ import annotations

from gracehttp.supervisor.fleet.backoff import FORGIVEN_AFTER_SECONDS, wait_before_restart
from gracehttp.supervisor.fleet.commands import (
    Command,
    Died,
    Finish,
    GivenUp,
    Gone,
    StartWorker,
    StopAdmitting,
    Superseded,
)
from gracehttp.supervisor.fleet.generation import (
    STOP_ACCEPTING_SECONDS,
    Generation,
    GenerationState,
    Worker,
    WorkerState,
)
from gracehttp.supervisor.fleet.inputs import (
    Input,
    RestartRequested,
    ScaleRequested,
    StopRequested,
    TimePassed,
    WorkerAlive,
    WorkerAnswered,
    WorkerDueForRecycling,
    WorkerExited,
    WorkerIntroduced,
    WorkerReady,
    WorkerStoppedAccepting,
)
from gracehttp.supervisor.fleet.memory import FleetMemory
from gracehttp.supervisor.fleet.scaling import scale
from gracehttp.supervisor.fleet.settings import FleetSettings
from gracehttp.supervisor.fleet.staffing import hold_or_go_on, recycle
from gracehttp.supervisor.fleet.takeover import can_take_over, judge, roll_back

MOST_DRAINING_GENERATIONS = 4
SAME_STOP_SECONDS = 0.2
"""Stop signals this close together are one: whoever signals a process group often signals its leader as well.

The second one comes from a program that passes it on (timeout(1), a runner), so on a busy machine it may be tens of
milliseconds late, and it would cut requests. A person who presses twice within that time has only to press again."""


class Fleet:
    """All generations of one supervisor."""

    def __init__(self, settings: FleetSettings, memory: FleetMemory | None = None) -> None:
        """Without generations, or with what another process remembered; then `settings` are not needed."""
        memory = memory or FleetMemory(generations={}, settings=settings, last_generation=0, last_worker=0)
        self.generations = memory.generations
        self.stopping = False
        self.forced = False
        self._settings = memory.settings  # for the very first worker, until it has introduced itself
        self._last_generation = memory.last_generation
        self._last_worker = memory.last_worker
        self._finished = False
        self._stopping_since = 0.0

    # --- looking ---

    def stop_forces(self, force: bool, now: float) -> bool:
        """Whether a request to stop at `now` is by force: it says so, or is the second, and there is who to force."""
        second = self.stopping and now - self._stopping_since > SAME_STOP_SECONDS
        return (force or second) and not self._finished

    @property
    def serving(self) -> Generation | None:
        return self._find(GenerationState.SERVING)

    @property
    def standing_by(self) -> Generation | None:
        """The generation that serves again if the one that serves fails."""
        return self._find(GenerationState.STANDING_BY)

    @property
    def in_use(self) -> set[int]:
        """The generations that serve, or may have to."""
        return {one.number for one in (self.serving, self.standing_by) if one is not None}

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
        times = (at for generation in self.generations.values() for at in generation.deadlines())
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
            case WorkerStoppedAccepting(worker):
                commands = self._heard_last(worker)
            case WorkerAnswered() | WorkerAlive():
                commands = self._told_of_itself(happened)
            case WorkerDueForRecycling(worker):
                commands = self._tired(worker)
            case WorkerExited(worker):
                commands = self._heard_last(worker) + self._exited(happened, now)
            case TimePassed():
                commands = self._time_passed(now)
        commands += self._judge(happened, now) + self._recycle(now)
        return commands + self._match_senders_to_takers() + self._sweep(now)

    def _restart(self, now: float) -> list[Command]:
        if self.stopping:
            return []
        self._last_generation += 1
        settings = self._settings if self.serving is None else self.serving.settings
        generation = Generation(self._last_generation, GenerationState.STARTING, settings, wanted=settings.workers)
        commands: list[Command] = []
        if (coming := self.coming) is not None:
            # Its files may be half of one deploy and half of the next: only the newer generation is worth waiting for.
            commands += [Superseded(coming.number, by=generation.number)]
            commands += coming.abandon("superseded", now)
        self.generations[generation.number] = generation
        return [*commands, self._start_worker(generation, now)]

    def _stop(self, force: bool, now: float) -> list[Command]:
        if self.stop_forces(force, now):
            return self._force_stop(now, first=not self.stopping)
        if self.stopping:
            return []
        self.stopping = True
        self._stopping_since = now
        # What is announced may open doors: so that comes before they are closed.
        commands: list[Command] = [*self._tell_of_stop(now), StopAdmitting()]
        if (coming := self.coming) is not None:
            commands += self._give_up(coming, "the service was told to stop", now)
        # Those that drain already keep their deadlines, but close what is idle soon: there is no successor to wait for.
        draining = self._all(GenerationState.DRAINING)
        for generation in self._all(GenerationState.SERVING, GenerationState.STANDING_BY):
            commands += generation.retire("stop", now)
        for generation in draining:
            commands += generation.drain_again("stop", generation.settings.drain_timeout_seconds, now)
        return commands

    def _tell_of_stop(self, now: float) -> list[Command]:
        serving = self.serving
        if serving is None:
            return []
        return serving.announce() + serving.end_probation(now, passed=False, reason="the service was told to stop")

    def _force_stop(self, now: float, *, first: bool) -> list[Command]:
        self.stopping = self.forced = True
        commands = self._tell_of_stop(now)
        if first:
            commands.append(StopAdmitting())
        if (coming := self.coming) is not None:
            commands += self._give_up(coming, "the service was told to stop", now)
        for generation in self.generations.values():
            if generation.state in {GenerationState.SERVING, GenerationState.STANDING_BY}:
                generation.state = GenerationState.DRAINING
                generation.retired_at = now
            generation.start_again_at.clear()
            for worker in generation.workers.values():
                if worker.state is not WorkerState.KILLED:
                    commands.append(generation.kill(worker, "a forced stop"))
        return commands

    def _scale(self, by: int, now: float) -> list[Command]:
        commands: list[Command] = []
        for generation in (self.serving, self.coming):
            if generation is None or self.stopping:
                continue
            commands += scale(generation, by, now, start=self._start_worker)
            commands += self._promote_if_complete(generation, now)
        return commands

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
            return [worker.let_serve()]
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
        draining, stood_by, before = self._all(GenerationState.DRAINING), self.standing_by, self.serving
        generation.state = GenerationState.SERVING
        # The successors accept before the predecessors stop; in between, newcomers wait in the kernel's queue.
        commands: list[Command] = [worker.let_serve() for worker in standing_by]
        generation.announce_at = now + STOP_ACCEPTING_SECONDS
        if before is not None:
            commands += generation.succeed(before, stood_by, now)
        commands += self._tell_again(draining, now)
        if not generation.predecessors:
            commands += generation.announce()
        return commands + self._cut_excess(now)

    def _told_of_itself(self, told: WorkerAnswered | WorkerAlive) -> list[Command]:
        generation = self.generation_of(told.worker)
        if generation is not None and generation.probation is not None:
            generation.probation.hear(told)
        return []

    def _judge(self, happened: Input, now: float) -> list[Command]:
        if self.serving is None:
            return []
        draining = self._all(GenerationState.DRAINING)
        commands = judge(happened, self.serving, self.standing_by, now, start=self._start_worker)
        return commands + self._tell_again(draining, now) + self._cut_excess(now) if commands else []

    @staticmethod
    def _tell_again(draining: list[Generation], now: float) -> list[Command]:
        """Those that drain already hand over to other listeners from now on: those who serve now may have fewer."""
        timeouts = ((one, one.settings.drain_timeout_seconds) for one in draining)
        return [command for one, timeout in timeouts for command in one.drain_again("restart", timeout, now)]

    def _heard_last(self, worker: int) -> list[Command]:
        """`worker` accepts no more: the generation that waited for it is the only one that does."""
        commands: list[Command] = []
        for generation in self.generations.values():
            if worker in generation.predecessors:
                generation.predecessors.discard(worker)
                if not generation.predecessors:
                    commands += generation.announce()
        return commands

    def _cut_excess(self, now: float) -> list[Command]:
        commands: list[Command] = []
        for generation in self._all(GenerationState.DRAINING)[:-MOST_DRAINING_GENERATIONS]:
            commands += generation.drain_again("restart", 0.0, now)
        return commands

    def _exited(self, exited: WorkerExited, now: float) -> list[Command]:
        number, reason = exited.worker, exited.reason
        generation = self.generation_of(number)
        if generation is None:
            return []
        worker = generation.workers.pop(number)
        expected = worker.state in {WorkerState.KILLED, WorkerState.DRAINING}
        if generation.recycling == number:
            generation.recycling = None
        if worker.state is WorkerState.DUMPING:
            reason = generation.hung(exited.doing)
        coming = generation.state in {GenerationState.STARTING, GenerationState.COMPLETING}
        in_use = {GenerationState.SERVING, GenerationState.STANDING_BY}
        if expected or not (coming or generation.state in in_use):
            return []
        served = worker.state is WorkerState.SERVING or (worker.state is WorkerState.STANDING_BY and not coming)
        fault = f"its worker {number} {reason}"
        if coming:
            died = Died(generation.number, number, reason, None, exited.unlogged, served)
            return [died, *self._give_up(generation, fault, now, details=exited.details, worker=number)]
        if served and now - worker.started_at >= FORGIVEN_AFTER_SECONDS:
            generation.deaths_in_a_row = 0
        generation.deaths_in_a_row += 1
        again = None  # it may have a successor already, or fewer are wanted by now, or it has to go, or stands by
        commands: list[Command] = []
        if generation.probation is not None and can_take_over(self.standing_by):
            draining = self._all(GenerationState.DRAINING)
            commands = roll_back(generation, self.standing_by, fault, exited.details, now, start=self._start_worker)
            commands += self._tell_again(draining, now) + self._cut_excess(now)
        elif generation.state is GenerationState.SERVING and generation.planned < generation.wanted:
            again = wait_before_restart(generation.deaths_in_a_row)
            generation.start_again_at.append(now + again)
        return [Died(generation.number, number, reason, again, exited.unlogged, served), *commands]

    def _time_passed(self, now: float) -> list[Command]:
        commands: list[Command] = []
        for generation in list(self.generations.values()):
            due = [at for at in generation.start_again_at if at <= now]
            generation.start_again_at = [at for at in generation.start_again_at if at > now]
            commands += [self._start_worker(generation, now) for _ in due]
            if generation.announce_at is not None and generation.announce_at <= now:
                commands += generation.announce()
            for worker in list(generation.workers.values()):
                if worker.deadline is not None and worker.deadline <= now:
                    commands.append(generation.overdue(worker, now))
        return commands

    def _tired(self, number: int) -> list[Command]:
        generation = self.generation_of(number)
        if generation is not None and number not in {*generation.tired, generation.recycling}:
            generation.tired.append(number)
        return []

    def _recycle(self, now: float) -> list[Command]:
        # While a new generation comes, recycling can wait: either that replaces all, or the files were broken just now.
        if self.stopping or self.serving is None:
            return []
        return recycle(self.serving, now, start=self._start_worker, may_begin=self.coming is None)

    def _match_senders_to_takers(self) -> list[Command]:
        """Connections may be handed over while somebody lives who takes them; at a stop nobody does, by the order."""
        if self.stopping:
            return []
        takers = self.serving is not None and bool(self.serving.in_state(WorkerState.SERVING))
        return [one for generation in self.generations.values() for one in hold_or_go_on(generation, takers=takers)]

    # --- steps that are used above ---

    def _find(self, *states: GenerationState) -> Generation | None:
        return next(iter(self._all(*states)), None)

    def _all(self, *states: GenerationState) -> list[Generation]:
        return [one for one in self.generations.values() if one.state in states]

    def _start_worker(self, generation: Generation, now: float) -> StartWorker:
        self._last_worker += 1
        deadline = now + generation.settings.ready_timeout_seconds
        generation.workers[self._last_worker] = Worker(self._last_worker, WorkerState.STARTING, now, deadline)
        return StartWorker(generation.number, self._last_worker)

    @staticmethod
    def _give_up(
        generation: Generation, reason: str, now: float, *, details: str = "", worker: int | None = None
    ) -> list[Command]:
        return [
            GivenUp(generation.number, reason, details, worker),
            *generation.abandon("its generation was given up", now),
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
