"""When a worker is due for recycling."""

from __future__ import annotations

import pytest

from gracehttp.worker.recycling import MEMORY_CHECK_SECONDS, Usage, UsageLimits, resident_bytes


class Timer:
    def __init__(self, seconds, callback, arguments):
        self.seconds = seconds
        self.armed = True
        self._call = lambda: callback(*arguments)

    def cancel(self):
        self.armed = False

    def fire(self):
        assert self.armed
        self.armed = False
        self._call()


class FakeLoop:
    def __init__(self):
        self.timers = []

    def call_later(self, seconds, callback, *arguments):
        self.timers.append(Timer(seconds, callback, arguments))
        return self.timers[-1]


class Worker:
    """A `Usage` with what it needs; `told` are the reasons that the supervisor would receive."""

    def __init__(self, **limits):
        self.loop = FakeLoop()
        self.used = 0
        self.told = []
        self.usage = Usage(UsageLimits(**limits), self.loop, memory=lambda: self.used)
        self.usage.on_due_for_recycling = self.told.append
        self.usage.begin()

    def serve(self, requests=1):
        for _ in range(requests):
            self.usage(None, 200, 10, 0.1)


def test_it_is_due_after_so_many_requests_and_reports_that_once():
    worker = Worker(requests=3)
    worker.serve(2)
    assert worker.told == []
    worker.serve(5)
    assert worker.told == ["it has served 3 requests"]


def test_its_age_counts_from_the_first_time_that_it_serves():
    worker = Worker(age_seconds=90)
    worker.usage.begin()
    assert len(worker.loop.timers) == 1


def test_it_is_due_at_an_age():
    worker = Worker(age_seconds=90)
    (timer,) = worker.loop.timers
    assert timer.seconds == 90
    timer.fire()
    assert worker.told == ["it has served for 1m30s"]


def test_it_is_due_when_it_is_too_big():
    worker = Worker(memory_bytes=100 << 20)
    worker.serve()
    worker.loop.timers[-1].fire()
    assert worker.told == []
    worker.used = 101 << 20
    worker.serve()
    worker.loop.timers[-1].fire()
    assert worker.told == ["it uses 101 MiB of memory"]


def test_memory_is_checked_after_requests_and_once_a_second():
    worker = Worker(memory_bytes=1)
    assert worker.loop.timers == []
    worker.serve(1000)
    assert [timer.seconds for timer in worker.loop.timers] == [MEMORY_CHECK_SECONDS]


def test_a_worker_that_ends_already_reports_nothing():
    worker = Worker(requests=2, age_seconds=60, memory_bytes=1)
    worker.serve()
    worker.usage.end()
    worker.serve(5)
    assert worker.told == []
    assert not any(timer.armed for timer in worker.loop.timers)


@pytest.mark.parametrize(
    ("limits", "counts"),
    [({}, False), ({"age_seconds": 5}, False), ({"requests": 1}, True), ({"memory_bytes": 1}, True)],
)
def test_requests_are_counted_only_where_they_matter(limits, counts):
    assert Worker(**limits).usage.counts_requests is counts


def drawn(draw, **limits):
    given = {"requests": 0, "requests_jitter": None, "age_seconds": 0.0, "memory_bytes": 0, **limits}
    return UsageLimits.drawn(**given, draw=draw)


def test_limits_lie_between_what_was_configured_and_a_tenth_more():
    assert drawn(lambda below: 0, requests=1000, age_seconds=60).requests == 1000
    highest = drawn(lambda below: below - 1, requests=1000, age_seconds=60)
    assert highest.requests == 1100
    assert highest.age_seconds == pytest.approx(66)


def test_the_jitter_of_requests_can_be_chosen():
    assert drawn(lambda below: below - 1, requests=1000, requests_jitter=7).requests == 1007
    assert drawn(lambda below: below - 1, requests=1000, requests_jitter=0).requests == 1000


def test_no_limit_stays_none():
    assert drawn(lambda below: below - 1, requests_jitter=50) == UsageLimits()


def test_the_memory_of_this_process_is_known():
    assert 1 << 20 < resident_bytes() < 1 << 40
