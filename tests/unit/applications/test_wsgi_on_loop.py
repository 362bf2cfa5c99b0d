"""A WSGI application that is called on the event loop: what differs from threads."""

from __future__ import annotations

import asyncio
import contextvars
import io
import os
import threading

import pytest
from wsgi_fakes import LOOPS, FakeExchange, answered, run, serving

each_loop = pytest.mark.parametrize("loop", LOOPS)


def echo(environ, start_response):
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


def test_it_is_called_in_the_thread_of_the_loop_and_its_environ_says_so():
    seen = []

    def app(environ, start_response):
        seen.append((threading.current_thread(), environ["wsgi.multithread"]))
        start_response("200 OK", [])
        return [b"a"]

    assert answered(app, threads=0).writes == [(b"a", False)]
    assert seen == [(threading.current_thread(), False)]


@each_loop
def test_it_sees_no_running_loop_at_any_stage_and_may_run_one_of_its_own(loop):
    """Frameworks refuse to block where a loop runs: Django raises SynchronousOnlyOperation."""
    stages = []

    def look(stage):
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        stages.append(asyncio.run(asyncio.sleep(0, stage)))

    class Body:
        def __iter__(self):
            look("iter")
            yield b"a"
            look("next")
            yield b"b"

        def close(self):
            look("close")

    def app(environ, start_response):
        environ["wsgi.input"].read()
        look("call")
        start_response("200 OK", [])(b"written ")
        look("after write")
        return Body()

    async def main():
        async with serving(app, threads=0) as served:
            exchange = FakeExchange(body=None, length=2)
            served.application.handle(exchange)
            await exchange.input_waits.next()
            exchange.feed(b"12", more=False)
            await exchange.ended.next()
            assert asyncio.get_running_loop() is not None
            return exchange

    exchange = run(main, loop)
    assert (exchange.error, exchange.body) == (None, b"written ab")
    assert stages == ["call", "after write", "iter", "next", "close"]


def test_each_request_has_a_context_of_its_own_with_all_pieces_of_its_body():
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    def app(environ, start_response):
        seen.append(variable.get())
        token = variable.set("mine")
        start_response("200 OK", [])
        yield b"a"
        yield variable.get().encode()
        variable.reset(token)

    for _ in range(2):
        exchange = answered(app, threads=0)
        assert (exchange.error, exchange.body) == (None, b"amine")
    assert seen == ["none", "none"]


def test_it_is_called_when_the_whole_body_is_there():
    calls = []

    def app(environ, start_response):
        calls.append("called")
        return echo(environ, start_response)

    async def main():
        async with serving(app, threads=0) as served:
            exchange = FakeExchange(body=None, length=None)
            served.application.handle(exchange)
            for piece in (b"a", b"b"):
                await exchange.input_waits.next()
                exchange.feed(piece, more=True)
            await exchange.input_waits.next()
            assert calls == []
            exchange.feed(b"c", more=False)
            await exchange.ended.next()
            return exchange

    assert run(main).body == b"abc"
    assert calls == ["called"]


def test_a_large_body_waits_in_a_file_that_is_closed_at_the_end():
    files = []

    def app(environ, start_response):
        files.append(environ["wsgi.input"])
        return echo(environ, start_response)

    pieces = [os.urandom(50_000) for _ in range(4)]

    def make():
        exchange = FakeExchange(body=None, length=200_000)
        exchange.arrives(pieces)
        return exchange

    assert answered(app, make, threads=0).body == b"".join(pieces)
    (file,) = files
    assert not isinstance(file, io.BytesIO)
    assert file.closed


def test_a_disk_that_is_full_fails_the_request_only(monkeypatch):
    def refuse():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)

    def make():
        exchange = FakeExchange(body=None, length=200_000)
        exchange.arrives([bytes(100_000)] * 2)
        return exchange

    assert isinstance(answered(echo, make, threads=0).error, OSError)
    assert answered(echo, threads=0).error is None


def test_a_client_that_leaves_before_the_end_of_its_body_has_the_application_never_called():
    async def main():
        async with serving(lambda *_: pytest.fail("called"), threads=0) as served:
            exchange = FakeExchange(body=None, length=10)
            served.application.handle(exchange)
            await exchange.input_waits.next()
            exchange.disconnect()
            await exchange.ended.next()
            assert served.application.in_flight == 0
            return exchange

    exchange = run(main)
    assert exchange.error is None
    assert not exchange.response_started


@each_loop
def test_others_are_answered_while_a_long_iterable_gives_its_pieces(loop):
    """The stream ends only when another request was answered."""
    other_was_answered = False

    def app(environ, start_response):
        nonlocal other_was_answered
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/" and not streaming:
            other_was_answered = True
            return [b"other"]
        streaming.clear()
        return iter(lambda: b"" if other_was_answered else b"piece", b"")

    streaming = [True]

    async def main():
        async with serving(app, threads=0) as served:
            stream, other = FakeExchange(), FakeExchange()
            served.application.handle(stream)
            assert not stream.response_complete
            await served.answer(other)
            await stream.ended.next()
            return stream

    assert run(main, loop).response_complete


def test_a_slow_client_is_asked_for_no_more_than_it_takes():
    taken = []

    def app(environ, start_response):
        start_response("200 OK", [])
        for number in range(3):
            taken.append(number)
            yield b"%d" % number

    async def main():
        async with serving(app, threads=0) as served:
            exchange = FakeExchange()
            exchange.slow = True
            served.application.handle(exchange)
            for number in range(3):
                await exchange.written.next()
                assert taken == list(range(number + 1))
                exchange.make_room()
            await exchange.ended.next()
            return exchange

    assert run(main).body == b"012"


def test_write_goes_on_for_a_slow_client_without_waiting():
    def app(environ, start_response):
        write = start_response("200 OK", [])
        for _ in range(4):
            write(bytes(50_000))
        return [b"end"]

    async def main():
        async with serving(app, threads=0) as served:
            exchange = FakeExchange()
            exchange.slow = True
            served.application.handle(exchange)  # with threads, it would wait in here
            exchange.slow = False
            await exchange.room_waits.next()
            exchange.make_room()
            await exchange.ended.next()
            return exchange

    assert run(main).body == bytes(200_000) + b"end"


def test_an_iterable_is_closed_when_the_client_is_gone():
    closed = []

    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            while True:
                yield b"piece"
        finally:
            closed.append(True)

    async def main():
        async with serving(app, threads=0) as served:
            exchange = FakeExchange()
            served.application.handle(exchange)
            exchange.disconnect()
            await exchange.ended.next()
            assert served.application.in_flight == 0
            return exchange

    assert run(main).error is None
    assert closed == [True]


def test_what_goes_on_after_the_call_is_in_flight_until_its_end_and_what_is_answered_at_once_never():
    async def main():
        def app(environ, start_response):
            start_response("200 OK", [])
            return next(results)

        def pieces():
            for piece in (b"a", b"b"):
                counts.append(served.application.in_flight)
                yield piece

        counts = []
        results = iter([[b"whole"], pieces(), [b"whole"]])
        async with serving(app, threads=0) as served:
            for _ in range(3):
                await served.answer(FakeExchange())
                counts.append(served.application.in_flight)
        return counts

    assert run(main) == [0, 1, 1, 0, 0]


def test_response_that_waits_for_its_client_is_in_flight_until_all_is_written():
    async def main():
        def app(environ, start_response):
            start_response("200 OK", [])(b"begun ")
            return [b"rest"]

        exchange = FakeExchange()
        exchange.slow = True
        async with serving(app, threads=0) as served:
            served.application.handle(exchange)
            await exchange.room_waits.next()
            counts = [served.application.in_flight]
            exchange.make_room()
            await exchange.ended.next()
            counts.append(served.application.in_flight)
        return exchange.body, counts

    assert run(main) == (b"begun rest", [1, 0])
