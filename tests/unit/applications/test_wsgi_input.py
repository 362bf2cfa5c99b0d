"""`wsgi.input`: whole bodies without detours, long ones piece by piece."""

from __future__ import annotations

import io

import pytest
from wsgi_fakes import LOOPS, FakeExchange, answered, request_head, run, serving

from gracehttp.http.exchange import ClientDisconnected


def upload(length: int | None, body: bytes | None, method: str = "POST") -> FakeExchange:
    """A request with a body of `length` bytes, of which all have arrived in `body`, or nothing."""
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return FakeExchange(request_head(method, headers=headers), body, length=length)


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
            exchange = await served.answer(upload(3, b"abc"))
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
            exchange = upload(6, None)
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
            exchange = upload(6, None)
            served.application.handle(exchange)
            await exchange.input_waits.next()
            exchange.disconnect()
            await exchange.ended.next()
            assert (exchange.ends, exchange.error, served.application.in_flight) == (1, None, 0)

    run(main)
    assert started == []


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("length", [None, 6, 100_000], ids=["unknown", "small", "large"])
def test_body_in_pieces(loop, length):
    async def main() -> None:
        async with serving(echo) as served:
            exchange = upload(length, None)
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
            exchange = upload(None, b"one\ntwo\nthree" if whole else None)
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
            exchange = upload(1_000_000, None)
            exchange.arrives([b"x" * 50_000] * 20)
            await served.answer(exchange)
            assert exchange.taken_bytes <= 100_000

    run(main)


def test_continue_is_left_to_the_application():
    """The first `take_body` sends 100 Continue (RFC 9110 10.1.1)."""

    def awaiting(body: bytes | None) -> FakeExchange:
        headers = [(b"content-length", b"3"), (b"expect", b"100-continue")]
        return FakeExchange(request_head("PUT", headers=headers), body, length=3, awaits_continue=True)

    def refusing(environ, start_response):
        start_response("403 Forbidden", [])
        return []

    assert answered(refusing, lambda: awaiting(None)).takes == 0

    exchange = answered(echo, lambda: awaiting(b"abc"))
    assert (exchange.body, exchange.takes) == (b"abc", 1)


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_http2_upload_that_no_field_announces_arrives_whole(loop):
    """HTTP/2 needs neither Content-Length nor Transfer-Encoding for a body (RFC 9113 section 8.1)."""
    seen = []

    def app(environ, start_response):
        seen.append({key for key in environ if key in ("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING")})
        return echo(environ, start_response)

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange(request_head("POST", http_version="2"), None, length=None)
            exchange.arrives([b"x" * 50_000] * 4)
            await served.answer(exchange)
            assert (exchange.body, exchange.error) == (b"x" * 200_000, None)

    run(main, loop)
    assert seen == [set()]


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
            exchange = upload(None, None)
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
            exchange = upload(None, None)
            served.application.handle(exchange)
            await exchange.written.next()
            exchange.feed(b"abc", False)
            await exchange.ended.next()
            assert exchange.body == b"go on: abc"

    run(main)
