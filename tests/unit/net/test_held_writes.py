"""What streams write while there is much to do: held for a moment, and sent together (`Poller.holding`)."""

from __future__ import annotations

import os
import socket
import time

import pytest
from floor import runner_for, turns, until

from gracehttp.http.connection import Connection, Ends, ServerContext, Terms
from gracehttp.http.settings import HttpSettings
from gracehttp.net.poller import HOLD_SECONDS, LONG_SECONDS
from gracehttp.net.stream import HOLD_BYTES


@pytest.fixture(params=["asyncio-epoll", "uvloop-epoll"])
def run(request):
    return runner_for(request.param)


def has(client):
    """What has come to `client` so far, without taking it."""
    try:
        return client.socket.recv(65536, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def speaking(floor, count):
    """Streams whose clients speak at the same time, so that one turn handles all of them, in this order."""
    all_of_them = [floor.stream() for _ in range(count)]
    for client, _stream, _seen in all_of_them:
        client.send(b"?")
    return zip(*all_of_them, strict=True)


async def handled(seen):
    await until(lambda: all(one.data for one in seen))


def test_what_a_turn_brings_forth_is_sent_at_its_end(run):
    async def scenario(floor):
        clients, streams, seen = speaking(floor, 3)
        in_the_turn = []

        def answer(number):
            streams[number].write(b"answer")
            in_the_turn.append([has(client) for client in clients])

        for number, one in enumerate(seen):
            one.on_received = lambda _, number=number: answer(number)
        await handled(seen)
        assert in_the_turn == [[b"", b"", b""]] * 3
        assert [has(client) for client in clients] == [b"answer"] * 3
        assert [stream.unsent_bytes for stream in streams] == [0, 0, 0]

    run(scenario)


def test_one_event_alone_is_answered_at_once(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        found = []

        def answer(_):
            stream.write(b"answer")
            found.append(has(client))

        seen.on_received = answer
        client.send(b"?")
        await handled([seen])
        assert found == [b"answer"]

    run(scenario)


def test_what_is_held_waits_for_no_second_event_when_its_time_is_over(run):
    async def scenario(floor):
        clients, streams, seen = speaking(floor, 3)
        found = []

        def answer(_):
            streams[0].write(b"answer")
            time.sleep(HOLD_SECONDS * 1.5)

        seen[0].on_received = answer
        seen[1].on_received = lambda _: found.append(has(clients[0]))
        await handled(seen)
        assert found == [b"answer"]

    run(scenario)


def test_after_something_that_took_long_nothing_is_held_for_a_while(run):
    async def scenario(floor):
        clients, streams, seen = speaking(floor, 2)
        seen[0].on_received = lambda _: time.sleep(LONG_SECONDS * 60)
        await handled(seen)
        found = []

        def answer(_):
            streams[0].write(b"answer")
            found.append(has(clients[0]))

        seen[0].on_received = answer
        for client in clients:
            client.send(b"?")
        await until(lambda: all(one.data == b"??" for one in seen))
        assert found == [b"answer"]

    run(scenario)


def test_what_is_written_between_turns_is_sent_a_pass_of_the_loop_later(run):
    async def scenario(floor):
        clients, streams, seen = speaking(floor, 2)
        await handled(seen)
        assert floor.poller.holding
        for stream in streams:
            stream.write(b"answer")
        assert [has(client) for client in clients] == [b"", b""]
        await turns(2)
        assert [has(client) for client in clients] == [b"answer"] * 2

    run(scenario)


def test_callbacks_that_take_long_get_what_they_write_sent_among_them(run):
    async def scenario(floor):
        clients, streams, seen = speaking(floor, 2)
        await handled(seen)
        streams[0].write(b"answer")
        time.sleep(HOLD_SECONDS * 1.5)
        streams[1].write(b"answer")
        assert [has(client) for client in clients] == [b"answer"] * 2

    run(scenario)


ENDS = {
    "a write that isn't small": (lambda stream: stream.write(b"x" * (HOLD_BYTES + 1)), b"x" * (HOLD_BYTES + 1)),
    "small ones, together more": (
        lambda stream: [stream.write(b"x" * (HOLD_BYTES // 2)) for _ in range(3)],
        b"x" * (HOLD_BYTES // 2 * 3),
    ),
    "something that may change": (lambda stream: stream.write(bytearray(b"x")), b"x"),
    "pieces": (lambda stream: stream.write_pieces([b"x", b"y"]), b"xy"),
    "close": (lambda stream: stream.close(linger=False), b""),
    "close, lingering": (lambda stream: stream.close(linger=True), b""),
    "abort": (lambda stream: stream.abort(), b""),
    "nothing": (lambda stream: None, b""),
    "one more": (lambda stream: stream.write(b"x"), b"x"),
    "flush": (lambda stream: stream.flush(), b""),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_follows_comes_behind_what_is_held(run, end):
    async def scenario(floor):
        clients, streams, seen = speaking(floor, 2)
        act, behind = ENDS[end]

        def answer(_):
            streams[0].write(b"first")
            streams[0].write(b"second")
            act(streams[0])

        seen[0].on_received = answer
        await handled(seen)
        assert await clients[0].take(11 + len(behind)) == b"firstsecond" + behind
        if end in ("close", "close, lingering", "abort"):
            assert await clients[0].take_all() == b""
        else:
            await turns()
            assert streams[0].unsent_bytes == 0

    run(scenario)


def test_a_reset_does_not_lose_what_was_written_before_it(run):
    async def scenario(floor):
        _clients, streams, seen = speaking(floor, 2)
        sent = floor.services.sent_bytes

        def answer(_):
            streams[0].write(b"first")
            streams[0].reset()

        seen[0].on_received = answer
        await handled(seen)
        assert floor.services.sent_bytes - sent == 5
        assert seen[0].closes == 1

    run(scenario)


def test_more_than_the_kernel_takes_waits_as_ever(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        other, _, other_seen = floor.stream()
        pieces = 40

        def answer(_):
            for _ in range(pieces):
                stream.write(b"x" * HOLD_BYTES)

        seen.on_received = answer
        client.send(b"?")
        other.send(b"?")
        await handled([seen, other_seen])
        assert not stream.writable
        assert await client.take(pieces * HOLD_BYTES) == b"x" * (pieces * HOLD_BYTES)
        await until(lambda: seen.rooms)
        assert (stream.writable, stream.unsent_bytes) == (True, 0)

    run(scenario)


def test_a_client_that_is_gone_meanwhile_is_found_out(run):
    async def scenario(floor):
        clients, streams, seen = speaking(floor, 2)

        def answer(_):
            streams[0].write(b"answer")
            clients[0].reset()

        seen[0].on_received = answer
        await until(lambda: seen[0].closes)
        assert streams[0].unsent_bytes == 0

    run(scenario)


def test_a_stream_that_is_closed_meanwhile_holds_nothing(run):
    async def scenario(floor):
        _clients, streams, seen = speaking(floor, 2)
        seen[0].on_received = lambda _: streams[0].write(b"answer")
        seen[1].on_received = lambda _: streams[0].abort()
        await until(lambda: seen[0].closes and seen[1].data)
        assert (streams[0].closed, streams[0].unsent_bytes) == (True, 0)

    run(scenario)


def test_one_that_raises_keeps_nobody_elses_response_back(run):
    class Failing:
        def __call__(self, error):
            raise RuntimeError("a subscriber fails")

    async def scenario(floor):
        floor.loop.set_exception_handler(lambda loop, context: raised.append(context["exception"]))
        raised = []
        clients, streams, seen = speaking(floor, 3)
        floor.services.on_failure = Failing()
        reading, writing = os.pipe()
        for end in (reading, writing):
            floor.own(os.fdopen(end))

        def answer(number):
            streams[number].write(b"answer")
            if not number:
                os.dup2(reading, streams[0]._socket.fileno())  # send(2) fails with ENOTSOCK

        for number, one in enumerate(seen):
            one.on_received = lambda _, number=number: answer(number)
        await handled(seen)
        await until(lambda: not any(stream.unsent_bytes for stream in streams))
        assert [has(client) for client in clients[1:]] == [b"answer"] * 2
        assert [str(one) for one in raised] == ["a subscriber fails"]

    run(scenario)


class Owner:
    """What a connection tells the worker."""

    def __init__(self):
        self.rested = []

    def connection_rested(self, connection):
        self.rested.append(connection)

    def connection_speaks(self, connection):
        return

    def connection_closed(self, connection):
        return


class Protocol:
    """At rest; `answer` is what it does with what it receives."""

    can_move = at_rest = True
    answer = None

    def in_flight(self):
        return ()

    def last_call(self, terms):
        return

    def carried(self):
        return

    def received(self, data):
        self.answer()

    def lost(self):
        return


@pytest.mark.parametrize("act", ["see_off", "rested", "pack", "describe"])
def test_a_drain_finds_a_connection_whose_response_is_held_at_rest(run, act):
    async def scenario(floor):
        clients, streams, seen = speaking(floor, 2)
        owner = Owner()
        context = ServerContext(None, HttpSettings(), owner, floor.loop)
        connection = Connection(context, Ends("client", ("server", 2)), 1)
        connection.begin(streams[0])
        protocol = Protocol()
        connection.switch(protocol)
        if act != "see_off":
            connection.see_off(Terms.HAND_OVER)
        found = []

        def answer():
            streams[0].write(b"answer")
            found.append(connection.busy)
            if act == "see_off":
                connection.see_off(Terms.HAND_OVER)
            elif act == "rested":
                connection.rested()
            elif act == "describe":
                assert connection.describe() == []
            else:
                connection.pack()
            found.append(connection.busy)
            found.append(has(clients[0]))

        protocol.answer = answer
        await handled(seen[1:])
        assert found == [True, False, b"answer"]
        assert owner.rested == ([connection] if act == "rested" else [])
        streams[0].abort()
        context.close()

    run(scenario)
