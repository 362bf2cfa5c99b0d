"""The pace of a response: at most as fast as the client reads, and no longer than it is there."""

from __future__ import annotations

import threading

import pytest
from deadlines import DEADLINE_SECONDS
from wsgi_fakes import LOOPS, FakeExchange, run, serving

from gracehttp.http.exchange import ClientDisconnected, ResponseError

PIECE = b"x" * 10_000
BUFFERED = 65536

both_loops = pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])


class Stream:
    """An application that streams pieces until it is stopped, and tells how many it made."""

    def __init__(self, pieces: int | None = None) -> None:
        self.pieces = pieces
        self.made = 0
        self.closed = threading.Event()

    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        return self.body()

    def body(self):
        try:
            while self.pieces is None or self.made < self.pieces:
                self.made += 1
                yield PIECE
        finally:
            self.closed.set()


@both_loops
def test_a_response_in_one_piece_wakes_the_loop_once(loop):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"a", b"b"]

    async def main() -> None:
        async with serving(app) as served:
            for expected in (1, 2, 3):
                exchange = await served.answer(FakeExchange())
                assert exchange.writes == [(b"ab", False)]
                assert served.wake_ups == expected

    run(main, loop)


def test_an_error_wakes_the_loop_once():
    async def main() -> None:
        async with serving(lambda environ, start_response: 1 / 0) as served:
            exchange = await served.answer(FakeExchange())
            assert isinstance(exchange.error, ZeroDivisionError)
            assert served.wake_ups == 1

    run(main)


@both_loops
def test_each_piece_is_sent_while_the_next_one_is_made(loop):
    gate = threading.Semaphore(0)

    def app(environ, start_response):
        start_response("200 OK", [])
        for number in range(3):
            yield b"%d" % number
            assert gate.acquire(timeout=DEADLINE_SECONDS)

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange()
            served.application.handle(exchange)
            for number in range(3):
                await exchange.written.next()
                assert exchange.writes[-1] == (b"%d" % number, True)
                gate.release()
            await exchange.ended.next()
            assert exchange.writes[-1] == (b"", False)

    run(main, loop)


@both_loops
def test_the_application_waits_for_a_slow_client_with_little_in_hand(loop):
    async def main() -> None:
        stream = Stream()
        async with serving(stream) as served:
            exchange = FakeExchange()
            exchange.slow = True
            served.application.handle(exchange)
            for _ in range(20):
                await exchange.room_waits.next()
                assert stream.made * len(PIECE) <= len(exchange.body) + BUFFERED + len(PIECE)
                exchange.make_room()
            exchange.disconnect()
            await exchange.ended.next()

    run(main, loop)


@both_loops
def test_all_of_a_long_response_arrives_at_a_slow_client(loop):
    async def main() -> None:
        async with serving(Stream(200)) as served:
            exchange = FakeExchange()
            exchange.slow = True
            served.application.handle(exchange)
            while not exchange.response_complete:
                await exchange.written.next()
                exchange.make_room()
            await exchange.ended.next()
            assert exchange.body == PIECE * 200
            assert exchange.error is None

    run(main, loop)


@both_loops
def test_an_endless_stream_ends_when_the_client_leaves(loop):
    async def main() -> None:
        stream = Stream()
        async with serving(stream) as served:
            exchange = FakeExchange()
            served.application.handle(exchange)
            await exchange.written.next()
            exchange.disconnect()
            await exchange.ended.next()
            assert stream.closed.is_set()
            assert (exchange.ends, exchange.error) == (1, None)

    run(main, loop)


@both_loops
def test_a_client_that_leaves_while_it_is_waited_for_frees_the_thread(loop):
    async def main() -> None:
        stream = Stream()
        async with serving(stream) as served:
            exchange = FakeExchange()
            exchange.slow = True
            served.application.handle(exchange)
            await exchange.room_waits.next()
            exchange.disconnect()
            await exchange.ended.next()
            assert stream.closed.is_set()
            assert exchange.error is None

    run(main, loop)


def test_write_raises_when_the_client_is_gone_and_that_is_no_fault_of_the_application():
    seen = []

    def app(environ, start_response):
        write = start_response("200 OK", [])
        try:
            while True:
                write(PIECE)
        except OSError as exc:
            seen.append(exc)
            raise

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange()
            served.application.handle(exchange)
            await exchange.written.next()
            exchange.disconnect()
            await exchange.ended.next()
            assert exchange.error is None

    run(main)
    assert isinstance(seen[0], ClientDisconnected)


def test_refusal_of_the_exchange_is_raised_into_the_stream():
    seen = []

    def app(environ, start_response):
        write = start_response("200 OK", [])
        try:
            while True:
                write(PIECE)
        except ResponseError as exc:
            seen.append(exc)
            raise

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange()
            exchange.refuses = ResponseError("too long")
            await served.answer(exchange)
            assert seen == [exchange.refuses]
            assert exchange.error is exchange.refuses

    run(main)


def test_an_exchange_that_answered_by_itself_stops_the_stream():
    """As with 413 for a body that turned out too long."""

    async def main() -> None:
        stream = Stream()
        async with serving(stream) as served:
            exchange = FakeExchange()
            exchange.response_started = exchange.response_complete = True
            await served.answer(exchange)
            assert stream.closed.is_set()
            assert (exchange.writes, exchange.error) == ([], None)

    run(main)


@pytest.mark.parametrize("body", [[b"a"], iter([b"a", b"b"])], ids=["at once", "streamed"])
def test_a_loop_that_was_closed_does_not_keep_the_thread(body):
    started, release, threads = threading.Event(), threading.Event(), []

    def app(environ, start_response):
        threads.append(threading.current_thread())
        started.set()
        release.wait(DEADLINE_SECONDS)
        start_response("200 OK", [])
        return body

    async def main() -> None:
        async with serving(app) as served:
            served.application.handle(FakeExchange())

    run(main)
    assert started.wait(DEADLINE_SECONDS)
    release.set()
    threads[0].join(DEADLINE_SECONDS)
    assert not threads[0].is_alive()
