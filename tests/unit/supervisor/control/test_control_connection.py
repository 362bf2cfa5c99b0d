"""A client of the control socket, carried to another process between any two of its bytes."""

from __future__ import annotations

import asyncio
import json
import os
import socket

from deadlines import DEADLINE_SECONDS

from gracehttp.supervisor.control.connection import MOST_UNREAD_BYTES, ControlConnection
from gracehttp.wire.control import Outcome, Progress, read_answer

REQUEST = b'{"version": 1}'
DONE = Outcome(ok=True, message="generation 2 serves", generation=2, pids=(7,))


class Talk:
    """A client and the supervisor's side of its connection."""

    def __init__(self):
        ours, self.client = socket.socketpair()
        self.client.settimeout(DEADLINE_SECONDS)
        self.lines = []
        self.ended = asyncio.get_running_loop().create_future()
        self.asked = asyncio.get_running_loop().create_future()
        self.connection = self.connect(ours)

    def connect(self, sock, record=None):
        return ControlConnection(
            sock,
            on_request=lambda _, line: self.asked.set_result(line),
            on_end=lambda _: self.ended.set_result(True),
            record=record,
        )

    def carry(self, awaits=None):
        """Go on in what could be another process: with another descriptor of the same socket."""
        record = self.connection.carry(awaits)
        sock = socket.socket(fileno=os.dup(record.socket))
        self.ended = asyncio.get_running_loop().create_future()
        before, self.connection = self.connection, self.connect(sock, record)
        before._on_end = lambda _: None
        before.close()

    def close(self):
        self.connection.close()
        self.client.close()


def talk(conversation):
    async def run():
        both = Talk()
        try:
            await asyncio.wait_for(conversation(both), DEADLINE_SECONDS)
        finally:
            both.close()

    asyncio.run(run())


def test_a_request_may_be_carried_at_any_byte():
    async def conversation(_):
        for cut in range(len(REQUEST) + 1):
            both = Talk()
            both.client.sendall(REQUEST[:cut])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            both.carry()
            both.client.sendall(REQUEST[cut:] + b"\n")
            assert await both.asked == REQUEST
            both.close()

    talk(conversation)


def test_an_answer_that_the_client_has_not_taken_yet_is_carried_whole():
    async def conversation(both):
        both.client.sendall(REQUEST + b"\n")
        await both.asked
        both.connection.tell(Outcome(ok=True, details="x" * 600_000))
        assert not both.ended.done()
        both.carry()
        loop = asyncio.get_running_loop()
        both.client.setblocking(False)
        received = b""
        while piece := await loop.sock_recv(both.client, 65536):
            received += piece
        assert len(json.loads(received)["details"]) == 600_000
        assert await both.ended

    talk(conversation)


def test_who_waits_waits_on_and_hears_the_rest():
    async def conversation(both):
        both.client.sendall(REQUEST + b"\n")
        await both.asked
        both.connection.send(Progress("one"))
        both.carry(awaits=3)
        both.connection.send(Progress("two"))
        both.connection.tell(DONE)
        assert await both.ended
        with both.client.makefile("rb") as lines:
            assert [read_answer(line) for line in lines] == [Progress("one"), Progress("two"), DONE]

    talk(conversation)


def test_a_client_that_shuts_its_side_down_after_its_request_is_answered():
    async def conversation(both):
        both.client.sendall(REQUEST)
        both.client.shutdown(socket.SHUT_WR)
        await both.asked
        both.connection.tell(DONE)
        assert read_answer(both.client.recv(1000)) == DONE

    talk(conversation)


def test_a_client_that_takes_nothing_is_left():
    async def conversation(both):
        both.client.sendall(REQUEST + b"\n")
        await both.asked
        for _ in range(3):
            both.connection.send(Progress("x" * MOST_UNREAD_BYTES))
        assert await both.ended

    talk(conversation)


def test_a_client_that_goes_away_is_forgotten():
    async def conversation(both):
        both.client.sendall(REQUEST + b"\n")
        await both.asked
        both.client.close()
        both.connection.send(Progress("one"))
        assert await both.ended
        both.connection.tell(DONE)

    talk(conversation)
