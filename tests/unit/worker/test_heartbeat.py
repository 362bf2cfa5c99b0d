"""The heartbeat of a worker: what it writes on its page, and when threads hang."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import pytest

from gracehttp.events import DrainFinished, RequestsCut
from gracehttp.net.shared_page import SharedPage, anonymous_file
from gracehttp.net.worker_page import BEATS, DEBUGGED, LOADS, MOST_PORTS, PORT_FIELDS, PROGRESS, WORKER_LAYOUT
from gracehttp.worker.heartbeat import DEBUGGERS, Heartbeat


class Pool(SimpleNamespace):
    """A thread pool with these calls, of which `waiting` jobs wait."""

    @property
    def busy(self):
        return sum(call & 1 for call in self.calls)


def port(number, accepted=0, idle=0):
    connections = SimpleNamespace(
        accepted=accepted, adopted=1, handed_over=2, received_bytes=10, sent_bytes=20, idle=idle
    )
    return SimpleNamespace(number=number, connections=connections)


def service(*pools, ports=()):
    return SimpleNamespace(in_flight=3, thread_pools=list(pools), ports=list(ports))


@pytest.fixture
def page():
    return SharedPage(anonymous_file("worker"), WORKER_LAYOUT)


@pytest.fixture(autouse=True)
def no_debugger(monkeypatch):
    """Whatever another test has imported before, no debugger is loaded."""
    for name in DEBUGGERS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "gettrace", lambda: None)


def beat(page, served, times=1, change=lambda: None):
    async def run():
        heart = Heartbeat(page, served, asyncio.get_running_loop(), hang_timeout_seconds=0.004)
        heart.begin()
        while page.words("state")[BEATS] < times:
            change()
            await asyncio.sleep(0.001)
        heart.end()

    asyncio.run(run())


def test_the_first_beat_comes_at_once_and_each_is_progress(page):
    beat(page, service(), 3)
    assert page.words("state")[BEATS] == page.words("state")[PROGRESS] >= 3
    assert sum(page.words("lags")[:-1]) == page.words("state")[BEATS]


def test_threads_that_are_where_they_were_while_requests_wait_make_no_progress(page):
    beat(page, service(Pool(calls=[5, 7], waiting=1)), 5)
    assert page.words("state")[PROGRESS] == 1, "only the first beat can't know"


@pytest.mark.parametrize(("calls", "waiting"), [([5, 8], 1), ([5, 7], 0)], ids=["a thread is free", "no request waits"])
def test_threads_that_hold_nobody_up_do_not_hang(page, calls, waiting):
    beat(page, service(Pool(calls=calls, waiting=waiting)), 5)
    assert page.words("state")[PROGRESS] == page.words("state")[BEATS]


def test_threads_that_go_from_request_to_request_make_progress(page):
    pool = Pool(calls=[1], waiting=9)

    def next_request():
        pool.calls[0] += 2

    beat(page, service(pool), 5, next_request)
    assert page.words("state")[PROGRESS] > 3


def test_one_application_of_two_that_hangs_is_a_hang(page):
    beat(page, service(Pool(calls=[2], waiting=0), Pool(calls=[3], waiting=1)), 5)
    assert page.words("state")[PROGRESS] == 1


def test_loads_and_ports_are_written_down(page):
    beat(page, service(Pool(calls=[1, 2], waiting=4), ports=[port(0, 5, 2), port(7, 6, 3)]))
    assert dict(zip(LOADS, page.words("loads"), strict=True)) == {
        "in_flight": 3,
        "threads": 2,
        "busy_threads": 1,
        "waiting_for_threads": 4,
    }
    assert list(page.words("ports")[: 2 * len(PORT_FIELDS)]) == [1, 5, 1, 2, 10, 20, 2, 8, 6, 1, 2, 10, 20, 3]


def test_ports_beyond_the_most_are_counted_with_the_last(page):
    beat(page, service(ports=[port(number, 1, 1) for number in range(MOST_PORTS + 3)]))
    last = page.words("ports")[(MOST_PORTS - 1) * len(PORT_FIELDS) :]
    assert list(last) == [MOST_PORTS, 4, 4, 8, 40, 80, 4]


def test_a_breakpoint_marks_the_worker_and_the_hook_is_put_back(page, monkeypatch):
    reached = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: reached.append(1))
    before = sys.breakpointhook

    async def run():
        heart = Heartbeat(page, service(), asyncio.get_running_loop(), hang_timeout_seconds=30)
        heart.begin()
        assert page.words("state")[DEBUGGED] == 0
        breakpoint()
        heart.end()

    asyncio.run(run())
    assert reached == [1]
    assert page.words("state")[DEBUGGED] == 1
    assert sys.breakpointhook is before


@pytest.mark.parametrize("name", DEBUGGERS)
def test_a_debugger_that_is_loaded_marks_the_worker(page, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    beat(page, service())
    assert page.words("state")[DEBUGGED] == 1


def test_drains_are_counted(page):
    async def run():
        heart = Heartbeat(page, service(), asyncio.get_running_loop(), hang_timeout_seconds=0.0)
        heart.on_event(DrainFinished(1.5))
        heart.on_event(RequestsCut(2.0, ("GET /a", "GET /b")))

    asyncio.run(run())
    assert list(page.words("drains")) == [2, 2, 3_500_000]
