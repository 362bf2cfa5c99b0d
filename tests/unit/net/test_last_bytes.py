"""What a stream writes last: with the end of its half in one segment, where the kernel can do that (MSG_MORE)."""

from __future__ import annotations

import socket
import sys

import pytest
from floor import BOTH, runner_for, until

from gracehttp.net.stream import HOLD_BYTES

_SEGMENTS_IN = slice(140, 144)  # tcpi_segs_in of the struct tcp_info of linux/tcp.h


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


def segments_of(client):
    """How many segments have come from the server, its ACKs without data included."""
    info = client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    if len(info) < _SEGMENTS_IN.stop:
        pytest.skip("this kernel doesn't count segments")
    return int.from_bytes(info[_SEGMENTS_IN], sys.byteorder)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no MSG_MORE, or another struct tcp_info")
@pytest.mark.parametrize("linger", [False, True])
def test_the_last_bytes_and_the_end_of_our_half_are_one_segment(run, linger):
    async def scenario(floor):
        client, stream, _seen = floor.stream()
        before = segments_of(client)
        stream.write_last(b"answer")
        stream.close(linger=linger)
        assert await client.take_all() == b"answer"
        assert segments_of(client) - before == 1
        client.end()
        await until(lambda: stream.closed)

    run(scenario)


def test_what_is_written_last_is_sent_by_the_close(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.write_last(b"answer")
        assert stream.unsent_bytes == 6
        stream.close(linger=False)
        assert (stream.closed, stream.unsent_bytes, seen.closes) == (True, 0, 1)
        assert await client.take_all() == b"answer"

    run(scenario)


@pytest.mark.parametrize("size", [HOLD_BYTES, HOLD_BYTES + 1, 40 * HOLD_BYTES])
def test_nothing_is_lost_however_long_the_last_bytes_are(run, size):
    async def scenario(floor):
        client, stream, _seen = floor.stream(small=True)
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        stream.write(b"first ")
        stream.write_last(data)
        stream.close(linger=True)
        assert await client.take_all() == b"first " + data
        client.end()
        await until(lambda: stream.closed)

    run(scenario)


def test_last_bytes_behind_what_waits_wait_too(run):
    async def scenario(floor):
        client, stream, _seen = floor.stream(small=True)
        much = b"x" * 1_000_000
        stream.write(much)
        assert stream.unsent_bytes
        stream.write_last(b"end")
        stream.close(linger=False)
        assert not stream.closed
        assert await client.take_all() == much + b"end"
        await until(lambda: stream.closed)

    run(scenario)


def test_last_bytes_of_a_shut_stream_are_dropped(run):
    async def scenario(floor):
        client, stream, _seen = floor.stream()
        stream.shut_our_half()
        stream.write_last(b"dropped")
        assert stream.unsent_bytes == 0
        stream.close(linger=False)
        assert await client.take_all() == b""

    run(scenario)
