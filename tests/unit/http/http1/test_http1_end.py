"""How connections end: drain, lingering, half-closed clients, and what may be handed over."""

import re

import pytest
from http_fakes import Wire, answer, hand_over_when_at_rest

from gracehttp.http.connection import Terms
from gracehttp.wire.handover import Carried

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CLOSE = b"\r\nConnection: close\r\n"


# --- drain ---


def test_drain_closes_after_the_response_in_flight():
    wire = Wire().send(GET)
    wire.connection.see_off(Terms.LAST_RESPONSE)
    answer(wire.exchange)
    assert CLOSE in wire.raw
    assert wire.how_it_ended == "lingering"


def test_drain_leaves_an_idle_connection_open_until_its_next_response():
    wire = Wire(answer).send(GET)
    wire.connection.see_off(Terms.LAST_RESPONSE)
    wire.loop.run_soon()
    assert wire.how_it_ended == "open"
    wire.send(GET)
    assert CLOSE in wire.raw
    assert wire.how_it_ended == "lingering"


def test_drain_after_the_head_was_sent_closes_after_the_response_that_follows():
    wire = Wire().send(GET)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.connection.see_off(Terms.LAST_RESPONSE)
    wire.exchange.write(b"", False)
    assert wire.how_it_ended == "open"
    wire.send(GET)
    answer(wire.exchange)
    assert wire.how_it_ended == "lingering"


def test_drain_of_a_client_that_closes_anyway_does_not_linger():
    wire = Wire().send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    wire.connection.see_off(Terms.LAST_RESPONSE)
    answer(wire.exchange)
    assert wire.how_it_ended == "closed"


def test_drain_over_tls_closes_after_the_response():
    wire = Wire(tls=True).send(GET)
    wire.connection.see_off(Terms.LAST_RESPONSE)
    answer(wire.exchange)
    assert CLOSE in wire.raw
    assert wire.how_it_ended == "lingering"
    wire.send_eof()
    assert wire.how_it_ended == "closed"


def test_who_stays_after_all_is_not_told_to_go():
    wire = Wire(answer).send(GET)
    wire.connection.see_off(Terms.LAST_RESPONSE)
    wire.connection.see_off(Terms.STAY)
    wire.send(GET)
    assert CLOSE not in wire.raw
    assert wire.how_it_ended == "open"


@pytest.mark.parametrize("terms", [Terms.HAND_OVER, Terms.SOON])
def test_client_that_stays_after_all_is_not_looked_for_when_it_rests(terms):
    wire = Wire().send(GET)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.connection.see_off(terms)
    wire.exchange.write(b"", False)
    wire.connection.see_off(Terms.STAY)
    wire.turn().send(GET)
    assert wire.owner.rested == []
    assert len(wire.exchanges) == 2


def test_connection_that_goes_to_another_process_does_not_tell_its_client_to_close():
    wire = Wire().send(GET)
    wire.connection.see_off(Terms.HAND_OVER)
    answer(wire.exchange)
    assert CLOSE not in wire.raw


# --- idle ---


def test_connection_is_idle_at_the_start_and_between_requests():
    wire = Wire()
    assert not wire.connection.busy
    wire.send(GET)
    assert wire.connection.busy
    answer(wire.exchange)
    assert not wire.connection.busy


@pytest.mark.parametrize("received", [*(GET[:size] for size in range(1, len(GET))), b"F", b"FOO", b"\r\n\r\nG"])
def test_connection_that_has_a_part_of_a_request_is_not_idle(received):
    wire = Wire(answer).send(GET).send(received)
    assert wire.connection.busy
    assert not wire.connection.close_idle()


@pytest.mark.parametrize("received", [b"G", GET])
def test_connection_whose_request_is_still_in_the_kernel_is_not_closed_as_idle(received):
    wire = Wire(answer).send(GET)
    wire.loop.pass_time(1)
    wire.kernel.inbox.append(received)
    assert not wire.connection.close_idle()
    assert wire.turn().how_it_ended == "open"
    assert wire.statuses == ([200] if received == b"G" else [200, 200])


def test_connection_whose_client_has_sent_an_empty_line_is_closed_as_idle():
    wire = Wire(answer).send(GET)
    wire.kernel.inbox.append(b"\r\n")
    assert wire.connection.close_idle()


def test_connection_whose_client_has_ended_it_is_not_closed_a_second_time():
    wire = Wire(answer).send(GET)
    wire.kernel.inbox.append(b"")
    assert not wire.connection.close_idle()
    assert wire.how_it_ended == "closed"
    assert wire.owner.closed == [wire.connection]


def test_connection_with_half_a_record_is_not_idle():
    wire = Wire(answer, tls=True).send(GET)
    wire.stream.mid_record = True
    assert wire.connection.busy
    assert wire.connection.idle_since is None
    assert not wire.connection.close_idle()


def test_connection_is_idle_after_empty_lines():
    wire = Wire(answer).send(GET + b"\r\n")
    assert not wire.connection.busy


def test_connection_with_pipelined_bytes_is_not_idle():
    wire = Wire().send(GET + GET)
    answer(wire.exchange)
    assert wire.connection.busy
    assert not wire.connection.close_idle()


def test_connection_is_not_idle_before_the_kernel_has_all():
    wire = Wire(answer)
    wire.kernel.room = 10
    wire.send(GET)
    assert wire.connection.busy
    wire.take()
    assert not wire.connection.busy


def test_connection_that_closes_is_not_idle():
    wire = Wire(answer).send(GET)
    wire.connection.close_idle()
    assert wire.connection.idle_since is None
    wire.connection.abort()
    assert wire.connection.idle_since is None
    assert not wire.connection.close_idle()


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
    assert wire.how_it_ended == "lingering"
    wire.send_eof()
    assert wire.how_it_ended == "closed"


def test_busy_connection_is_not_closed_as_idle():
    wire = Wire().send(GET)
    assert not wire.connection.close_idle()
    assert wire.how_it_ended == "open"


# --- at rest ---


@pytest.mark.parametrize("terms", [Terms.HAND_OVER, Terms.SOON])
def test_owner_is_told_when_a_connection_comes_to_rest(terms):
    wire = Wire().send(GET)
    if terms is Terms.HAND_OVER:
        wire.connection.see_off(terms)
        answer(wire.exchange)
    else:  # the head has gone without a word of it
        wire.exchange.start_response(200, [])
        wire.exchange.write(b"x", True)
        wire.connection.see_off(terms)
        wire.exchange.write(b"", False)
    assert not wire.owner.rested
    wire.loop.run_soon()
    assert wire.owner.rested == [wire.connection]


@pytest.mark.parametrize("terms", [Terms.STAY, Terms.LAST_RESPONSE])
def test_owner_is_not_told_of_rest_on_other_terms(terms):
    wire = Wire().send(GET)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.connection.see_off(terms)
    wire.exchange.write(b"", False)
    wire.turn()
    assert wire.owner.rested == []


def test_owner_is_told_between_pipelined_requests_too():
    wire = Wire().send(GET + GET)
    told = []
    wire.owner.on_rested = lambda connection: told.append(len(wire.exchanges))
    wire.connection.see_off(Terms.HAND_OVER)
    answer(wire.exchange)
    wire.loop.run_soon()
    assert told == [1]
    assert len(wire.exchanges) == 2


def test_handed_over_connection_takes_its_pipelined_bytes_along_and_parses_none():
    wire = Wire().send(GET + GET + b"G")
    sent = hand_over_when_at_rest(wire)
    answer(wire.exchange)
    wire.loop.run_soon()
    assert sent == [(wire.kernel.fd, Carried(fresh=False, received=GET + b"G"))]
    assert len(wire.exchanges) == 1
    assert wire.how_it_ended == "moved"
    assert not wire.kernel.shut, "the client would take it for the end"
    assert wire.owner.closed == [wire.connection]


def test_what_came_along_is_parsed_and_what_comes_goes_on_behind_it():
    wire = Wire(answer, carried=Carried(fresh=False, received=GET + GET[:5]))
    wire.turn()
    assert wire.statuses == [200]
    wire.send(GET[5:])
    assert wire.statuses == [200, 200]


def test_connection_that_no_other_process_took_goes_on():
    wire = Wire().send(GET + GET)
    sent = hand_over_when_at_rest(wire, taken=False)
    answer(wire.exchange)
    wire.loop.run_soon()
    assert len(sent) == 1
    assert len(wire.exchanges) == 2
    assert wire.reading


def test_packed_connection_is_not_read_before_it_is_unpacked():
    wire = Wire(answer).send(GET)
    assert wire.connection.pack() is not None
    assert wire.kernel.events == 0
    wire.send(GET)
    assert wire.statuses == [200]
    wire.connection.unpack()
    wire.turn()
    assert wire.statuses == [200, 200]


@pytest.mark.parametrize("received", [b"G", GET])
def test_connection_within_a_request_is_not_handed_over(received):
    wire = Wire().send(received)
    assert wire.connection.pack() is None
    assert wire.how_it_ended == "open"
    assert wire.reading


def test_connection_that_can_not_move_or_has_ended_is_not_handed_over():
    assert Wire(answer, tls=True).send(GET).connection.pack() is None
    for ended in (lambda wire: wire.connection.close_idle(), lambda wire: wire.connection.abort(), Wire.send_eof):
        wire = Wire(answer).send(GET)
        ended(wire)
        assert wire.connection.pack() is None
    jammed = Wire(answer)
    jammed.take_nothing()
    assert jammed.send(GET).connection.pack() is None


def test_connection_whose_client_is_quicker_than_the_loop_is_handed_over_with_what_came():
    wire = Wire().send(GET)
    sent = hand_over_when_at_rest(wire)
    answer(wire.exchange)
    wire.arrive(GET + b"G")
    wire.loop.run_soon()
    assert sent == [(wire.kernel.fd, Carried(fresh=False, received=GET + b"G"))]
    assert len(wire.exchanges) == 1
    assert wire.owner.closed == [wire.connection]


def test_connection_within_a_head_is_not_told_to_be_at_rest():
    wire = Wire().send(GET)
    wire.connection.see_off(Terms.HAND_OVER)
    answer(wire.exchange)
    wire.arrive(GET[:10])
    assert wire.owner.rested == [wire.connection], "before the head was begun"
    wire.arrive(GET[10:20])
    wire.loop.run_soon()
    assert wire.owner.rested == [wire.connection]
    wire.arrive(GET[20:])
    assert len(wire.exchanges) == 2


@pytest.mark.parametrize("asked_before", [True, False])
def test_owner_is_told_of_rest_when_the_kernel_has_all(asked_before):
    wire = Wire().send(GET)
    if asked_before:
        wire.connection.see_off(Terms.HAND_OVER)
    wire.kernel.room = 10
    answer(wire.exchange)
    wire.turn()
    if not asked_before:
        wire.connection.see_off(Terms.HAND_OVER)
    assert not wire.owner.rested
    wire.kernel.room = None
    wire.kernel.tell()
    assert not wire.owner.rested, "not from within a callback of the stream"
    wire.loop.run_soon()
    assert wire.owner.rested == [wire.connection]


def test_owner_is_told_of_rest_when_the_kernel_has_the_answers_to_all_that_was_pipelined():
    wire = Wire(answer)
    wire.connection.see_off(Terms.HAND_OVER)
    wire.kernel.room = 10
    wire.send(GET * 3)
    assert wire.statuses == []
    wire.take()
    assert wire.statuses == [200, 200, 200]
    assert wire.owner.rested


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
    assert wire.how_it_ended == "closed"


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
    assert wire.how_it_ended == "closed"


def test_lingering_ends_after_thirty_seconds_of_sending():
    wire = linger()
    for _ in range(31):
        assert wire.how_it_ended == "lingering"
        wire.loop.pass_time(1)
        wire.send(b"x")
    assert wire.how_it_ended == "closed"


def jammed(request=GET, **settings) -> Wire:
    """The last response is given, and 60,000 bytes of it wait for the client."""
    wire = Wire(lambda exchange: answer(exchange, b"x" * 60_000), **settings)
    wire.take_nothing()
    wire.connection.see_off(Terms.LAST_RESPONSE)
    wire.send(request)
    assert wire.how_it_ended == "lingering"
    assert wire.connection.stream.unsent_bytes > 60_000
    return wire


def test_lingering_waits_while_a_slow_client_takes_the_response():
    wire = jammed(body_timeout_seconds=30)
    for _ in range(3):
        wire.loop.pass_time(29)
        wire.take(10_000)
    wire.loop.pass_time(2)
    wire.take()
    assert wire.kernel.shut
    assert wire.how_it_ended == "lingering"
    wire.loop.pass_time(1.9)
    assert wire.how_it_ended == "lingering"
    wire.loop.pass_time(0.2)
    assert wire.how_it_ended == "closed"
    assert wire.raw.endswith(b"x" * 60_000)


@pytest.mark.parametrize("stall_seconds", [0.3, 2, 30])
@pytest.mark.parametrize("request_", [GET, b"GET / HTTP/1.0\r\n\r\n"], ids=["lingers", "closes"])
def test_end_does_not_wait_for_a_client_that_takes_nothing(stall_seconds, request_):
    wire = jammed(request_, body_timeout_seconds=stall_seconds)
    wire.loop.pass_time(stall_seconds - 0.1)
    assert wire.how_it_ended == "lingering"
    wire.loop.pass_time(2.1)
    assert wire.how_it_ended == "cut"
    assert not wire.server.waiting


def test_last_response_to_a_client_that_sends_nothing_more_closes_when_the_kernel_has_it():
    wire = jammed(b"GET / HTTP/1.0\r\n\r\n")
    wire.take()
    assert wire.how_it_ended == "closed"
    assert wire.raw.endswith(b"x" * 60_000)


def test_client_that_sends_on_while_it_takes_nothing_is_not_waited_for_for_ever():
    wire = jammed(body_timeout_seconds=30)
    for _ in range(60):
        wire.send(b"x" * 100_000)
        wire.loop.pass_time(1)
    assert wire.how_it_ended == "cut"


def test_client_that_ends_its_half_while_it_takes_the_rest_gets_all():
    wire = jammed()
    wire.send_eof()
    wire.take(30_000)
    assert wire.how_it_ended == "lingering"
    wire.take()
    assert wire.how_it_ended == "closed"
    assert wire.raw.endswith(b"x" * 60_000)


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
    wire.arrive(GET * 3)
    wire.send_eof()
    assert wire.statuses == [200, 200, 200]
    assert wire.how_it_ended == "closed"


@pytest.mark.parametrize("rest", [b"", GET[:10], b"\r\n"])
def test_client_that_only_listens_gets_all_answers_however_many_there_are(rest):
    wire = Wire(answer)
    wire.arrive(GET * 9 + rest)
    wire.arrive(b"")  # the end, before the loop comes to the second request
    wire.loop.run_soon()
    assert wire.statuses == [200] * 9
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
    wire = Wire(lambda exchange: answer(exchange, b"x" * 60_000), tls=tls, body_timeout_seconds=30)
    wire.take_nothing()
    wire.send(GET)
    wire.send_eof()
    wire.loop.pass_time(29)
    assert wire.how_it_ended == "lingering"
    wire.loop.pass_time(3)
    assert wire.how_it_ended == "cut"


def test_client_that_only_listens_over_tls_gets_its_answer():
    wire = Wire(tls=True).send(GET)
    wire.send_eof()
    assert not wire.exchange.disconnected
    answer(wire.exchange)
    assert wire.statuses == [200]
    assert CLOSE in wire.raw
    assert wire.how_it_ended == "closed"


# --- what logs say ---


def test_description_tells_what_is_in_flight_and_since_when():
    wire = Wire().send(b"GET /slow?a HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.exchange.started_at -= 3600
    (described,) = wire.connection.describe()
    found = re.fullmatch(r"GET /slow\?a for (\d+\.\d) s", described)
    assert found
    assert 3600 <= float(found[1]) < 7200


def test_description_of_an_idle_connection_is_empty():
    assert Wire(answer).send(GET).connection.describe() == []


def test_description_of_a_response_that_the_client_has_not_taken_says_how_much():
    wire = jammed()
    unsent = wire.connection.stream.unsent_bytes
    assert wire.connection.describe() == [f"a response of which the client has not taken {unsent} bytes yet"]


def test_description_of_a_partial_head_says_so():
    assert Wire().send(GET[:5]).connection.describe() == ["a request of which only a part has arrived"]


def test_description_of_a_long_target_is_short():
    (described,) = Wire().send(b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n").connection.describe()
    assert len(described) < 300


@pytest.mark.parametrize("tls", [False, True])
def test_abort_ends_at_once_and_the_exchange_knows(tls):
    wire = Wire(tls=tls).send(GET)
    wire.connection.abort()
    assert wire.how_it_ended == "closed"
    assert wire.kernel.shut, "a process that the application has forked may have a copy of the descriptor"
    assert wire.exchange.disconnected
    assert wire.owner.closed == [wire.connection]
    assert not wire.server.waiting
    assert not wire.server.poller.watched
    wire.connection.abort()
    assert wire.owner.closed == [wire.connection]


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


def test_lingering_over_tls_is_as_over_plain_tcp():
    wire = Wire(tls=True).send(b"BAD\r\n\r\n")
    assert wire.statuses == [400]
    assert wire.how_it_ended == "lingering"
    wire.loop.pass_time(1.9)
    assert wire.how_it_ended == "lingering"
    wire.loop.pass_time(0.2)
    assert wire.how_it_ended == "closed"
