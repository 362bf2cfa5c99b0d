"""WebSockets over HTTP/2 (RFC 8441): each is a stream, next to requests on the same connection."""

from __future__ import annotations

import pytest
from h2_client import CANCEL, NO_ERROR, Client, data, frame, headers, rst, waiting
from http_fakes import answer
from websocket_client import CLOSE, PING, TEXT, close, closing, frames_in, text
from websocket_client import frame as websocket_frame

from gracehttp.http.connection import Pace
from gracehttp.http.http2 import protocol as http2
from gracehttp.http.http2.stream import HIGH_WATER_BYTES
from gracehttp.http.settings import Http2Settings, WebSocketSettings
from gracehttp.http.websocket.messages import framed
from gracehttp.http.websocket.protocol import CLOSING_SECONDS

CONNECT = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"http"),
    (b":authority", b"a"),
    (b":path", b"/chat?x=1"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-protocol", b"one, two"),
]
SESSIONS = []
SMALL_WINDOW = b"\x00\x04" + (10).to_bytes(4, "big")
"""SETTINGS_INITIAL_WINDOW_SIZE."""


class Sockets(Client):
    """A client of an application that has WebSockets."""

    def __init__(self, on_handle=None, **settings):
        super().__init__(on_handle, **settings)

    def open(self, stream=1, *, accepts=True):
        self.send(headers(stream, CONNECT, end=False))
        session = SESSIONS[-1]
        if accepts:
            session.accept("two", [(b"X-A", b"b")])
            self.wire.turn()
            self.read()
        return session

    def messages(self, stream=1):
        found, rest = frames_in(self.bodies[stream])
        assert rest == b""
        self.bodies[stream] = b""
        return found


@pytest.fixture(autouse=True)
def application_with_websockets(monkeypatch):
    SESSIONS.clear()
    monkeypatch.setattr("http_fakes.FakeApplication.handle_websocket", staticmethod(SESSIONS.append))


def tunnel_of(session):
    return session._carrier.connection.stream


def settle(client):
    client.wire.turn()
    client.read()


def test_it_is_offered():
    client = Sockets()
    first = client.frames[0].payload
    assert b"\x00\x08\x00\x00\x00\x01" in first


def test_messages_in_both_directions_next_to_requests():
    client = Sockets(answer)
    session = client.open()
    (head,) = client.heads[1]
    assert head == [(b":status", b"200"), (b"sec-websocket-protocol", b"two"), (b"x-a", b"b")]
    assert session.subprotocols == ["one", "two"]
    assert (session.head.path, session.head.query_string, session.head.scheme) == ("/chat", b"x=1", "http")
    client.send(data(1, text("hello")), headers(3))
    assert session.take() == "hello"
    assert client.status(3) == 200
    session.send("to you")
    settle(client)
    (received,) = client.messages()
    assert (received.opcode, received.payload) == (TEXT, b"to you")
    client.send(data(1, text("a")[:3]))
    client.send(data(1, text("a")[3:]))
    assert session.take() == "a"


def test_messages_that_come_before_the_answer_wait():
    client = Sockets()
    client.send(headers(1, CONNECT, end=False), data(1, text("early")))
    (session,) = SESSIONS
    session.accept()
    settle(client)
    assert session.take() == "early"


def test_close_by_the_client_and_by_the_application():
    client = Sockets()
    session = client.open()
    client.send(data(1, close(4001, b"bye"), end=True))
    assert (session.close_code, session.close_reason) == (4001, "bye")
    assert closing(client.messages()[0]) == (4001, "bye")
    assert 1 in client.ended
    assert client.wire.owner.finished[0][:2] == ("/chat", 101)
    other = client.open(3)
    other.close(4002, "enough")
    settle(client)
    assert closing(client.messages(3)[0]) == (4002, "enough")
    client.send(data(3, close(4002), end=True))
    assert 3 in client.ended
    session.end()
    other.end()
    assert client.error is None


def test_denial_is_an_ordinary_response():
    client = Sockets()
    session = client.open(accepts=False)
    session.close()
    session.end()
    settle(client)
    assert client.status(1) == 403
    assert client.resets == {1: NO_ERROR}
    assert client.error is None


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([one for one in CONNECT if one[0] != b"sec-websocket-version"], 426),
        ([*CONNECT[:1], (b":protocol", b"connect-udp"), *CONNECT[2:]], 501),
        ([*CONNECT[:4], (b":path", b"/a#b"), *CONNECT[5:]], 400),
    ],
)
def test_handshake_that_breaks_the_rules(fields, status):
    client = Sockets()
    client.send(headers(1, fields, end=False))
    assert client.status(1) == status
    assert not SESSIONS


def test_reset_and_end_without_a_word():
    client = Sockets()
    first, second = client.open(1), client.open(3)
    client.send(rst(1, CANCEL))
    assert first.ended
    assert first.close_code == 1006
    client.send(data(3, end=True))
    assert second.ended
    assert second.close_code == 1006
    assert client.error is None
    for session in (first, second):
        session.end()
    settle(client)
    assert len([one for one in client.wire.owner.finished if one[1] == 101]) == 2


def test_slow_application_stops_its_client_alone():
    client = Sockets(answer)
    session = client.open()
    client.send(frame(4, 1))
    message = text("a" * 10_000)
    for _ in range(12):
        client.send(data(1, message))
    client.send(headers(3))
    assert client.status(3) == 200
    given = sum(int.from_bytes(one.payload, "big") for one in client.frames if one.kind == 8 and one.stream == 1)
    assert given < 8 * len(message), "what the session was given, and no more"
    taken = 0
    while session.take() is not None:
        taken += 1
        client.wire.turn()
    settle(client)
    assert taken == 12
    client.send(data(1, message), data(1, message), data(1, message))
    assert session.take() is not None
    assert client.error is None


def test_slow_client_stops_its_application():
    client = Sockets()
    session = client.open()
    while session.writable:
        session.send("a" * 10_000)
    settle(client)
    size = len(client.bodies[1])
    assert size == 65535
    client.send(*(frame(8, 0, stream, (1_000_000).to_bytes(4, "big")) for stream in (0, 1)))
    assert session.writable


WINDOW_BYTES = 65535  # of a stream, if the client says nothing else


def test_what_a_slow_client_leaves_is_bounded_by_one_message_more():
    client = Sockets()
    session = client.open()
    message, sent = "a" * 10_000, 0
    for _ in range(200):  # the loop turns between them, as it does for an application that waits for each
        if session.writable:
            session.send(message)
            sent += len(message)
        settle(client)
    assert len(client.bodies[1]) == WINDOW_BYTES
    assert WINDOW_BYTES < sent <= WINDOW_BYTES + HIGH_WATER_BYTES + len(message)


@pytest.mark.parametrize("size", [100, HIGH_WATER_BYTES, 1_000_000])
def test_all_that_waits_for_a_slow_client_counts_as_unsent(size):
    client = Sockets()
    session = client.open()
    tunnel = tunnel_of(session)
    client.send(frame(4, 0, 0, SMALL_WINDOW))
    session.send("a" * size)
    settle(client)
    frame_bytes = len(framed(0x81, b"a" * size))
    assert len(client.bodies[1]) == min(10, frame_bytes)
    assert tunnel.unsent_bytes == frame_bytes - len(client.bodies[1])
    client.send(*(frame(8, 0, stream, (2_000_000).to_bytes(4, "big")) for stream in (0, 1)))
    settle(client)
    assert tunnel.unsent_bytes == 0
    assert len(client.bodies[1]) == frame_bytes


def test_client_that_pings_and_takes_no_pong_is_read_no_further():
    client = Sockets()
    client.open()
    client.send(frame(4, 0, 0, SMALL_WINDOW))
    pings = websocket_frame(PING, b"x" * 125) * 100
    sent, allowed = 0, WINDOW_BYTES  # this client has not said that it has read the server's settings
    while sent + len(pings) <= allowed:
        client.send(data(1, pings))
        settle(client)
        sent += len(pings)
        given = sum(int.from_bytes(one.payload, "big") for one in client.frames if (one.kind, one.stream) == (8, 1))
        allowed = WINDOW_BYTES + given
    tunnel = tunnel_of(SESSIONS[0])
    assert not tunnel.reading
    assert tunnel.unsent_bytes <= HIGH_WATER_BYTES + 100 * 127
    assert client.error is None


def test_pings_are_sent_and_answered():
    client = Sockets(websocket=WebSocketSettings(ping_interval_seconds=5, ping_timeout_seconds=5))
    session = client.open()
    client.wire.loop.pass_time(6)
    settle(client)
    assert client.messages()[0].opcode == 9
    client.wire.loop.pass_time(6)
    settle(client)
    assert session.close_code == 1011
    assert client.error is None


def test_application_has_all_the_time_to_accept():
    client = Sockets()
    session = client.open(accepts=False)
    client.wire.loop.pass_time(100)
    settle(client)
    session.accept()
    settle(client)
    assert client.status(1) == 200


def test_drain_gives_the_application_time_and_then_closes_with_1012():
    client = Sockets()
    session = client.open()
    client.wire.connection.close_idle()
    settle(client)
    client.pong()
    assert client.goaways == [(2**31 - 1, 0), (1, 0)]
    client.wire.loop.pass_time(4)
    assert not session.ended
    assert [str(one).split(" for ")[0] for one in client.wire.connection.describe()] == ["WebSocket /chat?x=1"]
    client.wire.loop.pass_time(2)
    settle(client)
    assert session.close_code == 1012
    (received,) = client.messages()
    assert received.opcode == CLOSE
    client.send(data(1, close(1012), end=True))
    assert client.wire.how_it_ended == "lingering"
    session.end()


def test_drain_that_ends_before_the_goodbye_closes_with_1012_at_the_pace_of_websockets():
    client = Sockets()
    sessions = [client.open(1)]
    client.wire.loop.pass_time(1)
    sessions.append(client.open(3))
    opened_at = client.wire.loop.time()
    connection = client.wire.connection
    assert connection.protocol.pace.grace_seconds == 0.0
    assert connection.close_idle(), "it is told that the connection ends"
    settle(client)
    assert connection.closable
    assert connection.protocol.pace == Pace(
        any_time=True, per_second=100.0, grace_seconds=sessions[0].settings.goodbye_seconds, stop_spread_seconds=5.0
    )
    # All of them are told at once, so the one that was opened last has its time, too.
    assert connection.protocol.grace_until == opened_at + sessions[0].settings.goodbye_seconds
    assert not sessions[0].ended
    assert connection.close_idle()
    assert not connection.closable
    settle(client)
    for number, session in zip((1, 3), sessions, strict=True):
        assert session.close_code == 1012
        assert [one.opcode for one in client.messages(number)] == [CLOSE]


def test_client_that_answers_no_close_frame_and_sends_on_holds_no_drain_up():
    client = Sockets()
    session = client.open()
    client.wire.connection.close_idle()
    settle(client)
    client.pong()
    seconds = 0
    while not client.wire.kernel.closed:
        client.send(data(1, text("more")))
        client.wire.loop.pass_time(1.0)
        seconds += 1
        assert seconds < 100
    goodbye = session.settings.goodbye_seconds
    assert seconds == pytest.approx(goodbye + CLOSING_SECONDS + http2.ENDING_SECONDS, abs=2)
    assert session.close_code == 1012
    assert waiting(client.wire) == 0


def test_vanished_client_ends_all():
    client = Sockets()
    sessions = [client.open(number) for number in (1, 3)]
    client.wire.vanish()
    assert all(one.ended for one in sessions)
    assert client.wire.owner.closed == [client.wire.connection], "the streams have no permit"
    for session in sessions:
        session.end()
    assert waiting(client.wire) == 0


def test_it_is_not_offered_without_an_application_for_it(monkeypatch):
    monkeypatch.setattr("http_fakes.FakeApplication.handle_websocket", None)
    client = Client(http2=Http2Settings(cleartext=True))
    assert b"\x00\x08\x00\x00\x00\x01" not in client.frames[0].payload


def test_fields_that_options_ask_for_are_on_its_answer_too():
    client = Sockets(response_fields=((b"X-Site", b"one"),))
    client.open()
    assert (b"x-site", b"one") in client.heads[1][0]


def test_a_connect_that_ends_its_stream_is_refused():
    client = Sockets(answer)
    client.send(headers(1, CONNECT, end=True), headers(3))
    assert (client.status(1), client.status(3)) == (400, 200)
    assert SESSIONS == []
