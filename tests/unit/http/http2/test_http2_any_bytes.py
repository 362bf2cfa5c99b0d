"""Whatever bytes come: an answer, or GOAWAY, and never another exception; and pieces of any size mean the same."""

from __future__ import annotations

import contextlib
import random

from h2_client import POST, PREFACE, SETTINGS, data, frame, headers, rst, settings, waiting, window
from http_fakes import Wire, answer
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from test_http2_websockets import CONNECT
from websocket_client import close, text

from gracehttp.http.exchange import ClientDisconnected
from gracehttp.http.fields import ResponseError
from gracehttp.http.settings import Http2Settings
from gracehttp.http.websocket.session import WebSocketSession

CLEAR = Http2Settings(cleartext=True)
ALL = hypothesis_settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=150)

stream_ids = st.integers(0, 8)
payloads = st.binary(max_size=40)
fields = st.lists(
    st.tuples(
        st.sampled_from(
            [b":method", b":path", b":scheme", b":authority", b":protocol", b"host", b"a", b"A", b"te", b""]
        ),
        st.sampled_from([b"GET", b"POST", b"CONNECT", b"/", b"*", b"http", b"a", b"trailers", b"\n", b"", b"\xff"]),
    ),
    max_size=8,
)
pieces = st.one_of(
    payloads,
    st.builds(frame, st.integers(0, 20), st.integers(0, 255), stream_ids, payloads),
    st.builds(lambda stream, chosen, end: headers(stream, chosen, end=end), stream_ids, fields, st.booleans()),
    st.builds(lambda stream, end: headers(stream, end=end), st.integers(0, 4).map(lambda n: 2 * n + 1), st.booleans()),
    st.builds(lambda stream, text, end: data(stream, text, end=end), stream_ids, payloads, st.booleans()),
    st.builds(lambda stream: headers(stream, CONNECT, end=False), st.integers(0, 4).map(lambda n: 2 * n + 1)),
    st.builds(lambda stream, message: data(stream, text(message)), stream_ids, st.text(max_size=10)),
    st.builds(lambda stream: data(stream, close(), end=True), stream_ids),
    st.builds(rst, stream_ids, st.integers(0, 20)),
    st.builds(window, stream_ids, st.integers(0, 2**32 - 1)),
    st.builds(lambda size: settings(initial_window_size=size), st.integers(0, 2**32 - 1)),
)


def act(wire: Wire, choice: random.Random) -> None:
    """The application does something with one of its exchanges."""
    for exchange in wire.exchanges:
        if exchange.application_ended or choice.random() < 0.5:
            continue
        exchange.take_body()
        if exchange.disconnected:
            exchange.end()
        elif exchange.response_started:
            if not exchange.response_complete:
                exchange.write(b"x" * choice.randrange(1000), choice.random() < 0.5)
        elif choice.random() < 0.5:
            answer(exchange, b"x" * choice.randrange(200_000))
        elif choice.random() < 0.7:
            exchange.start_response(200, [])
            exchange.write(b"x" * choice.randrange(100_000), True)
        elif choice.random() < 0.3:
            exchange.end()


def act_on_websockets(sessions: list[WebSocketSession], choice: random.Random) -> None:
    for session in sessions:
        with contextlib.suppress(ResponseError, ClientDisconnected):
            if choice.random() < 0.5:
                session.accept()
            session.take()
            if choice.random() < 0.7:
                session.send("x" * choice.randrange(100_000))
            if choice.random() < 0.2:
                session.close()


@ALL
@given(st.lists(pieces, max_size=20), st.randoms(use_true_random=False))
def test_any_frames(sent, choice):
    wire = Wire(http2=CLEAR)
    sessions: list[WebSocketSession] = []
    if choice.random() < 0.5:
        wire.application.handle_websocket = sessions.append
    wire.send(PREFACE + frame(SETTINGS))
    for piece in sent:
        if wire.kernel.closed:
            break
        if choice.random() < 0.1:
            wire.kernel.room = choice.choice([0, 100, None])
        wire.send(piece)
        act(wire, choice)
        act_on_websockets(sessions, choice)
        wire.turn()
        if choice.random() < 0.05:
            wire.connection.close_idle(linger=choice.random() < 0.5)
            wire.turn()
    wire.kernel.room = None
    wire.turn()
    wire.loop.pass_time(200)
    wire.turn()
    wire.loop.pass_time(200)
    for exchange in wire.exchanges:
        if not exchange.application_ended:
            exchange.end()
    for session in sessions:
        session.end()
    wire.turn()
    wire.loop.pass_time(200)
    assert wire.kernel.closed
    assert len(wire.owner.closed) == 1
    assert waiting(wire) == 0


@ALL
@given(st.binary(max_size=200))
def test_any_bytes_behind_the_preface(sent):
    wire = Wire(answer, http2=CLEAR)
    wire.send(PREFACE + sent)
    wire.loop.pass_time(500)
    assert wire.kernel.closed


@ALL
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_pieces_of_any_size_mean_the_same(seed, largest):
    choice = random.Random(seed)
    whole = PREFACE + frame(SETTINGS)
    for number in range(1, 12, 2):
        whole += headers(number, [*POST[:3], (b":path", b"/%d" % number)], end=False)
        whole += data(number, b"x" * number) + data(number, end=True)
    wire = Wire(http2=CLEAR)
    while whole:
        size = choice.randint(1, largest)
        wire.send(whole[:size])
        whole = whole[size:]
    assert [(one.head.path, one.take_body()) for one in wire.exchanges] == [
        (f"/{number}", (b"x" * number, False)) for number in range(1, 12, 2)
    ]
