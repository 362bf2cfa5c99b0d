"""What the fleet decides when the workers of a generation don't run the same code."""

from __future__ import annotations

import pytest
from fleets import TWO, only, restart, serving_fleet, started

from gracehttp.supervisor.fleet import (
    MOST_STARTS,
    Died,
    Differs,
    Fleet,
    GenerationState,
    GivenUp,
    Kill,
    RestartRequested,
    Serve,
    StartRepeated,
    Superseded,
    TimePassed,
    WorkerDiffers,
    WorkerExited,
    WorkerIntroduced,
    WorkerReady,
)

FILES = ("/app/main.py",)


def begin(fleet, now=0.0):
    """Start a generation up to its second worker; returns the numbers of both."""
    (canary,) = started(fleet.apply(RestartRequested(), now))
    return canary, complete(fleet, canary, now)


def complete(fleet, canary, now=0.0):
    fleet.apply(WorkerIntroduced(canary, TWO), now)
    (sibling,) = started(fleet.apply(WorkerReady(canary), now))
    return sibling


def test_a_generation_whose_workers_differ_is_given_up_and_the_old_one_serves_on():
    fleet = serving_fleet()
    _, sibling = begin(fleet)
    commands = fleet.apply(WorkerDiffers(sibling, FILES), 1.0)
    (given_up,) = only(commands, GivenUp)
    sentence = "its worker 4 imported other code than worker 3: /app/main.py changed while the generation started"
    assert given_up.reason == sentence
    assert given_up.hint.startswith("restart again when the new code is in place")
    assert [died.served for died in only(commands, Died)] == [False]
    assert [kill.worker for kill in only(commands, Kill)] == [sibling]
    assert fleet.serving.number == 1
    assert fleet.generations[2].state is GenerationState.ABANDONED


def test_a_first_start_begins_anew_and_is_refused_when_its_workers_never_come_to_be_alike():
    fleet = Fleet(TWO)
    canary, sibling = begin(fleet)
    for number in range(1, MOST_STARTS):
        commands = fleet.apply(WorkerDiffers(sibling, FILES), 1.0)
        assert only(commands, StartRepeated) == [StartRepeated(number, number + 1)]
        assert only(commands, Superseded) == [Superseded(number, number + 1)]
        assert only(commands, GivenUp) == []
        fleet.apply(WorkerExited(canary, ""), 1.0)
        fleet.apply(WorkerExited(sibling, ""), 1.0)
        (canary,) = started(commands)
        sibling = complete(fleet, canary, 1.0)
    (given_up,) = only(fleet.apply(WorkerDiffers(sibling, FILES), 2.0), GivenUp)
    assert "--preload" in given_up.hint


def test_a_first_start_that_begins_anew_comes_to_serve():
    fleet = Fleet(TWO)
    _, sibling = begin(fleet)
    (canary,) = started(fleet.apply(WorkerDiffers(sibling, FILES), 1.0))
    fleet.apply(WorkerReady(complete(fleet, canary, 1.0)), 1.0)
    assert fleet.serving.number == 2


def test_a_first_worker_that_has_imported_halves_differs_from_itself():
    fleet = serving_fleet()
    (canary,) = started(fleet.apply(RestartRequested(), 1.0))
    commands = fleet.apply(WorkerDiffers(canary, ("a.py", "b.py"), alone=True), 1.0)
    (given_up,) = only(commands, GivenUp)
    assert given_up.reason.startswith("its worker 3 imported a.py and b.py before a change, and other files after it")


def test_many_files_are_counted():
    fleet = serving_fleet()
    _, sibling = begin(fleet)
    (given_up,) = only(fleet.apply(WorkerDiffers(sibling, tuple("abcd"), more=2), 1.0), GivenUp)
    assert ": a, b, c and 3 more files changed" in given_up.reason


def test_a_worker_that_replaces_another_one_may_differ_and_is_told():
    fleet = serving_fleet()
    fleet.apply(WorkerExited(1, "was killed by SIGKILL"), 1.0)
    (successor,) = started(fleet.apply(TimePassed(), 2.0))
    assert fleet.apply(WorkerDiffers(successor, FILES, 1), 2.5) == [Differs(1, successor, FILES, 1)]
    assert only(fleet.apply(WorkerReady(successor), 3.0), Serve) == [Serve(successor)]
    assert [one.other_code for one in fleet.generations[1].workers.values()] == [False, True]


def test_with_reload_what_changed_the_files_brings_the_next_generation():
    fleet = Fleet(TWO, outlives_failed_starts=True)
    _, sibling = begin(fleet)
    assert fleet.apply(WorkerDiffers(sibling, FILES), 1.0) == []
    fleet.apply(WorkerReady(sibling), 1.0)
    assert fleet.serving.number == 1


@pytest.mark.parametrize("worker", [1, 99])
def test_what_a_worker_says_that_leaves_or_is_gone_changes_nothing(worker):
    fleet = serving_fleet()
    restart(fleet)
    assert fleet.apply(WorkerDiffers(worker, FILES), 1.0) == []
