"""What is done when the fleet commands something, and which requester is told."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest

from gracehttp import events
from gracehttp.events.bus import EventBus
from gracehttp.supervisor.control.requesters import Requesters
from gracehttp.supervisor.first_failure import FirstFailure
from gracehttp.supervisor.fleet import (
    Drain,
    DrainReason,
    Fleet,
    FleetSettings,
    GivenUp,
    Hold,
    Kill,
    Pause,
    Ping,
    ProbationEnded,
    Promoted,
    RequestDump,
    RestartRequested,
    Resume,
    RolledBack,
    Serve,
    StartWorker,
    StopAdmitting,
    StopRequested,
    TimePassed,
    WorkerExited,
    WorkerIntroduced,
    WorkerReady,
    WorkerStoppedAccepting,
)
from gracehttp.supervisor.orders import Orders
from gracehttp.wire import messages


class House:
    """Stands for the workers, the ports, and a requester of generation 2."""

    def __init__(self):
        self.done = []
        self.told = []
        self.events = []
        self.requesters, self.bus = Requesters(), EventBus()
        self.requesters.of_restart(2, self)
        self.bus.subscribe(self.events.append)
        self.fleet = Fleet(FleetSettings())
        self.inputs = []
        self.processes = {1, 2}
        self.orders = self.orders_of(self.fleet)

    def orders_of(self, fleet):
        return Orders(
            fleet,
            self,
            self,
            SimpleNamespace(gone=lambda *_: None, forget=lambda _: None),
            self.requesters,
            FirstFailure(errors_are_logged=True),
            self.bus,
            apply=self.inputs.append,
        )

    def send(self, worker, order):
        self.done.append((worker, order))

    def signal(self, worker, number):
        self.done.append((worker, number))
        return worker in self.processes

    def pid(self, worker):
        return 100 + worker if worker in self.processes else 0

    live_queues = (7001,)

    @property
    def starter(self):
        return self

    def start(self, worker, generation):
        raise OSError("no more processes")

    def left_to(self, generations):
        return tuple(generations), tuple(10 * generation for generation in generations)

    def promote(self, generation):
        self.done.append(("promote", generation))

    def prepare_for_next(self, generation):
        self.done.append(("prepare for the next", generation))

    def end_spare(self):
        self.done.append("end the spare process")

    def stop_admitting(self):
        self.done.append("stop admitting")

    def doing(self, worker):
        return f"importing app{worker}:app"

    def tell(self, outcome):
        self.told.append((outcome.ok, outcome.message, outcome.details))


def test_who_asked_is_told_of_a_generation_that_is_gone_already():
    house = House()
    house.orders.carry_out(Promoted(2, probation_seconds=0))
    assert house.told == [(True, "generation 2 serves", "")]
    assert house.events == [events.GenerationPromoted(2, ())]


def test_who_asked_is_told_after_the_probation_and_not_before():
    house = House()
    house.orders.carry_out(Promoted(2, probation_seconds=10))
    assert house.told == []
    assert house.done == [("promote", 2), ("prepare for the next", 2)]
    house.orders.carry_out(ProbationEnded(2, 10.0, passed=True))
    assert house.told == [(True, "generation 2 serves", "")]


def test_a_stop_ends_the_spare_process():
    house = House()
    house.orders.carry_out(StopAdmitting())
    assert house.done == ["end the spare process", "stop admitting"]


def test_a_rollback_gives_the_listeners_back_and_tells_why():
    house = House()
    house.orders.carry_out(RolledBack(2, 1, 2.13, "its worker 3 was killed by SIGSEGV", "stack"))
    sentence = (
        "generation 2 was rolled back after 2.1 s on probation: its worker 3 was killed by SIGSEGV; "
        "generation 1 serves again"
    )
    assert house.done == [("promote", 1)]
    assert house.told == [(False, sentence, "stack")]
    assert house.requesters.last.message == sentence
    assert [type(one) for one in house.events] == [events.GenerationRolledBack]


def test_a_stop_during_a_probation_is_no_success():
    house = House()
    house.orders.carry_out(ProbationEnded(2, 3.0, passed=False, reason="the service was told to stop"))
    assert house.told == [(False, "generation 2 was still on probation when the service was told to stop", "")]


def test_that_the_stack_of_a_worker_follows_is_told_with_what_it_was_at():
    house = House()
    house.fleet.apply(RestartRequested(), 0.0)
    house.orders.carry_out(RequestDump(1))
    assert house.events == [events.WorkerHangs(1, 1, 60.0, "importing app1:app")]
    assert "still importing app1:app" in str(house.events[0])
    assert "the server has not crashed" in str(house.events[0])


def test_a_start_that_a_stop_calls_off_is_no_error_but_who_asked_for_it_has_not_got_it():
    house = House()
    house.fleet.apply(StopRequested(), 0.0)
    house.orders.carry_out(GivenUp(2, "the service was told to stop", ""))
    assert house.events == [events.StartCalledOff(2)]
    assert house.told == [(False, "generation 2 was given up: the service was told to stop; nothing serves", "")]


@pytest.mark.parametrize(
    ("command", "order"),
    [
        (Serve(1), messages.Serve()),
        (Hold(1), messages.Hold()),
        (Resume(1), messages.Resume()),
        (Ping(1), messages.Ping()),
        (Pause(1), messages.Pause((), (7001,))),
        (Drain(1, DrainReason.STOP, 5.0), messages.Drain(DrainReason.STOP, 5.0, (), (7001,))),
        (RequestDump(1), messages.RequestDump()),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_order_to_a_worker_is_sent_to_it(command, order):
    house = House()
    house.orders.carry_out(command)
    assert house.done == [(1, order)]


def test_at_a_restart_a_worker_learns_which_listeners_others_go_on_with():
    house = House()
    house.fleet.apply(RestartRequested(), 0.0)
    house.fleet.apply(WorkerReady(1), 1.0)
    house.orders.carry_out(Drain(9, DrainReason.RESTART, 5.0))
    assert house.done == [(9, messages.Drain(DrainReason.RESTART, 5.0, (1,), (7001,), (10,)))]


def test_workers_that_drain_hear_when_none_of_them_accepts_any_more():
    house = House()
    house.fleet.apply(RestartRequested(), 0.0)
    house.fleet.apply(WorkerIntroduced(1, FleetSettings(workers=2)), 0.0)
    for worker in (1, 2):
        house.fleet.apply(WorkerReady(worker), 1.0)
    house.fleet.apply(RestartRequested(), 2.0)
    for worker in (3, 4):
        commands = house.fleet.apply(WorkerReady(worker), 3.0)
    house.done.clear()
    for command in commands:
        house.orders.carry_out(command)
    drained = {worker: order for worker, order in house.done if isinstance(order, messages.Drain)}
    assert {worker: order.others_accept for worker, order in drained.items()} == {1: True, 2: True}
    told = []
    for worker in (1, 2):
        house.done.clear()
        for command in house.fleet.apply(WorkerStoppedAccepting(worker), 3.1):
            house.orders.carry_out(command)
        told.append([one for one in house.done if one[1] == messages.OthersStopped()])
    assert told == [[], [(1, messages.OthersStopped()), (2, messages.OthersStopped())]]


def drained_generation(house, workers):
    """Two restarts of `house` later, with so many workers each: the first generation drains. Gives what was sent."""
    house.fleet.apply(RestartRequested(), 0.0)
    house.fleet.apply(WorkerIntroduced(1, FleetSettings(workers=workers)), 0.0)
    for worker in range(1, workers + 1):
        house.fleet.apply(WorkerReady(worker), 1.0)
    return restarted(house, range(workers + 1, 2 * workers + 1), 2.0)


def restarted(house, workers, now):
    house.fleet.apply(RestartRequested(), now)
    house.done.clear()
    for worker in workers:
        carry_out(house, WorkerReady(worker), now)
    return list(house.done)


def carry_out(house, happened, now):
    for command in house.fleet.apply(happened, now):
        house.orders.carry_out(command)


def told(house):
    return [worker for worker, order in house.done if order == messages.OthersStopped()]


def test_workers_of_a_generation_that_was_replaced_at_once_may_accept_still():
    house = House()
    drained_generation(house, 2)
    carry_out(house, WorkerStoppedAccepting(1), 2.1)
    done = restarted(house, (5, 6), 2.2)
    drained = {worker: order for worker, order in done if isinstance(order, messages.Drain)}
    assert drained.keys() == {1, 2, 3, 4}
    assert all(order.others_accept for order in drained.values())
    assert told(house) == [], "the third generation was announced instead of the second one"
    for worker in (2, 3):
        carry_out(house, WorkerStoppedAccepting(worker), 2.3)
    assert told(house) == []
    carry_out(house, WorkerStoppedAccepting(4), 2.4)
    assert told(house) == [1, 2, 3, 4]


def test_the_next_image_of_the_supervisor_tells_them_too():
    house, successor = House(), House()
    drained_generation(house, 2)
    successor.fleet = house.fleet
    successor.orders = successor.orders_of(house.fleet)
    for worker in (1, 2):
        carry_out(successor, WorkerStoppedAccepting(worker), 2.1)
    assert told(successor) == [1, 2]


def test_workers_wait_for_no_other_that_hangs_or_has_died():
    for happened, now in ((WorkerExited(2, "was killed by SIGKILL"), 2.1), (TimePassed(), 4.0)):
        house = House()
        drained_generation(house, 2)
        carry_out(house, WorkerStoppedAccepting(1), 2.1)
        assert told(house) == []
        carry_out(house, happened, now)
        assert 1 in told(house)


def test_a_worker_that_drains_alone_waits_for_no_other():
    house = House()
    house.fleet.apply(RestartRequested(), 0.0)
    house.fleet.apply(WorkerReady(1), 1.0)
    house.fleet.apply(RestartRequested(), 2.0)
    for command in house.fleet.apply(WorkerReady(2), 3.0):
        house.orders.carry_out(command)
    (order,) = [order for worker, order in house.done if worker == 1 and isinstance(order, messages.Drain)]
    assert not order.others_accept


def test_a_worker_that_can_not_be_started_has_exited_for_the_fleet():
    house = House()
    house.orders.carry_out(StartWorker(1, 5))
    assert house.inputs == [WorkerExited(5, "could not be started (no more processes)")]


@pytest.mark.parametrize(("worker", "inputs"), [(1, []), (5, [WorkerExited(5, "had no process")])])
def test_a_worker_is_killed_and_one_without_a_process_has_exited(worker, inputs):
    house = House()
    house.orders.carry_out(Kill(1, worker, "it took too long"))
    assert house.done == [(worker, signal.SIGKILL)]
    assert house.inputs == inputs
