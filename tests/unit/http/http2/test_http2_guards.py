"""Floods: each ends with GOAWAY ENHANCE_YOUR_CALM, after bounded work and in bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest
from h2_client import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    GET,
    HEADERS,
    PADDED,
    PING,
    POST,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    Client,
    block,
    data,
    frame,
    headers,
    rst,
    settings,
    window,
)
from http_fakes import answer

from gracehttp.http.http2 import guard as guards
from gracehttp.http.http2.engine import Engine
from gracehttp.http.http2.guard import FloodGuard

MUCH = 20_000  # more than any guard lets pass


MOST_BYTES = 5_000_000
"""Of memory, at any time of a flood, with what the client here keeps."""


def flood(client: Client, pieces, *, at_once: int = 100) -> int:
    """Send until the connection ends; returns how many pieces that took. Memory is bounded meanwhile."""
    tracemalloc.start()
    try:
        sent = _flood(client, pieces, at_once)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES
    return sent


def _flood(client, pieces, at_once):
    batch, sent = [], 0
    for piece in pieces:
        batch.append(piece)
        sent += 1
        if len(batch) == at_once:
            client.send(*batch)
            batch = []
            if client.error is not None:
                return sent
    return sent


def streams():
    return range(1, 2 * MUCH, 2)


def test_rapid_reset():
    """CVE-2023-44487."""
    client = Client()
    sent = flood(client, (headers(number) + rst(number) for number in streams()), at_once=10)
    assert client.error == ENHANCE_YOUR_CALM
    assert sent <= guards.MOST_RESETS + 10
    assert client.exchanges == [], "not one was begun"


def test_rapid_reset_in_two_steps():
    client = Client()
    for number in streams():
        client.send(headers(number))
        if client.error is not None:
            break
        client.send(rst(number))
        for exchange in client.exchanges[-1:]:
            exchange.end()
    assert client.error == ENHANCE_YOUR_CALM
    assert len(client.exchanges) <= guards.MOST_RESETS + 1


def test_resets_now_and_then_are_no_flood():
    client = Client()
    for number in range(1, 2 * 3000, 2):
        client.send(headers(number), rst(number))
        client.wire.loop.pass_time(0.05)
    assert client.error is None


MADE = {
    "length": lambda number: headers(number, [*POST, (b"content-length", b"1")], end=False) + data(number, b"aa"),
    "malformed": lambda number: headers(number, [*GET, (b"connection", b"close")]),
    "own dependency of a window": lambda number: headers(number) + window(number, 0),
    "window overflow": lambda number: headers(number) + window(number, 2**31 - 1),
    "data behind the end": lambda number: headers(number) + data(number, b"a"),
    "second head": lambda number: headers(number, POST, end=False) + headers(number, [(b"a", b"b")], end=False),
    "refused": lambda number: headers(number, POST, end=False),
}
# Errors with which the connection ends at once. The other faults are errors of a stream, and are counted.
AT_ONCE = {
    "own dependency of a window": PROTOCOL_ERROR,  # RFC 9113 section 6.9
    "window overflow": FLOW_CONTROL_ERROR,  # section 6.9.1
    "data behind the end": STREAM_CLOSED,  # section 5.1
}


@pytest.mark.parametrize("how", MADE)
def test_client_that_makes_the_server_reset(how):
    """CVE-2025-8671, MadeYouReset: a fault in each stream."""
    client = Client()
    sent = flood(client, map(MADE[how], streams()), at_once=10)
    assert client.error == AT_ONCE.get(how, ENHANCE_YOUR_CALM)
    assert sent < 5000
    assert len(client.exchanges) <= (1 if how in AT_ONCE else guards.MOST_RESETS + 10)


def test_continuations_without_end():
    client = Client()
    client.send(frame(HEADERS, END_STREAM, 1, block(GET)))
    sent = flood(client, (frame(CONTINUATION, 0, 1, block([(b"a", b"b" * 100)])) for _ in range(MUCH)), at_once=1)
    assert client.error == ENHANCE_YOUR_CALM
    assert sent < 20


def test_empty_continuations_without_end():
    client = Client()
    client.send(frame(HEADERS, END_STREAM, 1, block(GET)))
    assert flood(client, (frame(CONTINUATION, 0, 1) for _ in range(MUCH)), at_once=1) < 20
    assert client.error == ENHANCE_YOUR_CALM


@pytest.mark.parametrize("times", [12000, 2000], ids=["too many fields", "too many bytes"])
def test_hpack_bomb(times):
    """4000 bytes in the dynamic table, and a byte for each time that they are meant."""
    client = Client()
    bomb = block(GET) + b"\x40\x01a\x7f\x81\x1e" + b"b" * 4000 + b"\xbe" * times
    tracemalloc.start()
    try:
        for number in range(1, 41, 2):
            if client.error is None:
                client.send(frame(HEADERS, END_HEADERS | END_STREAM, number, bomb))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert client.error == ENHANCE_YOUR_CALM
    assert not client.exchanges
    assert peak < MOST_BYTES


@pytest.mark.parametrize("asks", [frame(PING, 0, 0, b"12345678"), frame(SETTINGS)], ids=["ping", "settings"])
def test_the_engine_keeps_no_more_answers_than_a_client_may_leave(asks):
    engine = Engine(100, 65536)
    engine.receive(PREFACE + frame(SETTINGS))
    engine.receive(asks * 900)
    assert engine.failed is None
    engine.receive(asks * 200)
    assert engine.failed == ENHANCE_YOUR_CALM


FRAMES = {
    "ping": frame(PING, 0, 0, b"12345678"),
    "ping answers": frame(PING, 1, 0, b"12345678"),
    "settings": frame(SETTINGS),
    "settings with values": settings(initial_window_size=1000, header_table_size=0),
    "priority": frame(PRIORITY, 0, 9, bytes(5)),
    "priority update": frame(0x10, 0, 0, (1).to_bytes(4, "big") + b"u=1"),
    "unknown": frame(0x77),
    "empty data": data(1),
    "padding": frame(0, PADDED, 1, b"\xff" + bytes(255)),
    "windows": window(0, 1),
    "windows of the stream": window(1, 1),
    "goaway": frame(7, 0, 0, bytes(8)),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_that_carry_nothing(name):
    """CVE-2019-9511 to 9518."""
    client = Client()
    client.send(headers(1, POST, end=False))
    piece = FRAMES[name]
    sent = flood(client, (piece for _ in range(MUCH)))
    assert client.error == ENHANCE_YOUR_CALM
    assert sent * len(piece) < 3 * guards.WASTE_BYTES
    assert all(one.disconnected for one in client.exchanges)


def test_floods_in_one_piece():
    for name, piece in FRAMES.items():
        client = Client()
        client.send(headers(1, POST, end=False))
        client.send(*(piece for _ in range(MUCH)))
        assert client.error == ENHANCE_YOUR_CALM, name


def test_response_that_is_taken_a_byte_at_a_time():
    client = Client(greeting=settings(initial_window_size=0))
    client.send(headers(1))
    exchange = client.exchanges[0]
    exchange.start_response(200, [])
    exchange.write(b"a" * 60000, True)
    sent = flood(client, (window(1, 1) for _ in range(60000)), at_once=1)
    assert client.error == ENHANCE_YOUR_CALM
    assert sent < 15000


def test_download_that_opens_its_windows_often_is_no_flood():
    client = Client(answer)
    client.send(headers(1))
    number = 1
    for _ in range(50):
        number += 2
        client.send(headers(number))
        exchange = client.exchanges[-1]
        assert exchange.response_complete
    client.wire.application.on_handle = None
    client.send(headers(number + 2))
    exchange = client.exchanges[-1]
    exchange.start_response(200, [])
    for _ in range(2000):
        exchange.write(b"a" * 1000, True)
        client.wire.turn()
        client.send(window(0, 500), window(number + 2, 500), window(0, 500), window(number + 2, 500))
    assert client.error is None


def test_answers_that_the_client_does_not_take_are_bounded():
    """It pings, and reads nothing."""
    client = Client()
    client.wire.take_nothing()
    for _ in range(200):
        client.wire.kernel.inbox.append(frame(PING, 0, 0, b"12345678") * 100)
    client.wire.turn()
    assert client.wire.stream.unsent_bytes < 200_000


def test_nothing_is_read_of_a_client_that_takes_nothing():
    """It has had a large response, so that it may ping, and doesn't read the answers to that."""
    client = Client(
        lambda exchange: answer(exchange, b"a" * 300_000),
        greeting=settings(initial_window_size=2**20) + window(0, 2**20),
    )
    client.send(headers(1))
    assert client.ended == {1}
    client.wire.take_nothing()
    inbox = client.wire.kernel.inbox
    inbox.extend(frame(PING, 0, 0, b"12345678") * 100 for _ in range(200))
    client.wire.turn()
    assert len(inbox) > 100
    assert client.wire.how_it_ended == "open"


@pytest.mark.parametrize("stream", [0, 1])
def test_window_that_overflows(stream):
    client = Client()
    client.send(headers(1), window(stream, 2**31 - 1), frame(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff"))
    assert client.error == 3 or client.resets == {1: 3}


def test_initial_window_that_overflows():
    client = Client()
    client.send(headers(1), settings(initial_window_size=2**31))
    assert client.error == 3


def test_slow_readers_with_large_windows():
    """Each asks for a large response, opens all windows, and reads nothing of it."""
    client = Client(greeting=settings(initial_window_size=2**31 - 1) + window(0, 2**31 - 1 - 65535))
    client.wire.take_nothing()
    body = b"a" * 1_000_000
    tracemalloc.start()
    try:
        for number in range(1, 201, 2):
            client.send(headers(number))
        for exchange in client.exchanges:
            exchange.start_response(200, [])
            exchange.write(body, True)
            assert not exchange.writable
        client.wire.turn()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * 150_000, "not the megabytes themselves"
    client.wire.loop.pass_time(61)
    assert client.wire.how_it_ended in ("cut", "closed")


def test_guard_forgives_with_time():
    guard = FloodGuard(0.0)
    assert not guard.count(guards.WASTE_BYTES, 0, 0.0)
    assert guard.count(1, 0, 0.0)
    guard = FloodGuard(0.0)
    guard.count(guards.WASTE_BYTES, 0, 0.0)
    assert not guard.count(1000, 0, 1.0)
    assert guard.count(2000, 0, 1.0)


def test_guard_keeps_no_savings():
    guard = FloodGuard(0.0)
    for _ in range(100):
        guard.earn(1_000_000)
    assert not guard.count(guards.MOST_CREDIT_BYTES, 0, 0.0)
    assert guard.count(1, 0, 0.0)
