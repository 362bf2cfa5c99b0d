"""The time between the order to stop and the drain, of the pure fleet."""

from __future__ import annotations

from fleets import TWO, only, restart, serving_fleet, started

from gracehttp.supervisor.fleet import (
    AnnounceStop,
    Drain,
    Fleet,
    FleetSettings,
    GivenUp,
    Kill,
    RestartRequested,
    StartWorker,
    StopAdmitting,
    StopRequested,
    TimePassed,
    WorkerExited,
    WorkerReady,
)

DELAYED = FleetSettings(**{**TWO.fields(), "stop_delay_seconds": 5.0})


def test_the_stop_is_announced_at_once_and_begins_when_the_delay_is_over():
    fleet = serving_fleet(DELAYED)
    assert fleet.apply(StopRequested(), 1.0) == [AnnounceStop(5.0)]
    assert (fleet.stopping, fleet.ending, fleet.next_deadline()) == (True, False, 6.0)
    assert fleet.apply(TimePassed(), 5.9) == []
    commands = fleet.apply(TimePassed(), 6.0)
    assert commands[0] == StopAdmitting()
    assert [one.worker for one in only(commands, Drain)] == [1, 2]
    assert fleet.ending


def test_the_second_request_forces_and_the_first_one_again_does_nothing():
    fleet = serving_fleet(DELAYED)
    fleet.apply(StopRequested(), 1.0)
    assert fleet.apply(StopRequested(), 1.1) == [], "a program has passed the same signal on"
    commands = fleet.apply(StopRequested(), 2.0)
    assert commands[0] == StopAdmitting()
    assert [one.worker for one in only(commands, Kill)] == [1, 2]
    assert fleet.forced


def test_a_worker_that_dies_meanwhile_has_a_successor_that_serves():
    fleet = serving_fleet(DELAYED)
    fleet.apply(StopRequested(), 1.0)
    fleet.apply(WorkerExited(1, "was killed"), 2.0)
    commands = fleet.apply(TimePassed(), 2.5)
    assert only(commands, StartWorker)
    assert [type(one).__name__ for one in fleet.apply(WorkerReady(3), 3.0)] == ["Serve"]
    assert [one.worker for one in only(fleet.apply(TimePassed(), 6.0), Drain)] == [2, 3]


def test_a_generation_that_is_coming_is_given_up_at_once_and_another_one_is_not_begun():
    fleet = serving_fleet(DELAYED)
    fleet.apply(RestartRequested(), 1.0)
    commands = fleet.apply(StopRequested(), 2.0)
    assert only(commands, GivenUp)
    assert fleet.apply(RestartRequested(), 3.0) == []


def test_without_a_generation_that_serves_there_is_no_delay():
    fleet = Fleet(DELAYED)
    (canary,) = started(fleet.apply(RestartRequested(), 0.0))
    commands = fleet.apply(StopRequested(), 1.0)
    assert StopAdmitting() in commands
    assert [one.worker for one in only(commands, Kill)] == [canary]


def test_the_delay_is_the_one_that_the_serving_code_brought():
    fleet = serving_fleet(TWO)
    restart(fleet, DELAYED, 1.0)
    assert AnnounceStop(5.0) in fleet.apply(StopRequested(), 10.0)
