"""What users of other servers have reported, tried on ours.

docs/http2.md names those that were to be tried and whose text could not be read.
"""

from __future__ import annotations

import struct

import pytest
from h2_client import (
    ACK,
    CANCEL,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    POST,
    PROTOCOL_ERROR,
    SETTINGS,
    WINDOW_UPDATE,
    Client,
    Frame,
    block,
    data,
    frame,
    headers,
    settings,
    window,
)
from http_fakes import answer

from gracehttp.http.connection import Terms
from gracehttp.http.http2.engine import STREAM_WINDOW_BYTES
from gracehttp.http.http2.protocol import ANSWER_SECONDS

EVERYTHING = (2**31 - 1, NO_ERROR)


def turned(client: Client) -> Client:
    client.wire.turn()
    client.read()
    return client


def test_connection_close_of_an_application_ends_the_connection_and_no_stream():
    """jetty 2788, armeria 3516: it can't be sent, and says what the application wants all the same."""
    client = Client()
    client.send(headers(1), headers(3))
    first, second = client.exchanges
    answer(first, headers=[(b"Connection", b"close")])
    turned(client)
    assert client.goaways == [EVERYTHING]
    assert b"connection" not in dict(client.heads[1][0])
    client.pong()
    answer(second)
    turned(client)
    assert client.ended == {1, 3}
    assert client.wire.how_it_ended == "lingering"


def test_responses_go_on_when_the_client_says_that_it_goes_away():
    """hyperium/h2 885: the client's GOAWAY names our streams, of which there are none; those of its own stay."""
    client = Client()
    client.send(headers(1), headers(3))
    first, second = client.exchanges
    first.start_response(200, [])
    first.write(b"a", True)
    turned(client)
    client.send(frame(GOAWAY, 0, 0, struct.pack(">II", 0, NO_ERROR)))
    first.write(b"b", False)
    first.end()
    answer(second)
    turned(client)
    assert client.ended == {1, 3}
    assert client.bodies[1] == b"ab"
    assert client.resets == {}
    assert client.wire.how_it_ended, "nothing more can come on it"


@pytest.mark.parametrize(("host", "status"), [(b"a", b"200"), (b"A", b"200"), (b"b", b"400"), (b"a:81", b"400")])
def test_host_and_authority_never_say_two_things(host, status):
    """hyperium/h2 876: a client that sends both, with different names."""
    client = Client(answer)
    client.send(headers(1, [*GET, (b"host", host)]))
    assert dict(client.heads[1][0])[b":status"] == status
    assert [one.head.headers for one in client.exchanges] == ([[(b"host", b"a")]] if status == b"200" else [])


def test_streams_behind_the_first_goaway_are_read_and_answered():
    """pingora 388 and 865, armeria 1346, grpc 29050."""
    client = Client(answer)
    client.wire.connection.close_idle()
    assert turned(client).goaways == [EVERYTHING]
    for number in range(1, 21, 2):
        client.send(headers(number, POST, end=False), data(number, b"a", end=True))
    assert client.ended == set(range(1, 21, 2))
    client.pong()
    assert client.goaways[1:] == [(19, NO_ERROR)]


def test_drain_does_not_wait_for_a_preface_that_never_comes():
    """hyper 4170 and 3792, grpc-go 5969: a client that has connected beforehand and asks for nothing."""
    client = Client(greeting=b"")
    client.wire.connection.see_off(Terms.SOON)
    client.wire.connection.close_idle()
    assert turned(client).goaways == [EVERYTHING]
    client.wire.loop.pass_time(ANSWER_SECONDS + 1)
    assert turned(client).wire.how_it_ended == "lingering"


def test_requests_that_come_together_with_the_preface_during_a_drain_are_answered():
    """hyper 3729."""
    client = Client(answer, greeting=b"")
    client.wire.connection.see_off(Terms.LAST_RESPONSE)
    client.send(frame(SETTINGS), headers(1), headers(3))
    assert client.ended == {1, 3}
    assert client.goaways == [EVERYTHING]
    client.pong()
    assert client.goaways[1:] == [(3, NO_ERROR)]


def test_drain_ends_when_the_last_stream_does_and_not_at_a_deadline():
    """armeria 6388, jetty 13569."""
    client = Client()
    client.send(headers(1))
    client.wire.connection.close_idle()
    turned(client)
    client.pong()
    answer(client.exchanges[0])
    now = client.wire.loop.now
    assert turned(client).wire.how_it_ended == "lingering"
    assert client.wire.loop.now == now


def test_goaway_of_a_client_lets_its_streams_finish():
    """hyper, kestrel 2703: it only says that no push is wanted any more, or that the client is about to go."""
    client = Client()
    client.send(headers(1, POST, end=False), frame(GOAWAY, 0, 0, bytes(8)))
    client.send(data(1, b"abc", end=True))
    assert client.exchanges[0].take_body() == (b"abc", False)
    answer(client.exchanges[0])
    turned(client)
    assert client.status(1) == 200


def test_error_behind_the_head_resets_and_sends_no_second_head():
    """gunicorn 3717: a second head corrupts what both sides remember of fields."""
    client = Client()
    client.send(headers(1), headers(3))
    first, second = client.exchanges
    first.start_response(200, [(b"x-a", b"b")])
    first.write(b"a", True)
    client.wire.turn()
    first.end(ValueError())
    answer(second, headers=[(b"x-a", b"b")])
    turned(client)
    assert len(client.heads[1]) == 1
    assert client.resets == {1: 2}
    assert dict(client.heads[3][0])[b"x-a"] == b"b"


def test_empty_last_piece_ends_the_stream():
    """gunicorn 3717."""
    client = Client()
    client.send(headers(1))
    exchange = client.exchanges[0]
    exchange.start_response(200, [])
    exchange.write(b"abc", True)
    client.wire.turn()
    exchange.write(b"", False)
    turned(client)
    assert client.ended == {1}


def test_end_of_a_response_follows_when_the_window_was_used_up():
    """libnghttp2 sends an end that stands alone only when a byte of the body could be sent too, so with the window."""
    client = Client(greeting=settings(initial_window_size=3))
    client.send(headers(1))
    exchange = client.exchanges[0]
    exchange.start_response(200, [])
    exchange.write(b"abc", True)
    client.wire.turn()
    exchange.write(b"", False)
    turned(client)
    assert client.bodies[1] == b"abc"
    client.send(window(1, 3))
    assert client.ended == {1}


def test_responses_that_are_not_read_leave_the_others_the_rest_of_the_windows():
    """hyper 2899: streams whose bodies were not read had the connection's window, and all others hung for good."""
    client = Client(greeting=settings(initial_window_size=16384))
    bodies = {number: bytes([number]) * 100_000 for number in (1, 3, 5, 7)}
    client.send(*map(headers, bodies))
    for exchange, body in zip(client.exchanges, bodies.values(), strict=True):
        answer(exchange, body)
    turned(client)
    taken = 0
    while 7 not in client.ended:  # of the others it takes nothing
        fresh = len(client.bodies[7]) - taken
        assert fresh, "it hangs"
        taken += fresh
        client.send(window(0, fresh), window(7, fresh))
    assert client.bodies[7] == bodies[7]
    assert [len(client.bodies[number]) for number in (1, 3, 5)] == [16384] * 3
    for number in (1, 3, 5):
        client.send(window(0, 100_000), window(number, 100_000))
    assert (client.ended, client.error) == (set(bodies), None)


def test_end_that_waits_for_the_window_is_not_cut_off_for_the_rest_of_an_upload():
    client = Client(greeting=settings(initial_window_size=3))
    client.send(headers(1, POST, end=False))
    exchange = client.exchanges[0]
    exchange.start_response(200, [])
    exchange.write(b"abc", True)
    client.wire.turn()
    exchange.write(b"", False)
    turned(client)
    assert client.resets == {}
    client.send(window(1, 3))
    assert client.ended == {1}
    assert client.resets == {1: NO_ERROR}


@pytest.mark.parametrize("request_ends", [True, False])
def test_end_that_waits_for_a_window_that_never_comes_has_a_deadline(request_ends):
    client = Client(greeting=settings(initial_window_size=3))
    client.send(headers(1, POST, end=request_ends))
    exchange = client.exchanges[0]
    exchange.start_response(200, [])
    exchange.write(b"abc", True)
    client.wire.turn()
    exchange.write(b"", False)
    exchange.end()
    turned(client)
    assert (client.bodies[1], client.ended, client.resets) == (b"abc", set(), {})
    client.wire.loop.pass_time(200)
    turned(client)
    assert client.resets == {1: CANCEL}
    client.wire.loop.pass_time(200)
    assert client.wire.kernel.closed


def test_window_of_the_connection_is_given_back_for_streams_that_are_gone():
    """What was buffered of streams that were reset must not be lost to the connection."""
    client = Client(greeting=frame(SETTINGS) + settings(initial_window_size=2**20))
    client.send(headers(1), headers(3))
    first, second = client.exchanges
    for exchange in (first, second):
        exchange.start_response(200, [])
    first.write(b"a" * 65000, True)
    client.wire.turn()
    second.write(b"b" * 1000, True)
    turned(client)
    client.send(frame(3, 0, 1, CANCEL.to_bytes(4, "big")), window(0, 65535))
    assert len(client.bodies[3]) == 1000
    second.write(b"b" * 60000, False)
    turned(client)
    assert client.ended == {3}


def test_frame_size_of_the_client_is_kept():
    """gunicorn 3720."""
    client = Client(
        greeting=frame(SETTINGS) + window(0, 2**20) + settings(initial_window_size=2**20, max_frame_size=32768)
    )
    client.send(headers(1))
    answer(client.exchanges[0], b"a" * 200_000)
    turned(client)
    assert max(len(one.payload) for one in client.frames if one.kind == 0) <= 32768
    assert len(client.bodies[1]) == 200_000


def test_body_of_a_request_is_received_once():
    """gunicorn 3558: an application got it twice, and its JSON had extra data."""
    client = Client()
    client.send(headers(1, POST, end=False), data(1, b'{"a"'), data(1, b": 1}", end=True))
    exchange = client.exchanges[0]
    received = b""
    more = True
    while more:
        piece, more = exchange.take_body()
        received += piece
    assert received == b'{"a": 1}'


def test_end_of_a_body_in_a_frame_of_its_own_is_no_second_body():
    """gunicorn 3558."""
    client = Client()
    client.send(headers(1, POST, end=False), data(1, b"once"))
    exchange = client.exchanges[0]
    assert exchange.take_body() == (b"once", True)
    client.send(data(1, b"", end=True))
    assert exchange.take_body() == (b"", False)


def test_fields_about_the_connection_that_an_application_sends_are_left_out():
    """hyper 1551: applications written for HTTP/1.1 send them; on HTTP/2 they are an error (RFC 9113 8.2.2)."""
    client = Client()
    client.send(headers(1))
    exchange = client.exchanges[0]
    fields = [(b"Connection", b"keep-alive"), (b"Keep-Alive", b"timeout=5"), (b"Proxy-Connection", b"keep-alive")]
    fields += [(b"Upgrade", b"h2c"), (b"Transfer-Encoding", b"chunked"), (b"X-Own", b"a")]
    exchange.start_response(200, fields)
    exchange.write(b"abc", False)
    turned(client)
    sent = dict(client.heads[1][0])
    assert sent[b"x-own"] == b"a"
    assert not sent.keys() & {b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"transfer-encoding"}
    assert (client.bodies[1], client.ended) == (b"abc", {1})


@pytest.mark.parametrize("status", [204, 304])
def test_response_that_ends_with_its_head_carries_no_trailers(status):
    """helidon 12546, fastify 7030: to a client, trailers behind such a head are a protocol error (RFC 9110 sections
    15.3.5 and 15.4.5)."""
    client = Client()
    client.send(headers(1))
    exchange = client.exchanges[0]
    exchange.start_response(status, [], trailers=True)
    exchange.write(b"", False)
    exchange.send_trailers([(b"x-a", b"b")])
    exchange.end()
    turned(client)
    assert [dict(head)[b":status"] for head in client.heads[1]] == [b"%d" % status]
    assert (client.bodies[1], client.ended, client.resets) == (b"", {1}, {})
    assert client.wire.owner.finished[0][1] == status


def test_reset_content_has_no_content():
    """fastify 7026 (RFC 9110 section 15.3.6)."""
    client = Client()
    client.send(headers(1))
    answer(client.exchanges[0], b"content", status=205, headers=[(b"content-length", b"7")])
    turned(client)
    assert dict(client.heads[1][0])[b"content-length"] == b"0"
    assert (client.bodies[1], client.ended) == (b"", {1})


@pytest.mark.parametrize("path", [[], [(b":path", b"/")]])
def test_pseudo_field_behind_a_field_is_malformed_also_in_a_frame_of_its_own(path):
    """nginx 1526: in a CONTINUATION it was taken."""
    client = Client(answer)
    begin = [field for field in GET if field[0] != b":path"] + path
    client.send(frame(HEADERS, END_STREAM, 1, block([*begin, (b"x-a", b"b")])))
    client.send(frame(CONTINUATION, END_HEADERS, 1, block([(b":path", b"/smuggled")])))
    assert (client.exchanges, client.resets) == ([], {1: PROTOCOL_ERROR})


def test_interim_responses_count_against_nobody():
    """haproxy 3209: many of them in a busy connection ended it, and what was under way was cut."""
    client = Client()
    numbers = range(1, 401, 2)
    for number in numbers:
        client.send(headers(number))
        exchange = client.exchanges[-1]
        for _ in range(5):
            exchange.send_interim(103, [(b"link", b"</a>; rel=preload")])
        answer(exchange)
        turned(client)
    assert (client.ended, client.goaways) == (set(numbers), [])
    assert {len(client.heads[number]) for number in numbers} == {6}


def test_uploads_at_the_same_time_go_on_as_fast_as_the_windows_are_given_back():
    """hyper 1813: large bodies were slow beyond measure, and several at once hung."""
    client, streams, size = Client(), (1, 3, 5, 7), 2**20
    first = client.frames + client.send(frame(SETTINGS, ACK), *(headers(number, POST, end=False) for number in streams))
    of_streams = dict.fromkeys(streams, next(map(initial_window, first)))
    of_connection = 65535 + sum(increment(one) for one in first if one.kind == WINDOW_UPDATE)
    left, rounds = dict.fromkeys(streams, size), 0
    while any(left.values()):
        rounds += 1
        sent = []
        for number in streams:
            allowed = min(of_streams[number], of_connection, left[number])
            left[number] -= allowed
            of_streams[number] -= allowed
            of_connection -= allowed
            sent += [data(number, bytes(min(16384, allowed - at))) for at in range(0, allowed, 16384)]
        fresh = client.send(*sent)
        for exchange in client.exchanges:
            exchange.take_body()
        client.wire.turn()
        for one in fresh + client.read():
            if one.kind == WINDOW_UPDATE and one.stream:
                of_streams[one.stream] += increment(one)
            elif one.kind == WINDOW_UPDATE:
                of_connection += increment(one)
        assert rounds <= 2 * size // STREAM_WINDOW_BYTES, (left, of_streams, of_connection)
    assert rounds == size // STREAM_WINDOW_BYTES


def initial_window(one: Frame) -> int:
    assert one.kind == SETTINGS
    values = dict(struct.iter_unpack(">HI", one.payload))
    return int(values[4])


def increment(one: Frame) -> int:
    return int.from_bytes(one.payload, "big")
