"""Connections that are closed in the middle of a call, and what is left of those that are closed."""

import gc

import pytest
from garbage import garbage_of_ours
from http_fakes import Server, Wire, answer, hand_over_when_at_rest

from gracehttp.http.connection import Terms
from gracehttp.http.exchange import ResponseError

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


def closed_once(wire):
    return wire.owner.closed == [wire.connection] and not wire.server.poller.watched and not wire.server.waiting


# --- within the application's call ---


@pytest.mark.parametrize("request_bytes", [LAST, LAST + GET, LAST + b"nonsense"])
def test_last_response_that_is_given_at_once_closes_within_the_write(request_bytes):
    def respond(exchange):
        answer(exchange)
        assert wire.how_it_ended == "closed"
        with pytest.raises(ResponseError):
            exchange.write(b"more", False)

    wire = Wire(respond)
    wire.send(request_bytes)
    assert wire.statuses == [200]
    assert closed_once(wire)


ABORTED_AT = ["handle", "start", "first write", "last write"]


@pytest.mark.parametrize("at", ABORTED_AT)
@pytest.mark.parametrize("request_bytes", [GET, GET + GET, POST, POST + b"he", OLD])
@pytest.mark.parametrize("tls", [False, True])
def test_connection_may_be_aborted_at_each_step_of_a_response(at, request_bytes, tls):
    def respond(exchange):
        steps = [
            lambda: None,
            lambda: exchange.start_response(200, []),
            lambda: exchange.write(b"a", True),
            lambda: exchange.write(b"b", False),
        ]
        for name, do in zip(ABORTED_AT, steps, strict=True):
            do()
            if name == at:
                wire.connection.abort()
        exchange.take_body()
        exchange.end()

    wire = Wire(respond, tls=tls)
    wire.send(request_bytes)
    assert closed_once(wire)
    assert len(wire.owner.finished) == 1
    assert wire.exchange.disconnected or at == "last write"
    assert wire.owner.broken == []


def test_connection_may_be_aborted_when_the_owner_is_told_of_its_request():
    wire = Wire(answer)
    wire.owner.request_finished = lambda *_: wire.connection.abort()
    wire.send(GET + GET)
    assert wire.statuses == [200]
    assert closed_once(wire)


def test_refused_connection_may_be_aborted_when_the_owner_is_told_of_its_request():
    wire = Wire()
    wire.owner.request_finished = lambda *_: wire.connection.abort()
    wire.send(b"BAD\r\n\r\n")
    assert closed_once(wire)


@pytest.mark.parametrize("ends", ["abort", "close", "leave"])
@pytest.mark.parametrize("rest", [b"", GET, GET[:5]])
def test_connection_may_end_when_the_owner_is_told_that_it_rests(ends, rest):
    def end(connection):
        if ends == "abort":
            connection.abort()
        elif ends == "close":
            connection.close_idle(linger=False)
        else:
            connection.pack()
            connection.left()

    wire = Wire()
    wire.owner.on_rested = end
    wire.send(GET + rest)
    wire.connection.see_off(Terms.HAND_OVER)
    wire.application.on_handle = answer
    answer(wire.exchange)
    wire.turn()
    if ends == "close" and rest:
        assert wire.how_it_ended == ("open" if rest == GET[:5] else "closed")
    else:
        assert wire.how_it_ended == ("moved" if ends == "leave" else "closed")
        assert wire.statuses == [200]
    assert len(wire.owner.closed) == (wire.how_it_ended != "open")


# --- within the call of another connection ---


def two_wires(on_handle=None):
    server = Server(on_handle)
    return Wire(server=server), Wire(server=server)


def test_application_may_abort_another_connection():
    first, second = two_wires()
    second.send(GET)
    waiting = second.exchange

    def respond(exchange):
        second.connection.abort()
        answer(exchange)

    first.application.on_handle = respond
    first.send(GET)
    second.turn()
    assert waiting.disconnected
    assert second.how_it_ended == "closed"
    assert first.statuses == [200]
    answer(waiting)
    assert second.raw == b""


def test_application_may_close_idle_connections_and_answer_what_came_on_them():
    """`close_idle` reads what the client has just sent, which calls the application within its own call."""
    first, second = two_wires()
    second.loop.pass_time(1)
    second.kernel.inbox.append(GET.replace(b"/", b"/second", 1))
    closed = []

    def respond(exchange):
        if exchange.head.path == "/":
            closed.append(second.connection.close_idle())
        answer(exchange)

    first.application.on_handle = respond
    first.send(GET)
    second.turn()
    assert closed == [False]
    assert first.statuses == second.statuses == [200]


@pytest.mark.parametrize("ends", ["abort", "close"])
def test_both_connections_may_end_within_one_call(ends):
    first, second = two_wires()
    second.loop.pass_time(1)
    second.kernel.inbox.append(LAST.replace(b"/", b"/second", 1))

    def respond(exchange):
        if exchange.head.path == "/":
            second.connection.close_idle()
        elif ends == "abort":
            first.connection.abort()
        answer(exchange)

    first.application.on_handle = respond
    first.send(LAST)
    assert first.how_it_ended == second.how_it_ended == "closed"
    assert sorted(map(id, first.owner.closed)) == sorted(map(id, (first.connection, second.connection)))


def test_owner_may_end_other_connections_when_one_is_closed():
    server = Server()
    wires = [Wire(server=server).send(GET) for _ in range(3)]
    told = server.owner.connection_closed

    def connection_closed(connection):
        told(connection)
        for wire in wires:
            wire.connection.abort()

    server.owner.connection_closed = connection_closed
    wires[1].vanish()
    assert len(server.owner.closed) == 3
    assert all(exchange.disconnected for exchange in server.application.exchanges)


# --- writes that fail ---


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("tls", [False, True])
def test_write_that_fails_closes_in_the_next_turn_and_the_exchange_hears_of_it(large, tls):
    wire = Wire(tls=tls).send(GET)
    exchange = wire.exchange
    exchange.start_response(200, [])
    wire.kernel.reset_by_client()
    exchange.write(b"x" * (100_000 if large else 1), True)
    assert not exchange.disconnected, "not from within a write"
    assert wire.connection.stream.shut
    exchange.write(b"dropped", True)
    wire.loop.run_soon()
    assert exchange.disconnected
    assert closed_once(wire)
    assert [told[:2] for told in wire.owner.finished] == [("/", 200)]
    exchange.write(b"x", False)
    exchange.end()
    assert wire.raw == b""


def test_write_that_fails_ends_pipelined_requests_too():
    wire = Wire(answer)
    wire.kernel.inbox.append(GET + GET)
    wire.application.on_handle = lambda exchange: (wire.kernel.reset_by_client(), answer(exchange))
    wire.turn()
    assert len(wire.exchanges) == 1
    assert closed_once(wire)


def test_waiting_bytes_that_can_not_be_sent_close_the_connection():
    wire = Wire().send(GET)
    wire.take_nothing()
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x" * 100_000, True)
    wire.kernel.fails = BrokenPipeError()
    wire.turn()
    assert wire.exchange.disconnected
    assert closed_once(wire)


def test_write_that_fails_in_the_last_response_closes_once():
    wire = Wire().send(LAST)
    wire.kernel.reset_by_client()
    answer(wire.exchange)
    wire.turn()
    assert closed_once(wire)


def test_client_that_resets_while_reading_is_paused_is_noticed():
    wire = Wire().send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").send(b"x" * 70_000)
    assert not wire.reading
    wire.vanish()
    assert wire.exchange.disconnected
    assert closed_once(wire)


def test_client_that_resets_while_its_last_bytes_are_discarded_is_noticed():
    wire = Wire(answer).send(GET)
    wire.connection.close_idle()
    assert wire.how_it_ended == "lingering"
    wire.vanish()
    assert closed_once(wire)


# --- nothing is left ---


def cut_body_until_close(wire):
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.exchange.end(ValueError())


def let_time_pass(wire):
    wire.loop.pass_time(1000)


WAYS = {
    "vanishes": (GET, Wire.vanish),
    "is aborted within a head": (GET[:5], lambda wire: wire.connection.abort()),
    "is aborted within a body": (POST, lambda wire: wire.connection.abort()),
    "ends within a body": (POST, Wire.send_eof),
    "is cut": (OLD, cut_body_until_close),
    "is reset when it writes": (GET, lambda wire: (wire.kernel.reset_by_client(), answer(wire.exchange), wire.turn())),
    "is late with its head": (GET[:5], let_time_pass),
    "is late with its body": (POST, let_time_pass),
    "sends nothing": (b"", let_time_pass),
    "sends an empty line": (b"\r\n", let_time_pass),
    "is idle for too long": (GET, lambda wire: (answer(wire.exchange), let_time_pass(wire))),
    "is handed over": (GET, lambda wire: (hand_over_when_at_rest(wire), answer(wire.exchange), wire.turn())),
    "takes nothing": (
        GET,
        lambda wire: (wire.take_nothing(), answer(wire.exchange, b"x" * 100_000), let_time_pass(wire)),
    ),
    "is refused": (b"BAD\r\n\r\n", Wire.send_eof),
    "listens only": (GET, lambda wire: (wire.send_eof(), answer(wire.exchange))),
}


@pytest.mark.parametrize("way", WAYS)
def test_connection_that_is_closed_leaves_nothing_to_the_garbage_collector(way):
    def live_and_end():
        request, end = WAYS[way]
        wire = Wire()
        if request:
            wire.send(request)
        end(wire)
        wire.turn()
        assert closed_once(wire)
        # What the test itself has tied together:
        wire.kernel.on_close = wire.owner.on_rested = wire.owner.request_finished = None
        server = wire.server
        server.context.close()
        server.streams.close()
        assert server.loop.timers_armed == 0
        server.application.exchanges.clear()
        server.owner.__dict__.clear()
        server.loop.__dict__.clear()
        server.__dict__.clear()

    with garbage_of_ours() as found:
        live_and_end()
    assert found == []


def test_application_that_keeps_an_exchange_keeps_no_connection():
    wire = Wire(answer).send(GET)
    exchange = wire.exchange
    wire.vanish()
    assert not any(type(one) is type(wire.stream) and not one.closed for one in gc.get_referents(exchange))
    assert exchange.head.path == "/"


# --- observers that fail ---


def failing(*_):
    raise ValueError("a filter of the log")


@pytest.mark.parametrize(
    ("request_bytes", "respond", "status"),
    [
        (GET, answer, 200),
        (b"BAD\r\n\r\n", None, 400),
        (POST + b"he", answer, 200),
        (GET, lambda exchange: exchange.end(KeyError("a")), 500),
        (GET, lambda exchange: exchange.end(), 500),
    ],
)
def test_observer_that_raises_leaves_no_connection_without_a_deadline(request_bytes, respond, status):
    wire = Wire(respond)
    reported = []
    wire.loop.call_exception_handler = reported.append
    wire.owner.request_finished = wire.owner.application_failed = wire.owner.response_broken = failing
    wire.send(request_bytes)
    assert wire.statuses == [status]
    assert all(str(context["exception"]) == "a filter of the log" for context in reported)
    assert reported
    wire.loop.pass_time(100)
    wire.loop.pass_time(100)
    assert closed_once(wire)
