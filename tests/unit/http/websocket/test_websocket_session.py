"""An open WebSocket: messages in both directions, back-pressure, pings, the closing and the end."""

from __future__ import annotations

import gc
import zlib

import pytest
from websocket_client import (
    BINARY,
    CLOSE,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    Frame,
    binary,
    close,
    frame,
    handshake,
    text,
)
from websocket_world import Socket
from websockets.extensions.permessage_deflate import PerMessageDeflate

from gracehttp.http.connection import Terms
from gracehttp.http.exchange import ClientDisconnected
from gracehttp.http.fields import ResponseError
from gracehttp.http.websocket.protocol import CLOSING_SECONDS, ENDING_SECONDS
from gracehttp.net.ending import LINGER_SECONDS
from gracehttp.net.stream import HIGH_WATER_BYTES

DEFLATE = handshake(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")


def bomb(size: int, count: int) -> bytes:
    """So many compressed messages of zeros, each of which becomes so many bytes."""
    encoder = zlib.compressobj(wbits=-12)
    found = b""
    for _ in range(count):
        packed = (encoder.compress(b"\0" * size) + encoder.flush(zlib.Z_SYNC_FLUSH))[:-4]
        found += frame(BINARY, packed, flags=RSV1)
    return found


# --- messages ---


def test_messages_in_both_directions():
    socket = Socket()
    socket.send(text("one") + binary(b"two"))
    socket.send(text("x" * 70000))
    assert socket.taken() == ["one", b"two", "x" * 70000]
    socket.session.send("three")
    socket.session.send(b"four")
    assert socket.frames() == [Frame(FIN | TEXT, b"three"), Frame(FIN | BINARY, b"four")]


def test_message_that_is_no_unicode_is_the_applications_fault_and_hurts_nobody():
    socket = Socket()
    with pytest.raises(ResponseError, match="text"):
        socket.session.send("\ud800")
    socket.session.send("ok")
    assert socket.frames() == [Frame(FIN | TEXT, b"ok")]


def test_nothing_is_sent_before_accept_or_after_the_end():
    socket = Socket(accepts=False)
    with pytest.raises(ResponseError):
        socket.session.send("early")
    socket.session.accept()
    socket.session.close()
    with pytest.raises(ClientDisconnected):
        socket.session.send("late")


def test_waiting_for_input_ends_with_a_message_and_with_the_end():
    socket = Socket()
    first = socket.session.input()
    socket.send(text("one"))
    assert first.done()
    socket.taken()
    second, third = socket.session.input(), socket.session.input()
    second.cancel()
    socket.send(close())
    assert third.done()
    assert socket.session.ended


def test_waiting_that_is_cancelled_again_and_again_costs_nothing():
    """An application that looks at a clock each second: `wait_for(receive(), 1)`."""
    socket = Socket()
    for _ in range(1000):
        socket.session.input().cancel()
    assert len(socket.session._waiters._futures) <= 1


# --- back-pressure ---


def test_messages_that_nobody_takes_stop_the_reading():
    socket = Socket()
    socket.send(text("x" * 60000))
    assert socket.reading
    socket.send(text("y" * 60000))
    assert not socket.reading
    assert socket.taken() == ["x" * 60000, "y" * 60000]
    assert socket.reading


def test_many_small_messages_that_nobody_takes_stop_the_reading():
    socket = Socket()
    for number in range(32):
        assert socket.reading
        socket.send(text(f"{number}"))
    assert not socket.reading
    socket.kernel.inbox.append(text("more"))
    assert socket.session.take() == "0"
    socket.turn()
    assert socket.taken() == [*map(str, range(1, 32)), "more"]
    assert socket.reading


def test_no_more_is_inflated_than_the_application_takes():
    socket = Socket(asks=DEFLATE, deflate=True)
    data = bomb(60_000, 700)
    assert len(data) < 65536
    socket.send(data)
    assert sum(map(len, socket.session._waiting)) < 5_000_000, "of 42 MB that have come already"
    assert len(socket.taken()) == 700
    assert socket.reading


def test_close_frame_behind_what_waits_is_heard_when_it_is_its_turn():
    socket = Socket(asks=DEFLATE, deflate=True)
    socket.send(bomb(60_000, 300) + close(4000))
    assert not socket.session.ended
    assert len(socket.taken()) == 300
    assert socket.session.ended
    assert socket.session.close_code == 4000


def test_end_of_the_client_behind_what_waits_is_heard_when_it_is_its_turn():
    socket = Socket(asks=DEFLATE + bomb(60_000, 300), accepts=False, deflate=True)
    socket.kernel.inbox.append(b"")
    socket.session.accept()
    socket.turn()
    socket.read_head()
    assert len(socket.taken()) == 300
    assert socket.session.ended
    assert socket.session.close_code == 1006


def test_slow_reader_is_told_of_and_then_not():
    socket = Socket()
    socket.take_nothing()
    socket.session.send("x" * 100_000)
    assert not socket.session.writable
    step = socket.session.wait_until_writable()
    assert step.send(None) is not None
    socket.take()
    assert socket.session.writable
    with pytest.raises(StopIteration):
        step.send(None)
    assert socket.frames() == [Frame(FIN | TEXT, b"x" * 100_000)]


def test_client_that_takes_no_pongs_is_not_read_either():
    socket = Socket()
    socket.take_nothing()
    for _ in range(1000):
        socket.send(frame(PING, b"x" * 125) * 100)
        if not socket.reading:
            break
    assert socket.stream.unsent_bytes < 200_000
    assert not socket.reading
    socket.take()
    assert socket.reading


def test_client_that_takes_no_pongs_is_not_read_while_it_is_to_close_either():
    socket = Socket()
    socket.session.close(4000)
    socket.turn()
    socket.take_nothing()
    for _ in range(2000):
        socket.send(frame(PING, b"p" * 125))
        if not socket.reading:
            break
    assert not socket.reading
    assert socket.stream.unsent_bytes < 2 * 65536
    socket.take()
    assert socket.reading
    socket.send(frame(CLOSE, b"\x0f\xa0"))
    assert socket.kernel.shut


def test_client_that_takes_nothing_for_too_long_is_lost():
    socket = Socket(ping_interval_seconds=0.0)
    socket.take_nothing()
    socket.session.send("x" * 100_000)
    socket.loop.pass_time(socket.server.settings.body_timeout_seconds + 1)
    assert socket.session.ended
    assert socket.session.close_code == 1006
    assert socket.kernel.closed


# --- pings ---


def test_client_is_pinged_and_answers():
    socket = Socket(ping_interval_seconds=20.0, ping_timeout_seconds=5.0)
    for number in (1, 2, 3):
        socket.loop.pass_time(19.9)
        assert socket.frames() == []
        socket.loop.pass_time(0.2)
        (ping,) = socket.frames()
        assert ping == Frame(FIN | PING, number.to_bytes(4, "big"))
        socket.loop.pass_time(4.5)
        socket.send(frame(PONG, ping.payload))
    assert not socket.session.ended


def test_client_that_does_not_answer_is_closed():
    socket = Socket(ping_interval_seconds=20.0, ping_timeout_seconds=5.0)
    socket.loop.pass_time(20.1)
    (ping,) = socket.frames()
    socket.send(frame(PONG, b"another"))
    socket.send(text("messages are no answer"))
    socket.loop.pass_time(5.1)
    assert socket.closing() == (1011, "no answer to a ping")
    assert socket.session.ended
    assert (socket.session.close_code, socket.session.close_reason) == (1011, "no answer to a ping")
    assert socket.stream.shut
    assert ping.payload
    socket.loop.pass_time(LINGER_SECONDS + 0.1)
    assert socket.kernel.closed


def test_pong_that_waits_behind_what_the_application_has_not_taken_is_not_missed():
    socket = Socket(ping_interval_seconds=20.0, ping_timeout_seconds=5.0)
    socket.send(text("x" * 70_000))
    assert not socket.reading
    socket.loop.pass_time(20.1)
    (ping,) = socket.frames()
    socket.kernel.inbox.append(frame(PONG, ping.payload))
    socket.loop.pass_time(60)
    assert not socket.session.ended
    socket.taken()
    socket.loop.pass_time(21)
    (again,) = socket.frames()
    assert again.payload != ping.payload


def test_pong_that_came_in_time_to_a_busy_loop_counts():
    socket = Socket(ping_interval_seconds=20.0, ping_timeout_seconds=5.0)
    socket.loop.pass_time(20.1)
    (ping,) = socket.frames()
    socket.kernel.inbox.append(frame(PONG, ping.payload))
    socket.loop.pass_time(5.1)
    assert not socket.session.ended


def test_pings_without_timeout_ask_for_no_answer():
    socket = Socket(ping_interval_seconds=20.0, ping_timeout_seconds=0.0)
    socket.loop.pass_time(100.1)
    assert [one.opcode for one in socket.frames()] == [PING] * 5
    assert not socket.session.ended


def test_no_pings():
    socket = Socket(ping_interval_seconds=0.0)
    socket.loop.pass_time(100_000)
    assert socket.frames() == []
    assert not socket.session.ended


# --- the closing ---


def test_client_closes():
    socket = Socket()
    socket.send(text("last words") + close(4000, b"bye"))
    assert socket.closing() == (4000, "bye")
    assert socket.kernel.closed, "nothing can come any more, so nothing is waited for"
    assert socket.taken() == ["last words"]
    assert socket.session.ended
    assert (socket.session.close_code, socket.session.close_reason) == (4000, "bye")


def test_server_closes_and_waits_for_the_answer():
    socket = Socket()
    socket.session.close(4001, "enough")
    assert socket.closing() == (4001, "enough")
    assert socket.session.ended
    assert not socket.stream.shut
    socket.send(text("on its way") + frame(PING) + close(4001))
    assert socket.taken() == []
    assert socket.kernel.closed
    assert socket.session.close_code == 4001


def test_client_that_does_not_answer_a_close_frame_is_not_waited_for_without_end():
    socket = Socket()
    socket.session.close()
    socket.loop.pass_time(CLOSING_SECONDS + 0.1)
    assert socket.stream.shut
    socket.loop.pass_time(LINGER_SECONDS + 0.1)
    assert socket.kernel.closed


def test_slow_client_that_sends_on_is_not_reset_when_it_has_not_answered_in_time():
    """What it has not read may all be with the kernel, so that nothing waits in this process."""
    socket = Socket()
    socket.session.send("a message that it has not read")
    socket.session.close()
    socket.loop.pass_time(CLOSING_SECONDS + 0.1)
    for _ in range(3):
        socket.loop.pass_time(LINGER_SECONDS / 2)
        socket.send(text("more"))
        assert not socket.kernel.closed, "a close now would be a reset"
    socket.send(close())
    socket.loop.pass_time(LINGER_SECONDS + 0.1)
    assert socket.kernel.closed


def seconds_of_sending(socket):
    """How long a client can send on, a message in each second, until its connection is closed."""
    seconds = 0
    while not socket.kernel.closed:
        socket.send(text("more"))
        socket.loop.pass_time(1.0)
        seconds += 1
        assert seconds < 100
    return seconds


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_client_that_answers_no_close_frame_and_sends_on_holds_no_drain_up(tls):
    socket = Socket(tls=tls)
    socket.connection.protocol.close_at_rest(linger=True)
    assert seconds_of_sending(socket) == pytest.approx(CLOSING_SECONDS + ENDING_SECONDS, abs=1)
    assert socket.session.close_code == 1012
    assert not socket.server.waiting


def test_client_that_breaks_the_rules_and_sends_on_is_closed_after_a_while():
    socket = Socket()
    socket.send(frame(3))
    assert socket.stream.shut
    assert seconds_of_sending(socket) == pytest.approx(ENDING_SECONDS, abs=1)


def test_client_that_sends_on_while_it_takes_what_waits_has_its_time_behind_our_close_frame():
    socket = Socket()
    socket.take_nothing()
    socket.session.send(b"x" * 1_000_000)
    socket.session.close()
    for _ in range(7):
        socket.take(100_000)
        socket.loop.pass_time(CLOSING_SECONDS / 2)
        assert not socket.kernel.closed
    socket.take()
    assert ENDING_SECONDS <= seconds_of_sending(socket) <= 2 * ENDING_SECONDS


def test_answer_to_our_close_frame_is_heard_behind_what_the_application_never_took():
    socket = Socket(asks=DEFLATE, deflate=True)
    socket.send(bomb(60_000, 300))
    assert not socket.reading
    socket.session.close()
    socket.send(bomb(60_000, 300))
    socket.send(close())
    assert socket.kernel.closed


def test_client_that_breaks_the_rules_hears_why_even_if_it_sends_on():
    socket = Socket()
    socket.send(frame(3))
    assert socket.closing() == (1002, "invalid opcode")
    assert socket.stream.shut
    assert not socket.kernel.closed, "a close now would reset what it sends, and with that our close frame"
    socket.send(b"x" * 1000)
    socket.send_eof()
    assert socket.kernel.closed
    assert socket.session.close_code == 1002


@pytest.mark.parametrize("leave", ["send_eof", "vanish"])
def test_client_that_is_gone(leave):
    socket = Socket()
    waiting = socket.session.input()
    getattr(socket, leave)()
    assert waiting.done()
    assert socket.session.ended
    assert (socket.session.close_code, socket.session.close_reason) == (1006, "")
    assert socket.kernel.closed
    with pytest.raises(ClientDisconnected):
        socket.session.send("to nobody")
    socket.session.close()
    socket.session.end()
    assert socket.owner.failures == []


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2000, 5000, "1000", 1000.0])
def test_codes_that_may_not_be_sent_are_refused(code):
    socket = Socket()
    with pytest.raises(ResponseError):
        socket.session.close(code)
    assert not socket.session.ended


def test_application_that_ends_closes_with_1000():
    socket = Socket()
    socket.session.end()
    assert socket.closing() == (1000, "")


def test_application_that_fails_closes_with_1011():
    socket = Socket()
    error = ValueError("its fault")
    socket.session.end(error)
    assert socket.closing() == (1011, "the application failed")
    assert socket.owner.failures == [("/", error)]
    assert [finished[:2] for finished in socket.owner.finished] == [("/", 101)], "at once, for the counter of failures"
    socket.send(close(1011))
    assert len(socket.owner.finished) == 1


def test_worker_is_told_when_it_ends_with_its_code():
    socket = Socket()
    told = []
    socket.owner.request_finished = lambda *facts: told.append(facts)
    socket.session.send("12345")
    assert told == []
    socket.send(close(4000))
    ((head, status, size, seconds),) = told
    assert (head.path, status, size, head.close_code) == ("/", 101, 7, 4000)
    assert seconds >= 0
    assert not head.refused


# --- the drain ---


def test_drain_leaves_it_alone_until_it_is_closed():
    socket = Socket()
    for terms in (Terms.LAST_RESPONSE, Terms.SOON, Terms.HAND_OVER, Terms.STAY):
        socket.connection.see_off(terms)
    socket.turn()
    assert socket.frames() == []
    assert not socket.connection.can_move
    assert socket.connection.closable


def test_drain_closes_with_1012():
    socket = Socket()
    assert socket.connection.close_idle()
    code, reason = socket.closing()
    assert code == 1012
    assert "restart" in reason
    assert socket.session.close_code == 1012
    assert not socket.connection.closable, "it was told"
    socket.send(close(1012))
    assert socket.kernel.closed


def test_drain_closes_also_in_the_middle_of_messages():
    socket = Socket()
    socket.take_nothing()
    socket.session.send("x" * 100_000)
    socket.send(text("half")[:5])
    assert socket.connection.busy
    assert socket.connection.closable
    assert socket.connection.close_idle()
    socket.take()
    received = socket.frames()
    assert [one.opcode for one in received] == [TEXT, CLOSE]


def test_drain_does_not_close_what_is_closing():
    socket = Socket()
    socket.session.close(4000)
    assert not socket.connection.closable
    assert not socket.connection.close_idle()


def test_close_frame_that_the_client_has_just_sent_goes_first():
    """The application was told 1012, whatever the client had said (uvicorn pull 2865)."""
    socket = Socket()
    socket.kernel.inbox.append(close(4000))
    socket.connection.close_idle()
    assert socket.closing() == (4000, "")
    assert socket.session.close_code == 4000


def test_cut_is_described_and_told():
    socket = Socket()
    socket.loop.pass_time(2.5)
    (described,) = socket.connection.describe()
    assert described.startswith("WebSocket / for ")
    socket.connection.abort()
    assert socket.session.ended
    assert socket.session.close_code == 1006


def test_it_makes_no_room_on_a_full_port():
    socket = Socket()
    assert socket.connection.idle_since is None
    assert not socket.server.context.idle
    assert not socket.server.context.head


# --- TLS ---


def test_over_tls_the_client_ends_first():
    socket = Socket(tls=True)
    assert socket.session.head.scheme == "https"
    socket.send(close())
    assert socket.closing() == (1000, "")
    assert socket.stream.shut
    assert not socket.kernel.closed
    socket.send_eof()
    assert socket.kernel.closed


def compressors():
    """How many there are, reachable or not."""
    return sum(type(one) is PerMessageDeflate for one in gc.get_objects())


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("leave", ["send_eof", "vanish", "close"])
def test_compressor_goes_with_its_connection_and_not_with_the_next_garbage_collection(leave):
    """uvicorn 1862, websockets 896: it takes tens of kilobytes."""
    before = compressors()
    socket = Socket(asks=DEFLATE, deflate=True)
    socket.send(text("begun"))
    assert compressors() == before + 1
    if leave == "close":
        socket.send(close())
        socket.send_eof()
    else:
        getattr(socket, leave)()
    socket.loop.pass_time(100)
    assert socket.kernel.closed
    assert socket.session.ended
    assert compressors() == before
    assert socket.session.take() == "begun", "what has come stays"


def test_an_ending_behind_answers_that_wait_discards_what_comes():
    socket = Socket()
    socket.take_nothing()
    while socket.stream.unsent_bytes < HIGH_WATER_BYTES * 5 // 6:
        socket.send(frame(PING, b"p" * 125) * 20)
    assert socket.reading
    socket.send(frame(PING, b"p" * 125) * 120 + frame(3))  # the answers go beyond the mark, and the frame is wrong
    assert socket.stream.shut
    assert socket.stream.reading
    assert not socket.kernel.closed


def test_client_that_takes_what_waits_loses_nothing_to_a_reset_when_it_does_not_answer_in_time():
    socket = Socket()
    socket.take_nothing()
    socket.session.send(b"x" * 1_000_000)
    socket.session.close()
    socket.loop.pass_time(CLOSING_SECONDS + 0.1)
    assert socket.stream.shut
    assert socket.stream.reading, "what it sends must be read, or the close resets the connection"
    assert not socket.kernel.closed
