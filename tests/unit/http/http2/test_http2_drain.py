"""The end in two steps: no stream that the client was entitled to send is refused, and none is lost."""

from __future__ import annotations

import pytest
from h2_client import ACK, GOAWAY, HEADERS, NO_ERROR, PING, POST, Client, data, frame, headers, waiting
from http_fakes import answer

from gracehttp.http.connection import Terms
from gracehttp.http.http2.protocol import ANSWER_SECONDS, ENDING_SECONDS, PACE

EVERYTHING = (2**31 - 1, NO_ERROR)


def told(client: Client) -> list[tuple[int, int]]:
    client.wire.turn()
    client.read()
    return client.goaways


def test_goaway_comes_before_the_ping_whose_answer_shows_that_it_was_read():
    client = Client()
    client.wire.connection.see_off(Terms.SOON)
    assert client.wire.connection.close_idle()
    client.wire.turn()
    assert [one.kind for one in client.read()] == [GOAWAY, PING]
    assert client.goaways == [EVERYTHING]


def test_next_response_tells_as_connection_close_does():
    client = Client()
    client.send(headers(1))
    client.wire.connection.see_off(Terms.LAST_RESPONSE)
    assert told(client) == []
    answer(client.exchanges[0])
    assert told(client) == [EVERYTHING]
    assert client.status(1) == 200
    client.pong()
    assert client.goaways == [EVERYTHING, (1, NO_ERROR)]
    assert client.wire.how_it_ended == "lingering"
    assert client.wire.owner.finished[0][:2] == ("/", 200)


def test_streams_that_were_sent_before_the_client_knew_are_answered():
    client = Client()
    client.send(headers(1))
    client.wire.connection.close_idle()
    assert told(client) == [EVERYTHING]
    client.send(headers(3, POST, end=False), headers(5))
    client.pong()
    assert client.goaways[1:] == [(5, NO_ERROR)]
    client.send(headers(7), data(3, b"abc", end=True))
    first, second, third = client.exchanges
    for exchange in (third, first):
        answer(exchange)
    assert client.wire.turn().how_it_ended == "open"
    assert second.take_body() == (b"abc", False)
    answer(second)
    told(client)
    assert client.ended == {1, 3, 5}
    assert client.resets == {}
    assert client.wire.how_it_ended == "lingering"


def test_stream_behind_the_last_one_is_ignored_so_that_the_client_can_send_it_again():
    client = Client()
    client.send(headers(1))
    client.wire.connection.close_idle()
    told(client)
    client.pong()
    client.send(headers(3))
    assert len(client.exchanges) == 1
    assert 3 not in client.heads


def test_client_that_does_not_answer_is_told_all_the_same():
    client = Client()
    client.send(headers(1))
    client.wire.connection.close_idle()
    told(client)
    client.wire.loop.pass_time(ANSWER_SECONDS - 1)
    assert told(client) == [EVERYTHING]
    client.wire.loop.pass_time(2)
    assert told(client)[1:] == [(1, NO_ERROR)]
    answer(client.exchanges[0])
    told(client)
    assert client.status(1) == 200
    assert client.wire.how_it_ended == "lingering"


def test_last_goaway_counts_each_stream_that_the_application_was_given():
    """Also one that comes right after the server has decided to send it (RFC 9113 section 8.7; nghttp2 2870)."""
    client = Client()
    client.send(headers(1))
    client.wire.connection.close_idle()
    told(client)
    client.wire.connection.timed_out()
    client.wire.arrive(headers(3))
    given = 2 * len(client.exchanges) - 1
    assert told(client)[1:] == [(given, NO_ERROR)]
    for exchange in client.exchanges:
        answer(exchange)
    told(client)
    assert client.ended == set(range(1, given + 1, 2))
    assert client.wire.how_it_ended == "lingering"


def test_another_ping_of_the_client_is_no_answer():
    client = Client()
    client.wire.connection.close_idle()
    told(client)
    client.send(frame(PING, ACK, 0, b"whatever"), frame(PING, 0, 0, client.pings[0]))
    assert client.goaways == [EVERYTHING]


def test_requests_that_come_one_after_the_other_while_the_answer_is_on_its_way():
    client = Client(answer)
    client.wire.connection.see_off(Terms.LAST_RESPONSE)
    for number in range(1, 41, 2):
        client.send(headers(number))
        assert client.status(number) == 200
    assert client.goaways == [EVERYTHING]
    client.pong()
    assert client.goaways[1:] == [(39, NO_ERROR)]


def test_terms_that_are_taken_back_before_anything_was_said():
    client = Client(answer)
    client.wire.connection.see_off(Terms.LAST_RESPONSE)
    client.wire.connection.see_off(Terms.STAY)
    client.send(headers(1))
    assert client.goaways == []


def test_connection_that_makes_room_goes_at_once_with_the_word_what_can_be_sent_again():
    client = Client(answer)
    client.send(headers(1))
    assert client.wire.connection.close_idle(linger=False)
    client.read()
    assert client.goaways == [(1, NO_ERROR)]
    assert client.wire.how_it_ended == "closed"


def test_worker_is_told_when_it_comes_to_rest_at_a_stop():
    client = Client()
    client.send(headers(1))
    client.wire.connection.see_off(Terms.SOON)
    assert client.wire.owner.rested == []
    answer(client.exchanges[0])
    assert told(client) == [EVERYTHING]


def test_drain_finds_it_closable_until_it_was_told():
    client = Client()
    client.send(headers(1))
    connection = client.wire.connection
    assert connection.closable
    assert connection.idle_since is None
    assert not connection.can_move
    assert connection.pack() is None
    connection.close_idle()
    assert not connection.closable
    assert not connection.close_idle()
    assert [str(one).split(" for ")[0] for one in connection.describe()] == ["GET /"]


def test_connections_are_told_a_hundred_in_a_second():
    from gracehttp.worker.drain import Drain, DrainReason

    pace = PACE
    restart = Drain(DrainReason.RESTART, 100.0, 0.0)
    restart.expect([pace])
    ((_, pacer),) = restart.closing(0.0)
    assert pacer.how_many(1000, 0.0) == 10
    stop = Drain(DrainReason.STOP, 100.0, 0.0)
    stop.expect([pace])
    ((_, pacer),) = stop.closing(0.0)
    assert pacer.how_many(1000, 0.0) == 1000


def test_client_that_ends_its_half_after_the_first_step():
    client = Client()
    client.send(headers(1))
    client.wire.connection.close_idle()
    client.wire.send_eof()
    answer(client.exchanges[0])
    told(client)
    assert client.status(1) == 200
    assert client.wire.how_it_ended == "closed"
    assert client.wire.server.waiting == 0


def test_goaway_of_the_client_changes_nothing_for_its_streams():
    client = Client()
    client.send(headers(1), frame(GOAWAY, 0, 0, bytes(8)))
    answer(client.exchanges[0])
    told(client)
    assert client.status(1) == 200
    assert [one for one in client.frames if one.kind == HEADERS]


def test_client_that_sends_on_when_all_its_streams_are_complete_holds_no_drain_up():
    client = Client(answer)
    client.send(headers(1))
    client.wire.connection.close_idle()
    client.wire.turn()
    client.read()
    client.pong()
    assert client.wire.how_it_ended == "lingering"
    assert seconds_of_sending(client) == pytest.approx(ENDING_SECONDS, abs=1)
    assert waiting(client.wire) == 0


def test_client_that_sends_on_while_it_takes_what_waits_has_its_time_behind_that():
    client = Client(lambda exchange: answer(exchange, bytes(10_000)))
    client.wire.take_nothing()
    client.send(headers(1))
    client.wire.connection.close_idle()
    client.wire.loop.pass_time(ANSWER_SECONDS)
    assert client.wire.stream.shut
    for _ in range(7):
        client.wire.take(1000)
        client.wire.loop.pass_time(ENDING_SECONDS / 2)
        assert not client.wire.kernel.closed
    client.wire.take()
    assert ENDING_SECONDS <= seconds_of_sending(client) <= 2 * ENDING_SECONDS
    assert waiting(client.wire) == 0


def seconds_of_sending(client):
    """How long `client` can send on, a frame in each second, until its connection is closed."""
    seconds = 0
    while not client.wire.kernel.closed:
        client.wire.send(frame(PING, 0, 0, bytes(8)))
        client.wire.loop.pass_time(1.0)
        seconds += 1
        assert seconds < 100
    return seconds
