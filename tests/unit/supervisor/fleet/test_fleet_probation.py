"""The fleet: a new generation on probation, and the way back to the one before."""

from __future__ import annotations

import fleets
import pytest
from fleets import only, serving_fleet, started, stop_accepting

from gracehttp.supervisor import fleet as package
from gracehttp.supervisor.fleet import (
    Died,
    Drain,
    FleetSettings,
    Gone,
    Pause,
    Ping,
    ProbationEnded,
    Promoted,
    RestartRequested,
    RolledBack,
    ScaleRequested,
    Serve,
    StartWorker,
    StopRequested,
    Superseded,
    TimePassed,
    WorkerAlive,
    WorkerAnswered,
    WorkerExited,
    WorkerIntroduced,
    WorkerReady,
    WorkerStoppedAccepting,
)
from gracehttp.values import from_plain
from gracehttp.wire.messages import DrainReason

CAREFUL = FleetSettings(
    workers=2, drain_timeout_seconds=30, probation_seconds=10, probation_max_errors=0.05, stands_by=True
)
HASTY = FleetSettings(workers=2, drain_timeout_seconds=30, stands_by=True)


def restart(fleet, settings=CAREFUL, now=0.0):
    """See `fleets.restart`."""
    return fleets.restart(fleet, settings, now)


def on_probation(now=0.0):
    """Generation 2 (workers 3 and 4) is on probation since `now`, and announced; generation 1 (1 and 2) stands by."""
    fleet = serving_fleet(CAREFUL)
    restart(fleet, now=now)
    stop_accepting(fleet, 1, now)
    return fleet


def test_the_old_generation_pauses_after_the_new_one_was_told_to_serve():
    fleet = serving_fleet(CAREFUL)
    assert restart(fleet) == [Serve(3), Serve(4), Pause(1), Pause(2)]
    assert fleet.standing_by.number == 1


def test_the_beginning_of_a_probation_is_told_when_no_older_code_accepts_any_more():
    fleet = serving_fleet(CAREFUL)
    restart(fleet)
    assert fleet.apply(WorkerStoppedAccepting(1), 0.1) == []
    assert fleet.apply(WorkerStoppedAccepting(2), 0.2) == [Promoted(2, probation_seconds=10)]


def test_a_generation_that_passes_its_probation_stays_and_the_one_before_drains():
    fleet = on_probation()
    assert fleet.next_deadline() == 10.0
    assert fleet.apply(TimePassed(), 10.0) == [Ping(3), Ping(4)]
    assert fleet.apply(WorkerAlive(4), 10.0) == []
    assert fleet.apply(WorkerAlive(3), 10.5) == [
        ProbationEnded(2, 10.5, passed=True),
        Drain(1, DrainReason.RESTART, 30),
        Drain(2, DrainReason.RESTART, 30),
    ]
    fleet.apply(WorkerExited(1, "ended"), 11.0)
    assert fleet.apply(WorkerExited(2, "ended"), 12.5) == [Gone(1, served=True, seconds=2.0)]


def test_a_worker_that_does_not_answer_at_the_end_brings_the_old_generation_back():
    fleet = on_probation()
    fleet.apply(TimePassed(), 10.0)
    fleet.apply(WorkerAlive(3), 10.1)
    assert fleet.next_deadline() == 10.0 + package.ANSWER_SECONDS
    assert fleet.apply(TimePassed(), 11.9) == []
    assert only(fleet.apply(TimePassed(), 12.0), Serve) == [Serve(1), Serve(2)]
    (told,) = only([*fleet.apply(WorkerStoppedAccepting(3), 12.1), *fleet.apply(TimePassed(), 14.0)], RolledBack)
    assert told.reason == "its worker 4 did not answer for 2 s"


def test_answers_that_have_arrived_when_their_time_is_up_are_read_before_it_counts():
    """Those of the second worker are read after those of the first, by a supervisor that was busy."""
    fleet = on_probation()
    fleet.apply(TimePassed(), 10.0)
    assert fleet.apply(WorkerAlive(3), 13.0) == []
    assert only(fleet.apply(WorkerAlive(4), 13.0), ProbationEnded) == [ProbationEnded(2, 13.0, passed=True)]


def test_an_answer_that_was_not_asked_for_says_nothing():
    fleet = on_probation()
    for worker in (1, 3, 4):
        assert fleet.apply(WorkerAlive(worker), 5.0) == []
    assert fleet.apply(TimePassed(), 10.0) == [Ping(3), Ping(4)]


def test_a_worker_that_was_pinged_and_is_not_wanted_any_more_need_not_answer():
    fleet = on_probation()
    fleet.apply(TimePassed(), 10.0)
    (leaving,) = only(fleet.apply(ScaleRequested(-1), 10.1), Drain)
    staying = {3: 4, 4: 3}[leaving.worker]
    assert only(fleet.apply(WorkerAlive(staying), 10.2), ProbationEnded) == [ProbationEnded(2, 10.2, passed=True)]


def test_while_answers_to_the_ping_are_due_errors_and_deaths_still_count():
    for told in (WorkerAnswered(3, 3, 1), WorkerExited(3, "was killed")):
        fleet = on_probation()
        fleet.apply(TimePassed(), 10.0)
        assert only(fleet.apply(told, 10.1), Serve) == [Serve(1), Serve(2)]


def test_a_worker_that_dies_on_probation_brings_the_old_generation_back_before_the_new_one_goes():
    fleet = on_probation()
    commands = fleet.apply(WorkerExited(3, "was killed by SIGSEGV", "stack"), 2.0)
    assert commands == [
        Died(2, 3, "was killed by SIGSEGV", None),
        Serve(1),
        Serve(2),
        Drain(4, DrainReason.RESTART, 30),
    ]
    assert (fleet.serving.number, fleet.standing_by) == (1, None)
    assert fleet.apply(WorkerStoppedAccepting(4), 2.1) == [
        RolledBack(2, 1, 2.0, "its worker 3 was killed by SIGSEGV", "stack"),
    ]


def test_a_generation_that_was_rolled_back_before_its_announcement_is_not_announced_at_all():
    fleet = serving_fleet(CAREFUL)
    restart(fleet)
    commands = fleet.apply(WorkerExited(3, "was killed"), 0.1)
    assert not only(commands, Promoted)
    assert only(fleet.apply(WorkerStoppedAccepting(4), 0.2), RolledBack)


@pytest.mark.parametrize(("responses", "errors", "rolled_back"), [(20, 2, True), (20, 1, False), (19, 19, False)])
def test_the_share_of_errors_counts_as_soon_as_there_are_enough_responses(responses, errors, rolled_back):
    fleet = on_probation()
    commands = fleet.apply(WorkerAnswered(3, responses - 1, errors - 1), 1.0)
    assert commands == []
    assert bool(only(fleet.apply(WorkerAnswered(4, 1, 1), 1.1), Serve)) is rolled_back


def test_at_the_end_of_the_probation_few_responses_are_enough():
    fleet = on_probation()
    fleet.apply(WorkerAnswered(3, 3, 1), 1.0)
    assert only(fleet.apply(TimePassed(), 10.0), Serve) == [Serve(1), Serve(2)]
    stop_accepting(fleet, 2, 10.1)
    assert fleet.serving.number == 1


def test_the_responses_of_the_old_generation_are_not_counted():
    fleet = on_probation()
    assert fleet.apply(WorkerAnswered(1, 100, 100), 1.0) == []


def test_without_a_share_of_errors_only_a_death_counts():
    fleet = serving_fleet(CAREFUL)
    restart(fleet, FleetSettings(workers=2, probation_seconds=10, stands_by=True))
    assert fleet.apply(WorkerAnswered(3, 100, 100), 1.0) == []


def test_a_probation_is_not_over_before_the_generation_was_announced():
    fleet = serving_fleet(CAREFUL)
    restart(fleet, FleetSettings(workers=2, probation_seconds=0.5, stands_by=True))
    assert fleet.next_deadline() == package.STOP_ACCEPTING_SECONDS
    assert fleet.apply(TimePassed(), 1.0) == []
    kinds = [type(one) for one in fleet.apply(TimePassed(), package.STOP_ACCEPTING_SECONDS)]
    assert kinds == [Promoted, Ping, Ping]


def test_a_worker_that_dies_while_it_stands_by_is_started_when_it_is_needed():
    fleet = on_probation()
    assert fleet.apply(WorkerExited(1, "was killed"), 1.0) == [Died(1, 1, "was killed", None)]
    commands = fleet.apply(WorkerExited(3, "was killed"), 2.0)
    assert only(commands, Serve) == [Serve(2)]
    assert only(commands, StartWorker) == [StartWorker(1, 5)]


def test_with_no_worker_left_that_stands_by_the_probation_ends_and_a_death_is_as_any_other():
    fleet = on_probation()
    fleet.apply(WorkerExited(1, "was killed"), 1.0)
    (ended,) = only(fleet.apply(WorkerExited(2, "was killed"), 2.0), ProbationEnded)
    assert ended.passed
    assert "no worker of the generation before is left" in ended.reason
    (died,) = only(fleet.apply(WorkerExited(3, "was killed"), 3.0), Died)
    assert died.again_in_seconds is not None
    assert fleet.serving.number == 2


def test_workers_of_a_release_that_can_not_stand_by_drain():
    fleet = serving_fleet(FleetSettings(workers=2, drain_timeout_seconds=30))
    assert only(restart(fleet), Pause) == []
    (ended,) = only(
        [*fleet.apply(WorkerStoppedAccepting(1), 0.1), *fleet.apply(WorkerStoppedAccepting(2), 0.1)], ProbationEnded
    )
    assert ended.passed


def test_a_stop_ends_the_probation_and_drains_both():
    fleet = on_probation()
    commands = fleet.apply(StopRequested(), 3.0)
    assert commands[:2] == [
        ProbationEnded(2, 3.0, passed=False, reason="the service was told to stop"),
        package.StopAdmitting(),
    ]
    assert {one.worker: one.reason for one in only(commands, Drain)} == dict.fromkeys((1, 2, 3, 4), DrainReason.STOP)


def test_a_newer_generation_leaves_the_last_one_standing_by_that_has_passed():
    fleet = on_probation()
    commands = restart(fleet, now=3.0)
    assert only(commands, Superseded) == [Superseded(2, by=3)]
    assert [one.worker for one in only(commands, Drain)] == [3, 4]
    assert only(commands, Pause) == [Pause(1), Pause(2)], "the newest may have other listeners"
    stop_accepting(fleet, 1, 3.1)
    stop_accepting(fleet, 2, 3.1)
    commands = fleet.apply(WorkerExited(5, "was killed"), 4.0)
    assert only(commands, Serve) == [Serve(1), Serve(2)]
    assert fleet.serving.number == 1


def test_when_the_newest_is_announced_no_other_worker_accepts_not_even_of_those_that_stand_by():
    fleet = on_probation()
    restart(fleet, now=3.0)
    for stopped in (3, 4, 1):
        assert fleet.apply(WorkerStoppedAccepting(stopped), 3.1) == []
    assert fleet.apply(WorkerStoppedAccepting(2), 3.1) == [Promoted(3, 10)]


def test_a_newer_generation_without_a_probation_leaves_none_standing_by():
    fleet = on_probation()
    commands = restart(fleet, HASTY, now=3.0)
    assert {one.worker for one in only(commands, Drain)} == {1, 2, 3, 4}
    assert fleet.standing_by is None


def test_a_rollback_does_not_disturb_the_generation_that_is_starting():
    fleet = on_probation()
    (canary,) = started(fleet.apply(RestartRequested(), 1.0))
    fleet.apply(WorkerExited(3, "was killed"), 2.0)
    assert fleet.coming.number == 3
    fleet.apply(WorkerIntroduced(canary, CAREFUL), 2.1)
    (sibling,) = started(fleet.apply(WorkerReady(canary), 2.2))
    commands = fleet.apply(WorkerReady(sibling), 2.3)
    assert only(commands, RolledBack), "the way back is told before it is left"
    assert only(commands, Pause) == [Pause(1), Pause(2)]


def test_the_ports_of_a_generation_that_stands_by_are_in_use_until_it_goes():
    fleet = on_probation()
    assert fleet.in_use == {1, 2}
    restart(fleet, now=3.0)
    assert fleet.in_use == {1, 3}
    fleet.apply(WorkerExited(5, "was killed"), 4.0)
    assert fleet.in_use == {1}


def test_one_worker_more_is_one_of_the_generation_that_serves():
    fleet = on_probation()
    assert fleet.apply(ScaleRequested(+1), 1.0) == [StartWorker(2, 5)]


def test_settings_of_another_release_are_read_as_far_as_they_are_known():
    assert from_plain(FleetSettings, {"workers": 3, "what": "ever"}) == FleetSettings(workers=3)
