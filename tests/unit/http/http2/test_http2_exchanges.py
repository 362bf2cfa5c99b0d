"""Requests and responses on streams: the heads, the bodies in both directions, their windows, and their ends."""

from __future__ import annotations

import base64
import struct

import pytest
from h2_client import (
    CANCEL,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    POST,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Client,
    data,
    frame,
    frames_of,
    headers,
    rst,
    settings,
    window,
)
from http_fakes import Wire, answer, step

from gracehttp.http.exchange import ResetReason
from gracehttp.http.fields import ResponseError
from gracehttp.http.http2.engine import CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES
from gracehttp.http.settings import Http2Settings

CLEAR = Http2Settings(cleartext=True)


def fields(**changes):
    """A GET with other pseudo-header fields; None leaves one out."""
    found = {name.decode()[1:]: value for name, value in GET} | changes
    return [(b":" + name.encode(), value) for name, value in found.items() if value is not None]


# --- requests ---


def test_server_begins_with_its_settings_and_a_window_for_the_connection():
    client = Client()
    first, acknowledged, more = client.frames
    values = {
        int.from_bytes(first.payload[at : at + 2], "big"): first.payload[at + 2 : at + 6] for at in range(0, 24, 6)
    }
    assert first.kind == SETTINGS
    assert {code: int.from_bytes(value, "big") for code, value in values.items()} == {
        3: 100,
        4: STREAM_WINDOW_BYTES,
        6: 65536,
        9: 1,
    }
    assert (acknowledged.kind, acknowledged.flags) == (SETTINGS, 1)
    assert (more.kind, int.from_bytes(more.payload, "big")) == (WINDOW_UPDATE, CONNECTION_WINDOW_BYTES - 65535)


def test_request_is_what_applications_know():
    client = Client()
    client.send(headers(1, [*fields(path=b"/a%20b?c=d"), (b"x-a", b"1"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]))
    head = client.exchanges[0].head
    assert (head.method, head.http_version, head.scheme) == ("GET", "2", "http")
    assert (head.path, head.raw_path, head.query_string) == ("/a b", b"/a%20b", b"c=d")
    assert head.headers == [(b"host", b"a"), (b"x-a", b"1"), (b"cookie", b"a=1; b=2")]
    assert (head.client, head.server) == (("192.0.2.1", 50000), ("192.0.2.9", 80))
    assert client.exchanges[0].body_length == 0
    assert client.exchanges[0].take_body() == (b"", False)


REFUSED = {
    "unknown method": (fields(method=b"FOO"), 501),
    "connect": ([(b":method", b"CONNECT"), (b":authority", b"a:80")], 501),
    "fragment": (fields(path=b"/a#b"), 400),
    "control in path": (fields(path=b"/\xc3\xa4"), 400),
    "other scheme": (fields(scheme=b"ftp"), 400),
    "empty host": (fields(authority=b":80"), 400),
    "brackets": (fields(authority=b"[::g]"), 400),
    "host differs": ([*GET, (b"host", b"b")], 400),
    "expectation": ([*GET, (b"expect", b"200-maybe")], 417),
    "too much": ([*GET, *((b"x-%d" % number, b"y" * 1000) for number in range(40))], 431),
    "long path": (fields(path=b"/" + b"y" * 40000), 414),
}


@pytest.mark.parametrize("name", REFUSED)
def test_request_that_no_application_may_see_is_answered(name):
    request, status = REFUSED[name]
    client = Client(max_header_size_bytes=32768)
    pieces = headers(1, request)[9:]
    client.send(
        frame(HEADERS, END_STREAM, 1, pieces[:16000]),
        *(frame(9, 0, 1, pieces[at : at + 16000]) for at in range(16000, len(pieces), 16000)),
        frame(9, 4, 1),
    )
    assert client.status(1) == status
    assert 1 in client.ended
    assert not client.exchanges
    assert [one[1] for one in client.wire.owner.finished] == [status]
    client.send(headers(3))
    answer(client.exchanges[0])
    client.wire.turn()
    client.read()
    assert client.status(3) == 200, "the connection goes on"


def test_malformed_request_is_reset_and_stands_in_the_access_log():
    client = Client()
    client.send(headers(1, [*GET, (b"connection", b"close")]))
    assert client.resets == {1: PROTOCOL_ERROR}
    assert [one[:3] for one in client.wire.owner.finished] == [("- -", 0, 0)]


ACCEPTED = {
    "asterisk": (fields(method=b"OPTIONS", path=b"*"), b"a"),
    "host alone": ([*fields(authority=None), (b"host", b"b")], b"b"),
    "both agree": ([*GET, (b"host", b"A")], b"a"),
    "https behind a proxy": (fields(scheme=b"https"), b"a"),
    "trailers": ([*GET, (b"te", b"trailers")], b"a"),
    "port": (fields(authority=b"[::1]:8000"), b"[::1]:8000"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_request_is_accepted(name):
    request, host = ACCEPTED[name]
    client = Client(answer)
    client.send(headers(1, request))
    assert client.status(1) == 200
    assert client.exchanges[0].head.headers[0] == (b"host", host)
    assert client.exchanges[0].head.scheme == "http"


def test_clear_scheme_over_tls_is_misdirected():
    client = Client(tls=True)
    client.send(headers(1))
    assert client.status(1) == 421
    client.send(headers(3, fields(scheme=b"https")))
    assert client.exchanges[0].head.scheme == "https"


def test_body_arrives_with_its_length_and_trailers():
    client = Client()
    client.send(headers(1, [*POST, (b"content-length", b"6")], end=False), data(1, b"abc"))
    exchange = client.exchanges[0]
    assert exchange.body_length == 6
    assert exchange.take_body() == (b"abc", True)
    assert exchange.take_body() is None
    client.send(data(1, b"def"), headers(1, [(b"x-sum", b"1")]))
    assert exchange.take_body() == (b"def", False)
    assert list(exchange.trailers) == [(b"x-sum", b"1")]


def test_body_of_unknown_length():
    client = Client()
    client.send(headers(1, POST, end=False))
    assert client.exchanges[0].body_length is None


@pytest.mark.parametrize("length", [b"2", b"4", b"x", b"99999999999999999999999", b"-3", b"3, 3"])
def test_body_of_another_length_than_it_said_resets_its_stream_alone(length):
    client = Client()
    client.send(headers(1), headers(3, [*POST, (b"content-length", length)], end=False), data(3, b"abc", end=True))
    assert client.resets == {3: PROTOCOL_ERROR}
    assert all(one.disconnected for one in client.exchanges[1:])
    answer(client.exchanges[0])
    client.wire.turn()
    client.read()
    assert client.status(1) == 200


def test_continue_is_sent_when_the_application_reads():
    client = Client()
    client.send(headers(1, [*POST, (b"expect", b"100-continue")], end=False))
    exchange = client.exchanges[0]
    assert exchange.awaits_continue
    assert exchange.take_body() is None
    client.wire.turn()
    client.read()
    assert client.heads[1] == [[(b":status", b"100")]]
    client.send(data(1, b"abc", end=True))
    assert exchange.take_body() == (b"abc", False)


# --- responses ---


def test_response_has_lower_case_names_and_the_fields_of_the_server():
    client = Client()
    client.send(headers(1))
    answer(client.exchanges[0], headers=[(b"X-Odd", b"  a b "), (b"Connection", b"close"), (b"Set-Cookie", b"a")])
    client.wire.turn()
    client.read()
    (head,) = client.heads[1]
    assert [name for name, _ in head] == [b":status", b"x-odd", b"set-cookie", b"content-length", b"date", b"server"]
    assert dict(head)[b"x-odd"] == b"a b"
    assert client.bodies[1] == b"ok"
    assert client.wire.owner.finished[0][:3] == ("/", 200, 2)


@pytest.mark.parametrize(("method", "status", "length"), [("HEAD", 200, b"2"), ("GET", 204, None), ("GET", 304, None)])
def test_response_without_body(method, status, length):
    client = Client()
    client.send(headers(1, fields(method=method.encode())))
    answer(client.exchanges[0], status=status)
    client.wire.turn()
    client.read()
    (head,) = client.heads[1]
    assert dict(head).get(b"content-length") == length
    assert client.bodies[1] == b""
    assert 1 in client.ended


def test_interim_response_and_trailers():
    client = Client()
    client.send(headers(1))
    exchange = client.exchanges[0]
    exchange.send_interim(103, [(b"Link", b"</a>; rel=preload")])
    exchange.start_response(200, [], trailers=True)
    exchange.write(b"abc", False)
    exchange.send_trailers([(b"Grpc-Status", b"0")])
    exchange.end()
    client.wire.turn()
    client.read()
    assert client.heads[1][0] == [(b":status", b"103"), (b"link", b"</a>; rel=preload")]
    assert client.heads[1][2] == [(b"grpc-status", b"0")]
    assert client.bodies[1] == b"abc"
    assert 1 in client.ended


def test_trailers_behind_a_large_body():
    client = Client(greeting=frame(SETTINGS) + window(0, 2**30) + settings(initial_window_size=2**30))
    client.send(headers(1))
    exchange = client.exchanges[0]
    exchange.start_response(200, [], trailers=True)
    exchange.write(b"a" * 1_000_000, False)
    exchange.send_trailers([(b"x", b"0")])
    exchange.end()
    client.wire.turn()
    client.read()
    assert len(client.bodies[1]) == 1_000_000
    assert client.heads[1][1] == [(b"x", b"0")]


def test_application_that_fails_within_its_response_resets_its_stream_alone():
    client = Client()
    client.send(headers(1), headers(3))
    first, second = client.exchanges
    first.start_response(200, [])
    first.write(b"a", True)
    first.end(ValueError())
    answer(second)
    client.wire.turn()
    client.read()
    assert client.resets == {1: ResetReason.INTERNAL_ERROR}
    assert client.status(3) == 200
    assert client.error is None


def test_length_that_is_wrong_is_the_applications_fault():
    client = Client()
    client.send(headers(1))
    exchange = client.exchanges[0]
    exchange.start_response(200, [(b"content-length", b"5")])
    with pytest.raises(ResponseError):
        exchange.write(b"a", False)
    exchange.end(ResponseError("x"))
    client.wire.turn()
    client.read()
    assert client.status(1) == 500


def test_responses_of_one_turn_go_in_one_system_call():
    client = Client()
    client.send(*(headers(number) for number in range(1, 21, 2)))
    before = len(client.wire.kernel.calls)
    for exchange in client.exchanges:
        answer(exchange)
    client.wire.turn()
    client.read()
    assert len(client.ended) == 10
    assert len(client.wire.kernel.calls) == before + 1


# --- windows ---


def test_response_waits_for_the_windows_of_the_client_and_the_application_for_the_response():
    client = Client(greeting=settings(initial_window_size=10))
    client.send(headers(1))
    exchange = client.exchanges[0]
    exchange.start_response(200, [])
    exchange.write(b"a" * 100_000, True)
    client.wire.turn()
    client.read()
    assert client.bodies[1] == b"a" * 10
    assert not exchange.writable
    client.send(window(1, 50_000))
    assert len(client.bodies[1]) == 50_010
    assert not exchange.writable
    client.send(window(1, 100_000), window(0, 100_000))
    assert len(client.bodies[1]) == 100_000
    assert exchange.writable
    exchange.write(b"b", False)
    client.wire.turn()
    client.read()
    assert client.bodies[1].endswith(b"ab")
    assert 1 in client.ended


def test_window_opens_as_the_application_takes_the_body():
    client = Client()
    client.send(headers(1, POST, end=False))
    client.send(frame(SETTINGS, 1))
    sent = 0
    while sent < STREAM_WINDOW_BYTES:
        sent += 16384
        assert not [one for one in client.send(data(1, b"a" * 16384)) if one.kind == WINDOW_UPDATE]
    body, more = client.exchanges[0].take_body()
    assert (len(body), more) == (STREAM_WINDOW_BYTES, True)
    client.wire.turn()
    updates = [one for one in client.read() if one.kind == WINDOW_UPDATE]
    assert {one.stream: int.from_bytes(one.payload, "big") for one in updates}[1] == STREAM_WINDOW_BYTES


def test_client_that_sends_beyond_its_window_is_ended():
    client = Client()
    client.send(headers(1, POST, end=False), frame(SETTINGS, 1), *(data(1, b"a" * 16384) for _ in range(9)))
    assert client.resets.get(1) == 3 or client.error == 3
    assert client.exchanges[0].body.buffered <= STREAM_WINDOW_BYTES


def test_slow_upload_leaves_the_others_their_window():
    client = Client()
    client.send(frame(SETTINGS, 1), headers(1, POST, end=False), *(data(1, b"a" * 16384) for _ in range(8)))
    for number in range(3, 103, 2):
        client.send(headers(number, POST, end=False), *(data(number, b"b" * 16384, end=at == 3) for at in range(4)))
        exchange = client.exchanges[-1]
        assert len(exchange.take_body()[0]) == 65536
        answer(exchange)
        client.wire.turn()
        client.read()
        assert client.status(number) == 200
    assert client.error is None
    assert client.exchanges[0].body.buffered == STREAM_WINDOW_BYTES


def test_bodies_that_no_application_takes_are_given_back_when_their_streams_end():
    client = Client()
    client.send(frame(SETTINGS, 1))
    for number in range(1, 101, 2):
        client.send(headers(number, POST, end=False), *(data(number, b"b" * 16384) for _ in range(7)), rst(number))
    assert client.error is None
    for number in range(101, 201, 2):
        client.send(headers(number, POST, end=False), *(data(number, b"b" * 16384) for _ in range(7)))
        answer(client.exchanges[-1])
        client.wire.turn()
        client.read()
        assert client.status(number) == 200
        assert client.resets[number] == NO_ERROR, "what is left of the body is not wanted"
    assert client.error is None


def test_long_responses_take_turns():
    client = Client(greeting=frame(SETTINGS) + window(0, 2**30) + settings(initial_window_size=2**30))
    client.wire.take_nothing()
    client.send(headers(1), headers(3))
    for exchange in client.exchanges:
        exchange.start_response(200, [])
        exchange.write(b"a" * 300_000, False)
    for _ in range(100):
        client.wire.take(20_000)
    client.wire.take()
    order = [one.stream for one in client.read() if one.kind == 0]
    assert len(client.bodies[1]) == len(client.bodies[3]) == 300_000
    longest = max(len(run) for run in "".join("a" if one == 1 else "b" for one in order).replace("ab", "a b").split())
    assert longest < 20, order


def test_client_that_reads_nothing_costs_bounded_memory_and_is_not_read():
    client = Client(greeting=frame(SETTINGS) + window(0, 2**30) + settings(initial_window_size=2**30))
    client.wire.take_nothing()
    client.send(*(headers(number) for number in range(1, 201, 2)))
    for exchange in client.exchanges:
        exchange.start_response(200, [])
        while exchange.writable:
            exchange.write(b"a" * 16384, True)
    client.wire.turn()
    assert client.wire.stream.unsent_bytes < 200_000
    assert not client.wire.reading
    client.wire.loop.pass_time(60)
    assert client.wire.how_it_ended == "cut"
    assert all(one.disconnected for one in client.exchanges)


# --- the end of a stream ---


def test_reset_is_heard_by_its_exchange_alone():
    client = Client()
    client.send(headers(1), headers(3))
    client.send(rst(1, CANCEL))
    first, second = client.exchanges
    assert first.disconnected
    assert not second.disconnected
    first.end()
    answer(second)
    client.wire.turn()
    client.read()
    assert client.status(3) == 200
    assert client.wire.owner.finished[0][:2] == ("/", 0)


def test_request_that_is_reset_right_behind_its_head_is_not_begun():
    client = Client()
    client.send(headers(1), rst(1))
    assert not client.exchanges


def test_more_streams_than_allowed_are_refused_and_can_be_sent_again():
    client = Client(http2=Http2Settings(cleartext=True, max_concurrent_streams=2))
    client.send(headers(1), headers(3), headers(5))
    assert len(client.exchanges) == 2
    assert client.resets == {5: REFUSED_STREAM}
    answer(client.exchanges[0])
    client.wire.turn()
    client.send(headers(7))
    assert len(client.exchanges) == 3


def test_application_that_works_on_for_clients_that_are_gone_gets_no_more_of_them():
    client = Client(http2=Http2Settings(cleartext=True, max_concurrent_streams=2))
    client.send(headers(1), headers(3))
    client.send(rst(1), rst(3))
    client.send(headers(5))
    assert client.resets == {5: REFUSED_STREAM}
    for exchange in client.exchanges:
        exchange.end()
    client.send(headers(7))
    assert len(client.exchanges) == 3


def test_body_that_is_too_large():
    client = Client(max_body_size_bytes=10)
    client.send(headers(1, [*POST, (b"content-length", b"11")], end=False))
    assert client.status(1) == 413
    client.send(headers(3, POST, end=False))
    client.send(data(3, b"a" * 11))
    assert client.status(3) == 413
    assert client.exchanges[0].disconnected
    assert client.resets == {1: NO_ERROR, 3: NO_ERROR}


# --- deadlines ---


def test_body_that_does_not_come_in_time():
    client = Client(body_timeout_seconds=30.0)
    client.send(headers(1, POST, end=False), headers(3))
    client.wire.loop.pass_time(29)
    client.send(data(1, b"a"))
    client.wire.loop.pass_time(29)
    assert not client.exchanges[0].disconnected
    client.wire.loop.pass_time(2)
    client.wire.turn()
    client.read()
    assert client.status(1) == 408
    assert client.exchanges[0].disconnected
    assert not client.exchanges[1].disconnected
    assert client.error is None


def test_body_has_no_deadline_while_it_waits_for_the_application():
    client = Client(body_timeout_seconds=30.0)
    client.send(frame(SETTINGS, 1), headers(1, POST, end=False), *(data(1, b"a" * 16384) for _ in range(5)))
    client.wire.loop.pass_time(100)
    assert not client.exchanges[0].disconnected
    client.exchanges[0].take_body()
    client.wire.loop.pass_time(31)
    assert client.exchanges[0].disconnected


def test_response_that_the_client_opens_no_window_for():
    client = Client(greeting=settings(initial_window_size=0), body_timeout_seconds=30.0)
    client.send(headers(1), headers(3))
    exchange = client.exchanges[0]
    exchange.start_response(200, [])
    exchange.write(b"a" * 100, True)
    client.wire.loop.pass_time(29)
    client.wire.turn()
    client.send(window(1, 1))
    exchange.write(b"b", True)
    client.wire.loop.pass_time(29)
    assert not exchange.disconnected
    client.wire.loop.pass_time(2)
    client.wire.turn()
    client.read()
    assert client.resets == {1: CANCEL}
    assert exchange.disconnected
    assert not client.exchanges[1].disconnected


def test_preface_that_does_not_come():
    client = Client(greeting=b"")
    client.wire.loop.pass_time(11)
    assert client.wire.how_it_ended == "closed"


def test_idle_connection_ends_in_two_steps_and_a_request_that_crosses_the_first_is_answered():
    client = Client(keep_alive_timeout_seconds=75.0)
    client.send(headers(1))
    answer(client.exchanges[0])
    client.wire.turn()
    client.wire.loop.pass_time(74)
    assert client.read()[-1].kind != GOAWAY
    client.wire.loop.pass_time(2)
    client.wire.turn()
    client.read()
    assert client.goaways == [(2**31 - 1, NO_ERROR)]
    client.send(headers(3))
    client.pong()
    assert client.goaways[1:] == [(3, NO_ERROR)]
    assert client.wire.how_it_ended == "open"
    answer(client.exchanges[1])
    client.wire.turn()
    client.read()
    assert client.status(3) == 200
    assert client.wire.how_it_ended == "lingering"


def test_connection_with_a_request_in_flight_is_not_idle():
    client = Client(keep_alive_timeout_seconds=75.0)
    client.send(headers(1))
    client.wire.loop.pass_time(100)
    assert client.error is None
    assert client.wire.connection.idle_since is None
    answer(client.exchanges[0])
    client.wire.turn()
    assert client.wire.connection.idle_since == client.wire.loop.now


# --- half-closed clients ---


def test_client_that_only_listens_gets_its_answers():
    client = Client()
    client.send(headers(1), headers(3, POST, end=False))
    client.wire.send_eof()
    first, second = client.exchanges
    assert first.half_closed
    assert not first.disconnected
    assert second.disconnected, "the rest of its body will never come"
    answer(first)
    client.wire.turn()
    client.read()
    assert client.status(1) == 200
    assert client.wire.how_it_ended == "closed"


def test_client_that_vanishes_is_gone_for_all_exchanges():
    client = Client()
    client.send(headers(1), headers(3, POST, end=False))
    client.wire.vanish()
    assert all(one.disconnected for one in client.exchanges)
    assert client.wire.owner.closed == [client.wire.connection]
    assert client.wire.server.waiting == 0
    for exchange in client.exchanges:
        exchange.end()


def test_waiting_application_hears_of_a_reset():
    client = Client()
    client.send(headers(1))
    waiting = client.exchanges[0].wait_for_disconnect()
    assert not step(waiting)
    client.send(rst(1))
    assert client.exchanges[0].disconnected
    waiting.close()


# --- how it begins ---


def test_clear_text_is_not_spoken_unless_asked_for():
    wire = Wire(http2=Http2Settings())
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert wire.statuses == [505]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 16, 18, 24])
def test_preface_in_pieces(size):
    wire = Wire(http2=CLEAR)
    whole = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS) + headers(1)
    for at in range(0, len(whole), size):
        wire.send(whole[at : at + size])
    assert wire.exchange.head.http_version == "2"


def test_wrong_preface_is_told():
    wire = Wire(http2=CLEAR)
    wire.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + frame(SETTINGS))
    assert wire.how_it_ended == "lingering" or wire.statuses == [505]


def test_http_1_1_is_spoken_as_well():
    wire = Wire(answer, http2=CLEAR)
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.statuses == [200]
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert wire.statuses == [200, 505], "only at the beginning of a connection"


UPGRADE = (
    b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: %b\r\n\r\n"
)


def test_upgrade_makes_the_request_stream_1():
    wire = Wire(answer, http2=CLEAR)
    wire.send(UPGRADE % b"AAMAAABkAAQAoAAA")
    head, _, rest = bytes(wire.kernel.sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert (wire.exchange.head.path, wire.exchange.head.http_version) == ("/a", "2")
    assert wire.exchange.head.headers == [(b"host", b"a")]
    connection = wire.connection
    assert (wire.exchange.head.client, wire.exchange.head.server) == (connection.client, connection.ends.server)
    wire.send(PREFACE + frame(SETTINGS) + headers(3))
    kinds = [(one.kind, one.stream) for one in frames_of(bytes(wire.kernel.sent).partition(b"\r\n\r\n")[2])]
    assert kinds[0] == (SETTINGS, 0)
    assert {(HEADERS, 1), (0, 1), (HEADERS, 3), (0, 3)} <= set(kinds)
    assert rest


@pytest.mark.parametrize("payload", [b"", b"AAMAAABkAA", b"!!!!", b"AAMAAABk"])
def test_upgrade_that_breaks_the_rules_is_an_ordinary_request(payload):
    wire = Wire(answer, http2=CLEAR)
    wire.send(UPGRADE % payload)
    assert wire.statuses == [200] or wire.raw.startswith(b"HTTP/1.1 101")
    assert wire.exchange.head.path == "/a"


def test_upgrade_with_more_settings_than_the_library_takes_is_an_ordinary_request():
    wire = Wire(answer, http2=CLEAR)
    wire.send(UPGRADE % base64.urlsafe_b64encode(b"\0\x63\0\0\0\1" * 33))
    assert wire.statuses == [200]
    wire.send(UPGRADE % base64.urlsafe_b64encode(b"\0\x63\0\0\0\1" * 32))
    assert b"HTTP/1.1 101" in wire.raw


@pytest.mark.parametrize("setting", [(2, 2), (4, 2**31), (5, 0), (5, 2**24), (8, 2), (9, 2)])
def test_upgrade_with_a_setting_that_has_no_such_value_ends_with_goaway(setting):
    wire = Wire(answer, http2=CLEAR)
    wire.send(UPGRADE % base64.urlsafe_b64encode(struct.pack(">HI", *setting)))
    _, _, rest = bytes(wire.kernel.sent).partition(b"\r\n\r\n")
    assert [one.kind for one in frames_of(rest)][-1] == GOAWAY
    assert wire.kernel.shut


def test_upgrade_is_not_spoken_unless_asked_for():
    wire = Wire(answer)
    wire.send(UPGRADE % b"AAMAAABkAAQAoAAA")
    assert wire.statuses == [200]
