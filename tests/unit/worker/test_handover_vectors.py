"""What goes with a connection that is handed over, between workers of different releases."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from gracehttp.http.connection import Carried
from gracehttp.net.permits import LocalPermits
from gracehttp.release import RELEASE
from gracehttp.worker.handover import Arrivals, Departure, Departures

VECTORS = Path(__file__).parents[2] / "vectors"
RELEASES = sorted(folder.name for folder in VECTORS.iterdir() if folder.is_dir())
PIPELINED = b"GET /next HTTP/1.1\r\n"


def heads(release=RELEASE):
    return list(map(json.loads, (VECTORS / release / "handover-heads.jsonl").read_text().splitlines()))


class Harbour:
    """Keeps what arrives."""

    def __init__(self):
        self.permits = LocalPermits(10)
        self.arrived = []

    def adopt(self, sock, carried):
        sock.close()
        self.arrived.append(carried)

    def release(self):
        raise AssertionError("a connection was lost")


@pytest.fixture
def queue():
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def arrive(queue, lines):
    """Whatever a port of this release makes of the messages with these heads."""
    send_end, receive_end = queue
    harbour, broken = Harbour(), []

    async def take():
        arrivals = Arrivals(
            receive_end, harbour, loop=asyncio.get_running_loop(), obey=lambda: None, on_end=lambda: None,
            publish=broken.append,
        )  # fmt: skip
        other, ours = socket.socketpair()
        with other, ours:
            for line in lines:
                socket.send_fds(send_end, [json.dumps(line).encode() + b"\n" + PIPELINED], [ours.fileno()])
        while len(harbour.arrived) + len(broken) < len(lines):
            await asyncio.sleep(0)
        arrivals.close()

    asyncio.run(asyncio.wait_for(take(), 20))
    assert not broken
    return harbour.arrived


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("added", [{}, {"added": ["something"]}], ids=["as written", "fields added"])
def test_the_heads_of_each_release_so_far_are_read_whatever_else_is_in_them(queue, release, added):
    arrived = arrive(queue, [{**head, **added} for head in heads(release)])
    told = [(head["fresh"], head.get("idle_seconds", 0.0)) for head in heads(release)]
    assert arrived == [Carried(fresh=fresh, idle_seconds=idle, received=PIPELINED) for fresh, idle in told]


class Connection:
    """Idle, and ready to go with what it takes along."""

    def __init__(self, carried):
        self.carried = carried

    def hand_over(self, send):
        other, ours = socket.socketpair()
        with other, ours:
            return send(ours.fileno(), self.carried)


def test_this_release_writes_what_its_vector_says(queue):
    send_end, receive_end = queue
    carried = Carried(fresh=False, idle_seconds=12.5, received=PIPELINED)

    async def send():
        departures = Departures(send_end, asyncio.get_running_loop())
        departures.offer(Departure(Connection(carried), LocalPermits(10), lambda connection: None))
        departures.close()

    asyncio.run(send())
    message, (fd,), _, _ = socket.recv_fds(receive_end, 65536, 1)
    os.close(fd)
    head, _, pipelined = message.partition(b"\n")
    assert json.loads(head) == heads()[-1]
    assert pipelined == PIPELINED
