"""From bytes to exchanges: heads, keep-alive, pipelining, refusals."""

import itertools

import pytest
from http_fakes import Wire, answer
from hypothesis import given, settings
from hypothesis import strategies as st

from gracehttp.compiled import BUILD

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 2\r\nServer: gracehttp\r\n\r\nok"


def get(path: bytes, extra: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n" + extra + b"\r\n"


def test_application_gets_the_head_as_it_was_sent():
    wire = Wire().send(b"GET /a%20b?c HTTP/1.1\r\nHost: h:80\r\nX-Two: 1\r\nx-two: 2\r\n\r\n")
    head = wire.exchange.head
    assert (head.method, head.target, head.http_version, head.scheme) == ("GET", b"/a%20b?c", "1.1", "http")
    assert (head.path, head.raw_path, head.query_string) == ("/a b", b"/a%20b", b"c")
    assert head.headers == [(b"host", b"h:80"), (b"x-two", b"1"), (b"x-two", b"2")]
    assert (head.client, head.server) == (("192.0.2.1", 50000), ("192.0.2.9", 80))


def test_authority_of_the_target_replaces_host():
    wire = Wire().send(b"GET http://real:1/p?q HTTP/1.1\r\nX: y\r\nHost: other\r\n\r\n")
    assert wire.exchange.head.path == "/p"
    assert wire.exchange.head.headers == [(b"host", b"real:1"), (b"x", b"y")]


def test_asterisk_is_a_path():
    assert Wire().send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").exchange.head.path == "*"


def test_small_response_is_one_write():
    wire = Wire(answer).send(GET)
    assert wire.raw == OK
    assert len(wire.kernel.calls) == 1


def test_connection_stays_open_for_the_next_request():
    wire = Wire(answer).send(GET).send(GET)
    assert wire.raw == OK + OK
    assert wire.how_it_ended == "open"


@pytest.mark.parametrize("extra", [b"Connection: close\r\n", b"Connection: keep-alive, close\r\n"])
def test_client_that_asks_for_it_is_told_and_closed_at_once(extra):
    wire = Wire(answer).send(get(b"/", extra))
    assert b"\r\nConnection: close\r\n" in wire.raw
    assert wire.how_it_ended == "closed"


def test_http_1_0_is_closed_after_the_response():
    wire = Wire(answer).send(b"GET / HTTP/1.0\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in wire.raw
    assert wire.how_it_ended == "closed"


def test_http_1_0_is_kept_alive_when_it_asks():
    wire = Wire(answer).send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"\r\nConnection: keep-alive\r\n" in wire.raw
    assert wire.how_it_ended == "open"


def test_what_follows_a_request_with_connection_close_is_ignored():
    wire = Wire(answer).send(get(b"/", b"Connection: close\r\n") + GET + b"garbage")
    assert wire.statuses == [200]
    assert wire.how_it_ended == "closed"


def test_upgrade_that_is_not_supported_is_ignored():
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    wire = Wire(answer).send(get(b"/1", upgrade) + get(b"/2"))
    assert [exchange.head.path for exchange in wire.exchanges] == ["/1", "/2"]
    assert wire.raw == OK + OK


def test_body_of_a_request_with_upgrade_is_read():
    wire = Wire().send(
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello" + GET
    )
    assert wire.exchange.take_body() == (b"hello", False)
    answer(wire.exchange)
    wire.loop.run_soon()
    assert wire.exchange.head.method == "GET"


# --- pipelining ---


def test_one_exchange_runs_at_a_time_and_answers_are_in_order():
    wire = Wire().send(get(b"/1") + get(b"/2") + get(b"/3"))
    for number in (1, 2, 3):
        assert [exchange.head.path for exchange in wire.exchanges][-1] == f"/{number}"
        assert len(wire.exchanges) == number
        answer(wire.exchange, b"%d" % number)
        wire.loop.run_soon()
    assert [part[-1:] for part in wire.raw.split(b"HTTP/1.1 200 OK")[1:]] == [b"1", b"2", b"3"]


def test_application_that_answers_at_once_does_not_recurse_over_pipelined_requests():
    wire = Wire(answer).send(GET * 5000)
    assert wire.raw == OK * 5000


def test_pipelined_requests_beyond_the_limit_stay_in_the_kernel():
    wire = Wire().send(GET)
    wire.send(GET * 2000)
    assert wire.reading
    wire.send(GET * 1000)
    assert not wire.reading
    wire.application.on_handle = answer
    answer(wire.exchange)
    wire.turn()
    assert wire.reading
    assert wire.raw == OK * 3001


def test_error_response_comes_after_the_responses_before_it():
    wire = Wire().send(GET + b"FOO / HTTP/1.1\r\n\r\n")
    assert wire.raw == b""
    answer(wire.exchange)
    wire.loop.run_soon()
    assert wire.statuses == [200, 501]


def test_next_request_is_served_while_the_application_still_works_after_its_response():
    def respond(exchange):
        exchange.start_response(200, [])
        exchange.write(b"", False)  # and end() comes later

    wire = Wire(respond).send(GET).send(GET)
    assert wire.statuses == [200, 200]
    for exchange in wire.exchanges:
        exchange.end()
    assert not wire.owner.failures
    assert not wire.owner.broken


# --- refusals ---


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\n", 417),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 2000, 431),
    ],
)
def test_bad_request_is_refused_without_the_application_and_closed_politely(data, status):
    wire = Wire(answer, max_header_size_bytes=1000, max_body_size_bytes=1000).send(data)
    assert not wire.exchanges
    assert wire.statuses == [status]
    assert b"\r\nConnection: close\r\n" in wire.raw
    assert wire.how_it_ended == "lingering"


def test_refused_head_request_gets_no_body():
    assert Wire().send(b"HEAD / HTTP/1.1\r\n\r\n").raw.endswith(b"\r\n\r\n")


def test_chunk_error_fails_the_body_and_is_answered_if_the_response_has_not_begun():
    wire = Wire().send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    wire.send(b"zz\r\n")
    assert wire.exchange.disconnected
    assert wire.statuses == [400]
    assert wire.how_it_ended == "lingering"


def test_chunk_error_cuts_a_response_that_has_begun():
    wire = Wire().send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.send(b"zz\r\n")
    assert wire.statuses == [200]
    assert not wire.raw.endswith(b"0\r\n\r\n")
    assert wire.how_it_ended == "lingering"


def test_chunked_body_above_the_limit_is_answered_with_413_while_the_application_runs():
    wire = Wire(max_body_size_bytes=5).send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.send(b"6\r\nhello!\r\n")
    assert wire.exchange.disconnected
    assert wire.statuses == [413]
    assert wire.owner.finished[0][1] == 413


# --- however the bytes are cut ---

POST = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nT: 1\r\n\r\n"
HEAD = b"HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
UPGRADE = b"POST /u HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi"
STREAMS = [
    POST + GET + CHUNKED + HEAD + OLD + UPGRADE + b"\r\n" + get(b"/last", b"Connection: close\r\n") + GET,
    GET + CHUNKED + b"FOO / HTTP/1.1\r\n\r\n",
    CHUNKED + b"GET / HTTP/1.1\r\n\r\n",
    UPGRADE + POST + b"GET / HTTP/1.3\r\nHost: a\r\n\r\n",
]


def talk(pieces: list[bytes]) -> tuple[bytes, str]:
    """What the client gets from an application that answers with what it got, when it has all of it."""
    wire = Wire()
    bodies: dict[int, bytes] = {}
    for piece in pieces:
        wire.send(piece)
        answered = None
        while answered != len(wire.exchanges):
            answered = len(wire.exchanges)
            for index, exchange in enumerate(wire.exchanges):
                if exchange.response_complete:
                    continue
                while (taken := exchange.take_body()) is not None:
                    bodies[index] = bodies.get(index, b"") + taken[0]
                    if not taken[1]:
                        answer(exchange, b"%s %s" % (exchange.head.raw_path, bodies[index]))
                        break
            wire.loop.run_soon()
    return wire.raw, wire.how_it_ended


@pytest.mark.parametrize("stream", STREAMS)
def test_every_cut_in_two_gives_the_answers_of_the_whole(stream):
    whole = talk([stream])
    for cut in range(1, len(stream)):
        assert talk([stream[:cut], stream[cut:]]) == whole, cut


@pytest.mark.parametrize("stream", STREAMS)
def test_single_bytes_give_the_answers_of_the_whole(stream):
    assert talk([stream[at : at + 1] for at in range(len(stream))]) == talk([stream])


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(STREAMS), st.lists(st.integers(min_value=1, max_value=400), max_size=20))
def test_any_cuts_give_the_answers_of_the_whole(stream, cuts):
    ends = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[begin:end] for begin, end in itertools.pairwise(ends)]
    assert talk(pieces) == talk([stream])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), max_size=5))
def test_no_bytes_whatsoever_raise(pieces):
    wire = Wire(answer)
    for piece in pieces:
        wire.send(piece)
    wire.vanish()
    assert len(wire.owner.closed) == 1


def test_access_log_gets_status_body_bytes_and_seconds():
    wire = Wire().send(get(b"/path"))
    wire.exchange.started_at -= 3600
    answer(wire.exchange, b"12345")
    ((target, status, body_bytes, seconds),) = wire.owner.finished
    assert (target, status, body_bytes) == ("/path", 200, 5)
    assert 3600 < seconds < 7200


def test_access_log_gets_seconds_of_a_clock_that_goes_on_while_the_loop_is_busy():
    wire = Wire(answer).send(GET)  # the time of this loop stands still, as that of uvloop does until its next turn
    ((_target, _status, _body_bytes, seconds),) = wire.owner.finished
    assert 0 < seconds < 60


def test_without_an_access_log_nothing_is_told():
    wire = Wire(answer)
    wire.owner.request_finished = None
    assert wire.send(GET).raw == OK


def test_owner_is_told_of_each_connection_once():
    wire = Wire(answer).send(GET)
    assert wire.owner.opened == [wire.connection]
    wire.vanish()
    assert wire.owner.closed == [wire.connection]
    assert wire.server.waiting == 0


def test_head_that_alone_is_more_than_may_wait_is_read_on():
    """Reading stopped while the response before it was awaited."""
    wire = Wire(max_header_size_bytes=1_000_000).send(GET)
    wire.send(b"GET /next HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 100_000)
    assert not wire.reading
    answer(wire.exchange)
    wire.loop.run_soon()
    assert wire.reading
    wire.send(b"\r\n\r\n")
    assert wire.exchange.head.path == "/next"


def test_an_absolute_target_has_the_scheme_of_its_port():
    plain, tls = Wire(answer), Wire(answer, tls=True)
    for wire, right, wrong in ((plain, b"HTTP", b"https"), (tls, b"https", b"http")):
        wire.send(b"GET %b://a/ HTTP/1.1\r\nHost: a\r\n\r\n" % right)
        wire.send(b"GET %b://a/ HTTP/1.1\r\nHost: a\r\n\r\n" % wrong)
        assert wire.statuses == [200, 421]
        assert len(wire.exchanges) == 1


# --- what waits for its turn ---


class Counted(bytes):
    """Bytes that count how many of them are copied by slices."""

    copied = 0

    def __getitem__(self, at):
        part = super().__getitem__(at)
        if isinstance(part, bytes):
            Counted.copied += len(part)
        return part

    def __add__(self, other):
        return Counted(super().__add__(other))

    def __radd__(self, other):
        return Counted(other + bytes(self))


@pytest.mark.skipif(BUILD.compiled, reason="compiled code takes no subclass of bytes; the interpreted code is the same")
@pytest.mark.parametrize("request_", [GET, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok", b"\r\n" + GET])
def test_requests_that_wait_are_not_copied_for_each_one_before_them(request_):
    data = Counted(request_ * 1000)
    Counted.copied = 0
    wire = Wire(answer)
    wire.connection.protocol.received(data)
    wire.turn()
    assert wire.statuses == [200] * 1000
    assert Counted.copied <= 2 * len(data)
