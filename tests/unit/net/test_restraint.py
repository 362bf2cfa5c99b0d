"""When a worker leaves new connections to others: while its threads are busy, and never for long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gracehttp.net.restraint import EXPECTED_SECONDS, LONGEST_SECONDS, SHORTEST_SECONDS, Restraint


class Room:
    """Of so many threads."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.submitted = self.finished = 0
        self.calls: list[Callable[[], None]] = []

    @property
    def free(self) -> int:
        return self.threads - (self.submitted - self.finished)

    def when_free(self, call: Callable[[], None]) -> None:
        if call not in self.calls:
            self.calls.append(call)

    def ask(self, requests: int = 1) -> None:
        self.submitted += requests

    def finish(self) -> None:
        self.finished += 1
        if self.free > 0:
            calls, self.calls = self.calls, []
            for call in calls:
                call()


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None], Timer]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer()
        self.timers.append((self.now + seconds, call, timer))
        return timer

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [one for one in self.timers if one[0] <= self.now + 1e-9]
        self.timers = [one for one in self.timers if one not in due]
        for _, call, timer in due:
            if not timer.cancelled:
                call()


class Worker:
    """A restraint with what it is about. `looks` counts how often it may look at the queue again."""

    def __init__(self, threads: int) -> None:
        self.room, self.loop, self.looks = Room(threads), Loop(), 0
        self.restraint = Restraint(self.room, self.loop)
        self.restraint.look_again = self.look

    def look(self) -> None:
        self.looks += 1

    def takes(self) -> bool:
        return self.restraint.takes_one()


def test_a_worker_takes_no_more_connections_than_it_has_free_threads():
    worker = Worker(3)
    worker.room.ask()
    assert [worker.takes() for _ in range(3)] == [True, True, False]


def test_a_worker_whose_threads_are_busy_looks_again_when_one_is_free():
    worker = Worker(1)
    worker.room.ask()
    assert not worker.takes()
    assert worker.looks == 0
    worker.room.finish()
    assert worker.looks == 1
    assert worker.takes()


def test_a_connection_that_asks_for_its_thread_is_expected_no_more():
    worker = Worker(2)
    assert worker.takes()
    worker.room.ask()
    worker.room.finish()
    assert [worker.takes(), worker.takes(), worker.takes()] == [True, True, False]


def test_a_connection_that_doesnt_ask_keeps_no_other_out():
    worker = Worker(1)
    assert worker.takes()
    assert not worker.takes()
    worker.loop.sleep(SHORTEST_SECONDS)
    assert worker.looks == 1
    assert worker.takes()


def test_of_many_connections_that_dont_ask_twice_as_many_are_taken_each_time():
    worker = Worker(2)
    taken = []
    for _ in range(4):
        count = 0
        while worker.takes():
            count += 1
        taken.append(count)
        worker.loop.sleep(max(EXPECTED_SECONDS, SHORTEST_SECONDS))
    assert taken == [2, 4, 8, 16]


def test_a_worker_whose_threads_get_on_takes_what_others_have_left_after_a_moment():
    worker = Worker(1)
    worker.room.ask(3)
    assert not worker.takes()
    worker.room.finish()
    assert not worker.takes()
    worker.loop.sleep(SHORTEST_SECONDS)
    assert worker.looks == 1
    assert worker.takes()


def test_a_worker_whose_threads_hang_takes_what_others_have_left_in_the_end():
    worker = Worker(1)
    worker.room.ask()
    waited = 0.0
    began = worker.loop.now
    while not worker.takes():
        looks = worker.looks
        while worker.looks == looks:
            worker.loop.sleep(0.001)
    waited = worker.loop.now - began
    assert waited == pytest.approx(LONGEST_SECONDS, abs=0.01)
    assert worker.takes(), "and all that waits"
    worker.restraint.queue_is_empty()
    assert not worker.takes(), "the next one is left to others again"


def test_what_is_closed_looks_no_more():
    worker = Worker(1)
    worker.room.ask()
    assert not worker.takes()
    worker.restraint.close()
    worker.loop.sleep(1)
    worker.room.finish()
    assert worker.looks == 0
