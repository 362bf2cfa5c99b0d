"""Workers that hang while they serve: who is replaced, when, and what is never done."""

from __future__ import annotations

import pytest
from fleets import only, restart, started
from test_fleet_probation import on_probation

from gracehttp.supervisor.fleet import (
    Died,
    Drain,
    DumpTraceback,
    Fleet,
    FleetSettings,
    Hung,
    Kill,
    Recovered,
    RequestDump,
    RestartRequested,
    RolledBack,
    TimePassed,
    WorkerDueForRecycling,
    WorkerExited,
    WorkerHung,
    WorkerReady,
    WorkerRecovered,
    WorkerState,
)

SETTINGS = FleetSettings(workers=3, drain_timeout_seconds=30, hang_timeout_seconds=30)


def fleet_with_a_hang(kind="loop", now=31.0):
    """Worker 1 of three hangs, and its successor starts."""
    fleet = Fleet(SETTINGS)
    restart(fleet, SETTINGS, 0.0)
    commands = fleet.apply(WorkerHung(1, kind, 30.5), now)
    assert only(commands, Hung) == [Hung(1, 1, kind, 30.5)]
    assert started(commands) == [4]
    return fleet


def replace(fleet, now=32.0, successor=4):
    return fleet.apply(WorkerReady(successor), now)


def test_a_successor_serves_before_a_worker_whose_loop_hangs_is_told_to_write_down_where():
    fleet = fleet_with_a_hang()
    assert fleet.generations[1].workers[1].state is WorkerState.SERVING
    assert replace(fleet)[-1] == RequestDump(1, "loop")
    assert fleet.apply(TimePassed(), 33.0) == [DumpTraceback(1)]
    assert fleet.apply(TimePassed(), 34.0) == [Kill(1, 1, "it hangs")]
    assert fleet.apply(WorkerExited(1, "was killed by SIGABRT"), 34.1) == [Died(1, 1, "hung, and was ended", None)]
    assert len(fleet.generations[1].workers) == 3


def test_a_worker_whose_threads_hang_writes_down_where_and_drains_for_a_short_time():
    fleet = fleet_with_a_hang("threads")
    commands = replace(fleet)
    assert only(commands, RequestDump) == [RequestDump(1, "threads", ends=False)]
    assert [one.timeout_seconds for one in only(commands, Drain)] == [5.0]


def test_one_hanging_worker_is_replaced_at_a_time_and_the_next_one_later_each_time():
    fleet = fleet_with_a_hang()
    assert started(fleet.apply(WorkerHung(2, "loop", 30), 31.5)) == []
    assert started(replace(fleet)) == []
    assert started(fleet.apply(WorkerExited(1, "was killed by SIGABRT"), 33.0)) == [], "the hang timeout is waited for"
    assert fleet.next_deadline() == 31.0 + 30.0
    assert started(fleet.apply(TimePassed(), 61.0)) == [5]
    replace(fleet, 62.0, 5)
    fleet.apply(WorkerExited(2, "was killed by SIGABRT"), 63.0)
    assert started(fleet.apply(WorkerHung(3, "loop", 30), 95.0)) == []
    assert fleet.next_deadline() == 61.0 + 60.0, "twice as long"


def test_hangs_are_forgiven_after_a_long_time_without_one():
    fleet = fleet_with_a_hang()
    replace(fleet)
    fleet.apply(WorkerExited(1, "was killed by SIGABRT"), 33.0)
    fleet.apply(TimePassed(), 61.0)
    assert started(fleet.apply(WorkerHung(2, "loop", 30), 5000.0)) == [5]
    assert fleet.generations[1].hangs_in_a_row == 1


def test_while_hangs_wait_other_workers_are_recycled():
    fleet = fleet_with_a_hang()
    replace(fleet)
    fleet.apply(WorkerExited(1, "was killed by SIGABRT"), 33.0)
    fleet.apply(WorkerHung(2, "loop", 30), 34.0)
    assert started(fleet.apply(WorkerDueForRecycling(3), 35.0)) == [5]
    assert fleet.generations[1].recycling == 3


def test_a_worker_that_recovers_before_its_turn_stays():
    fleet = fleet_with_a_hang()
    fleet.apply(WorkerHung(2, "loop", 30), 31.5)
    assert only(fleet.apply(WorkerRecovered(2), 31.7), Recovered) == [Recovered(1, 2)]
    replace(fleet)
    fleet.apply(WorkerExited(1, "was killed by SIGABRT"), 33.0)
    assert started(fleet.apply(TimePassed(), 100.0)) == []


def test_a_worker_that_recovers_while_its_successor_starts_drains_in_good_order():
    fleet = fleet_with_a_hang()
    fleet.apply(WorkerRecovered(1), 31.5)
    commands = replace(fleet)
    assert only(commands, RequestDump) == []
    assert [one.timeout_seconds for one in only(commands, Drain)] == [30]


def test_a_successor_that_does_not_start_leaves_the_hanging_worker_and_is_started_again():
    fleet = fleet_with_a_hang()
    (died,) = only(fleet.apply(WorkerExited(4, "ended with status 3"), 32.0), Died)
    assert died.again_in_seconds == 0.1
    assert started(fleet.apply(TimePassed(), 32.1)) == [5]
    assert fleet.generations[1].workers[1].state is WorkerState.SERVING
    assert replace(fleet, 33.0, 5)[-1] == RequestDump(1, "loop")


def test_no_hanging_worker_is_replaced_while_a_restart_brings_others_anyway():
    fleet = Fleet(SETTINGS)
    restart(fleet, SETTINGS, 0.0)
    fleet.apply(RestartRequested(), 10.0)
    commands = fleet.apply(WorkerHung(1, "loop", 30), 31.0)
    assert only(commands, Hung)
    assert started(commands) == []


def test_a_hang_on_probation_rolls_back():
    fleet = on_probation()
    worker = next(iter(fleet.serving.workers))
    fleet.apply(WorkerHung(worker, "loop", 31), 2.0)
    assert fleet.serving.number == 1
    told = fleet.apply(TimePassed(), 100.0)
    assert [one.reason for one in only(told, RolledBack)] == [f"its worker {worker} hangs"]


@pytest.mark.parametrize("state", [WorkerState.STARTING, WorkerState.DRAINING, WorkerState.KILLED])
def test_a_worker_that_does_not_serve_is_left_to_its_own_deadline(state):
    fleet = Fleet(SETTINGS)
    restart(fleet, SETTINGS, 0.0)
    fleet.generations[1].workers[1].state = state
    assert fleet.apply(WorkerHung(1, "loop", 30), 31.0) == []
