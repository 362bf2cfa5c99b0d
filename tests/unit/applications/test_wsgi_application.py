"""The calls between server and application, as PEP 3333 rules them."""

from __future__ import annotations

import asyncio
import copy
import io
import sys
import threading
from wsgiref.validate import validator

import pytest
from deadlines import DEADLINE_SECONDS
from wsgi_fakes import MODES, FakeExchange, answered, mode, request_head, run, serving

from gracehttp.applications.drain_notice import DrainNotices
from gracehttp.applications.wsgi import modes
from gracehttp.applications.wsgi.mistakes import explained
from gracehttp.http.exchange import ResponseError


@pytest.fixture(autouse=True, params=MODES)
def each_mode(request, monkeypatch):
    """The tests that use `answered` are made with threads and on the loop."""
    monkeypatch.setattr(mode, "threads", MODES[request.param])


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def test_status_headers_and_body():
    exchange = answered(hello)
    assert (exchange.status, exchange.headers) == (200, [(b"content-type", b"text/plain")])
    assert exchange.writes == [(b"hello", False)]
    assert (exchange.ends, exchange.error) == (1, None)


def test_the_application_runs_in_a_thread_of_the_pool():
    names = []

    def app(environ, start_response):
        names.append(threading.current_thread().name)
        return hello(environ, start_response)

    answered(app, threads=2)
    assert names == ["wsgi-0"]


@pytest.mark.parametrize("pieces", [[b"a", b"", b"bc"], (b"abc",), [b"", b"abc"]])
def test_a_list_is_one_write(pieces):
    def app(environ, start_response):
        start_response("200 OK", [])
        return pieces

    assert answered(app).writes == [(b"abc", False)]


@pytest.mark.parametrize("body", [[], [b""], (), iter([]), iter([b"", b""])])
def test_headers_are_sent_when_there_is_no_body(body):
    def app(environ, start_response):
        start_response("204 No Content", [("X-A", "b")])
        return body

    exchange = answered(app)
    assert (exchange.status, exchange.headers, exchange.writes) == (204, [(b"x-a", b"b")], [(b"", False)])


def test_a_generator_may_call_start_response_late():
    def app(environ, start_response):
        yield b""
        start_response("200 OK", [])
        yield b"a"
        yield b"b"

    exchange = answered(app)
    assert (exchange.status, exchange.body, exchange.response_complete) == (200, b"ab", True)


def test_write_callable():
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"a")
        write(b"")
        write(b"b")
        return [b"c"]

    exchange = answered(app)
    assert (exchange.body, exchange.response_complete, exchange.error) == (b"abc", True, None)


def test_start_response_not_called_is_an_error():
    exchange = answered(lambda environ, start_response: [])
    assert not exchange.response_started
    assert isinstance(exchange.error, ResponseError)


@pytest.mark.parametrize("body", [[b"a"], iter([b"a"])])
def test_body_before_start_response_is_an_error(body):
    exchange = answered(lambda environ, start_response: copy.copy(body))
    assert not exchange.response_started
    assert "before it called start_response" in str(exchange.error)


def test_exception_before_the_first_byte_leaves_the_response_to_the_exchange():
    def app(environ, start_response):
        start_response("200 OK", [])
        raise KeyError("k")

    exchange = answered(app)
    assert not exchange.response_started
    assert isinstance(exchange.error, KeyError)


def test_exception_in_the_middle_leaves_what_was_sent_and_does_not_end_the_response():
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"a"
        raise KeyError("k")

    exchange = answered(app)
    assert exchange.writes == [(b"a", True)]
    assert isinstance(exchange.error, KeyError)


def test_exception_that_is_false_is_one():
    class Nothing(Exception):
        def __len__(self) -> int:
            return 0

    def app(environ, start_response):
        raise Nothing

    assert isinstance(answered(app).error, Nothing)


def test_exit_of_the_application_ends_its_request_only():
    def app(environ, start_response):
        sys.exit(1)

    assert isinstance(answered(app).error, SystemExit)


def test_start_response_twice_is_an_error():
    def app(environ, start_response):
        start_response("200 OK", [])
        start_response("200 OK", [])

    assert "a second time" in str(answered(app).error)


def test_exc_info_replaces_a_head_that_was_not_sent():
    def app(environ, start_response):
        start_response("200 OK", [("A", "1")])
        try:
            raise ValueError("early")
        except ValueError:
            start_response("500 Oops", [("B", "2")], sys.exc_info())
        return [b"sorry"]

    exchange = answered(app)
    assert (exchange.status, exchange.headers, exchange.body) == (500, [(b"b", b"2")], b"sorry")
    assert exchange.error is None


def test_exc_info_is_raised_again_when_the_head_was_sent():
    raised = []

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"a"
        try:
            raise ValueError("late")
        except ValueError as exc:
            raised.append(exc)
            start_response("500 Oops", [], sys.exc_info())
        yield b"never"

    exchange = answered(app)
    assert exchange.body == b"a"
    assert exchange.error is raised[0]


def test_bad_headers_are_raised_into_the_application():
    caught = []

    def app(environ, start_response):
        try:
            start_response("200 OK", [("Transfer-Encoding", "chunked")])
        except ResponseError as exc:
            caught.append(exc)
        return hello(environ, start_response)

    assert answered(app).body == b"hello"
    assert len(caught) == 1


@pytest.mark.parametrize("body", [["text"], iter(["text"]), [b"a", None], "text"])
def test_body_that_is_not_bytes_is_an_error(body):
    def app(environ, start_response):
        start_response("200 OK", [])
        return copy.copy(body)  # an iterator is for one mode only

    assert "must be bytes" in str(answered(app).error)


def test_text_given_to_write_is_an_error():
    def app(environ, start_response):
        start_response("200 OK", [])("text")

    assert "must be bytes, not str" in str(answered(app).error)


class Closing:
    """An iterable of the kind that frameworks return."""

    def __init__(self, pieces, error: Exception | None = None) -> None:
        self.pieces = iter(pieces)
        self.error = error
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.pieces)

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


def serve_body(body):
    def app(environ, start_response):
        start_response("200 OK", [])
        return body

    return answered(app)


def test_close_is_called_after_the_last_piece():
    body = Closing([b"a"])
    assert serve_body(body).body == b"a"
    assert body.closed == 1


def test_close_is_called_when_iterating_fails():
    def failing():
        yield b"a"
        raise KeyError("k")

    body = Closing(failing())
    assert isinstance(serve_body(body).error, KeyError)
    assert body.closed == 1


def test_error_in_close_is_told_and_the_response_is_not_called_whole():
    body = Closing([b"a"], KeyError("close"))
    exchange = serve_body(body)
    assert isinstance(exchange.error, KeyError)
    assert exchange.body == b"a"


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "304 Not Modified"), ("GET", "204 No")])
def test_an_endless_body_ends_when_the_response_has_none(method, status):
    closed = []

    def app(environ, start_response):
        start_response(status, [])
        try:
            while True:
                yield b"x"
        finally:
            closed.append(True)

    exchange = answered(app, lambda: FakeExchange(request_head(method)))
    assert exchange.response_complete
    assert exchange.error is None
    assert closed == [True]


def test_a_body_that_was_cut_short_for_head_is_never_one_write_whose_length_could_be_told():
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"a"
        yield b"b"

    assert answered(app, lambda: FakeExchange(request_head("HEAD"))).writes == [(b"a", True), (b"", False)]


def test_a_whole_body_for_head_is_one_write_so_that_its_length_can_be_told():
    assert answered(hello, lambda: FakeExchange(request_head("HEAD"))).writes == [(b"hello", False)]


def test_file_wrapper():
    file = io.BytesIO(b"x" * 100_000)

    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file)

    assert answered(app).body == b"x" * 100_000
    assert file.closed


def test_refusal_of_the_exchange_is_told_at_the_end():
    def refusing() -> FakeExchange:
        exchange = FakeExchange()
        exchange.refuses = ResponseError("5 bytes of 3")
        return exchange

    assert str(answered(hello, refusing).error) == "5 bytes of 3"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_validator_of_the_standard_library_finds_no_fault(method):
    @validator
    def app(environ, start_response):
        body = environ["wsgi.input"].read(3)
        environ["wsgi.errors"].write("")
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        return iter([b"yielded ", body])

    def request() -> FakeExchange:
        fields = [(b"content-length", b"3"), (b"host", b"a"), (b"content-type", b"text/plain")]
        return FakeExchange(request_head(method, b"/a?b=c", fields), b"abc", length=3)

    exchange = answered(app, request)
    assert exchange.error is None
    assert exchange.body == b"written yielded abc"


def test_in_flight_counts_until_the_application_is_done():
    release, seen = threading.Event(), []

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"a"
        release.wait(DEADLINE_SECONDS)

    async def main() -> None:
        async with serving(app) as served:
            exchange = FakeExchange()
            served.application.handle(exchange)
            await exchange.written.next()
            seen.append(served.application.in_flight)
            release.set()
            await exchange.ended.next()
            seen.append(served.application.in_flight)

    run(main)
    assert seen == [1, 0]


def test_the_owner_is_told_when_the_last_request_is_done():
    async def main() -> None:
        counts = []
        application = modes.wrap(
            hello,
            name="hello",
            loop=asyncio.get_running_loop(),
            threads=1,
            multiprocess=False,
            draining=DrainNotices().wsgi,
            on_idle=lambda: counts.append(application.in_flight),
        )
        exchanges = [FakeExchange(), FakeExchange()]
        for exchange in exchanges:
            application.handle(exchange)
        for exchange in exchanges:
            await exchange.ended.next()
        await application.shutdown(0)
        assert counts == [0]

    run(main)


def test_requests_beyond_the_threads_wait_their_turn():
    async def main() -> None:
        async with serving(hello, threads=1) as served:
            exchanges = [FakeExchange() for _ in range(20)]
            for exchange in exchanges:
                served.application.handle(exchange)
            assert served.application.in_flight == 20
            for exchange in exchanges:
                await exchange.ended.next()
            assert all(exchange.body == b"hello" for exchange in exchanges)
            assert served.application.in_flight == 0

    run(main)


def test_a_system_without_threads_fails_the_request_and_not_the_worker(monkeypatch):
    def exhausted(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        async with serving(hello) as served:
            monkeypatch.setattr(threading.Thread, "start", exhausted)
            exchange = await served.answer(FakeExchange())
            assert (type(exchange.error), served.application.in_flight) == (RuntimeError, 0)
            monkeypatch.undo()
            assert (await served.answer(FakeExchange())).body == b"hello"

    run(main)


def test_flags_of_the_environ_say_how_it_runs():
    environs = []

    def app(environ, start_response):
        environs.append(environ)
        return hello(environ, start_response)

    async def main() -> None:
        async with serving(app, threads=1) as served:
            await served.answer(FakeExchange())

    run(main)
    assert environs[0]["wsgi.multithread"] is False
    assert environs[0]["wsgi.multiprocess"] is False


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (None, "the application returned None, not an iterable of bytes; is a `return` missing?"),
        ("text", "the application returned a str, and the pieces of a body must be bytes: return [text.encode()]"),
        (b"text", "the application returned bytes, whose items are numbers: return [body], in a list"),
        (5, "the application returned an object of type int, not an iterable of bytes"),
    ],
    ids=["None", "str", "bytes", "int"],
)
def test_what_is_returned_and_is_no_iterable_of_bytes_is_named(returned, sentence):
    def app(environ, start_response):
        start_response("200 OK", [])
        return returned

    error = answered(app).error
    assert isinstance(error, ResponseError)
    assert str(error) == sentence


def test_an_error_of_the_applications_own_stays_its_own():
    def app(environ, start_response):
        start_response("200 OK", [])
        return (1 // 0 for _ in range(1))

    assert isinstance(answered(app).error, ZeroDivisionError)


def test_headers_that_are_a_dict_are_named():
    def app(environ, start_response):
        start_response("200 OK", {"content-type": "text/plain"})
        return []

    assert str(answered(app).error) == "the headers are a dict, and must be a list of tuples (name, value)"


class Unlookable:
    """As a proxy of an object that isn't there."""

    @property
    def __class__(self):
        raise RuntimeError("there is none")


def test_an_object_that_cannot_be_looked_at_is_an_error_of_its_request_alone():
    """The explanation of what an application returned must not end the thread, or the turn of the loop."""
    error = TypeError("not iterable")
    assert explained(error, Unlookable()) is error


@pytest.mark.parametrize("threads", [0, 2])
def test_write_after_the_end_of_the_response_is_an_error_and_ends_nothing_a_second_time(monkeypatch, threads):
    kept = []

    def app(environ, start_response):
        kept.append(start_response("200 OK", []))
        return [b"answer"]

    exchange = answered(app, threads=threads)
    ends = exchange.ends
    with pytest.raises(ResponseError, match="after the end of the response"):
        kept[0](b"too late")
    assert (exchange.body, exchange.ends) == (b"answer", ends)
