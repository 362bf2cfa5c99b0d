"""What a stream does when the kernel has no memory for it: that is no word about the client."""

from __future__ import annotations

import errno
import os
import socket

import pytest
from floor import BOTH, STALL_SECONDS, Seen, aborted, runner_for, turns, until

from gracehttp.net.stream import SHORTAGE_SECONDS, PlainStream


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


class ShortSocket(socket.socket):
    """A socket for which the kernel has no memory, so many times."""

    error = errno.ENOMEM
    left = 0

    def _fail(self):
        if self.left:
            self.left -= 1
            raise OSError(self.error, os.strerror(self.error))

    def recv(self, *arguments):
        self._fail()
        return super().recv(*arguments)

    def send(self, *arguments):
        self._fail()
        return super().send(*arguments)

    def sendmsg(self, *arguments):
        self._fail()
        return super().sendmsg(*arguments)


def short_stream(floor, *, times, error=errno.ENOMEM):
    client, server = floor.tcp()
    sock = ShortSocket(fileno=server.detach())
    sock.setblocking(False)
    sock.error = error
    seen = Seen()
    stream = floor.own(aborted(PlainStream(sock, floor.services, seen, seen)))
    sock.left = times
    return client, stream, seen


@pytest.mark.parametrize("times", [1, 3])
def test_what_the_client_sent_is_received_when_there_is_memory(run, times):
    async def scenario(floor):
        client, _stream, seen = short_stream(floor, times=times)
        client.send(b"hello")
        await until(lambda: seen.data == b"hello")
        assert not seen.closes

    run(scenario)


@pytest.mark.parametrize("error", [errno.ENOMEM, errno.ENOBUFS])
@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize("pieces", [[b"hello"], [b"hel", b"lo"]])
def test_what_is_written_is_sent_in_order_when_there_is_memory(run, times, pieces, error):
    async def scenario(floor):
        client, stream, seen = short_stream(floor, times=times, error=error)
        if len(pieces) == 1:
            stream.write(pieces[0])
        else:
            stream.write_pieces(pieces)
        stream.write(b" again")
        for _ in range(times):
            await turns()
            floor.clock.pass_time(SHORTAGE_SECONDS)
        assert await client.take(11) == b"hello again"
        assert (stream.unsent_bytes, stream.writable, seen.closes) == (0, True, 0)
        assert not floor.services.stall

    run(scenario)


def test_a_shortage_that_lasts_is_waited_for_as_long_as_a_client_may_stall(run):
    async def scenario(floor):
        _client, stream, seen = short_stream(floor, times=1_000_000)
        stream.write(b"hello")
        for _ in range(int(2 * STALL_SECONDS / SHORTAGE_SECONDS)):
            await turns(2)
            floor.clock.pass_time(SHORTAGE_SECONDS)
        assert seen.closes == 1
        assert stream.closed

    run(scenario)


def test_the_end_of_a_stream_waits_for_memory_too(run):
    async def scenario(floor):
        client, stream, seen = short_stream(floor, times=2)
        stream.write(b"hello")
        stream.close(linger=False)
        for _ in range(3):
            await turns()
            floor.clock.pass_time(SHORTAGE_SECONDS)
        assert await client.take_all() == b"hello"
        await until(lambda: seen.closes)

    run(scenario)
