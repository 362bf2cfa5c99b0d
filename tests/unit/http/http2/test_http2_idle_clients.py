"""Clients of HTTP/2 that keep a connection and ask for nothing: whatever else they send, their time is limited."""

from __future__ import annotations

import pytest
from h2_client import (
    END_STREAM,
    HEADERS,
    NO_ERROR,
    PING,
    PREFACE,
    PRIORITY,
    SETTINGS,
    Client,
    block,
    frame,
    headers,
    settings,
    window,
)
from http_fakes import Wire, answer

from gracehttp.http.http2.protocol import ANSWER_SECONDS
from gracehttp.http.settings import Http2Settings

HEAD_SECONDS, IDLE_SECONDS = 10, 75
EVERYTHING = (2**31 - 1, NO_ERROR)


@pytest.mark.parametrize("size", [0, 1, 15, 24])
def test_preface_that_is_not_complete_has_the_time_of_a_head(size):
    wire = Wire(http2=Http2Settings(cleartext=True))
    if size:
        wire.send(PREFACE[:size])
    for _ in range(HEAD_SECONDS + 1):
        wire.loop.pass_time(1)
        wire.turn()
    assert wire.how_it_ended != "open"


def test_preface_that_trickles_has_no_more_time():
    wire = Wire(http2=Http2Settings(cleartext=True))
    for byte in PREFACE + frame(SETTINGS):
        if wire.how_it_ended != "open":
            break
        wire.send(bytes([byte]))
        wire.loop.pass_time(1)
    assert wire.how_it_ended != "open"


CHATTER = {
    "nothing": b"",
    "pings": frame(PING, 0, 0, bytes(8)),
    "settings": settings(initial_window_size=65535),
    "windows": window(0, 1),
    "priorities": frame(PRIORITY, 0, 1, bytes(4) + b"\x10"),
    "frames-of-no-known-kind": frame(77, 0, 0, b"x"),
    "malformed-requests": None,
}


@pytest.mark.parametrize("what", CHATTER)
def test_connection_without_a_request_ends_whatever_the_client_sends(what):
    client = Client()
    for second in range(IDLE_SECONDS + 1):
        chatter = CHATTER[what]
        if chatter is None:
            chatter = headers(2 * second + 1, [(b":method", b"GET")])
        if client.wire.how_it_ended == "open" and chatter:
            client.send(chatter)
        client.wire.loop.pass_time(1)
        client.wire.turn()
    client.read()
    assert client.goaways[0] == EVERYTHING
    client.wire.loop.pass_time(ANSWER_SECONDS + 1)
    client.wire.turn()
    assert client.wire.how_it_ended != "open", "also without an answer to the ping"


def test_head_that_is_never_complete_ends_with_its_connection():
    client = Client()
    client.send(frame(HEADERS, END_STREAM, 1, block([(b":method", b"GET")])))
    client.wire.loop.pass_time(IDLE_SECONDS + 1)
    client.wire.turn()
    client.wire.loop.pass_time(ANSWER_SECONDS + 1)
    client.wire.turn()
    assert client.wire.how_it_ended != "open"
    assert client.exchanges == []


def test_the_time_begins_again_with_each_request():
    client = Client(answer)
    for number in range(1, 9, 2):
        client.wire.loop.pass_time(IDLE_SECONDS - 1)
        client.send(headers(number))
    assert client.ended == {1, 3, 5, 7}
    assert client.goaways == []
