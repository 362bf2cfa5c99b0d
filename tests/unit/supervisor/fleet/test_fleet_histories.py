"""Random histories of the fleet, against the promises that must hold in all of them."""

from __future__ import annotations

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gracehttp.supervisor import fleet as package
from gracehttp.supervisor.fleet import Fleet, FleetMemory, FleetSettings, WorkerState
from gracehttp.values import from_plain, to_plain


class Histories(RuleBasedStateMachine):
    """Plays the supervisor, its workers and the clock; carries commands out as far as a model needs."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.fleet = Fleet(FleetSettings(workers=2, ready_timeout_seconds=10, drain_timeout_seconds=5))
        self.alive: set[int] = set()
        self.accepting: set[int] = set()
        self.doomed: set[int] = set()
        self.retired: set[int] = set()
        self.holding: set[int] = set()
        self.paused: set[int] = set()
        self.waiting: set[int] = set()
        self.pinged: set[int] = set()
        self.told: dict[int, bool] = {}
        self.finished = None
        self.served_once = False
        self.asked(package.RestartRequested())

    def asked(self, happened):
        requested = self.fleet.next_generation if isinstance(happened, package.RestartRequested) else None
        if requested and not self.fleet.stopping:
            self.waiting.add(requested)
        for command in self.fleet.apply(happened, self.now):
            assert self.finished is None, "nothing happens after the end"
            self.carry_out(command)

    def carry_out(self, command):
        match command:
            case package.StartWorker(_, worker):
                assert worker not in self.alive
                self.alive.add(worker)
            case package.Serve(worker):
                assert worker in self.alive
                self.accepting.add(worker)
                self.paused.discard(worker)
                self.served_once = True
            case package.Pause(worker):
                assert worker in self.accepting | self.paused
                self.accepting.discard(worker)
                self.paused.add(worker)
            case package.Ping(worker):
                assert worker in self.accepting
                self.pinged.add(worker)
            case package.Drain(worker, _, _):
                assert worker in self.alive
                self.pinged.discard(worker)
                self.accepting.discard(worker)
                self.paused.discard(worker)
                self.retired.add(worker)
            case package.Dismiss(worker):
                assert worker in self.alive - self.accepting - self.paused
            case package.Hold(worker):
                assert worker in self.retired - self.holding
                self.holding.add(worker)
            case package.Resume(worker):
                assert worker in self.holding
                self.holding.discard(worker)
            case package.Kill(_, worker, _):
                self.doomed.add(worker)
            case package.Promoted(generation, probation_seconds):
                if not probation_seconds:
                    self.tell(generation, True)
            case package.ProbationEnded(generation, _, passed, reason):
                assert reason or not self.pinged, "a worker that was pinged has to answer"
                self.pinged.clear()
                self.tell(generation, passed)
            case package.RolledBack(generation, to, _, _, _):
                assert to < generation
                self.tell(generation, False)
            case package.GivenUp(generation, _, _):
                self.tell(generation, False)
            case package.Superseded(generation, by):
                self.waiting.discard(generation)
                self.waiting.add(by)
            case package.Finish():
                self.finished = command

    def tell(self, generation, ok):
        assert generation not in self.told, "an outcome is told once"
        self.told[generation] = ok
        self.waiting.discard(generation)

    def is_running(self):
        return self.finished is None

    @precondition(is_running)
    @rule()
    def restart(self):
        self.asked(package.RestartRequested())

    @precondition(is_running)
    @rule(by=st.sampled_from([-1, 1]))
    def scale(self, by):
        self.asked(package.ScaleRequested(by))

    @precondition(is_running)
    @rule(force=st.booleans())
    def stop(self, force):
        self.asked(package.StopRequested(force))

    @precondition(lambda self: self.finished is None and self.alive)
    @rule(data=st.data(), workers=st.integers(1, 3), probation=st.sampled_from([0, 1, 8]), stands_by=st.booleans())
    def introduce(self, data, workers, probation, stands_by):
        worker = data.draw(st.sampled_from(sorted(self.alive)))
        settings = FleetSettings(
            workers=workers,
            ready_timeout_seconds=10,
            probation_seconds=probation,
            probation_max_errors=0.05,
            stands_by=stands_by,
        )
        self.asked(package.WorkerIntroduced(worker, settings))

    @precondition(is_running)
    @rule(probation=st.sampled_from([0, 8]))
    def deploy(self, probation):
        """A restart that works, as most do: so that histories get further than to its middle."""
        self.restart()
        settings = FleetSettings(
            workers=1, ready_timeout_seconds=10, probation_seconds=probation, probation_max_errors=0.05, stands_by=True
        )
        while (coming := self.fleet.coming) is not None:
            worker = next(iter(coming.in_state(WorkerState.STARTING)))
            self.asked(package.WorkerIntroduced(worker.number, settings))
            self.asked(package.WorkerReady(worker.number))

    @precondition(lambda self: self.finished is None and self.accepting)
    @rule(data=st.data(), responses=st.sampled_from([1, 30]), errors=st.integers(0, 1))
    def answer(self, data, responses, errors):
        worker = data.draw(st.sampled_from(sorted(self.accepting)))
        self.asked(package.WorkerAnswered(worker, responses, responses * errors))

    @precondition(lambda self: self.finished is None and self.pinged)
    @rule()
    def all_answer_the_ping(self):
        for worker in sorted(self.pinged):
            self.pinged.discard(worker)
            self.asked(package.WorkerAlive(worker))

    @precondition(lambda self: self.finished is None and self.alive)
    @rule(data=st.data())
    def one_answers_a_ping(self, data):
        worker = data.draw(st.sampled_from(sorted(self.alive)))
        self.pinged.discard(worker)
        self.asked(package.WorkerAlive(worker))

    @precondition(lambda self: self.finished is None and self.alive - self.doomed)
    @rule(data=st.data())
    def ready(self, data):
        self.asked(package.WorkerReady(data.draw(st.sampled_from(sorted(self.alive - self.doomed)))))

    @precondition(lambda self: self.finished is None and self.alive)
    @rule(data=st.data())
    def stopped_accepting(self, data):
        self.asked(package.WorkerStoppedAccepting(data.draw(st.sampled_from(sorted(self.alive)))))

    @precondition(lambda self: self.finished is None and self.accepting)
    @rule(data=st.data())
    def due_for_recycling(self, data):
        self.asked(package.WorkerDueForRecycling(data.draw(st.sampled_from(sorted(self.accepting)))))

    @precondition(lambda self: self.finished is None and self.alive)
    @rule(data=st.data())
    def exit(self, data):
        worker = data.draw(st.sampled_from(sorted(self.alive)))
        self.reap(worker)

    def reap(self, worker):
        self.alive.discard(worker)
        self.accepting.discard(worker)
        self.doomed.discard(worker)
        self.retired.discard(worker)
        self.holding.discard(worker)
        self.paused.discard(worker)
        self.pinged.discard(worker)
        self.asked(package.WorkerExited(worker, "ended"))

    @precondition(lambda self: self.finished is None and not self.fleet.stopping)
    @rule()
    def replace_the_supervisor(self):
        """The next image remembers the fleet from JSON, and then restarts."""
        memory = from_plain(FleetMemory, json.loads(json.dumps(to_plain(self.fleet.memory()))))
        assert memory == self.fleet.memory()
        self.fleet = Fleet(FleetSettings(), memory)
        self.asked(package.RestartRequested())

    @precondition(is_running)
    @rule(seconds=st.floats(0.01, 40))
    def time_passes(self, seconds):
        self.now += seconds
        self.asked(package.TimePassed())

    @precondition(lambda self: self.finished is not None)
    @rule()
    def rest(self):
        """After the end nothing can happen any more."""

    @invariant()
    def the_table_knows_exactly_the_living(self):
        known = {number for one in self.fleet.generations.values() for number in one.workers}
        assert known == self.alive

    @invariant()
    def at_most_one_generation_serves_and_at_most_one_comes(self):
        states = [one.state for one in self.fleet.generations.values()]
        assert states.count(package.GenerationState.SERVING) <= 1
        coming = [
            one for one in states if one in {package.GenerationState.STARTING, package.GenerationState.COMPLETING}
        ]
        assert len(coming) <= 1

    @invariant()
    def a_service_that_began_goes_on_until_it_is_told_to_stop(self):
        if self.served_once and not self.fleet.stopping:
            assert self.fleet.serving is not None
            assert self.finished is None

    @invariant()
    def only_the_generation_that_serves_accepts(self):
        serving = self.fleet.serving
        for worker in self.accepting - self.doomed:
            assert serving is not None
            assert serving.workers[worker].state is WorkerState.SERVING

    @invariant()
    def one_generation_stands_by_while_another_is_on_probation_and_at_no_other_time(self):
        standing_by = [one for one in self.fleet.generations.values() if one is self.fleet.standing_by]
        assert len([one for one in self.fleet.generations.values() if one.state.value == "standing_by"]) <= 1
        if standing_by:
            assert self.fleet.serving is not None
            assert self.fleet.serving.probation is not None
            assert standing_by[0].number < self.fleet.serving.number
        paused = {one.number for gen in standing_by for one in gen.in_state(WorkerState.STANDING_BY)}
        assert self.paused - self.doomed == paused - self.doomed

    @invariant()
    def requesters_of_a_generation_on_probation_wait_for_its_end(self):
        serving = self.fleet.serving
        if serving is not None and serving.probation is not None:
            assert serving.number not in self.told
            assert self.fleet.next_deadline() is not None

    @invariant()
    def no_worker_is_missing_and_at_most_one_is_too_many(self):
        """There are, or will be, as many as are wanted, and beside them at most one whose successor they include."""
        serving = self.fleet.serving
        if serving is None or self.fleet.stopping:
            return
        there = serving.in_state(WorkerState.STARTING, WorkerState.SERVING, WorkerState.DUMPING)
        coming = len(there) + len(serving.start_again_at)
        recycled = serving.workers.get(serving.recycling)
        assert coming == serving.wanted + (recycled is not None and recycled.state is WorkerState.SERVING)

    @invariant()
    def connections_are_handed_over_only_while_a_worker_takes_them(self):
        takers = self.fleet.serving is not None and self.fleet.serving.in_state(WorkerState.SERVING)
        if not self.fleet.stopping:
            assert self.holding - self.doomed == (set() if takers else self.retired - self.doomed)

    @invariant()
    def never_stuck(self):
        """A worker that neither serves nor was killed has a deadline, or waits for one that has or that was killed."""
        if self.finished is None and self.alive - self.accepting and not self.doomed:
            assert self.fleet.next_deadline() is not None

    @invariant()
    def the_end_comes_when_no_generation_is_left(self):
        assert (self.finished is not None) == (not self.fleet.generations)

    def teardown(self):
        """However it went: stop by force, reap every worker, and it ends, with every requester told."""
        if self.finished is None:
            self.asked(package.StopRequested(force=True))
        while self.finished is None:
            assert self.alive
            self.reap(min(self.alive))
        assert not self.waiting, "a requester was never told how the restart ended"


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
