"""What becomes of streams when the system, or one of those that they tell, fails at any point."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import ssl
import types

import pytest
from deadlines import DEADLINE_SECONDS
from floor import BOTH, LOOPS, Seen, aborted, opened, runner_for, turns, until
from garbage import garbage_of_ours
from stream_world import KINDS, Certificates, World

from gracehttp.net.failures import CLIENT_IS_GONE
from gracehttp.net.poller import EpollPoller
from gracehttp.net.stream import HOLD_BYTES, PlainStream
from gracehttp.net.tls_stream import TlsStream

HARMLESS = (errno.EAGAIN, errno.EINTR)
FATAL = (errno.EPIPE, errno.ECONNRESET, errno.ENOMEM, errno.ENOBUFS, errno.EPERM)
HISTORIES = 30


@pytest.fixture(scope="module")
def certificates():
    return Certificates()


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


class FailingSocket(socket.socket):
    """Its calls that send fail as `failures` says, in this order; 0: the call is made."""

    failures = ()

    @classmethod
    def of(cls, sock):
        made = cls(fileno=sock.detach())
        made.setblocking(False)
        return made

    def _fail(self):
        self.failures, failure = self.failures[1:], self.failures[0] if self.failures else 0
        if failure:
            raise OSError(failure, os.strerror(failure))

    def send(self, data, flags=0):
        self._fail()
        return super().send(data, flags)

    def sendmsg(self, pieces):
        self._fail()
        return super().sendmsg(pieces)


class FailingPoller(EpollPoller):
    """Its `change` fails for a descriptor when it was called so many times."""

    def __init__(self, loop):
        EpollPoller.__init__(self, loop)
        self.calls_left = {}

    def change(self, fd, events):
        left = self.calls_left.get(fd)
        if left is not None:
            self.calls_left[fd] = left - 1
            if left == 0:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        EpollPoller.change(self, fd, events)


def drawn_acts(draw):
    sizes = (1, 100, HOLD_BYTES, HOLD_BYTES + 1, 65536, 65537, 400_000, 8 * 65536 + 100)
    one = draw.choice
    return [
        one(
            [
                ("write", one(sizes)),
                ("write", one(sizes)),
                ("pieces", one(sizes), one(sizes)),
                ("response", one(sizes), 20_000),
                ("flush",),
            ]
        )
        for _ in range(draw.randint(1, 3))
    ]


async def drawn_history(world, draw):
    for _ in range(draw.randint(1, 4)):
        await world.step(draw.choice(["turn", "turn", "between"]), [drawn_acts(draw) for _ in world.parties])
        for party in world.parties:
            if draw.random() < 0.5:
                party.client.look(draw.choice([5000, 1 << 30]))


def assert_all_is_well(loop, history):
    """Run `history` of each number; it returns what was wrong. Nothing may be left to the garbage collector."""
    with garbage_of_ours() as found, asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        for number in range(HISTORIES):
            assert runner.run(asyncio.wait_for(history(number), DEADLINE_SECONDS)) == [], f"history {number}"
    assert found == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("poller", ["epoll", "selectors"])
def test_a_send_that_fails_costs_its_own_connection_alone_and_one_that_is_repeated_none(
    certificates, loop, poller, kind
):
    async def history(number):
        draw = random.Random(number)
        async with opened(poller) as floor:
            world = World(floor, kind, certificates)
            for _ in range(draw.randint(2, 3)):
                failures = [draw.choice([0, 0, *HARMLESS]) for _ in range(draw.randint(0, 6))]
                if fatal := draw.choice([0, draw.choice(FATAL)]):
                    failures.append(fatal)
                party = await world.open(room=draw.choice([2048, 1 << 20]), failing=FailingSocket)
                party.socket.failures = failures
                party.failed = lambda sock=party.socket, fatal=fatal: fatal and not sock.failures  # it was reached
            await drawn_history(world, draw)
            await world.settle()
            told = [one for one in floor.failures if one.errno in CLIENT_IS_GONE]
            floor.failures.clear()
            return await world.end() + told

    assert_all_is_well(loop, history)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_poller_that_fails_for_one_stream_costs_that_one_alone(certificates, loop, kind):
    async def history(number):
        draw = random.Random(number)
        async with opened() as floor:
            floor.poller.close()
            floor.poller = floor.services.poller = poller = FailingPoller(floor.loop)
            world = World(floor, kind, certificates)
            for at in range(3):
                party = await world.open(room=2048, failing=FailingSocket)
                fd = party.socket.fileno()
                if at:
                    poller.calls_left[fd] = draw.randint(0, 4)
                party.failed = lambda fd=fd: poller.calls_left.get(fd, 0) < 0
            await drawn_history(world, draw)
            await world.settle()
            assert len(floor.failures) == sum(left < 0 for left in poller.calls_left.values())
            floor.failures.clear()
            poller.calls_left.clear()
            return await world.end()

    assert_all_is_well(loop, history)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_writer_that_waits_only_when_it_must_hears_that_what_was_held_could_not_be_sent(certificates, loop, kind):
    async def scenario():
        async with opened() as floor:
            world = World(floor, kind, certificates)
            one = await world.open(room=1 << 20, failing=FailingSocket)
            other = await world.open(room=1 << 20)
            one.socket.failures = [errno.EPIPE]
            written = []

            def go_on():
                while one.stream.writable and len(written) < 1000:
                    one.stream.write(b"x")
                    written.append(one.stream.closed)

            def answer(acts):
                one.stream.write(b"held until the end of the turn, when it can't be sent")
                floor.loop.call_soon(go_on)  # before it is told that the connection is over

            one.act = answer
            for party in (one, other):
                party.client.say(b"?")
            await until(lambda: one.stream.closed)
            assert len(written) <= 1
            other.stream.abort()
            await world.end()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def test_a_writer_hears_of_a_session_that_can_encrypt_nothing_more(run):
    class Broken:
        incoming = outgoing = types.SimpleNamespace(pending=0, read=lambda: b"")

        def write(self, data):
            raise ssl.SSLError("no more")

        def wipe(self):
            return

    async def scenario(floor):
        client, plain, _ = floor.stream()
        seen = Seen()
        plain.consumer = plain.owner = seen
        stream = TlsStream(plain, None, seen, session=Broken())
        stream.write(b"x")
        assert (stream.writable, stream.shut, seen.closes) == (False, True, 0)
        stream.write(b"x")
        await until(lambda: seen.closes)
        assert await client.take_all() == b""
        assert floor.failures == []

    run(scenario)


def test_a_writer_hears_of_a_record_that_was_tampered_with_while_the_client_reads_nothing(run, certificates):
    async def scenario(floor):
        world = World(floor, "TLS 1.3", certificates)
        party = await world.open(room=2048)
        stream = party.stream
        while not stream.unsent_bytes:
            party.act([("write", 9000)])
        assert stream.writable
        party.client.socket.send(bytes((23, 3, 3, 0, 20)) + bytes(20))
        await until(lambda: stream.shut)
        assert not stream.closed
        stream.write(b"x")
        assert not stream.writable
        party.may_be_cut = True
        stream.abort()
        assert await world.end() == []

    run(scenario)


@pytest.mark.parametrize("loop", LOOPS)
def test_after_one_that_raised_streams_hold_what_they_send_as_ever(loop):
    class Failing:
        def __call__(self, error):
            raise RuntimeError("a subscriber fails")

    async def scenario():
        async with opened() as floor:
            raised = []
            floor.loop.set_exception_handler(lambda loop, context: raised.append(context["exception"]))
            floor.services.on_failure = Failing()
            ends = []
            for _ in range(3):
                client, server = floor.unix()
                sock = FailingSocket.of(server)
                seen = Seen()
                stream = floor.own(aborted(PlainStream(sock, floor.services, seen, seen)))
                seen.on_received = lambda _, stream=stream: stream.write(b"answer")
                ends.append((client, sock, stream, seen))
            ends[0][1].failures = [errno.ENOMEM]
            for client, *_ in ends:
                client.send(b"?")
            await until(lambda: len(raised) == 1 and not any(stream.unsent_bytes for _, _, stream, _ in ends))
            assert [await client.take(6) for client, *_ in ends[1:]] == [b"answer"] * 2
            while not floor.poller.holding:  # on a busy machine it is off for a moment, and not for hours
                for client, *_ in ends[1:]:
                    client.send(b"?")
                    assert await client.take(6) == b"answer"
                for client, *_ in ends[1:]:
                    client.send(b"?")
                await turns()
                for client, *_ in ends[1:]:
                    assert await client.take(6) == b"answer"
            floor.loop.set_exception_handler(None)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
