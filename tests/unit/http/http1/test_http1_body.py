"""Request bodies, and back-pressure in both directions."""

import asyncio
import tracemalloc

import pytest
from http_fakes import Wire, answer, hand_over_when_at_rest, step

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def post(length: int, extra: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n" % (extra, length)


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECT = b"Expect: 100-continue\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_request_without_a_body_has_an_empty_one_that_is_complete():
    exchange = Wire().send(GET).exchange
    assert exchange.take_body() == (b"", False)
    assert exchange.take_body() == (b"", False)


def test_body_that_came_with_the_head_is_there_at_once():
    assert Wire().send(post(5) + b"hello").exchange.take_body() == (b"hello", False)


@pytest.mark.parametrize(
    ("request_bytes", "length", "awaits_continue"),
    [
        (GET, 0, False),
        (post(0), 0, False),
        (post(5), 5, False),
        (post(5) + b"hello", 5, False),
        (post(5, EXPECT), 5, True),
        (post(5, EXPECT) + b"hello", 5, False),
        (CHUNKED, None, False),
    ],
)
def test_exchange_tells_what_is_known_of_the_body_beforehand(request_bytes, length, awaits_continue):
    exchange = Wire().send(request_bytes).exchange
    assert (exchange.body_length, exchange.awaits_continue) == (length, awaits_continue)


def test_body_is_taken_as_it_arrives():
    wire = Wire().send(post(5))
    exchange = wire.exchange
    assert exchange.take_body() is None
    wire.send(b"he")
    assert exchange.take_body() == (b"he", True)
    wire.send(b"l").send(b"lo")
    assert exchange.take_body() == (b"llo", False)
    assert exchange.take_body() == (b"", False)


def test_chunked_body_comes_without_its_framing():
    wire = Wire().send(CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n")
    assert wire.exchange.take_body() == (b"hello", True)
    wire.send(b"0\r\n\r\n")
    assert wire.exchange.take_body() == (b"", False)


def test_waiting_for_input_ends_with_the_next_piece():
    wire = Wire().send(post(5))
    waiting = wire.exchange.wait_for_input()
    assert not step(waiting)
    wire.send(b"h")
    assert step(waiting)


@pytest.mark.parametrize("framing", [[b"5", b"\r\n"], [b"5;name=value\r\n"]])
def test_waiting_for_input_goes_on_while_only_framing_arrives(framing):
    wire = Wire().send(CHUNKED)
    waiting = wire.exchange.wait_for_input()
    arrived = waiting.send(None)
    for piece in framing:
        wire.send(piece)
    assert not arrived.done()
    wire.send(b"hello\r\n0\r\n\r")
    assert arrived.done()
    assert wire.exchange.take_body() == (b"hello", True)
    waiting = wire.exchange.wait_for_input()
    arrived = waiting.send(None)
    wire.send(b"\n")
    assert arrived.done()
    assert wire.exchange.take_body() == (b"", False)


@pytest.mark.parametrize("sent", [b"h", b"hello"])
def test_waiting_for_input_that_is_there_does_not_wait(sent):
    assert step(Wire().send(post(5) + sent).exchange.wait_for_input())


def test_waiting_for_input_ends_when_the_client_is_gone():
    wire = Wire().send(post(5))
    waiting = wire.exchange.wait_for_input()
    assert not step(waiting)
    wire.vanish()
    assert step(waiting)
    assert wire.exchange.disconnected
    assert wire.exchange.take_body() is None


def test_waiting_for_disconnect_is_not_disturbed_by_input():
    wire = Wire().send(post(5))
    waiting = wire.exchange.wait_for_disconnect()
    assert not step(waiting)
    wire.send(b"hello")
    assert not step(waiting)
    answer(wire.exchange)
    assert step(waiting)


def test_waiter_that_is_cancelled_disturbs_no_other():
    wire = Wire().send(post(5))
    first, second = wire.exchange.wait_for_input(), wire.exchange.wait_for_input()
    assert not step(first)
    assert not step(second)
    with pytest.raises(asyncio.CancelledError):
        first.throw(asyncio.CancelledError())
    wire.send(b"h")
    assert step(second)


# --- Expect: 100-continue (RFC 9110 section 10.1.1) ---


def test_continue_is_sent_when_the_application_first_asks_for_the_body():
    wire = Wire().send(post(5, EXPECT))
    assert wire.raw == b""
    assert wire.exchange.take_body() is None
    assert wire.exchange.take_body() is None
    assert wire.raw == CONTINUE
    wire.send(b"hello")
    assert wire.exchange.take_body() == (b"hello", False)
    answer(wire.exchange)
    assert wire.statuses == [100, 200]
    wire.loop.run_soon()
    assert wire.how_it_ended == "open"


@pytest.mark.parametrize("first", [post(5, EXPECT) + b"h", post(5, EXPECT)])
def test_continue_is_not_sent_when_the_body_is_coming_already(first):
    wire = Wire().send(first)
    wire.send(b"e")
    assert wire.exchange.take_body() is not None
    wire.exchange.take_body()
    assert wire.raw == b""


def test_final_response_without_asking_for_the_body_closes_the_connection():
    wire = Wire(answer).send(post(5, EXPECT))
    assert wire.statuses == [200]
    assert b"\r\nConnection: close\r\n" in wire.raw
    assert wire.how_it_ended == "lingering"


def test_continue_is_not_sent_after_the_response_has_begun():
    wire = Wire().send(post(5, EXPECT))
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"x", True)
    wire.exchange.take_body()
    assert wire.statuses == [200]


def test_client_that_waits_for_continue_is_not_timed_out():
    wire = Wire(body_timeout_seconds=5).send(post(5, EXPECT))
    wire.loop.pass_time(100)
    assert wire.raw == b""
    wire.exchange.take_body()
    wire.loop.pass_time(4.9)
    assert wire.statuses == [100]
    wire.loop.pass_time(0.2)
    assert wire.statuses == [100, 408]


# --- a body that nobody wants ---


def test_rest_of_a_small_body_is_discarded_and_the_connection_goes_on():
    wire = Wire(answer).send(post(100_000) + b"x" * 10)
    assert wire.statuses == [200]
    assert wire.connection.busy
    wire.send(b"x" * 99_990 + GET)
    assert wire.statuses == [200, 200]
    assert wire.how_it_ended == "open"


def test_rest_of_a_chunked_body_is_discarded_and_the_connection_goes_on():
    wire = Wire(answer).send(CHUNKED)
    wire.send(b"5\r\nhello\r\n").send(b"0\r\n\r\n").send(GET)
    assert wire.statuses == [200, 200]


def test_large_body_that_nobody_wants_closes_the_connection_after_the_response_said_so():
    wire = Wire(answer).send(post(300_000))
    assert b"\r\nConnection: close\r\n" in wire.raw
    assert wire.how_it_ended == "lingering"


def test_large_body_that_is_read_during_the_response_does_not_close_the_connection():
    wire = Wire().send(post(300_000))
    exchange = wire.exchange
    exchange.start_response(200, [])
    exchange.write(b"begin", True)
    for _ in range(30):
        wire.send(b"x" * 10_000)
        assert exchange.take_body() is not None
    exchange.write(b"end", False)
    wire.send(GET)
    assert len(wire.exchanges) == 2


def test_large_rest_after_a_response_that_promised_to_go_on_is_not_read():
    wire = Wire().send(post(300_000))
    wire.exchange.start_response(200, [])
    wire.exchange.write(b"begin", True)
    wire.exchange.write(b"end", False)
    assert wire.how_it_ended == "lingering"


def test_chunked_rest_is_discarded_up_to_the_limit():
    wire = Wire(answer).send(CHUNKED)
    for _ in range(27):
        wire.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
    assert wire.statuses == [200]
    assert wire.how_it_ended == "lingering"


def test_malformed_rest_of_a_body_gets_no_second_response():
    wire = Wire(answer).send(CHUNKED).send(b"zz\r\n")
    assert wire.statuses == [200]
    assert wire.how_it_ended == "lingering"


def test_response_complete_is_an_empty_rest_for_nobody():
    wire = Wire().send(post(5))
    exchange = wire.exchange
    exchange.start_response(200, [])
    exchange.write(b"", False)
    assert exchange.take_body() is None
    assert step(exchange.wait_for_input())


# --- back-pressure from the application to the client ---


def test_connection_reads_no_further_while_the_application_takes_nothing():
    wire = Wire().send(post(200_000))
    wire.send(b"x" * 65536)
    assert wire.reading
    wire.send(b"x")
    assert not wire.reading
    data, more = wire.exchange.take_body()
    assert (len(data), more) == (65537, True)
    assert wire.reading


def test_client_is_not_timed_out_while_the_application_takes_nothing():
    wire = Wire(body_timeout_seconds=5).send(post(200_000)).send(b"x" * 70_000)
    wire.loop.pass_time(100)
    assert wire.raw == b""
    wire.exchange.take_body()
    wire.loop.pass_time(5.1)
    assert wire.statuses == [408]


def test_reading_goes_on_after_a_response_that_left_the_body_waiting():
    wire = Wire(body_timeout_seconds=5).send(post(200_000)).send(b"x" * 70_000)
    answer(wire.exchange)
    assert wire.reading
    wire.send(b"x" * 130_000).send(GET)
    assert len(wire.exchanges) == 2


def test_body_that_is_complete_does_not_stop_reading():
    wire = Wire().send(post(70_000) + b"x" * 70_000)
    assert wire.reading


# --- back-pressure from the client to the application ---

MUCH = b"x" * 100_000


def test_exchange_is_not_writable_while_the_client_takes_nothing():
    wire = Wire().send(GET)
    exchange = wire.exchange
    exchange.start_response(200, [])
    exchange.write(b"x", True)
    assert exchange.writable
    wire.take_nothing()
    exchange.write(MUCH, True)
    assert not exchange.writable
    waiting = exchange.wait_until_writable()
    assert not step(waiting)
    wire.take(50_000)
    assert not exchange.writable, "before all is with the kernel"
    wire.take()
    assert step(waiting)
    assert exchange.writable


def test_exchange_is_writable_while_little_waits():
    wire = Wire().send(GET)
    wire.take_nothing()
    wire.exchange.start_response(200, [(b"content-length", b"60002")])
    wire.exchange.write(MUCH[:60_000], True)
    assert wire.exchange.writable
    wire.take(10)
    wire.exchange.write(b"x", True)
    wire.exchange.write(b"y", False)
    wire.take()
    assert wire.raw.endswith(b"\r\n\r\n" + MUCH[:60_000] + b"xy")


@pytest.mark.parametrize("room", [0, 1, 20, 100, 200, 65_600, 100_200, 165_800])
@pytest.mark.parametrize("sizes", [(200_000,), (1, 200_000), (200_000, 1, 0), (65_536, 65_537, 0), (0, 70_000)])
def test_bytes_are_whole_and_in_order_wherever_the_kernel_stops(room, sizes):
    body = [b"%08d" % number * (size // 8 + 1) for number, size in enumerate(sizes)]
    body = [piece[:size] for piece, size in zip(body, sizes, strict=True)]

    def talk(wire):
        wire.exchange.start_response(200, [])
        for number, piece in enumerate(body, start=1):
            wire.exchange.write(piece, number < len(body))
        wire.exchange.end()
        return wire

    slow = Wire().send(GET)
    slow.kernel.room = room
    talk(slow)
    while slow.connection.stream.unsent_bytes:
        slow.take(70_001)
    slow.take()
    assert slow.raw == talk(Wire().send(GET)).raw
    assert slow.send(GET).exchange is slow.exchanges[1]


def test_waiting_for_room_ends_when_the_client_is_gone():
    wire = Wire().send(GET)
    wire.take_nothing()
    wire.exchange.start_response(200, [])
    wire.exchange.write(MUCH, True)
    waiting = wire.exchange.wait_until_writable()
    assert not step(waiting)
    wire.vanish()
    assert step(waiting)


def test_waiting_for_room_after_the_end_of_the_response_does_not_wait():
    wire = Wire().send(GET)
    wire.take_nothing()
    exchange = wire.exchange
    exchange.start_response(200, [])
    exchange.write(MUCH, True)
    waiting = exchange.wait_until_writable()
    assert not step(waiting)
    exchange.write(b"", False)
    assert step(waiting)
    assert step(exchange.wait_until_writable())


@pytest.mark.parametrize("together", [True, False])
def test_request_waits_until_the_client_has_taken_the_answers_before_it(together):
    wire = Wire(lambda exchange: answer(exchange, MUCH))
    wire.take_nothing()
    if together:
        wire.send(GET * 3)
    else:
        wire.send(GET).send(GET).send(GET)
    assert len(wire.exchanges) == 1
    assert not wire.reading
    wire.take(len(MUCH))
    assert len(wire.exchanges) == 1
    wire.take()
    assert len(wire.exchanges) == 3
    assert wire.exchange.writable
    assert wire.reading
    assert wire.statuses == [200, 200, 200]


def test_request_behind_answers_that_were_not_taken_is_answered_though_the_client_has_ended_its_half():
    wire = Wire(lambda exchange: answer(exchange, MUCH))
    wire.take_nothing()
    wire.send(GET * 2)
    wire.send_eof()
    wire.take()
    assert wire.statuses == [200, 200]
    assert wire.how_it_ended == "closed"


def test_client_that_takes_long_for_an_answer_is_not_taken_for_an_idle_one():
    wire = Wire(lambda exchange: answer(exchange, MUCH))
    wire.take_nothing()
    wire.send(GET)
    for _ in range(10):
        wire.loop.pass_time(20)
        wire.take(10)
    wire.take()
    assert wire.how_it_ended == "open"
    assert wire.send(GET).statuses == [200, 200]
    wire.loop.pass_time(76)
    assert wire.how_it_ended == "lingering"


def test_connection_that_is_to_go_comes_to_rest_when_its_answer_was_taken():
    wire = Wire(lambda exchange: answer(exchange, MUCH))
    wire.take_nothing()
    wire.send(GET)
    sent = hand_over_when_at_rest(wire)
    assert not sent
    wire.take()
    assert len(sent) == 1


def test_large_piece_of_a_body_is_not_copied():
    for headers in ([], [(b"content-length", b"100005")]):
        wire = Wire().send(GET)
        wire.exchange.start_response(200, headers)
        wire.exchange.write(b"begin", True)
        wire.exchange.write(MUCH, False)
        assert any(piece is MUCH for call in wire.kernel.calls for piece in call)
        assert len(wire.kernel.calls) == 2


@pytest.mark.parametrize("chunks_at_once", [1, 1000])
def test_body_in_tiny_pieces_takes_little_more_memory_than_its_bytes(chunks_at_once):
    wire = Wire().send(CHUNKED)
    tracemalloc.start()
    try:
        while wire.reading:
            wire.send(b"2\r\nab\r\n" * chunks_at_once)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4 * 65536
    body, more = wire.exchange.take_body()
    assert body == b"ab" * (len(body) // 2)
    assert len(body) > 65536
    assert more


# --- trailers of a request (RFC 9110 section 6.5) ---

TRAILERS = [(b"digest", b"x"), (b"x-two", b"2")]
WITH_TRAILERS = CHUNKED + b"2\r\nhi\r\n0\r\nDigest: x\r\nX-Two:2 \r\n\r\n"


def test_trailers_are_whole_when_the_end_of_the_body_was_taken():
    for cut in range(len(CHUNKED), len(WITH_TRAILERS)):
        wire = Wire().send(WITH_TRAILERS[:cut])
        exchange = wire.exchange
        taken = exchange.take_body()
        assert taken is None or taken[1]
        wire.send(WITH_TRAILERS[cut:])
        while taken is None or taken[1]:
            taken = exchange.take_body()
        assert list(exchange.trailers) == TRAILERS, cut


def test_trailers_that_came_with_the_head_are_there_at_once():
    assert list(Wire().send(WITH_TRAILERS).exchange.trailers) == TRAILERS


def test_trailers_belong_to_their_own_request():
    wire = Wire(answer).send(WITH_TRAILERS + CHUNKED + b"0\r\n\r\n" + GET + WITH_TRAILERS)
    assert [list(exchange.trailers) for exchange in wire.exchanges] == [TRAILERS, [], [], TRAILERS]


def test_trailers_that_frame_or_route_are_no_header_of_the_request():
    wire = Wire().send(CHUNKED + b"0\r\nHost: b\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n" + GET)
    assert (b"host", b"b") not in wire.exchange.head.headers
    answer(wire.exchange)
    wire.turn()
    assert [exchange.head.method for exchange in wire.exchanges] == ["POST", "GET"]


def test_client_that_waits_for_continue_and_sends_an_empty_body_is_not_asked_for_it():
    wire = Wire().send(CHUNKED.replace(b"\r\n\r\n", b"\r\n" + EXPECT + b"\r\n"))
    assert wire.exchange.awaits_continue
    wire.send(b"0\r\n\r\n")
    assert wire.exchange.take_body() == (b"", False)
    answer(wire.exchange)
    assert wire.statuses == [200]
    assert wire.send(GET).how_it_ended == "open"


@pytest.mark.parametrize("framing", [b"5", b"5\r\n", b"5;a=b\r\n"])
def test_client_that_has_begun_its_body_does_not_wait_for_continue(framing):
    wire = Wire(body_timeout_seconds=5).send(CHUNKED.replace(b"\r\n\r\n", b"\r\n" + EXPECT + b"\r\n"))
    wire.send(framing)
    wire.exchange.take_body()
    assert wire.raw == b""
    wire.loop.pass_time(5.1)
    assert wire.statuses == [408]
