"""A client that is gone costs no thread: its request is not begun, and what was begun for it ends."""

from __future__ import annotations

import threading
import tracemalloc
from functools import partial
from queue import SimpleQueue

import pytest
from deadlines import DEADLINE_SECONDS
from wsgi_fakes import LOOPS, FakeExchange, request_head, run, serving

from gracehttp.applications.wsgi import response
from gracehttp.applications.wsgi.threads import ThreadPool

both_loops = pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])


class Busy:
    """An application that keeps its thread at `/busy` until it is let go, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.begun, self.gate = threading.Event(), threading.Event()

    def __call__(self, environ, start_response):
        self.asked.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/busy":
            self.begun.set()
            assert self.gate.wait(DEADLINE_SECONDS)
        start_response("200 OK", [])
        return [b"ok"]


def get(path: bytes, **options) -> FakeExchange:
    return FakeExchange(request_head(target=path), **options)


@both_loops
def test_of_requests_that_wait_for_a_thread_only_those_of_living_clients_are_begun(loop):
    app = Busy()

    async def main() -> None:
        async with serving(app, threads=1) as served:
            busy, live = get(b"/busy"), get(b"/live")
            served.application.handle(busy)
            dead = [get(b"/dead") for _ in range(400)]
            for exchange in dead:
                served.application.handle(exchange)
            served.application.handle(live)
            assert app.begun.wait(DEADLINE_SECONDS)
            for exchange in dead:
                exchange.disconnect()
                assert exchange.ends == 1
            assert served.application.in_flight == 2, "a drain waits for no other"
            app.gate.set()
            await busy.ended.next()
            await live.ended.next()
            assert app.asked == ["/busy", "/live"]
            assert served.application.in_flight == 0

    run(main, loop)


@both_loops
def test_requests_that_wait_for_a_thread_are_refused_when_there_will_be_none(loop):
    app = Busy()

    async def main() -> None:
        async with serving(app, threads=1) as served:
            busy, dead, live = get(b"/busy"), get(b"/dead"), get(b"/live")
            for exchange in (busy, dead, live):
                served.application.handle(exchange)
            assert app.begun.wait(DEADLINE_SECONDS)
            dead.disconnect()
            served.application.refuse_waiting()
            assert (busy.ends, dead.refused, live.refused) == (0, False, True)
            assert served.application.in_flight == 1
            app.gate.set()
            await busy.ended.next()
            assert app.asked == ["/busy"]
            assert served.application.in_flight == 0

    run(main, loop)


def test_requests_whose_clients_are_gone_leave_nothing_behind():
    app = Busy()

    async def main() -> None:
        async with serving(app, threads=1) as served:
            busy = get(b"/busy")
            served.application.handle(busy)
            assert app.begun.wait(DEADLINE_SECONDS)
            pool = served.application._pool

            def abort(count: int) -> None:
                for _ in range(count):
                    exchange = get(b"/dead")
                    served.application.handle(exchange)
                    exchange.disconnect()

            abort(100)
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            abort(5000)
            grown = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            assert grown < 100_000, f"{grown} bytes for 5000 requests"
            assert len(pool._jobs) < 100
            app.gate.set()
            await busy.ended.next()

    run(main)


@pytest.mark.parametrize("length", [0, 5])
def test_a_request_whose_client_is_gone_before_it_is_given_to_a_thread_is_not_begun(length):
    app = Busy()

    async def main() -> None:
        async with serving(app, threads=1) as served:
            exchange = get(b"/", body=b"x" * length, length=length)
            if length:
                served.application.handle(exchange)  # its body is fetched in the next turn of the loop
            exchange.disconnect()
            if not length:
                served.application.handle(exchange)
            await exchange.ended.next()
            assert exchange.ends == 1
            assert served.application.in_flight == 0

    run(main)
    assert app.asked == []


def test_a_client_that_leaves_while_its_request_runs_is_not_taken_for_one_that_waits():
    app = Busy()

    async def main() -> None:
        async with serving(app, threads=1) as served:
            exchange = get(b"/busy")
            served.application.handle(exchange)
            assert app.begun.wait(DEADLINE_SECONDS)
            exchange.disconnect()
            assert served.application.in_flight == 1
            app.gate.set()
            await exchange.ended.next()
            assert exchange.ends == 1
            assert served.application.in_flight == 0

    run(main)


# --- the pool ---


def busy_pool():
    """A pool of one thread, which works until the gate is set, on the job."""
    pool, begun, gate = ThreadPool(1), threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        gate.wait(DEADLINE_SECONDS)

    job = [first]
    pool.submit(job)
    assert begun.wait(DEADLINE_SECONDS)
    return pool, job, gate


def test_a_job_that_was_taken_back_is_not_run_and_the_next_one_is():
    pool, first, gate = busy_pool()
    done = SimpleQueue()
    second, third = [partial(done.put, "second")], [partial(done.put, "third")]
    pool.submit(second)
    pool.submit(third)
    assert not pool.take_back(first), "it runs"
    assert pool.take_back(second)
    assert not pool.take_back(second)
    gate.set()
    assert done.get(timeout=DEADLINE_SECONDS) == "third"
    pool.close()


def test_those_that_wait_keep_their_order_when_many_others_are_taken_back():
    pool, _first, gate = busy_pool()
    done = SimpleQueue()
    jobs = [[partial(done.put, number)] for number in range(1000)]
    for job in jobs:
        pool.submit(job)
    for number, job in enumerate(jobs):
        if number % 10:
            assert pool.take_back(job)
    assert len(pool._jobs) < 300
    gate.set()
    assert [done.get(timeout=DEADLINE_SECONDS) for _ in range(100)] == list(range(0, 1000, 10))
    pool.close()


def test_the_threads_end_also_when_jobs_are_taken_back_after_the_close():
    pool, _first, gate = busy_pool()
    ended = SimpleQueue()
    jobs = [[lambda: None] for _ in range(1000)]
    for job in jobs:
        pool.submit(job)
    pool.submit([lambda: ended.put(threading.current_thread())])
    pool.close()
    for job in jobs:
        assert pool.take_back(job)
    gate.set()
    thread = ended.get(timeout=DEADLINE_SECONDS)
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


# --- an application that has nothing to say yet ---


class Silent:
    """An application that yields empty pieces for ever."""

    def __init__(self) -> None:
        self.asked, self.closed = threading.Semaphore(0), threading.Event()

    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        return self.body()

    def body(self):
        try:
            while True:
                yield b""
                self.asked.release()
        finally:
            self.closed.set()


def test_an_iterable_of_empty_pieces_is_closed_when_the_client_is_gone():
    app = Silent()

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange()
            served.application.handle(exchange)
            assert app.asked.acquire(timeout=DEADLINE_SECONDS)
            exchange.disconnect()
            await exchange.ended.next()
            assert app.closed.is_set()
            assert exchange.error is None

    run(main)


def test_an_iterable_of_empty_pieces_is_given_up_some_time_after_the_client_has_ended_its_half(monkeypatch):
    app, now = Silent(), [100.0]
    monkeypatch.setattr(response, "monotonic", lambda: now[0])

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange()
            served.application.handle(exchange)
            exchange.half_closed = True
            for _ in range(100):
                assert app.asked.acquire(timeout=DEADLINE_SECONDS)
            assert not app.closed.is_set(), "it may listen"
            now[0] += 30.1
            await exchange.ended.next()
            assert app.closed.is_set()
            assert exchange.given_up
            assert exchange.writes == []

    run(main)
