"""Every wait for a client has its deadline."""

import pytest
from http_fakes import Wire, answer

from gracehttp.wire.handover import Carried, decode, encode

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


def wire_with(on_handle=None, **others) -> Wire:
    return Wire(
        on_handle,
        **others,
        keep_alive_timeout_seconds=75,
        header_timeout_seconds=10,
        body_timeout_seconds=30,
    )


@pytest.mark.parametrize("received", [b"", b"\r\n"])
def test_new_connection_without_a_request_is_closed_without_a_word(received):
    wire = wire_with()
    if received:
        wire.send(received)
    wire.loop.pass_time(9.9)
    assert wire.how_it_ended == "open"
    wire.loop.pass_time(0.2)
    assert wire.raw == b""
    assert wire.how_it_ended == "closed"


def test_first_head_has_its_time_from_the_start_of_the_connection():
    wire = wire_with()
    wire.loop.pass_time(5)
    wire.send(GET[:10])
    wire.loop.pass_time(4.9)
    assert wire.raw == b""
    wire.loop.pass_time(0.2)
    assert wire.statuses == [408]
    assert wire.how_it_ended == "lingering"


def test_head_that_trickles_has_no_more_time():
    wire = wire_with()
    for at in range(20):
        wire.send(GET[at : at + 1])
        wire.loop.pass_time(0.6)
    assert wire.statuses == [408]


def test_later_head_has_its_time_from_its_first_byte():
    wire = wire_with(answer).send(GET)
    wire.loop.pass_time(60)
    wire.send(GET[:1])
    wire.loop.pass_time(9.9)
    assert wire.statuses == [200]
    wire.loop.pass_time(0.2)
    assert wire.statuses == [200, 408]


def test_idle_connection_is_closed_politely_without_a_word():
    wire = wire_with(answer).send(GET)
    wire.loop.pass_time(74.9)
    assert wire.how_it_ended == "open"
    wire.loop.pass_time(0.2)
    assert wire.statuses == [200]
    assert wire.how_it_ended == "lingering"


def test_empty_lines_do_not_keep_a_connection_alive():
    wire = wire_with(answer).send(GET)
    for _ in range(8):
        wire.loop.pass_time(9.5)
        wire.send(b"\r\n")
    assert wire.how_it_ended == "lingering"


def test_application_may_take_its_time():
    wire = wire_with().send(GET)
    wire.loop.pass_time(10_000)
    answer(wire.exchange)
    assert wire.statuses == [200]
    wire.loop.pass_time(74.9)
    assert wire.how_it_ended == "open"


def test_application_may_take_its_time_after_the_body_has_arrived():
    wire = wire_with().send(POST).send(b"hello")
    wire.loop.pass_time(10_000)
    answer(wire.exchange)
    assert wire.statuses == [200]


def test_body_that_does_not_come_is_answered_with_408():
    wire = wire_with().send(POST)
    wire.loop.pass_time(30.1)
    assert wire.exchange.disconnected
    assert wire.statuses == [408]
    assert wire.how_it_ended == "lingering"


def test_each_piece_of_a_body_has_its_own_time():
    wire = wire_with().send(POST)
    for piece in (b"h", b"e", b"l", b"l"):
        wire.loop.pass_time(29)
        wire.send(piece)
    wire.loop.pass_time(29)
    assert wire.raw == b""


def test_body_that_does_not_come_cuts_a_response_that_has_begun():
    wire = wire_with().send(POST)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.loop.pass_time(30.1)
    assert wire.statuses == [200]
    assert wire.how_it_ended == "lingering"


def test_rest_of_a_body_that_nobody_wants_has_its_time():
    wire = wire_with(answer).send(POST)
    wire.loop.pass_time(29.9)
    assert wire.how_it_ended == "open"
    wire.loop.pass_time(0.2)
    assert wire.statuses == [200]
    assert wire.how_it_ended == "lingering"


MUCH = b"x" * 100_000


def takes_nothing() -> Wire:
    """100,000 bytes wait for the client."""
    wire = wire_with().send(GET)
    wire.exchange.start_response(200, [(b"content-length", b"100001")])
    wire.exchange.write(b"x", True)
    wire.take_nothing()
    wire.exchange.write(MUCH, True)
    return wire


def test_client_that_takes_nothing_is_cut():
    wire = takes_nothing()
    wire.loop.pass_time(29.9)
    assert wire.how_it_ended == "open"
    wire.loop.pass_time(0.2)
    assert wire.how_it_ended == "cut"
    assert wire.exchange.disconnected


def test_client_that_takes_little_is_kept():
    wire = takes_nothing()
    for _ in range(3):
        wire.loop.pass_time(29)
        wire.take(1)
    assert wire.how_it_ended == "open"
    wire.loop.pass_time(60)  # from one look to the next but one
    assert wire.how_it_ended == "cut"


def test_client_that_takes_all_is_not_watched_any_more():
    wire = takes_nothing()
    wire.take()
    wire.loop.pass_time(100)
    assert wire.how_it_ended == "open"
    assert not wire.server.waiting


def test_busy_connection_makes_few_timers():
    wire = wire_with(answer)
    for _ in range(1000):
        wire.send(GET)
        wire.loop.pass_time(0.01)
    assert wire.loop.timers_made <= 2


# --- the clocks of a connection that comes from another process, or goes to one ---


@pytest.mark.parametrize(("fresh", "seconds", "end"), [(True, 10, "closed"), (False, 75, "lingering")])
def test_the_clock_of_an_idle_connection_goes_on_where_it_was(fresh, seconds, end):
    wire = wire_with(carried=Carried(fresh=fresh, idle_seconds=seconds - 3))
    assert wire.connection.idle_since == wire.loop.now - (seconds - 3)
    wire.loop.pass_time(2.9)
    assert wire.how_it_ended == "open"
    wire.loop.pass_time(0.2)
    assert wire.how_it_ended == end


@pytest.mark.parametrize("fresh", [True, False])
def test_client_that_has_sent_a_request_while_it_changed_hands_is_in_time(fresh):
    wire = wire_with(answer, carried=Carried(fresh=fresh, idle_seconds=1000), unread=GET)
    wire.loop.pass_time(1)
    assert wire.how_it_ended == "open"
    assert wire.statuses == [200]


@pytest.mark.parametrize("begun", [b"G", GET[:-1]])
def test_client_that_begins_a_request_in_the_moment_of_its_timeout_keeps_a_deadline(begun):
    wire = wire_with(answer).send(GET)
    wire.kernel.inbox.append(begun)
    wire.loop.pass_time(76)
    assert wire.how_it_ended == "open"
    wire.loop.pass_time(8)
    assert wire.statuses == [200]
    wire.loop.pass_time(2)
    assert wire.statuses == [200, 408]


@pytest.mark.parametrize("sent", [b"\r\n", b""])
def test_client_that_sends_no_request_in_the_moment_of_its_timeout_is_closed(sent):
    wire = wire_with(answer).send(GET)
    wire.kernel.inbox.append(sent)
    wire.loop.pass_time(76)
    assert wire.how_it_ended == ("lingering" if sent else "closed")


def test_rest_of_a_head_that_comes_in_the_moment_of_its_timeout_is_in_time():
    wire = wire_with(answer).send(GET[:10])
    wire.kernel.inbox.append(GET[10:])
    wire.loop.pass_time(10.1)
    assert wire.statuses == [200]


def test_part_of_a_head_that_comes_in_the_moment_of_its_timeout_gives_no_more_time():
    wire = wire_with(answer).send(GET[:10])
    wire.kernel.inbox.append(GET[10:-1])
    wire.loop.pass_time(10.1)
    assert wire.statuses == [408]


def test_piece_of_a_body_that_comes_in_the_moment_of_its_timeout_has_its_own_time():
    wire = wire_with().send(POST)
    wire.kernel.inbox.append(b"he")
    wire.loop.pass_time(59)
    assert wire.raw == b""
    wire.loop.pass_time(2)
    assert wire.statuses == [408]


def test_framing_that_comes_in_the_moment_of_the_timeout_of_a_body_has_its_own_time():
    wire = wire_with().send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.kernel.inbox.append(b"5")
    wire.loop.pass_time(59)
    assert wire.raw == b""


@pytest.mark.parametrize("answered", [False, True])
def test_half_a_record_in_the_moment_of_the_timeout_of_a_body_gives_no_more_time(answered):
    wire = wire_with(tls=True).send(POST + b"h")
    if answered:
        answer(wire.exchange)
    passed_on = wire.stream.read_now

    def read_half_a_record():
        passed_on()
        return True

    wire.stream.read_now = read_half_a_record
    wire.loop.pass_time(31)
    assert wire.how_it_ended == "lingering"
    assert wire.statuses == [200 if answered else 408]


@pytest.mark.parametrize("failing", ["reset", "end"])
def test_client_that_is_gone_in_the_moment_of_a_timeout_is_just_gone(failing):
    wire = wire_with(answer).send(GET).send(GET[:10])
    if failing == "reset":
        wire.kernel.reset_by_client()
    else:
        wire.kernel.inbox.append(b"")
    wire.loop.pass_time(10.1)
    assert wire.statuses == [200]
    assert wire.how_it_ended == "closed"
    assert not wire.server.waiting


def test_half_a_record_has_the_time_of_a_head_from_the_moment_of_the_timeout():
    wire = wire_with(answer, tls=True).send(GET)
    wire.loop.pass_time(74)
    wire.stream.mid_record = True
    wire.loop.pass_time(10)
    assert wire.how_it_ended == "open"
    wire.loop.pass_time(2)
    assert wire.how_it_ended == "lingering"


def test_a_request_that_came_along_has_its_own_time():
    wire = wire_with(answer, carried=Carried(fresh=False, idle_seconds=1000, received=GET[:10]))
    wire.loop.pass_time(9.9)
    assert wire.raw == b""
    wire.send(GET[10:])
    assert wire.statuses == [200]


def carried_by(wire):
    """What the other process is told of the connection if it goes now."""
    parcel = wire.connection.pack()
    wire.connection.left()
    assert wire.how_it_ended == "moved"
    (carried,) = decode(encode([parcel.carried]))
    return carried


def test_a_connection_tells_how_long_its_client_has_been_silent():
    wire = wire_with()
    wire.loop.pass_time(4)
    assert carried_by(wire) == Carried(fresh=True, idle_seconds=4)
    wire = wire_with(answer).send(GET)
    wire.loop.pass_time(60)
    assert carried_by(wire) == Carried(fresh=False, idle_seconds=60)


def test_however_often_it_changes_hands_a_silent_connection_has_one_timeout():
    carried = Carried(fresh=False)
    for _ in range(7):
        wire = wire_with(carried=carried)
        wire.loop.pass_time(10)
        carried = carried_by(wire)
    wire = wire_with(carried=carried)
    wire.loop.pass_time(5.1)
    assert wire.how_it_ended == "lingering"


# --- a place that is needed at once ---


def test_connection_without_anything_to_send_is_closed_at_once_where_its_place_is_needed():
    wire = wire_with(answer, tls=True).send(GET)
    assert wire.connection.close_idle(linger=False)
    assert wire.how_it_ended == "closed"


@pytest.mark.parametrize("tls", [False, True])
def test_connection_whose_client_has_not_taken_all_is_not_idle(tls):
    wire = wire_with(answer, tls=tls)
    wire.kernel.room = 10
    wire.send(GET)
    assert not wire.connection.close_idle(linger=False)
    wire.take()
    assert wire.connection.close_idle(linger=False)
    assert wire.how_it_ended == "closed"
