"""`wsgi.input`: whole bodies without detours, long ones piece by piece."""

from __future__ import annotations

import io

import pytest
from wsgi_fakes import LOOPS, FakeExchange, answered, request_head, run, serving

from gracehttp.http.exchange import ClientDisconnected

CHUNKED = [(b"transfer-encoding", b"chunked")]


def length(number: int) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", str(number).encode())]


def collecting(read):
    """An application that answers with what `read(input)` makes of the body."""

    def app(environ, start_response):
        result = read(environ["wsgi.input"])
        start_response("200 OK", [])
        return [result]

    return app


def echo(environ, start_response):
    return collecting(lambda file: file.read())(environ, start_response)


def test_no_body_is_an_empty_file_without_a_look_at_the_exchange():
    exchange = answered(echo)
    assert (exchange.body, exchange.takes) == (b"", 0)


def test_body_that_is_whole_is_taken_once_and_needs_no_second_crossing_of_threads():
    async def main() -> None:
        async with serving(echo) as served:
            exchange = await served.answer(FakeExchange(request_head("POST", headers=length(3)), b"abc"))
            assert (exchange.body, exchange.takes) == (b"abc", 1)
            assert served.wake_ups == 1

    run(main)


def test_small_body_is_awaited_before_it_takes_up_a_thread():
    started = []

    def app(environ, start_response):
        started.append(type(environ["wsgi.input"]))
        return echo(environ, start_response)

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange(request_head("POST", headers=length(6)), None)
            served.application.handle(exchange)
            await exchange.input_waits.next()
            exchange.feed(b"abc", True)
            await exchange.input_waits.next()
            assert started == []
            exchange.feed(b"def", False)
            await exchange.ended.next()
            assert exchange.body == b"abcdef"

    run(main)
    assert started == [io.BytesIO]


def test_client_that_leaves_before_its_small_body_arrived_never_reaches_the_application():
    started = []

    async def main() -> None:
        async with serving(lambda *args: started.append(args)) as served:
            exchange = FakeExchange(request_head("POST", headers=length(6)), None)
            served.application.handle(exchange)
            await exchange.input_waits.next()
            exchange.disconnect()
            await exchange.ended.next()
            assert (exchange.ends, exchange.error, served.application.in_flight) == (1, None, 0)

    run(main)
    assert started == []


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("headers", [CHUNKED, length(6), length(100_000)], ids=["chunked", "small", "large"])
def test_body_in_pieces(loop, headers):
    async def main() -> None:
        async with serving(echo) as served:
            exchange = FakeExchange(request_head("POST", headers=headers), None)
            served.application.handle(exchange)
            for piece in (b"ab", b"cd"):
                await exchange.input_waits.next()
                exchange.feed(piece, True)
            await exchange.input_waits.next()
            exchange.feed(b"ef", False)
            await exchange.ended.next()
            assert exchange.body == b"abcdef"

    run(main, loop)


@pytest.mark.parametrize(
    ("read", "result"),
    [
        (lambda file: file.read(), b"one\ntwo\nthree"),
        (lambda file: file.read(5), b"one\nt"),
        (lambda file: file.read(0), b""),
        (lambda file: file.read(100), b"one\ntwo\nthree"),
        (lambda file: file.read(4) + file.read(4), b"one\ntwo\n"),
        (lambda file: file.readline(), b"one\n"),
        (lambda file: file.readline(2), b"on"),
        (lambda file: b"|".join(file.readlines()), b"one\n|two\n|three"),
        (lambda file: b"|".join(file.readlines(2)), b"one\n"),
        (lambda file: b"|".join(file), b"one\n|two\n|three"),
        (lambda file: file.read() + file.read() + file.readline(), b"one\ntwo\nthree"),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "arriving"])
def test_the_methods_of_a_file(read, result, whole):
    async def main() -> None:
        async with serving(collecting(read)) as served:
            exchange = FakeExchange(request_head("POST", headers=CHUNKED), b"one\ntwo\nthree" if whole else None)
            if not whole:
                exchange.arrives([b"o", b"ne\ntw", b"o\n", b"three"])
            await served.answer(exchange)
            assert (exchange.body, exchange.error) == (result, None)

    run(main)


def test_long_body_is_not_taken_before_it_is_read():
    def app(environ, start_response):
        environ["wsgi.input"].read(1)
        start_response("200 OK", [])
        return []

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange(request_head("POST", headers=length(1_000_000)), None)
            exchange.arrives([b"x" * 50_000] * 20)
            await served.answer(exchange)
            assert exchange.taken_bytes <= 100_000

    run(main)


def test_continue_is_left_to_the_application():
    """The first `take_body` sends 100 Continue (RFC 9110 10.1.1)."""
    headers = [*length(3), (b"expect", b"100-continue")]

    def refusing(environ, start_response):
        start_response("403 Forbidden", [])
        return []

    assert answered(refusing, lambda: FakeExchange(request_head("PUT", headers=headers), None)).takes == 0

    exchange = answered(echo, lambda: FakeExchange(request_head("PUT", headers=headers), b"abc"))
    assert (exchange.body, exchange.takes) == (b"abc", 1)


def test_client_that_leaves_in_the_middle_is_an_os_error_for_the_application_and_no_fault_of_it():
    seen = []

    def app(environ, start_response):
        try:
            environ["wsgi.input"].read()
        except OSError as exc:
            seen.append(exc)
            raise

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange(request_head("POST", headers=CHUNKED), None)
            served.application.handle(exchange)
            await exchange.input_waits.next()
            exchange.feed(b"abc", True)
            await exchange.input_waits.next()
            exchange.disconnect()
            await exchange.ended.next()
            assert (exchange.ends, exchange.error) == (1, None)

    run(main)
    assert isinstance(seen[0], ClientDisconnected)


def test_response_may_begin_before_the_body_was_read():
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"go on: "
        yield environ["wsgi.input"].read()

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange(request_head("POST", headers=CHUNKED), None)
            served.application.handle(exchange)
            await exchange.written.next()
            exchange.feed(b"abc", False)
            await exchange.ended.next()
            assert exchange.body == b"go on: abc"

    run(main)
