"""What a connection does whatever it speaks."""

import pytest
from http_fakes import Wire, answer

from gracehttp.http.connection import NEW, NO_PROTOCOL, Connection, InFlight, Pace, Terms
from gracehttp.http.fields import ResponseFields
from gracehttp.wire.handover import Carried

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Recorder:
    """A protocol that remembers what it is told."""

    pace = Pace()
    can_move = True
    at_rest = True
    idle_since = None

    def __init__(self, connection, carried=NEW):
        self.connection = connection
        self.told = []

    def received(self, data):
        self.told.append(data)

    def ended(self):
        self.told.append("ended")

    def ended_unread(self):
        self.told.append("ended unread")

    def writable_again(self):
        self.told.append("writable again")

    def last_call(self, terms):
        self.told.append(terms)

    def close_at_rest(self, *, linger):
        self.connection.stream.close(linger=linger)

    def carried(self):
        return Carried()

    def in_flight(self):
        return [InFlight("something", 1.26), InFlight("another thing", None)]

    def timed_out(self):
        self.told.append("timed out")

    def lost(self):
        self.told.append("lost")


def spoken(**options):
    """A connection that speaks what a recorder remembers."""
    wire = Wire(**options)
    recorder = Recorder(wire.connection)
    wire.connection.switch(recorder)
    return wire, recorder


# --- one protocol after another ---


@pytest.mark.parametrize("tls", [False, True])
def test_protocol_that_takes_over_gets_the_rest_and_all_that_comes(tls):
    wire = Wire(tls=tls)
    recorder = Recorder(wire.connection)
    wire.connection.switch(recorder, b"rest")
    wire.send(b"more")
    wire.send_eof()
    assert recorder.told == [b"rest", b"more", "ended"]
    assert wire.how_it_ended == "open"


def test_protocol_that_is_replaced_hears_of_it_and_waits_for_nothing():
    wire, first = spoken()
    assert wire.server.waiting == 0, "HTTP/1.1 was here before"
    wire.connection.switch(Recorder(wire.connection))
    assert first.told == ["lost"]
    wire.vanish()
    assert first.told == ["lost"]
    assert wire.owner.closed == [wire.connection]


def test_owner_is_told_of_each_protocol():
    told = []
    wire = Wire()
    wire.owner.connection_speaks = lambda connection: told.append(connection.protocol)
    recorder = Recorder(wire.connection)
    wire.connection.switch(recorder)
    assert told == [recorder]


def test_protocol_that_takes_over_after_the_end_of_input_is_told_of_it():
    wire = Wire().send(GET)
    wire.send_eof()
    recorder = Recorder(wire.connection)
    wire.connection.switch(recorder, b"rest")
    assert recorder.told == [b"rest", "ended"]


def test_protocol_that_closes_at_its_first_bytes_is_told_nothing_more():
    wire = Wire().send(GET)
    wire.send_eof()
    recorder = Recorder(wire.connection)
    recorder.received = lambda data: wire.connection.abort()
    wire.connection.switch(recorder, b"rest")
    assert recorder.told == ["lost"]


# --- Upgrade (RFC 9110 section 7.8) ---

UPGRADE = b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"


def upgrade(wire):
    recorders = []
    http1 = wire.connection.protocol
    make = lambda *of: recorders.append(Recorder(*of)) or recorders[-1]  # noqa: E731  it is one expression
    http1.upgrade(wire.exchange, ResponseFields([(b"Upgrade", b"x")]), make)
    return recorders


@pytest.mark.parametrize("rest", [b"", b"rest", GET])
def test_upgrade_ends_the_exchange_and_passes_on_what_was_behind_it(rest):
    wire = Wire().send(UPGRADE + rest)
    (recorder,) = upgrade(wire)
    assert wire.raw == SWITCHED
    assert recorder.told == ([rest] if rest else [])
    assert [told[:3] for told in wire.owner.finished] == [("/up", 101, 0)]
    assert wire.exchange.disconnected
    answer(wire.exchange)
    wire.send(b"more")
    assert wire.raw == SWITCHED
    assert recorder.told[-1] == b"more"
    assert wire.server.waiting == 0
    assert wire.owner.broken == []


def test_upgrade_reads_on_where_reading_was_paused():
    wire = Wire().send(UPGRADE).send(b"x" * 70_000)
    assert not wire.reading
    (recorder,) = upgrade(wire)
    assert wire.reading
    assert recorder.told == [b"x" * 70_000]


def test_upgrade_of_a_connection_that_the_owner_closes_when_it_is_told_makes_no_protocol():
    wire = Wire().send(UPGRADE)
    wire.owner.request_finished = lambda *_: wire.connection.abort()
    assert upgrade(wire) == []
    assert wire.owner.closed == [wire.connection]


# --- the worker's side ---


@pytest.mark.parametrize("terms", Terms)
def test_terms_are_passed_on(terms):
    wire, recorder = spoken()
    wire.connection.see_off(terms)
    assert wire.connection.terms is terms
    assert recorder.told == [terms]


@pytest.mark.parametrize("terms", Terms)
def test_owner_is_told_of_rest_on_terms_that_ask_for_it(terms):
    wire, _ = spoken()
    wire.connection.see_off(terms)
    wire.connection.rested()
    assert bool(wire.owner.rested) is (terms in (Terms.HAND_OVER, Terms.SOON))


def test_connection_is_busy_while_bytes_wait():
    wire, recorder = spoken()
    wire.take_nothing()
    wire.connection.stream.write(b"x")
    assert wire.connection.busy
    wire.connection.see_off(Terms.HAND_OVER)
    wire.connection.rested()
    assert wire.owner.rested == []
    assert wire.connection.pack() is None
    wire.take()
    assert "writable again" in recorder.told
    assert not wire.connection.busy


def test_all_that_is_in_flight_is_described():
    wire, _ = spoken()
    assert wire.connection.describe() == ["something for 1.3 s", "another thing"]


@pytest.mark.parametrize(("tls", "can_move"), [(False, True), (True, False)])
def test_connection_moves_if_both_its_stream_and_its_protocol_can(tls, can_move):
    wire, recorder = spoken(tls=tls)
    assert wire.connection.can_move is can_move
    recorder.can_move = False
    assert not wire.connection.can_move
    assert wire.connection.pack() is None


def test_connection_without_a_protocol_is_busy_and_can_be_aborted():
    wire = Wire()
    wire.connection.switch(NO_PROTOCOL)
    connection: Connection = wire.connection
    assert not connection.opened
    assert connection.busy
    assert connection.pack() is None
    assert not connection.close_idle()
    connection.see_off(Terms.SOON)
    connection.abort()
    assert wire.owner.closed == [connection]


def test_a_protocol_that_raises_at_its_deadline_loses_its_connection():
    wire, recorder = spoken()

    def fail():
        raise RuntimeError("a fault of ours")

    recorder.timed_out = fail
    with pytest.raises(RuntimeError, match="a fault of ours"):
        wire.connection.timed_out()
    assert wire.stream.closed
    assert recorder.told == ["lost"]
