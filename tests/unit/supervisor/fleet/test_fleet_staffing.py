"""The fleet: recycling workers one at a time, and handing over only while a worker takes."""

from __future__ import annotations

import pytest
from fleets import TWO, only, restart, serving_fleet, started

from gracehttp.supervisor import fleet as package
from gracehttp.supervisor.fleet import (
    Died,
    Drain,
    FleetSettings,
    Hold,
    RestartRequested,
    Resume,
    ScaleRequested,
    Serve,
    StartWorker,
    StopRequested,
    TimePassed,
    WorkerDueForRecycling,
    WorkerExited,
    WorkerReady,
    WorkerState,
)
from gracehttp.wire.messages import DrainReason

ONE = FleetSettings(workers=1, ready_timeout_seconds=60, drain_timeout_seconds=30)


def serving(fleet):
    return [one.number for one in fleet.serving.in_state(WorkerState.SERVING)]


@pytest.mark.parametrize("settings", [ONE, TWO], ids=["one-worker", "two-workers"])
def test_the_successor_of_a_worker_that_is_due_serves_before_it_goes(settings):
    fleet = serving_fleet(settings)
    successor = settings.workers + 1
    assert fleet.apply(WorkerDueForRecycling(1), 50.0) == [StartWorker(1, successor)]
    assert fleet.apply(WorkerReady(successor), 51.0) == [Serve(successor), Drain(1, DrainReason.RESTART, 30.0)]
    assert fleet.apply(WorkerExited(1, "ended"), 52.0) == [], "it was replaced already"
    assert len(serving(fleet)) == settings.workers


def test_workers_are_recycled_one_at_a_time():
    fleet = serving_fleet()
    assert started(fleet.apply(WorkerDueForRecycling(2), 50.0)) == [3]
    assert fleet.apply(WorkerDueForRecycling(1), 50.0) == []
    assert started(fleet.apply(WorkerReady(3), 51.0)) == [], "the first is not gone yet"
    assert fleet.apply(WorkerExited(2, "ended"), 52.0) == [StartWorker(1, 4)]
    assert fleet.apply(WorkerReady(4), 53.0) == [Serve(4), Drain(1, DrainReason.RESTART, 30.0)]
    assert serving(fleet) == [3, 4]


def test_a_worker_that_says_twice_that_it_is_due_is_recycled_once():
    fleet = serving_fleet()
    fleet.apply(WorkerDueForRecycling(1), 50.0)
    for moment in (50.1, 50.2):
        assert fleet.apply(WorkerDueForRecycling(1), moment) == []
    fleet.apply(WorkerReady(3), 51.0)
    assert fleet.apply(WorkerDueForRecycling(1), 51.5) == []
    assert fleet.apply(WorkerExited(1, "ended"), 52.0) == []


def test_while_successors_fail_the_worker_that_is_due_serves_on_and_it_is_tried_again_with_growing_waits():
    fleet = serving_fleet(ONE)
    (successor,) = started(fleet.apply(WorkerDueForRecycling(1), 50.0))
    now, waits = 50.5, []
    for _ in range(3):
        commands = fleet.apply(WorkerExited(successor, "failed: SyntaxError"), now)
        (died,) = only(commands, Died)
        assert not only(commands, Drain)
        assert serving(fleet) == [1]
        waits.append(died.again_in_seconds)
        now = fleet.next_deadline()
        (successor,) = started(fleet.apply(TimePassed(), now))
    assert waits == [0.1, 0.2, 0.4]
    assert Drain(1, DrainReason.RESTART, 30.0) in fleet.apply(WorkerReady(successor), now)


def test_a_successor_that_hangs_is_killed_and_tried_again():
    fleet = serving_fleet(ONE)
    (successor,) = started(fleet.apply(WorkerDueForRecycling(1), 50.0))
    for now in (110.0, 111.0, 112.0):
        fleet.apply(TimePassed(), now)
    commands = fleet.apply(WorkerExited(successor, "was killed"), 112.1)
    assert [type(one) for one in commands] == [Died]
    assert started(fleet.apply(TimePassed(), fleet.next_deadline())) == [3]
    assert serving(fleet) == [1]


def test_a_worker_that_is_due_that_dies_is_not_replaced_twice():
    fleet = serving_fleet(ONE)
    fleet.apply(WorkerDueForRecycling(1), 50.0)
    assert fleet.apply(WorkerExited(1, "was killed"), 50.1) == [Died(1, 1, "was killed", None)]
    assert fleet.apply(WorkerReady(2), 51.0) == [Serve(2)]
    assert serving(fleet) == [2]


def test_a_worker_that_is_due_serves_until_all_that_are_wanted_serve_beside_it():
    fleet = serving_fleet()
    fleet.apply(WorkerDueForRecycling(1), 50.0)
    fleet.apply(WorkerExited(2, "was killed"), 50.1)
    (replacement,) = started(fleet.apply(TimePassed(), fleet.next_deadline()))
    assert fleet.apply(WorkerReady(3), 51.0) == [Serve(3)]
    assert Drain(1, DrainReason.RESTART, 30.0) in fleet.apply(WorkerReady(replacement), 52.0)


def test_while_a_new_generation_comes_no_worker_is_recycled():
    fleet = serving_fleet()
    (canary,) = started(fleet.apply(RestartRequested(), 50.0))
    assert fleet.apply(WorkerDueForRecycling(1), 50.1) == []
    assert started(fleet.apply(WorkerExited(canary, "failed: SyntaxError"), 50.2)) == [4]


def test_a_promotion_ends_a_recycling():
    fleet = serving_fleet(ONE)
    (successor,) = started(fleet.apply(WorkerDueForRecycling(1), 50.0))
    commands = restart(fleet, ONE, now=51.0)
    assert [one.worker for one in only(commands, package.Kill)] == [successor]
    assert [one.worker for one in only(commands, Drain)] == [1]
    assert started(fleet.apply(WorkerExited(successor, "was killed"), 52.0)) == []


def test_no_worker_is_recycled_while_the_service_stops():
    fleet = serving_fleet()
    fleet.apply(StopRequested(), 50.0)
    assert fleet.apply(WorkerDueForRecycling(1), 50.1) == []


def test_one_worker_less_takes_one_that_is_due():
    fleet = serving_fleet(FleetSettings(workers=3, drain_timeout_seconds=30))
    fleet.apply(WorkerDueForRecycling(3), 50.0)
    fleet.apply(WorkerDueForRecycling(1), 50.0)
    fleet.apply(WorkerReady(4), 51.0)
    assert only(fleet.apply(ScaleRequested(-1), 51.5), Drain) == [Drain(1, DrainReason.RESTART, 30.0)]
    assert serving(fleet) == [2, 4]


def test_one_worker_less_while_a_successor_starts_takes_the_one_that_is_due_without_it():
    fleet = serving_fleet()
    (successor,) = started(fleet.apply(WorkerDueForRecycling(1), 50.0))
    commands = fleet.apply(ScaleRequested(-1), 50.5)
    assert [one.worker for one in only(commands, package.Kill)] == [successor]
    assert only(commands, Drain) == [Drain(1, DrainReason.RESTART, 30.0)]
    assert serving(fleet) == [2]


# --- hold ---


def test_a_worker_that_drains_holds_while_none_serves_and_resumes_when_one_does():
    fleet = serving_fleet(ONE)
    restart(fleet, ONE, now=50.0)
    assert only(fleet.apply(WorkerExited(2, "was killed"), 50.5), Hold) == [Hold(1)]
    (replacement,) = started(fleet.apply(TimePassed(), fleet.next_deadline()))
    assert fleet.apply(WorkerReady(replacement), 51.0) == [Serve(replacement), Resume(1)]


def test_a_worker_that_drains_hands_over_as_long_as_one_takes():
    fleet = serving_fleet()
    restart(fleet, now=50.0)
    assert not only(fleet.apply(WorkerExited(3, "was killed"), 50.5), Hold)


def test_a_stop_needs_no_hold():
    fleet = serving_fleet(ONE)
    restart(fleet, ONE, now=50.0)
    fleet.apply(StopRequested(), 50.5)
    assert only(fleet.apply(WorkerExited(2, "ended"), 51.0), Hold) == []
