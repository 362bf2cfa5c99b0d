"""The fleet: what each input makes necessary. Pure: no clock, no process.

`Fleet.apply(input, now)` changes the state and returns commands, in the order in which they must be carried out.
`Fleet.next_deadline()` tells when `apply(TimePassed(), now)` is due.
"""

from __future__ import annotations

from gracehttp.supervisor.fleet import mixtures, staffing, takeover
from gracehttp.supervisor.fleet.commands import (
    Command,
    Died,
    Differs,
    Gone,
    Hung,
    Recovered,
    StartRepeated,
    Superseded,
)
from gracehttp.supervisor.fleet.generation import Generation
from gracehttp.supervisor.fleet.generations import Generations
from gracehttp.supervisor.fleet.inputs import (
    Input,
    RestartRequested,
    ScaleRequested,
    StopRequested,
    TimePassed,
    WorkerAlive,
    WorkerAnswered,
    WorkerDiffers,
    WorkerDueForRecycling,
    WorkerExited,
    WorkerHung,
    WorkerIntroduced,
    WorkerReady,
    WorkerRecovered,
    WorkerStoppedAccepting,
)
from gracehttp.supervisor.fleet.states import COMING, IN_USE, LEAVING, GenerationState, WorkerState
from gracehttp.supervisor.fleet.stop import Stop
from gracehttp.supervisor.fleet.turn import Numbers, Turn
from gracehttp.values import Value
from gracehttp.wire.messages import FleetSettings


class FleetMemory(Value):
    """All that a fleet knows, for another process with the same clock: the next image of the supervisor.

    A generation that is starting is remembered like any other. The restart that follows supersedes it.
    """

    generations: dict[int, Generation]
    settings: FleetSettings
    last_generation: int
    last_worker: int


class Fleet:
    """All generations of one supervisor."""

    def __init__(
        self, settings: FleetSettings, memory: FleetMemory | None = None, *, outlives_failed_starts: bool = False
    ) -> None:
        """Begin without generations, or with `memory` of another process instead of `settings`.

        With `outlives_failed_starts` a first generation that fails is not the end: other code may be requested. It is
        the end if a worker was refused.
        """
        memory = memory or FleetMemory(generations={}, settings=settings, last_generation=0, last_worker=0)
        self.generations = Generations(memory.generations)
        self._settings = memory.settings  # for the very first worker, until it has introduced itself
        self._numbers = Numbers(memory.last_generation, memory.last_worker)
        self._outlives_failed_starts = outlives_failed_starts
        self._starts_repeated = 0
        self._stop = Stop(self.generations)

    # --- questions ---

    @property
    def stopping(self) -> bool:
        """Whether the service was told to stop."""
        return self._stop.requested

    @property
    def ending(self) -> bool:
        """Whether it was, and its stop delay, if it has one, is over."""
        return self._stop.began

    @property
    def forced(self) -> bool:
        """Whether it was told to stop by force."""
        return self._stop.forced

    @property
    def first_settings(self) -> FleetSettings:
        """Those with which a first generation starts, before it has brought its own."""
        return self._settings

    @property
    def serving(self) -> Generation | None:
        return self.generations.serving

    @property
    def coming(self) -> Generation | None:
        """The generation that is on its way to serve."""
        return self.generations.coming

    @property
    def standing_by(self) -> Generation | None:
        """The generation that serves again if the one that serves fails its probation."""
        return self.generations.standing_by

    @property
    def in_use(self) -> set[int]:
        """The numbers of the generations that serve, or may have to serve again."""
        return {one.number for one in self.generations.in_state(*IN_USE)}

    @property
    def awaits_other_code(self) -> bool:
        """Whether nothing serves, and that is not the end."""
        return self._outlives_failed_starts and self.serving is None and not self.stopping

    @property
    def next_generation(self) -> int:
        """The number that the next generation will have."""
        return self._numbers.generation + 1

    def generation_of(self, worker: int) -> Generation | None:
        return self.generations.of_worker(worker)

    def others_accept(self, worker: int) -> bool:
        """Whether the generation that serves isn't announced yet, because others than `worker` may accept still."""
        serving = self.serving
        return serving is not None and serving.announce_at is not None and not serving.predecessors <= {worker}

    def next_deadline(self) -> float | None:
        """When `TimePassed` has something to do; None: never, as things stand."""
        deadlines = (self.generations.next_deadline, self._stop.begins_at)
        return min((one for one in deadlines if one is not None), default=None)

    def stop_forces(self, force: bool, now: float) -> bool:
        """See `Stop.forces`."""
        return self._stop.forces(force, now)

    def memory(self) -> FleetMemory:
        """What the next image of the supervisor must know. The service must not be stopping."""
        assert not self.stopping
        return FleetMemory(
            generations=self.generations,
            settings=self._settings,
            last_generation=self._numbers.generation,
            last_worker=self._numbers.worker,
        )

    # --- inputs ---

    def apply(self, happened: Input, now: float) -> list[Command]:
        """What `happened` at `now` (seconds, by any monotonic clock) makes necessary."""
        turn = Turn(now, self._numbers)
        match happened:
            case RestartRequested():
                self._restart(turn)
            case StopRequested(force, drain_timeout_seconds):
                self._stop.request(force, drain_timeout_seconds, turn)
            case ScaleRequested(by):
                self._scale(by, turn)
            case WorkerIntroduced(worker, settings):
                self._introduced(worker, settings)
            case WorkerReady(worker):
                self._ready(worker, turn)
            case WorkerStoppedAccepting(worker):
                takeover.stopped_accepting(worker, self.generations, turn)
            case WorkerAnswered() | WorkerAlive():
                self._on_probation(happened)
            case WorkerDueForRecycling(worker):
                self._due_for_recycling(worker)
            case WorkerHung(worker, kind, seconds):
                self._hung(worker, kind, seconds, turn)
            case WorkerRecovered(worker):
                self._recovered(worker, turn)
            case WorkerDiffers():
                self._differs(happened, turn)
            case WorkerExited(worker):
                takeover.stopped_accepting(worker, self.generations, turn)
                self._exited(happened, turn)
            case TimePassed():
                self._time_passed(turn)
        takeover.review_probation(self.generations, turn, time_passed=isinstance(happened, TimePassed))
        self._recycle(turn)
        self._hold_or_resume(turn)
        self._sweep(turn)
        return turn.commands

    def _restart(self, turn: Turn) -> None:
        if self.stopping:
            return
        number = turn.numbers.next_generation()
        settings = self._settings if self.serving is None else self.serving.settings
        generation = Generation(number, GenerationState.STARTING, settings, wanted=settings.workers)
        if (coming := self.coming) is not None:
            # Its files may be half of one deploy and half of the next: only the newer generation is worth waiting for.
            turn.add(Superseded(coming.number, by=number))
            coming.abandon("superseded", turn)
        self.generations[number] = generation
        generation.start(turn)

    def _scale(self, by: int, turn: Turn) -> None:
        if self.stopping:
            return
        for generation in (self.serving, self.coming):
            if generation is not None:
                staffing.scale(generation, by, turn)
                takeover.promote_if_complete(generation, self.generations, turn)

    def _introduced(self, number: int, settings: FleetSettings) -> None:
        generation = self.generation_of(number)
        # The settings of a canary hold for its whole generation: those that its siblings bring are passed over.
        if generation is not None and generation.state is GenerationState.STARTING:
            generation.take_settings(settings, canary=generation.workers[number])

    def _ready(self, number: int, turn: Turn) -> None:
        generation = self.generation_of(number)
        if generation is None or generation.workers[number].state is not WorkerState.STARTING:
            return
        worker = generation.workers[number]
        worker.become(WorkerState.STANDING_BY)
        if generation.state is GenerationState.SERVING:
            worker.serve(turn)
        if generation.state is GenerationState.STARTING:
            generation.become(GenerationState.COMPLETING)
            staffing.start_missing(generation, turn)
        takeover.promote_if_complete(generation, self.generations, turn)

    def _on_probation(self, happened: WorkerAnswered | WorkerAlive) -> None:
        generation = self.generation_of(happened.worker)
        if generation is None or generation.probation is None:
            return
        match happened:
            case WorkerAnswered(_, responses, errors):
                generation.probation.count(responses, errors)
            case WorkerAlive(worker):
                generation.probation.answered(worker)

    def _due_for_recycling(self, number: int) -> None:
        if (generation := self.generation_of(number)) is not None:
            staffing.note_due(generation, number)

    def _hung(self, number: int, kind: str, seconds: float, turn: Turn) -> None:
        generation = self.generation_of(number)
        if generation is None or generation.workers[number].state is not WorkerState.SERVING:
            return
        turn.add(Hung(generation.number, number, kind, seconds))
        if generation.probation is not None and self.generations.fallback is not None:
            takeover.roll_back(self.generations, f"its worker {number} hangs", "", turn)
        else:
            staffing.note_hung(generation, generation.workers[number], kind)

    def _recovered(self, number: int, turn: Turn) -> None:
        generation = self.generation_of(number)
        if generation is not None and generation.workers[number].hangs:
            turn.add(Recovered(generation.number, number))
            staffing.note_recovered(generation, generation.workers[number])

    def _differs(self, found: WorkerDiffers, turn: Turn) -> None:
        """Give a generation up whose workers differ before it serves. Once it serves, a worker that differs is better
        than a missing one."""
        generation = self.generation_of(found.worker)
        if generation is None or generation.state in LEAVING:
            return
        worker = generation.workers[found.worker]
        worker.other_code = True
        if generation.state not in COMING:
            turn.add(Differs(generation.number, found.worker, found.files, found.more))
            return
        if self._outlives_failed_starts:
            return  # what has changed the files brings the next generation (`--reload`)
        what = mixtures.difference(found, min(generation.workers))
        begins_anew = self.serving is None and self._starts_repeated < mixtures.MOST_STARTS - 1
        hint = mixtures.FIRST_START_HINT if self.serving is None else mixtures.HINT
        told = "" if begins_anew else f"Hint: {hint}"
        turn.add(Died(generation.number, found.worker, what, None, told, served=False))
        if begins_anew:
            self._starts_repeated += 1
            turn.add(StartRepeated(generation.number, by=turn.numbers.generation + 1))
            self._restart(turn)
            return
        generation.give_up(f"its worker {found.worker} {what}", turn, worker=found.worker, hint=hint)

    def _exited(self, exited: WorkerExited, turn: Turn) -> None:
        number, reason = exited.worker, exited.reason
        if exited.refused:
            self._outlives_failed_starts = False
        generation = self.generation_of(number)
        if generation is None:
            return
        worker = generation.workers.pop(number)
        if generation.recycling == number:
            generation.recycling = None
        if worker.state in {WorkerState.KILLED, WorkerState.DRAINING} or generation.state in LEAVING:
            return  # it was told to, or its generation is leaving anyway
        if worker.state is WorkerState.DUMPING and worker.hangs:  # its successor serves
            turn.add(Died(generation.number, number, "hung, and was ended", None, exited.unlogged))
            return
        if worker.state is WorkerState.DUMPING:
            reason = generation.why_not_ready(exited.doing)
        fault = f"its worker {number} {reason}"
        if generation.state in COMING:
            turn.add(Died(generation.number, number, reason, None, exited.unlogged, served=False))
            generation.give_up(fault, turn, details=exited.details, worker=number)
            return
        served = worker.state in {WorkerState.SERVING, WorkerState.STANDING_BY}
        staffing.count_death(generation, worker, turn, served=served)
        rolls_back = generation.probation is not None and self.generations.fallback is not None
        again = None if rolls_back else staffing.plan_restart(generation, turn)
        turn.add(Died(generation.number, number, reason, again, exited.unlogged, served))
        if rolls_back:
            takeover.roll_back(self.generations, fault, exited.details, turn)

    def _time_passed(self, turn: Turn) -> None:
        self._stop.time_passed(turn)
        for generation in self.generations.values():
            staffing.start_due(generation, turn)
            if generation.hang_wait_until is not None and generation.hang_wait_until <= turn.now:
                generation.hang_wait_until = None
            if generation.announce_at is not None and generation.announce_at <= turn.now:
                generation.announce(turn)
            for worker in generation.workers.values():
                if worker.deadline is not None and worker.deadline <= turn.now:
                    generation.overdue(worker, turn)

    # --- after every input ---

    def _recycle(self, turn: Turn) -> None:
        # Recycling waits while a generation is coming: that replaces all workers, or shows that the files are broken.
        if self.serving is not None and not self.stopping:
            staffing.recycle(self.serving, turn, may_begin=self.coming is None)

    def _hold_or_resume(self, turn: Turn) -> None:
        """Let connections be handed over only while there are workers that take them. At a stop there are none, by the
        order itself."""
        if self.ending:
            return
        takers = self.serving is not None and bool(self.serving.in_state(WorkerState.SERVING))
        for generation in self.generations.values():
            if generation.state is not GenerationState.ABANDONED:  # that never had a connection
                generation.hold_or_resume(turn, takers=takers)

    def _sweep(self, turn: Turn) -> None:
        """Forget the generations of which nothing is left, and finish when there is nothing to wait for."""
        for generation in self.generations.in_state(*LEAVING):
            if not generation.workers:
                del self.generations[generation.number]
                served = generation.state is GenerationState.DRAINING
                turn.add(Gone(generation.number, served, turn.now - generation.retired_at))
        if self._numbers.generation and not self.generations and not self.awaits_other_code:
            self._stop.finish(turn)
