"""The fleet over the whole product of states and inputs: whatever happens to whatever stands, it
raises nothing, and what is promised of any state still holds.

A fleet is built from parts (not reached by inputs), so combinations that only a defect elsewhere could bring about
are here as well.
"""

from __future__ import annotations

import itertools

import pytest

from gracehttp.supervisor import fleet as package
from gracehttp.supervisor.fleet import (
    Fleet,
    FleetSettings,
    Generation,
    GenerationState,
    Numbers,
    Probation,
    Worker,
    WorkerState,
)

NOW = 1000.0
SETTINGS = FleetSettings(workers=2, ready_timeout_seconds=10, drain_timeout_seconds=5)
ON_PROBATION = FleetSettings(
    workers=2,
    ready_timeout_seconds=10,
    drain_timeout_seconds=5,
    probation_seconds=8,
    probation_max_errors=0.05,
    stands_by=True,
)
SUBJECT = 1
"""The number of the worker that things happen to; 2 is its sibling, 3 and 4 are those of the other generation."""
STRANGER = 99

OF_GENERATION = {
    GenerationState.STARTING: {WorkerState.STARTING, WorkerState.DUMPING, WorkerState.KILLED},
    GenerationState.COMPLETING: {
        WorkerState.STARTING,
        WorkerState.STANDING_BY,
        WorkerState.DUMPING,
        WorkerState.KILLED,
    },
    GenerationState.SERVING: set(WorkerState) - {WorkerState.STANDING_BY},
    GenerationState.STANDING_BY: set(WorkerState) - {WorkerState.STARTING, WorkerState.SERVING},
    GenerationState.DRAINING: {WorkerState.DRAINING, WorkerState.DUMPING, WorkerState.KILLED},
    GenerationState.ABANDONED: {WorkerState.DRAINING, WorkerState.KILLED},
}
"""The states of workers that can be in a generation."""

INPUTS = {
    "restart": package.RestartRequested(),
    "stop": package.StopRequested(),
    "forced stop": package.StopRequested(force=True),
    "one more": package.ScaleRequested(+1),
    "one less": package.ScaleRequested(-1),
    "introduced": package.WorkerIntroduced(SUBJECT, FleetSettings(workers=3, ready_timeout_seconds=7)),
    "ready": package.WorkerReady(SUBJECT),
    "stopped accepting": package.WorkerStoppedAccepting(SUBJECT),
    "exited": package.WorkerExited(SUBJECT, "ended with status 1", "details"),
    "many errors": package.WorkerAnswered(SUBJECT, 50, 40),
    "few responses": package.WorkerAnswered(SUBJECT, 3, 2),
    "alive": package.WorkerAlive(SUBJECT),
    "due for recycling": package.WorkerDueForRecycling(SUBJECT),
    "loop hangs": package.WorkerHung(SUBJECT, "loop", 31.0),
    "threads hang": package.WorkerHung(SUBJECT, "threads", 31.0),
    "recovered": package.WorkerRecovered(SUBJECT),
    "differs": package.WorkerDiffers(SUBJECT, ("main.py",)),
    "differs from itself": package.WorkerDiffers(SUBJECT, ("main.py",), alone=True),
    "stranger differs": package.WorkerDiffers(STRANGER, ("main.py",)),
    "stranger hangs": package.WorkerHung(STRANGER, "loop", 31.0),
    "stranger recovered": package.WorkerRecovered(STRANGER),
    "stranger introduced": package.WorkerIntroduced(STRANGER, SETTINGS),
    "stranger ready": package.WorkerReady(STRANGER),
    "stranger stopped accepting": package.WorkerStoppedAccepting(STRANGER),
    "stranger answers": package.WorkerAnswered(STRANGER, 50, 50),
    "stranger alive": package.WorkerAlive(STRANGER),
    "stranger due for recycling": package.WorkerDueForRecycling(STRANGER),
    "stranger exited": package.WorkerExited(STRANGER, "ended"),
    "time": package.TimePassed(),
}

OTHERS = (None, *GenerationState)
PROBATION = {GenerationState.SERVING, GenerationState.STANDING_BY}
"""The states of two generations of which one is on probation."""


def worker(number, state, deadline_in, *, silent=False):
    """A worker with the deadline that its state has, `deadline_in` seconds from now; `silent`, if it hangs, is whether
    it was asked where without an answer."""
    has_deadline = state in {WorkerState.STARTING, WorkerState.DRAINING, WorkerState.DUMPING}
    silent = silent and state is WorkerState.DUMPING
    return Worker(number, state, NOW - 20, NOW + deadline_in if has_deadline else None, silent=silent)


def fleet_of(first, workers, other, *, stopping, due, wanted=2, asked=False, silent=False):
    """A fleet with one generation of `workers` and, if `other`, a second one in that state. `asked`: if one is on
    probation, its time was up a second ago, and its workers have been asked whether they are there."""
    fleet = Fleet(SETTINGS)
    fleet._stop.requested = stopping
    deadline_in = -1 if due else 3
    settings = SETTINGS if stopping else ON_PROBATION
    generation = Generation(1, first, settings, wanted=wanted, retired_at=NOW - 5)
    generation.workers = {
        number: worker(number, state, deadline_in, silent=silent) for number, state in enumerate(workers, 1)
    }
    fleet.generations[1] = generation
    fleet._numbers = Numbers(2, 10)
    if other is not None:
        usual = next(iter(sorted(OF_GENERATION[other], key=lambda one: one.value, reverse=True)))
        if other is GenerationState.SERVING:
            usual = WorkerState.SERVING
        second = Generation(2, other, settings, wanted=2, retired_at=NOW - 5)
        second.workers = {number: worker(number, usual, deadline_in, silent=silent) for number in (3, 4)}
        fleet.generations[2] = second
        if other is GenerationState.SERVING and first in {GenerationState.DRAINING, GenerationState.STANDING_BY}:
            second.predecessors, second.announce_at = {SUBJECT}, NOW + deadline_in
        if {first, other} == PROBATION:
            serving = fleet.serving
            serving.probation = Probation(NOW - 5, NOW + deadline_in)
            if asked and serving.announce_at is None:
                serving.probation.ends_at = NOW - 1
                serving.probation.expect_answers({one.number for one in serving.in_state(WorkerState.SERVING)}, NOW - 1)
                serving.probation.answers_due = NOW + deadline_in
    return fleet


def possible(first, other, stopping):
    """At most one generation serves and at most one comes; when the service stops, none of either. One that stands
    by does so for one that serves."""
    coming = {GenerationState.STARTING, GenerationState.COMPLETING}
    alive = [one for one in (first, other) if one is not None]
    if stopping and any(one in coming or one is GenerationState.SERVING for one in alive):
        return False
    if GenerationState.STANDING_BY in alive and set(alive) != PROBATION:
        return False
    serving = alive.count(GenerationState.SERVING)
    return serving <= 1 and sum(one in coming for one in alive) <= 1


def fleets():
    for first, other, stopping, due in itertools.product(GenerationState, OTHERS, (False, True), (False, True)):
        if not possible(first, other, stopping):
            continue
        states = sorted(OF_GENERATION[first], key=lambda one: one.value)
        for pair in [(one,) for one in states] + list(itertools.product(states, states)):
            yield first, pair, other, stopping, due


def describe(fleet):
    return [
        (one.number, one.state.value, one.wanted, [(w.number, w.state.value) for w in one.workers.values()])
        for one in fleet.generations.values()
    ]


class Before:
    """What must be remembered to check a step."""

    def __init__(self, fleet):
        self.serving = fleet.serving
        self.known = {number for one in fleet.generations.values() for number in one.workers}
        self.states = {n: w.state for one in fleet.generations.values() for n, w in one.workers.items()}
        self.told_nothing = {n for one in fleet.generations.values() for n, w in one.workers.items() if w.silent}
        self.stopping = fleet.stopping
        self.standing_by = fleet.standing_by
        probation = self.serving.probation if self.serving is not None else None
        self.asked = probation is not None and probation.answers_due is not None
        self.silent = set(probation.silent) if self.asked else set()
        self.can_take_over = self.standing_by is not None and bool(self.standing_by.in_state(WorkerState.STANDING_BY))
        self.description = describe(fleet)


def check(fleet, before, happened, commands):
    case = (before.description, happened, commands, describe(fleet))
    states = [one.state for one in fleet.generations.values()]
    known = {number: w for one in fleet.generations.values() for number, w in one.workers.items()}
    gone = {happened.worker} if isinstance(happened, package.WorkerExited) else set()

    assert states.count(GenerationState.SERVING) <= 1, case
    assert sum(one in {GenerationState.STARTING, GenerationState.COMPLETING} for one in states) <= 1, case
    if before.serving is not None and not fleet.stopping:
        assert fleet.serving is not None, case

    told: dict[int, list[str]] = {}
    started = set()
    for command in commands:
        match command:
            case package.StartWorker(generation, number):
                assert number not in before.known, case
                assert fleet.generations[generation].workers[number].state is WorkerState.STARTING, case
                assert not fleet.stopping, case
                started.add(number)
            case package.Serve(number):
                assert known[number].state is WorkerState.SERVING, case
                told.setdefault(number, []).append("serve")
            case package.Pause(number):
                assert known[number].state is WorkerState.STANDING_BY, case
                told.setdefault(number, []).append("pause")
            case package.Drain(number, _, seconds):
                assert known[number].state is WorkerState.DRAINING, case
                assert seconds >= 0, case
                told.setdefault(number, []).append("drain")
            case package.Dismiss(number):
                assert before.states[number] is WorkerState.STANDING_BY, case
                assert known[number].state is WorkerState.DRAINING, case
                told.setdefault(number, []).append("dismiss")
            case package.Ping(number):
                assert known[number].state in {WorkerState.SERVING, WorkerState.DRAINING}, case
                assert number in fleet.serving.probation.silent, case
            case package.RequestDump(number):
                if before.states[number] is WorkerState.SERVING:
                    assert known[number].hangs, case
                    assert fleet.serving.in_state(WorkerState.SERVING), case
                    continue
                assert before.states[number] is WorkerState.STARTING, case
                assert known[number].state is WorkerState.DUMPING, case
            case package.DumpTraceback(number):
                assert number not in before.told_nothing, case
                assert known[number].state is WorkerState.DUMPING, case
                assert before.states[number] is WorkerState.DUMPING, case
            case package.Kill(_, number, _):
                assert known[number].state in {WorkerState.KILLED, WorkerState.DUMPING}, case
                assert before.states.get(number) is not WorkerState.KILLED, case
                if known[number].state is WorkerState.DUMPING:
                    assert number in before.told_nothing, ("its stacks come first", case)
                told.setdefault(number, []).append("kill")
    kinds = [type(one) for one in commands]
    if package.StopAdmitting in kinds:
        announced = kinds.index(package.Promoted) if package.Promoted in kinds else -1
        assert announced < kinds.index(package.StopAdmitting), ("what is announced admits connections", case)
    assert set(known) == (before.known - gone) | started, case
    assert all(len(one) == 1 for one in told.values()), case

    for number, one in known.items():  # a change of state is a command, or the worker doesn't know of it
        if one.state is not before.states.get(number) and one.state in {
            WorkerState.SERVING,
            WorkerState.DRAINING,
            WorkerState.KILLED,
        }:
            assert number in told, case
        if one.state in {WorkerState.STARTING, WorkerState.DRAINING}:
            assert one.deadline is not None, case
        if one.state is WorkerState.KILLED:
            assert one.deadline is None, case
    assert bool(fleet.generations) != any(isinstance(one, package.Finish) for one in commands), case
    check_size(fleet, before, case)
    check_probation(fleet, before, happened, commands, case)


def check_probation(fleet, before, happened, commands, case):
    """A generation stands by exactly while another is on probation. It is told to serve before the one that failed is
    retired, and a probation that is over has an outcome."""
    standing_by = [one for one in fleet.generations.values() if one.state is GenerationState.STANDING_BY]
    assert len(standing_by) <= 1, case
    if standing_by:
        assert fleet.serving is not None, case
        assert fleet.serving.probation is not None, case
    if before.standing_by is None:
        return
    took_over = fleet.serving is before.standing_by
    if took_over:
        kinds = [type(one) for one in commands]
        assert before.can_take_over, case
        assert fleet.serving.in_state(WorkerState.SERVING), case
        if package.Drain in kinds:
            assert kinds.index(package.Serve) < kinds.index(package.Drain), case
        assert fleet.serving.rolled_back is not None or package.RolledBack in kinds, case
    elif fleet.standing_by is None and not isinstance(happened, package.WorkerReady):
        (ended,) = [one for one in commands if isinstance(one, package.ProbationEnded)]
        if ended.passed and not ended.reason:
            assert before.asked, case
            there = {happened.worker} if isinstance(happened, package.WorkerAlive) else set()
            staying = {one.number for one in fleet.serving.in_state(WorkerState.SERVING)}
            assert not (before.silent - there) & staying, case


def check_size(fleet, before, case):
    """A generation that serves has as many workers as are wanted, or will have; and none too many comes."""
    serving = fleet.serving
    if serving is None or serving is not before.serving:
        return
    there = serving.in_state(WorkerState.STARTING, WorkerState.STANDING_BY, WorkerState.SERVING, WorkerState.DUMPING)
    planned = sum(one.number != serving.recycling for one in there) + len(serving.start_again_at)
    was = sum(
        before.states[number] in {WorkerState.STARTING, WorkerState.SERVING, WorkerState.DUMPING}
        for number in serving.workers
        if number in before.states
    )
    assert planned <= max(serving.wanted, was), case
    assert serving.wanted >= 1, case


@pytest.mark.parametrize(("asked", "silent"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("wanted", [1, 2, 3])
@pytest.mark.parametrize("name", INPUTS)
def test_any_input_in_any_state_keeps_what_is_promised(name, wanted, asked, silent):
    happened = INPUTS[name]
    tried = 0
    for first, pair, other, stopping, due in fleets():
        if (asked and {first, other} != PROBATION) or (silent and WorkerState.DUMPING not in pair):
            continue
        if first is GenerationState.COMPLETING and pair.count(WorkerState.STANDING_BY) >= wanted:
            continue  # it serves by now
        fleet = fleet_of(first, pair, other, stopping=stopping, due=due, wanted=wanted, asked=asked, silent=silent)
        before = Before(fleet)
        commands = fleet.apply(happened, NOW)
        check(fleet, before, happened, commands)
        tried += 1
    assert tried > (60 if asked else 100 if silent else 400)


@pytest.mark.parametrize(("asked", "silent"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("name", INPUTS)
def test_what_is_due_is_due_once(name, asked, silent):
    """After time has passed, the next deadline lies ahead: the loop that waits for it never spins."""
    for first, pair, other, stopping, due in fleets():
        fleet = fleet_of(first, pair, other, stopping=stopping, due=due, asked=asked, silent=silent)
        fleet.apply(INPUTS[name], NOW)
        fleet.apply(package.TimePassed(), NOW)
        deadline = fleet.next_deadline()
        assert deadline is None or deadline > NOW, describe(fleet)


@pytest.mark.parametrize(("name", "again"), list(itertools.product(INPUTS, INPUTS)))
def test_any_two_inputs_leave_a_fleet_that_can_be_stopped(name, again):
    """Two things happen, then a forced stop, then every process ends: the service is at its end, and says so."""
    for first, pair, other, stopping, due in fleets():
        if due or len(pair) == 1:
            continue
        fleet = fleet_of(first, pair, other, stopping=stopping, due=due)
        commands = []
        for happened in (INPUTS[name], INPUTS[again], package.StopRequested(force=True)):
            commands += fleet.apply(happened, NOW)
        while fleet.generations:
            numbers = [number for one in fleet.generations.values() for number in one.workers]
            assert numbers, describe(fleet)
            commands += fleet.apply(package.WorkerExited(min(numbers), "ended"), NOW)
        assert sum(isinstance(one, package.Finish) for one in commands) == 1
