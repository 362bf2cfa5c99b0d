"""A body that has more than its Content-Length (PEP 3333, "Handling the Content-Length Header"), and what goes wrong
behind a body that is whole."""

from __future__ import annotations

import io

import pytest
from wsgi_fakes import MODES, FakeExchange, answered, mode, request_head

from gracehttp.http.exchange import ResponseError

FIVE = [("Content-Length", "5")]


@pytest.fixture(autouse=True, params=MODES)
def each_mode(request, monkeypatch):
    """The tests that use `answered` are made with threads and on the loop."""
    monkeypatch.setattr(mode, "threads", MODES[request.param])


class Closing:
    """An iterable that tells whether it was closed, and how far it was asked for."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces, self.error = pieces, error
        self.asked = self.closes = 0

    def __iter__(self):
        for piece in self.pieces:
            self.asked += 1
            yield piece

    def close(self) -> None:
        self.closes += 1
        if self.error is not None:
            raise self.error


def serve(body, headers=FIVE, *, method: str = "GET") -> FakeExchange:
    def app(environ, start_response):
        start_response("200 OK", headers)
        return body

    return answered(app, lambda: FakeExchange(request_head(method)))


@pytest.mark.parametrize("pieces", [[b"1234567"], [b"12345", b"67"], [b"123", b"", b"45678", b"9"]])
@pytest.mark.parametrize(
    "kind", [list, tuple, iter, lambda pieces: Closing(*pieces)], ids=["list", "tuple", "iterator", "closing"]
)
def test_what_was_promised_is_sent_and_the_rest_is_told_once(pieces, kind):
    exchange = serve(kind(pieces))
    assert exchange.body == b"12345"
    assert exchange.response_complete
    assert exchange.error is None
    ((subject, reason),) = exchange.corrections
    assert subject == "content-length"
    assert "5 bytes were sent" in reason


def test_iteration_ends_and_the_iterable_is_closed_when_enough_was_sent():
    body = Closing(b"123", b"456", b"789")
    serve(body)
    assert (body.asked, body.closes) == (2, 1)


def test_a_body_that_keeps_its_promise_is_asked_for_its_end():
    after = []

    def body():
        yield b"12345"
        after.append("reached")  # what an application does behind its last piece

    exchange = serve(body())
    assert (exchange.body, after, exchange.corrections) == (b"12345", ["reached"], [])


def test_a_file_is_sent_as_far_as_its_range_goes():
    def app(environ, start_response):
        file = io.BytesIO(b"0123456789")
        file.seek(2)
        start_response("206 Partial Content", FIVE)
        return environ["wsgi.file_wrapper"](file, 3)

    exchange = answered(app)
    assert (exchange.body, exchange.status, exchange.error) == (b"23456", 206, None)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_write_beyond_the_promise_is_an_error_of_the_application(method):
    refused = []

    def app(environ, start_response):
        write = start_response("200 OK", FIVE)
        write(b"123")
        try:
            write(b"4567")
        except ResponseError as exc:
            refused.append(exc)
            raise
        return []

    exchange = answered(app, lambda: FakeExchange(request_head(method)))
    if method == "HEAD":
        assert refused == [], "it has no body that could be too long"
    else:
        assert exchange.body == b"12345"
        assert exchange.error is refused[0]
        assert exchange.corrections == [], "the error is told, and that is enough"


def test_nothing_is_promised_without_a_content_length():
    assert serve([b"1234567"], []).body == b"1234567"
    assert isinstance(serve([b"1234567"], [("Content-Length", "x")]).error, ResponseError), "the exchange refuses it"


def test_the_last_content_length_counts_that_the_application_has_set():
    def app(environ, start_response):
        start_response("200 OK", FIVE)
        try:
            raise ValueError
        except ValueError:
            import sys

            start_response("500 Oops", [("Content-Length", "2")], sys.exc_info())
        return [b"1234567"]

    assert answered(app).body == b"12"


# --- behind the end of the body ---


@pytest.mark.parametrize("headers", [FIVE, []])
def test_a_close_that_raises_does_not_spoil_a_response_that_is_whole(headers):
    error = ValueError("boom")
    exchange = serve(Closing(b"123", b"45", error=error), headers)
    assert exchange.body == b"12345"
    assert exchange.response_complete
    assert exchange.error is error, "it is told"
    assert exchange.ends == 1


def test_a_close_that_raises_behind_a_failure_leaves_the_response_broken():
    def body():
        yield b"123"
        raise KeyError("first")

    class Failing(Closing):
        def __iter__(self):
            return body()

    error = ValueError("boom")
    exchange = serve(Failing(error=error), [])
    assert not exchange.response_complete
    assert exchange.error is error
    assert isinstance(error.__context__, KeyError)


def test_a_close_that_raises_without_a_status_is_an_error():
    exchange = answered(lambda environ, start_response: Closing(error=ValueError()))
    assert isinstance(exchange.error, ValueError)
    assert not exchange.response_started
