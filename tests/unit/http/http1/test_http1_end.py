"""How connections end: drain, lingering, half-closed clients, and what may be handed over."""

import pytest
from http_fakes import Wire, answer

from gracehttp.http import http1_exchange
from gracehttp.http.connection import Carried

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CLOSE = b"\r\nConnection: close\r\n"


# --- drain ---


def test_drain_closes_after_the_response_in_flight():
    wire = Wire().send(GET)
    wire.connection.drain()
    answer(wire.exchange)
    assert CLOSE in wire.raw
    assert wire.how_it_ended == "lingering"


def test_drain_leaves_an_idle_connection_open_until_its_next_response():
    wire = Wire(answer).send(GET)
    wire.connection.drain()
    wire.loop.run_soon()
    assert wire.how_it_ended == "open"
    wire.send(GET)
    assert CLOSE in wire.raw
    assert wire.how_it_ended == "lingering"


def test_drain_after_the_head_was_sent_closes_after_the_response_that_follows():
    wire = Wire().send(GET)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.connection.drain()
    wire.exchange.write(b"", False)
    assert wire.how_it_ended == "open"
    wire.send(GET)
    answer(wire.exchange)
    assert wire.how_it_ended == "lingering"


def test_drain_of_a_client_that_closes_anyway_does_not_linger():
    wire = Wire().send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    wire.connection.drain()
    answer(wire.exchange)
    assert wire.how_it_ended == "closed"


def test_drain_over_tls_closes_after_the_response():
    wire = Wire(tls=True).send(GET)
    wire.connection.drain()
    answer(wire.exchange)
    assert CLOSE in wire.raw
    assert wire.how_it_ended == "closed"


def test_who_stays_after_all_is_not_told_to_go():
    wire = Wire(answer).send(GET)
    wire.connection.drain()
    wire.connection.stay()
    wire.send(GET)
    assert CLOSE not in wire.raw
    assert wire.how_it_ended == "open"


# --- idle ---


def test_connection_is_idle_at_the_start_and_between_requests():
    wire = Wire()
    assert wire.connection.idle
    wire.send(GET)
    assert not wire.connection.idle
    answer(wire.exchange)
    assert wire.connection.idle


@pytest.mark.parametrize("received", [*(GET[:size] for size in range(1, len(GET))), b"F", b"FOO", b"\r\n\r\nG"])
def test_connection_that_has_a_part_of_a_request_is_not_idle(received):
    wire = Wire(answer).send(GET).send(received)
    assert not wire.connection.idle
    assert not wire.connection.close_idle()


def test_connection_is_idle_after_empty_lines():
    wire = Wire(answer).send(GET + b"\r\n")
    assert wire.connection.idle


def test_connection_with_pipelined_bytes_is_not_idle():
    wire = Wire().send(GET + GET)
    answer(wire.exchange)
    assert not wire.connection.idle
    assert not wire.connection.close_idle()


def test_connection_is_not_idle_before_the_kernel_has_all():
    wire = Wire(answer).send(GET)
    wire.transport.fill(10)
    assert not wire.connection.idle
    wire.transport.buffered = 0
    assert wire.connection.idle


def test_connection_that_closes_is_not_idle():
    wire = Wire(answer).send(GET)
    wire.connection.abort()
    assert not wire.connection.idle


def test_connection_knows_since_when_it_is_idle():
    wire = Wire()
    opened_at = wire.loop.now
    wire.loop.pass_time(3)
    assert wire.connection.idle_since == opened_at
    wire.send(GET)
    assert wire.connection.idle_since is None
    wire.loop.pass_time(3)
    answer(wire.exchange)
    answered_at = wire.loop.now
    wire.loop.pass_time(3)
    assert wire.connection.idle_since == answered_at
    wire.send(b"G")
    assert wire.connection.idle_since is None


def test_idle_connection_is_closed_politely():
    wire = Wire(answer).send(GET)
    assert wire.connection.close_idle()
    assert wire.how_it_ended == "lingering"
    assert not wire.connection.close_idle()


def test_idle_connection_is_closed_at_once_where_its_place_is_needed():
    wire = Wire(answer).send(GET)
    assert wire.connection.close_idle(linger=False)
    assert wire.how_it_ended == "closed"


def test_idle_connection_over_tls_is_closed():
    wire = Wire(answer, tls=True).send(GET)
    assert wire.connection.close_idle()
    assert wire.how_it_ended == "closed"


def test_busy_connection_is_not_closed_as_idle():
    wire = Wire().send(GET)
    assert not wire.connection.close_idle()
    assert wire.how_it_ended == "open"


def test_whoever_waits_for_it_is_told_when_a_connection_becomes_idle():
    wire = Wire().send(GET)
    told = []
    wire.connection.call_when_idle(told.append)
    answer(wire.exchange)
    assert not told
    wire.loop.run_soon()
    assert told == [wire.connection]


def test_whoever_waits_for_it_is_told_between_pipelined_requests_too():
    wire = Wire().send(GET + GET)
    told = []
    wire.connection.call_when_idle(lambda connection: told.append(len(wire.exchanges)))
    answer(wire.exchange)
    wire.loop.run_soon()
    assert told == [1]
    assert len(wire.exchanges) == 2


class NoSocket:
    def fileno(self) -> int:
        return -1


def test_handed_over_connection_takes_its_pipelined_bytes_along_and_parses_none():
    wire = Wire().send(GET + GET + b"G")
    wire.transport.extra["socket"] = NoSocket()
    sent = []
    wire.connection.call_when_idle(lambda connection: connection.hand_over(lambda *what: sent.append(what) or True))
    answer(wire.exchange)
    wire.loop.run_soon()
    assert sent == [(-1, Carried(fresh=False, received=GET + b"G"))]
    assert len(wire.exchanges) == 1
    assert wire.how_it_ended == "aborted"
    assert wire.owner.closed == [wire.connection]


def test_connection_that_nobody_took_goes_on():
    wire = Wire().send(GET + GET)
    wire.transport.extra["socket"] = NoSocket()
    wire.connection.call_when_idle(lambda connection: connection.hand_over(lambda *what: False))
    answer(wire.exchange)
    wire.loop.run_soon()
    assert len(wire.exchanges) == 2
    assert wire.reading


@pytest.mark.parametrize("received", [b"G", GET])
def test_connection_within_a_request_is_not_handed_over(received):
    wire = Wire().send(received)
    assert not wire.connection.hand_over(lambda *what: pytest.fail("sent"))
    assert wire.how_it_ended == "open"


def test_connection_whose_client_is_quicker_than_the_loop_is_handed_over_with_what_came():
    wire = Wire().send(GET)
    wire.transport.extra["socket"] = NoSocket()
    sent = []
    wire.connection.call_when_idle(lambda connection: connection.hand_over(lambda *what: sent.append(what) or True))
    answer(wire.exchange)
    wire.connection.data_received(GET + b"G")
    wire.loop.run_soon()
    assert sent == [(-1, Carried(fresh=False, received=GET + b"G"))]
    assert len(wire.exchanges) == 1
    assert wire.owner.closed == [wire.connection]


def test_connection_within_a_head_is_not_told_to_be_idle():
    wire = Wire().send(GET)
    told = []
    wire.connection.call_when_idle(told.append)
    answer(wire.exchange)
    wire.connection.data_received(GET[:10])
    assert told == [wire.connection], "before the head was begun"
    wire.connection.data_received(GET[10:20])
    wire.loop.run_soon()
    assert told == [wire.connection]
    wire.connection.data_received(GET[20:])
    assert len(wire.exchanges) == 2


@pytest.mark.parametrize("asked_before", [True, False])
def test_connection_is_told_to_be_idle_when_the_kernel_has_all(asked_before):
    wire = Wire().send(GET)
    told = []
    if asked_before:
        wire.connection.call_when_idle(told.append)
    wire.transport.fill(10)
    answer(wire.exchange)
    wire.loop.run_soon()
    if not asked_before:
        wire.connection.call_when_idle(told.append)
    assert not told
    wire.transport.empty()
    assert not told, "not from within a callback of the transport: asyncio doesn't expect to be aborted there"
    wire.loop.run_soon()
    assert told == [wire.connection]
    assert wire.transport.high_water == 65536


# --- lingering (RFC 9112 section 9.6) ---


def linger() -> Wire:
    wire = Wire(answer).send(GET)
    wire.connection.close_idle()
    return wire


def test_lingering_ends_when_the_client_closes():
    wire = linger()
    wire.send_eof()
    assert wire.how_it_ended == "closed"
    assert wire.owner.closed == [wire.connection]


def test_lingering_ends_after_two_seconds():
    wire = linger()
    wire.loop.pass_time(1.9)
    assert wire.how_it_ended == "lingering"
    wire.loop.pass_time(0.2)
    assert wire.how_it_ended == "aborted"


def test_lingering_discards_what_comes():
    wire = linger()
    wire.send(GET)
    assert wire.statuses == [200]
    wire.send(b"x" * 1_000_000)
    assert wire.how_it_ended == "lingering"


def test_lingering_waits_for_a_client_that_sends_its_whole_upload_before_it_reads():
    wire = linger()
    for _ in range(14):
        wire.send(b"x" * 5_000_000)
        wire.loop.pass_time(1.9)
    assert wire.how_it_ended == "lingering"
    wire.loop.pass_time(0.2)
    assert wire.how_it_ended == "aborted"


def test_lingering_ends_after_thirty_seconds_of_sending():
    wire = linger()
    for _ in range(31):
        assert wire.how_it_ended == "lingering"
        wire.loop.pass_time(1)
        wire.send(b"x")
    assert wire.how_it_ended == "aborted"


def test_lingering_waits_while_a_slow_client_takes_the_response():
    wire = Wire(answer, body_timeout_seconds=30).send(GET)
    wire.transport.fill(60_000)
    wire.connection.close_idle()
    for left in (50_000, 40_000, 30_000):
        wire.loop.pass_time(29)
        wire.transport.buffered = left
    wire.loop.pass_time(2)
    wire.transport.buffered = 0
    assert wire.how_it_ended == "lingering"
    wire.loop.pass_time(33)
    assert wire.how_it_ended == "aborted"


def test_lingering_does_not_wait_for_a_client_that_takes_nothing():
    wire = Wire(answer, body_timeout_seconds=30).send(GET)
    wire.transport.fill(60_000)
    wire.connection.close_idle()
    wire.loop.pass_time(30.1)
    assert wire.how_it_ended == "aborted"


def test_plain_close_does_not_wait_for_a_client_that_takes_nothing():
    wire = Wire(body_timeout_seconds=30).send(b"GET / HTTP/1.0\r\n\r\n")
    wire.transport.fill(60_000)
    answer(wire.exchange)
    assert wire.how_it_ended == "closed"
    wire.loop.pass_time(30.1)
    assert wire.how_it_ended == "aborted"


def test_lingering_reads_on_where_reading_was_paused():
    wire = Wire().send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").send(b"x" * 70_000)
    assert not wire.reading
    answer(wire.exchange)
    assert wire.how_it_ended == "lingering"
    assert wire.reading


# --- half-closed clients ---


def test_client_that_only_listens_gets_its_answer():
    wire = Wire().send(GET)
    wire.send_eof()
    assert wire.how_it_ended == "open"
    answer(wire.exchange)
    assert wire.statuses == [200]
    assert wire.how_it_ended == "closed"


def test_client_that_only_listens_gets_the_answers_to_all_that_it_sent():
    wire = Wire().send(GET + GET)
    wire.send_eof()
    answer(wire.exchange)
    wire.loop.run_soon()
    answer(wire.exchange)
    assert wire.statuses == [200, 200]
    assert wire.how_it_ended == "closed"


def test_client_that_only_listens_gets_all_answers_of_an_application_that_answers_at_once():
    wire = Wire(answer)
    wire.connection.data_received(GET * 3)
    wire.send_eof()
    assert wire.statuses == [200, 200, 200]
    assert wire.how_it_ended == "closed"


def test_end_of_input_within_a_pipelined_request_closes_after_the_whole_ones():
    wire = Wire().send(GET + GET[:10])
    wire.send_eof()
    answer(wire.exchange)
    wire.loop.run_soon()
    assert wire.statuses == [200]
    assert wire.how_it_ended == "closed"


@pytest.mark.parametrize("received", [b"", GET[:10]])
def test_end_of_input_without_a_request_closes(received):
    wire = Wire(answer).send(GET)
    if received:
        wire.send(received)
    wire.send_eof()
    assert wire.how_it_ended == "closed"


def test_end_of_input_within_a_body_is_a_disconnect():
    wire = Wire().send(POST + b"he")
    wire.send_eof()
    assert wire.exchange.disconnected
    assert wire.how_it_ended == "closed"


@pytest.mark.parametrize("tls", [False, True])
def test_client_that_shuts_its_side_and_takes_nothing_is_not_waited_for_for_ever(tls):
    wire = Wire(answer, tls=tls, body_timeout_seconds=30).send(GET)
    wire.transport.fill(60_000)
    wire.send_eof()
    assert wire.how_it_ended == "closed"
    wire.loop.pass_time(29)
    assert not wire.transport.lost
    wire.loop.pass_time(2)
    assert wire.how_it_ended == "aborted"


def test_end_of_input_over_tls_is_a_disconnect():
    wire = Wire(tls=True).send(GET)
    wire.send_eof()
    assert wire.exchange.disconnected


# --- what logs say ---


def test_description_tells_what_is_in_flight_and_since_when(monkeypatch):
    wire = Wire()
    monkeypatch.setattr(http1_exchange, "monotonic", wire.loop.time)
    wire.send(b"GET /slow?a HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.loop.pass_time(12.34)
    assert wire.connection.describe() == "GET /slow?a for 12.3 s"


def test_description_of_an_idle_connection_is_empty():
    assert Wire(answer).send(GET).connection.describe() == ""


def test_description_of_a_response_that_the_client_has_not_taken_says_how_much():
    wire = Wire(answer).send(GET)
    wire.transport.fill(60_000)
    assert wire.connection.describe() == "a response of which the client has not taken 60000 bytes yet"
    wire.connection.close_idle()
    assert "60000 bytes" in wire.connection.describe()


def test_description_of_a_partial_head_says_so():
    assert "part" in Wire().send(GET[:5]).connection.describe()


def test_description_of_a_long_target_is_short():
    assert len(Wire().send(b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n").connection.describe()) < 300


def test_abort_ends_at_once_and_the_exchange_knows():
    wire = Wire().send(GET)
    wire.connection.abort()
    wire.loop.run_soon()
    assert wire.how_it_ended == "aborted"
    assert wire.exchange.disconnected
    assert wire.owner.closed == [wire.connection]
    assert wire.loop.timers_armed == 0


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_half_closed_client_whose_next_request_lacks_its_body_is_closed_at_once(expect):
    """Nobody would tell the application that the rest never comes: poll(2) calls a half-closed socket readable."""
    wire = Wire().send(GET + POST.replace(b"\r\n\r\n", b"\r\n" + expect + b"\r\n") + b"he")
    wire.send_eof()
    answer(wire.exchange)
    wire.loop.run_soon()
    assert len(wire.exchanges) == 1
    assert wire.statuses == [200]
    assert wire.how_it_ended == "closed"


def test_lingering_over_tls_ends_with_a_close_that_the_client_can_tell_from_a_cut():
    wire = Wire(tls=True).send(b"BAD\r\n\r\n")
    assert wire.statuses == [400]
    assert wire.how_it_ended == "open"  # our side alone can't be shut down
    wire.loop.pass_time(10)
    assert wire.how_it_ended == "closed"


def test_lingering_over_tls_ends_also_if_the_client_does_not_close_its_side():
    wire = Wire(tls=True).send(b"BAD\r\n\r\n")
    wire.transport.close = lambda: None  # it waits for the close_notify
    wire.loop.pass_time(10)
    assert wire.how_it_ended == "aborted"
