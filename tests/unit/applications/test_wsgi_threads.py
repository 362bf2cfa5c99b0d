"""The pool of threads and their way to the loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from queue import SimpleQueue

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.applications.wsgi.loop_calls import LoopCalls
from gracehttp.applications.wsgi.threads import ThreadPool


def test_jobs_run_at_most_so_many_at_a_time():
    pool, gate = ThreadPool(2), threading.Semaphore(0)
    running, finished = threading.Semaphore(0), threading.Semaphore(0)
    names = set()

    def job() -> None:
        names.add(threading.current_thread().name)
        running.release()
        gate.acquire()
        finished.release()

    for _ in range(3):
        pool.submit([job])
    assert running.acquire(timeout=DEADLINE_SECONDS)
    assert running.acquire(timeout=DEADLINE_SECONDS)
    assert not running.acquire(blocking=False)
    gate.release(3)
    for _ in range(3):
        assert finished.acquire(timeout=DEADLINE_SECONDS)
    pool.close()
    assert names == {"wsgi-0", "wsgi-1"}


def test_close_lets_the_threads_end_after_what_was_submitted():
    pool, threads = ThreadPool(1), SimpleQueue()
    pool.submit([lambda: threads.put(threading.current_thread())])
    pool.close()
    thread = threads.get(timeout=DEADLINE_SECONDS)
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()
    assert thread.daemon


def test_a_thread_is_started_only_when_none_is_idle():
    pool, names, done = ThreadPool(4), [], threading.Semaphore(0)
    idle = threading.Semaphore(0)

    class Watched(deque):
        def append(self, lock) -> None:
            super().append(lock)
            idle.release()

    pool._parked = Watched()

    def job() -> None:
        names.append(threading.current_thread().name)
        done.release()

    for _ in range(3):
        pool.submit([job])
        assert done.acquire(timeout=DEADLINE_SECONDS)
        assert idle.acquire(timeout=DEADLINE_SECONDS)
    pool.close()
    assert names == ["wsgi-0"] * 3


def test_threads_that_exist_do_the_work_when_the_system_gives_no_more(monkeypatch):
    pool, gate, done = ThreadPool(2), threading.Event(), threading.Semaphore(0)

    def first() -> None:
        gate.wait(DEADLINE_SECONDS)
        done.release()

    def exhausted(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool.submit([first])
    monkeypatch.setattr(threading.Thread, "start", exhausted)
    pool.submit([done.release])
    gate.set()
    assert done.acquire(timeout=DEADLINE_SECONDS)
    assert done.acquire(timeout=DEADLINE_SECONDS)
    pool.close()


def test_a_pool_without_threads_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        ThreadPool(0)


class HandLoop:
    """A loop that runs when it is told to."""

    def __init__(self) -> None:
        self.scheduled = []

    def call_soon_threadsafe(self, call) -> None:
        self.scheduled.append(call)

    def turn(self) -> None:
        scheduled, self.scheduled = self.scheduled, []
        for call in scheduled:
            call()


def test_calls_before_the_loop_woke_share_one_wake_up_and_keep_their_order():
    loop, made = HandLoop(), []
    calls = LoopCalls(loop)
    for i in range(3):
        calls.post(lambda i=i: made.append(i))
    assert len(loop.scheduled) == 1
    loop.turn()
    assert made == [0, 1, 2]
    calls.post(lambda: made.append(3))
    loop.turn()
    assert made == [0, 1, 2, 3]


def test_a_call_that_asks_for_another_does_not_keep_the_loop():
    loop, made = HandLoop(), []
    calls = LoopCalls(loop)

    def again() -> None:
        made.append(1)
        calls.post(again)

    calls.post(again)
    loop.turn()
    assert made == [1]
    assert len(loop.scheduled) == 1


def test_a_closed_loop_is_told_each_time():
    loop = asyncio.new_event_loop()
    loop.close()
    calls = LoopCalls(loop)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            calls.post(lambda: None)


def test_a_pool_tells_how_many_threads_are_free_and_when_one_is():
    pool, told = ThreadPool(2), []
    gates = [threading.Event() for _ in range(3)]
    for gate in gates:
        pool.submit([gate.wait])
    assert pool.free == -1
    pool.when_free(lambda: told.append(pool.free))
    pool.job_ended()
    assert told == [], "another job has the thread"
    pool.job_ended()
    assert told == [1]
    pool.job_ended()
    assert told == [1], "it is told once"
    for gate in gates:
        gate.set()
    pool.close()


def test_jobs_that_no_thread_has_begun_are_taken_back_all_at_once():
    pool, gate, begun = ThreadPool(1), threading.Event(), threading.Event()

    def busy() -> None:
        begun.set()
        gate.wait(DEADLINE_SECONDS)

    pool.submit([busy])
    assert begun.wait(DEADLINE_SECONDS)

    def never() -> None:
        raise AssertionError

    pool.submit([never])
    gone: list[object] = [never]
    pool.submit(gone)
    assert pool.take_back(gone)
    assert pool.take_all_back() == [never]
    assert (pool.free, pool.waiting) == (0, 0)
    gate.set()
    pool.close()
