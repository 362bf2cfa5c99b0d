"""What is promised of a restart, asked of the pure fleet."""

from __future__ import annotations

import pytest
from fleets import TWO, only, restart, serving_fleet, started, stop_accepting

from gracehttp.supervisor import fleet as package
from gracehttp.supervisor.fleet import (
    Died,
    Dismiss,
    Drain,
    DumpTraceback,
    Finish,
    Fleet,
    FleetSettings,
    GenerationState,
    GivenUp,
    Gone,
    Kill,
    Promoted,
    RequestDump,
    RestartRequested,
    ScaleRequested,
    Serve,
    StartWorker,
    StopRequested,
    Superseded,
    TimePassed,
    WorkerExited,
    WorkerIntroduced,
    WorkerReady,
    WorkerState,
    WorkerStoppedAccepting,
)
from gracehttp.wire.messages import DrainReason


def test_a_generation_starts_with_one_canary():
    fleet = Fleet(TWO)
    assert fleet.apply(RestartRequested(), 0.0) == [StartWorker(1, 1)]


def test_siblings_start_only_when_the_canary_is_ready():
    fleet = Fleet(TWO)
    fleet.apply(RestartRequested(), 0.0)
    assert fleet.apply(WorkerIntroduced(1, TWO), 0.1) == []
    assert fleet.apply(WorkerReady(1), 0.2) == [StartWorker(1, 2)]


def test_no_worker_serves_before_all_are_ready_and_then_all_do():
    fleet = Fleet(TWO)
    fleet.apply(RestartRequested(), 0.0)
    fleet.apply(WorkerReady(1), 0.2)
    assert fleet.apply(WorkerReady(2), 0.3) == [Serve(1), Serve(2), Promoted(1)]


def test_the_old_generation_is_retired_after_the_new_one_was_told_to_serve():
    fleet = serving_fleet()
    commands = restart(fleet)
    assert [type(command) for command in commands] == [Serve, Serve, Drain, Drain]
    assert [one.worker for one in only(commands, Drain)] == [1, 2]


def test_a_restart_is_announced_when_no_older_code_accepts_any_more():
    fleet = serving_fleet()
    restart(fleet)
    assert fleet.apply(WorkerStoppedAccepting(1), 0.1) == []
    assert fleet.apply(WorkerStoppedAccepting(2), 0.2) == [Promoted(2)]


def test_an_old_worker_that_dies_or_does_not_answer_holds_up_no_announcement():
    fleet = serving_fleet()
    restart(fleet)
    fleet.apply(WorkerExited(1, "was killed"), 0.1)
    assert only(fleet.apply(WorkerExited(2, "was killed"), 0.2), Promoted) == [Promoted(2)]
    restart(fleet, now=10.0)
    assert fleet.next_deadline() == 10.0 + package.STOP_ACCEPTING_SECONDS
    assert fleet.apply(TimePassed(), 12.0) == [Promoted(3)]


def test_of_three_generations_that_overlap_the_newest_waits_for_both_older_ones():
    fleet = serving_fleet()
    restart(fleet)
    restart(fleet, now=0.1)
    for stopped in (3, 4, 1):
        assert fleet.apply(WorkerStoppedAccepting(stopped), 0.2) == []
    assert fleet.apply(WorkerStoppedAccepting(2), 0.3) == [Promoted(3)]


def test_who_drains_already_is_told_again_when_newer_code_serves_and_may_have_fewer_listeners():
    fleet = serving_fleet()
    restart(fleet)
    assert [one.worker for one in only(restart(fleet, now=1.0), Drain)] == [3, 4, 1, 2]


@pytest.mark.parametrize("force", [False, True])
def test_a_stop_before_the_announcement_announces_first(force):
    fleet = serving_fleet()
    restart(fleet)
    commands = fleet.apply(StopRequested(force), 0.1)
    assert commands[:2] == [Promoted(2), package.StopAdmitting()], "what is announced may admit connections"


def test_a_new_generation_has_as_many_workers_as_its_own_code_says():
    fleet = serving_fleet()
    restart(fleet, FleetSettings(workers=5))
    assert len(fleet.serving.workers) == 5


@pytest.mark.parametrize("ready_first", [0, 1], ids=["canary", "sibling"])
def test_a_death_while_starting_gives_the_whole_generation_up_and_leaves_the_old_one_alone(ready_first):
    fleet = serving_fleet()
    (canary,) = started(fleet.apply(RestartRequested(), 1.0))
    victim = canary
    if ready_first:
        (victim,) = started(fleet.apply(WorkerReady(canary), 1.1))
    commands = fleet.apply(WorkerExited(victim, "failed: boom", "traceback", "traceback"), 1.2)
    (given_up,) = only(commands, GivenUp)
    assert given_up.generation == 2
    assert "boom" in given_up.reason
    assert (given_up.details, given_up.worker) == ("traceback", victim)
    assert only(commands, Died) == [Died(2, victim, "failed: boom", None, "traceback", served=False)]
    assert not only(commands, Drain)
    assert not only(commands, Kill)
    assert {one.worker for one in only(commands, Dismiss)} == ({canary} if ready_first else set())
    assert [one.state for one in fleet.serving.workers.values()] == [WorkerState.SERVING] * 2


def test_a_worker_that_hangs_is_asked_where_and_then_killed():
    fleet = serving_fleet()
    (canary,) = started(fleet.apply(RestartRequested(), 100.0))
    assert fleet.next_deadline() == 160.0
    assert fleet.apply(TimePassed(), 160.0) == [RequestDump(canary)]
    assert fleet.next_deadline() == 161.0
    assert fleet.apply(TimePassed(), 161.0) == [DumpTraceback(canary)]
    assert fleet.next_deadline() == 162.0
    (kill,) = fleet.apply(TimePassed(), 162.0)
    assert isinstance(kill, Kill)
    exited = WorkerExited(canary, "was killed by SIGKILL", "stack", doing="importing main:app")
    (given_up,) = only(fleet.apply(exited, 162.1), GivenUp)
    assert "was not ready within 60 s: it was still importing main:app (ready_timeout " in given_up.reason


def test_the_ready_timeout_is_the_one_that_the_new_code_asks_for():
    fleet = serving_fleet()
    (canary,) = started(fleet.apply(RestartRequested(), 100.0))
    fleet.apply(WorkerIntroduced(canary, FleetSettings(ready_timeout_seconds=5)), 100.5)
    assert fleet.next_deadline() == 105.0


def test_a_first_generation_that_fails_ends_the_service_as_one_that_could_not_start():
    fleet = Fleet(TWO)
    fleet.apply(RestartRequested(), 0.0)
    commands = fleet.apply(WorkerExited(1, "failed"), 0.1)
    assert only(commands, Finish) == [Finish(could_start=False, forced=False)]


def failing(**how):
    fleet = Fleet(TWO, outlives_failed_starts=True)
    (canary,) = started(fleet.apply(RestartRequested(), 0))
    commands = fleet.apply(WorkerExited(canary, "has died", **how), 1)
    return fleet, commands


def test_a_first_generation_that_fails_is_no_end_where_other_code_is_awaited():
    fleet, commands = failing()
    assert only(commands, GivenUp)
    assert not only(commands, Finish)
    assert fleet.awaits_other_code
    restart(fleet, now=2)
    assert fleet.serving.number == 2
    assert not fleet.awaits_other_code


def test_a_first_generation_that_is_refused_a_port_is_the_end_all_the_same():
    _, commands = failing(refused=True)
    assert only(commands, Finish) == [Finish(could_start=False, forced=False)]


def test_a_stop_ends_a_service_that_awaits_other_code():
    fleet, _ = failing()
    assert only(fleet.apply(StopRequested(), 2), Finish) == [Finish(could_start=True, forced=False)]


def test_a_stop_may_leave_less_time_than_the_settings():
    fleet = serving_fleet()
    commands = fleet.apply(StopRequested(drain_timeout_seconds=0.5), 10)
    assert {retire.timeout_seconds for retire in only(commands, Drain)} == {0.5}


def test_a_restart_during_a_restart_supersedes_it():
    fleet = serving_fleet()
    (first,) = started(fleet.apply(RestartRequested(), 1.0))
    commands = fleet.apply(RestartRequested(), 2.0)
    assert commands[0] == Superseded(2, by=3)
    assert [one.worker for one in only(commands, Kill)] == [first]
    assert fleet.coming.number == 3
    assert only(fleet.apply(WorkerExited(first, "was killed by SIGKILL"), 2.1), GivenUp) == []
    assert fleet.serving.number == 1


def test_a_restart_during_a_drain_works_and_four_generations_may_drain():
    fleet = serving_fleet()
    for _ in range(4):
        assert not [one for one in only(restart(fleet), Drain) if one.timeout_seconds == 0]
    commands = restart(fleet)
    hurried = [one.worker for one in only(commands, Drain) if one.timeout_seconds == 0]
    assert hurried == [1, 2], "the oldest generation is cut"


def test_a_drain_that_takes_too_long_is_ended_by_force():
    fleet = serving_fleet()
    restart(fleet, now=10.0)
    stop_accepting(fleet, 1, now=10.0)
    deadline = fleet.next_deadline()
    assert deadline == 10.0 + 30.0 + package.LIFESPAN_SECONDS
    assert {one.worker for one in fleet.apply(TimePassed(), deadline)} == {1, 2}


def test_a_generation_is_gone_with_its_last_worker():
    fleet = serving_fleet()
    restart(fleet, now=10.0)
    stop_accepting(fleet, 1, now=10.0)
    assert fleet.apply(WorkerExited(1, "ended"), 11.0) == []
    assert fleet.apply(WorkerExited(2, "ended"), 12.0) == [Gone(1, served=True, seconds=2.0)]


def test_a_worker_that_dies_while_serving_is_replaced_after_a_wait_that_grows():
    fleet = serving_fleet()
    now, waits = 1.0, []
    victim = 2
    for _ in range(3):
        (died,) = only(fleet.apply(WorkerExited(victim, "was killed by SIGSEGV"), now), Died)
        waits.append(died.again_in_seconds)
        now = fleet.next_deadline()
        (victim,) = started(fleet.apply(TimePassed(), now))
        assert fleet.apply(WorkerReady(victim), now) == [Serve(victim)]
    assert waits == [0.1, 0.2, 0.4]


def test_a_worker_that_lived_long_is_replaced_quickly_whatever_happened_before():
    fleet = serving_fleet()
    fleet.generations[1].deaths_in_a_row = 9
    (died,) = only(fleet.apply(WorkerExited(1, "was killed"), 3600.0), Died)
    assert died.again_in_seconds == 0.1


def test_a_replacement_that_can_not_start_takes_nothing_down():
    fleet = serving_fleet()
    fleet.apply(WorkerExited(1, "was killed"), 1.0)
    (replacement,) = started(fleet.apply(TimePassed(), 2.0))
    commands = fleet.apply(WorkerExited(replacement, "failed: SyntaxError"), 2.1)
    assert [type(one) for one in commands] == [Died]
    assert fleet.serving.number == 1
    assert fleet.next_deadline() is not None


def test_stop_closes_the_doors_and_then_drains_everything():
    fleet = serving_fleet()
    commands = fleet.apply(StopRequested(), 5.0)
    assert isinstance(commands[0], package.StopAdmitting)
    assert commands[1:] == [Drain(1, DrainReason.STOP, 30.0), Drain(2, DrainReason.STOP, 30.0)]
    fleet.apply(WorkerExited(1, "ended"), 6.0)
    commands = fleet.apply(WorkerExited(2, "ended"), 7.0)
    assert commands[-1] == Finish(could_start=True, forced=False)


def test_stop_gives_up_what_is_starting_and_hurries_what_is_draining():
    fleet = serving_fleet()
    restart(fleet)
    (canary,) = started(fleet.apply(RestartRequested(), 1.0))
    commands = fleet.apply(StopRequested(), 2.0)
    assert [one.worker for one in only(commands, Kill)] == [canary]
    assert {one.worker: one.reason for one in only(commands, Drain)} == dict.fromkeys((1, 2, 3, 4), DrainReason.STOP)


@pytest.mark.parametrize("happened", ["stop", "restart"])
def test_a_worker_that_drained_alone_is_told_when_its_generation_ends(happened):
    """It hands its connections to the others, which go now too; at a stop no worker takes them."""
    fleet = serving_fleet()
    (alone,) = only(fleet.apply(ScaleRequested(-1), 1.0), Drain)
    commands = fleet.apply(StopRequested(), 2.0) if happened == "stop" else restart(fleet)
    told = {one.worker: one.reason for one in only(commands, Drain)}
    assert told == dict.fromkeys((1, 2), DrainReason(happened))
    assert alone.worker in told


def test_a_second_stop_forces():
    fleet = serving_fleet()
    fleet.apply(StopRequested(), 1.0)
    commands = fleet.apply(StopRequested(), 2.0)
    assert {one.worker for one in only(commands, Kill)} == {1, 2}
    fleet.apply(WorkerExited(1, "was killed"), 2.1)
    assert fleet.apply(WorkerExited(2, "was killed"), 2.1)[-1] == Finish(could_start=True, forced=True)


def test_stop_signals_that_come_together_are_one():
    fleet = serving_fleet()
    fleet.apply(StopRequested(), 1.0)
    assert fleet.apply(StopRequested(), 1.0 + package.SAME_STOP_SECONDS / 2) == []
    assert not fleet.forced


@pytest.mark.parametrize("force", [False, True])
def test_a_stop_that_comes_when_all_has_ended_forces_nothing(force):
    fleet = serving_fleet()
    fleet.apply(StopRequested(), 1.0)
    fleet.apply(WorkerExited(1, "ended"), 2.0)
    fleet.apply(WorkerExited(2, "ended"), 2.0)
    assert not fleet.stop_forces(force, 3.0)
    assert fleet.apply(StopRequested(force), 3.0) == []
    assert not fleet.forced


def test_a_restart_while_stopping_does_nothing():
    fleet = serving_fleet()
    fleet.apply(StopRequested(), 1.0)
    assert fleet.apply(RestartRequested(), 2.0) == []


def test_stop_when_every_worker_is_dead_ends_at_once():
    fleet = serving_fleet()
    fleet.apply(WorkerExited(1, "was killed"), 1.0)
    fleet.apply(WorkerExited(2, "was killed"), 1.0)
    assert fleet.apply(StopRequested(), 1.05)[-1] == Finish(could_start=True, forced=False)
    assert fleet.next_deadline() is None


def test_one_worker_more_and_one_less():
    fleet = serving_fleet()
    assert fleet.apply(ScaleRequested(+1), 1.0) == [StartWorker(1, 3)]
    assert fleet.apply(WorkerReady(3), 1.1) == [Serve(3)]
    assert fleet.apply(ScaleRequested(-1), 2.0) == [Drain(3, DrainReason.RESTART, 30.0)]
    assert fleet.apply(WorkerExited(3, "ended"), 3.0) == [], "it isn't replaced"


def test_the_last_worker_is_never_taken():
    fleet = serving_fleet(FleetSettings(workers=1))
    assert fleet.apply(ScaleRequested(-1), 1.0) == []


def test_what_is_not_known_changes_nothing():
    fleet = serving_fleet()
    for unknown in (WorkerReady(99), WorkerExited(99, "ended"), WorkerIntroduced(99, TWO)):
        assert fleet.apply(unknown, 1.0) == []


def test_states_are_listed_in_the_order_of_a_life():
    assert [one.value for one in GenerationState] == [
        "starting",
        "completing",
        "serving",
        "standing_by",
        "draining",
        "abandoned",
    ]
