"""Every wait for a client has its deadline."""

import pytest
from http_fakes import Wire, answer

from gracehttp.http import http1_ending, http1_handover
from gracehttp.http.connection import NEW, Carried

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


def wire_with(on_handle=None, *, carried=NEW, tls=False) -> Wire:
    return Wire(
        on_handle,
        carried=carried,
        tls=tls,
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


def test_client_that_takes_nothing_is_aborted():
    wire = wire_with().send(GET)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.transport.fill(100_000)
    wire.loop.pass_time(29.9)
    assert wire.how_it_ended == "open"
    wire.loop.pass_time(0.2)
    assert wire.how_it_ended == "aborted"
    assert wire.exchange.disconnected


def test_client_that_takes_little_is_kept():
    wire = wire_with().send(GET)
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.transport.fill(100_000)
    for left in (90_000, 80_000, 79_999):
        wire.loop.pass_time(29)
        wire.transport.buffered = left
    assert wire.how_it_ended == "open"


def test_client_that_takes_all_is_not_watched_any_more():
    wire = wire_with().send(GET)
    wire.transport.fill(100_000)
    wire.transport.empty()
    wire.loop.pass_time(100)
    assert wire.how_it_ended == "open"


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
def test_who_has_sent_something_while_it_changed_hands_is_in_time(monkeypatch, fresh):
    monkeypatch.setattr(http1_ending, "has_unread_input", lambda transport: True)
    wire = wire_with(answer, carried=Carried(fresh=fresh, idle_seconds=1000))
    wire.loop.pass_time(1)
    assert wire.how_it_ended == "open"
    wire.send(GET)
    assert wire.statuses == [200]


def test_who_sends_something_in_the_moment_of_its_timeout_keeps_a_deadline(monkeypatch):
    unread = [True]
    monkeypatch.setattr(http1_handover, "has_unread_input", lambda transport: unread[0])
    wire = wire_with(answer).send(GET)
    wire.loop.pass_time(76)
    assert wire.how_it_ended == "open"
    unread[0] = False
    wire.send(b"\r\n")
    wire.loop.pass_time(1)
    assert wire.how_it_ended == "lingering"


def test_a_request_that_came_along_has_its_own_time():
    wire = wire_with(answer, carried=Carried(fresh=False, idle_seconds=1000, received=GET[:10]))
    wire.loop.pass_time(9.9)
    assert wire.raw == b""
    wire.send(GET[10:])
    assert wire.statuses == [200]


class NoSocket:
    def fileno(self) -> int:
        return -1


def carried_by(wire):
    """What the connection takes along if it goes now."""
    wire.transport.extra["socket"] = NoSocket()
    sent = []
    assert wire.connection.hand_over(lambda _, carried: sent.append(carried) or True)
    return sent[0]


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


@pytest.mark.parametrize(("unsent", "seconds"), [(0, 0.02), (1, 30)])
def test_over_tls_it_is_waited_for_what_the_client_has_not_taken_and_not_for_its_close_notify(unsent, seconds):
    wire = wire_with(answer, tls=True).send(GET)
    wire.transport.buffered = unsent
    wire.transport.close = lambda: None  # it waits for the close_notify
    assert wire.connection.close_idle(linger=False)
    wire.loop.pass_time(seconds - 0.01)
    assert wire.how_it_ended == "open"
    wire.loop.pass_time(0.02)
    assert wire.how_it_ended == "aborted"
