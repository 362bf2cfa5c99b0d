"""A client that is gone, or may be: what its exchange hears, and what is still sent."""

import pytest
from http_fakes import Server, Wire, answer, step

from gracehttp.http.exchange import ResponseError
from gracehttp.net.poller import BYTES_PER_TURN, HALF_CLOSED, READABLE
from gracehttp.net.stream import BURST_BYTES

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
BACKLOG = GET * 4000  # more than is read ahead


def told(wire):
    """Whether an application that waits for the end of the client's half hears of it now."""
    return step(wire.exchange.wait_for_disconnect())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_end_of_the_clients_half_is_told_at_once_and_the_answer_is_sent(tls):
    wire = Wire(tls=tls).send(GET)
    waits = wire.exchange.wait_for_disconnect()
    assert not step(waits)
    wire.send_eof()
    assert step(waits)
    assert not wire.exchange.disconnected
    answer(wire.exchange)
    assert wire.statuses == [200]


def test_a_request_that_comes_with_the_end_of_the_half_is_told_from_the_start():
    wire = Wire()
    wire.kernel.inbox.extend([GET + GET, b""])
    wire.turn()
    assert told(wire)
    answer(wire.exchange)
    wire.turn()
    assert len(wire.exchanges) == 2
    assert told(wire)
    answer(wire.exchange)
    assert wire.statuses == [200, 200]
    assert wire.how_it_ended == "closed"


def test_the_body_comes_before_the_end():
    wire = Wire().send(POST + b"12345")
    wire.send_eof()
    assert wire.exchange.take_body() == (b"12345", False)
    assert told(wire)


def test_an_end_in_the_middle_of_the_body_ends_the_exchange():
    wire = Wire().send(POST + b"12")
    wire.send_eof()
    assert wire.exchange.disconnected
    assert wire.how_it_ended == "closed"


def test_the_end_is_told_while_reading_is_paused():
    wire = Wire().send(GET)
    wire.send(BACKLOG)
    assert not wire.reading
    assert not told(wire)
    wire.send_eof()
    assert told(wire)
    assert not wire.reading, "what comes behind the requests that wait is not read for it"
    assert wire.kernel.events == 0, "level-triggered: it would be told again and again"
    wire.application.on_handle = answer
    answer(wire.exchange)
    wire.turn()
    assert wire.statuses == [200] * 4001
    assert all(exchange.half_closed for exchange in wire.exchanges)
    assert wire.how_it_ended == "closed"


def test_only_a_client_that_is_not_read_is_watched_for_its_end_apart():
    wire = Wire().send(GET)
    watched = wire.server.poller.watched[wire.kernel.fd]
    assert watched[1] == READABLE
    wire.send(BACKLOG)
    assert watched[1] == HALF_CLOSED
    wire.application.on_handle = answer
    answer(wire.exchange)
    wire.turn()
    assert watched[1] == READABLE


@pytest.mark.parametrize("ended", [False, True], ids=["open", "half-closed"])
@pytest.mark.parametrize("backlog", [b"", BACKLOG], ids=["read", "paused"])
def test_a_reset_ends_both_directions(ended, backlog):
    wire = Wire().send(GET)
    gone = []
    wire.exchange.when_gone = gone.append
    if backlog:
        wire.send(backlog)
    if ended:
        wire.send_eof()
    wire.vanish()
    assert gone == [wire.exchange]
    assert wire.exchange.disconnected
    assert len(wire.owner.closed) == 1
    assert len(wire.exchanges) == 1, "what waits behind it is for nobody"


def test_a_reset_reaches_who_waits_for_room():
    wire = Wire().send(GET)
    wire.take_nothing()
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x" * 200_000, True)
    waits = wire.exchange.wait_until_writable()
    assert not step(waits)
    wire.send_eof()
    assert not step(waits), "a client that has ended its half may read on"
    wire.vanish()
    assert step(waits)


def test_an_application_that_gives_up_after_it_was_told_is_not_blamed():
    wire = Wire().send(GET)
    wire.send_eof()
    wire.exchange.give_up()
    assert wire.raw == b""
    assert wire.how_it_ended == "closed"
    assert (wire.owner.broken, wire.owner.failures) == ([], [])
    assert [status for _, status, _, _ in wire.owner.finished] == [0]


def test_an_application_that_gives_up_in_the_middle_leaves_a_response_that_is_not_whole():
    wire = Wire().send(GET)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.send_eof()
    wire.exchange.give_up()
    assert not wire.raw.endswith(b"0\r\n\r\n")
    assert wire.how_it_ended == "closed"
    assert wire.owner.broken == []


# --- a response of which the client has all ---


@pytest.mark.parametrize("error", [None, ValueError()], ids=["ends", "raises"])
@pytest.mark.parametrize(("request_", "headers"), [(GET, [(b"content-length", b"2")]), (b"HEAD" + GET[3:], [])])
def test_what_goes_wrong_behind_the_last_byte_does_not_spoil_the_response(error, request_, headers):
    wire = Wire().send(request_)
    wire.exchange.start_response(200, headers)
    wire.exchange.write(b"ok", True)
    wire.exchange.end(error)
    assert (len(wire.owner.broken), len(wire.owner.failures)) == ((0, 1) if error else (1, 0))
    assert wire.how_it_ended == "open"
    assert wire.exchange.response_complete
    with pytest.raises(ResponseError):
        wire.exchange.write(b"", False)
    wire.send(GET)
    answer(wire.exchange)
    assert wire.statuses == [200, 200]


# --- slow readers ---


def fill(exchange, piece=b"x" * 65536):
    """Write as an application does that looks after each piece whether there is room."""
    if not exchange.response_started:
        exchange.start_response(200, [])
    for _ in range(5000):
        if not exchange.writable:
            return
        exchange.write(piece, True)
    raise AssertionError("it was never told to wait")


@pytest.mark.parametrize("size", [1000, 65536, 10_000_000])
def test_500_slow_readers_take_no_more_of_a_turn_than_one_does(size):
    server = Server()
    readers = [Wire(server=server).send(GET) for _ in range(500)]
    exchanges = list(server.application.exchanges)
    other = Wire(server=server)
    for _turn in range(3):
        before = sum(len(reader.kernel.sent) for reader in readers)
        server.poller.credit = BYTES_PER_TURN
        for exchange in exchanges:
            fill(exchange, b"x" * size)
        assert sum(len(reader.kernel.sent) for reader in readers) - before <= BYTES_PER_TURN
        for reader in readers:
            before = len(reader.kernel.sent)
            reader.kernel.tell()
            assert 0 < len(reader.kernel.sent) - before <= BURST_BYTES, "each has its share"
        answer(other.send(GET).exchange)
    assert other.statuses == [200] * 3


def test_a_reader_whose_socket_is_full_stands_in_no_line():
    wire = Wire().send(GET)
    wire.take_nothing()
    fill(wire.exchange)
    poller = wire.server.poller
    assert (poller.line, wire.kernel.events, len(wire.kernel.calls)) == ([], 0, 0)
    wire.take(BURST_BYTES // 2)
    assert poller.line == []
    assert wire.stream.unsent_bytes


def test_a_large_body_is_sent_whole_over_many_turns():
    wire = Wire().send(GET)
    body = bytes(range(256)) * 16384
    wire.exchange.start_response(200, [(b"content-length", b"%d" % len(body))])
    wire.exchange.write(body, False)
    assert len(wire.kernel.sent) <= BYTES_PER_TURN
    wire.turn()
    assert wire.kernel.sent.endswith(b"\r\n\r\n" + body)
    assert all(sum(map(len, call)) <= BURST_BYTES for call in wire.kernel.calls[1:])


@pytest.mark.parametrize("takes", [True, False])
def test_a_client_that_takes_nothing_is_given_up_also_when_it_was_its_turn_that_ended(takes):
    wire = Wire(body_timeout_seconds=30).send(GET)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x" * 2_000_000, True)
    wire.take_nothing()
    for _ in range(10):
        if takes:
            wire.take(BURST_BYTES // 2)
        wire.loop.pass_time(29)
    assert wire.exchange.disconnected is not takes
