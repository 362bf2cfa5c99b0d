"""What goes with connections that are handed over, between workers of different releases."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.http.connection import Parcel
from gracehttp.net.permits import LocalPermits
from gracehttp.release import RELEASE
from gracehttp.wire.handover import Carried, CarriedTls, Proxied, ProxiedTls
from gracehttp.worker.arrivals import Arrivals
from gracehttp.worker.departures import Departures

VECTORS = Path(__file__).parents[2] / "vectors"
RELEASES = sorted(folder.name for folder in VECTORS.iterdir() if folder.is_dir())
PIPELINED = b"GET /next HTTP/1.1\r\n" * 2


def heads(release=RELEASE):
    return list(map(json.loads, (VECTORS / release / "handover-messages.jsonl").read_text().splitlines()))


def carried_of(head):
    """What this release makes of the connections of a head, with pipelined bytes as long as it says."""
    return [
        Carried(
            *(one["fresh"], one.get("idle_seconds", 0.0), PIPELINED[: one["received"]]),
            proxied=proxied_of(one),
            tls=tls_of(one),
        )
        for one in head["connections"]
    ]


def tls_of(one):
    if "tls" not in one:
        return None
    tls = one["tls"]
    secrets = [bytearray(bytes((number,)) * tls["secret"]) for number in (1, 2)]
    return CarriedTls(tls["cipher"], secrets[0], tls["read"], secrets[1], tls["written"])


def rest_of(head):
    """What stands behind a head: of each connection its secrets, then the bytes of its requests."""
    return b"".join(
        (b"" if one.tls is None else one.tls.read_secret + one.tls.write_secret) + one.received
        for one in carried_of(head)
    )


def proxied_of(one):
    if "proxied" not in one:
        return None
    client, server = (end and tuple(end) for end in (one["proxied"]["client"], one["proxied"]["server"]))
    facts = one["proxied"].get("tls_facts")
    return Proxied(client, server, one["proxied"]["tls"], None if facts is None else ProxiedTls(**facts))


class Target:
    """Keeps what arrives."""

    def __init__(self):
        self.permits = LocalPermits(10)
        self.arrived = []

    def adopt(self, descriptor, carried):
        os.close(descriptor)
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


def arrive(queue, messages):
    """What a port of this release makes of these messages: a head, and the bytes behind it."""
    send_end, receive_end = queue
    target, broken = Target(), []
    expected = sum(len(head["connections"]) for head, _ in messages)

    async def take():
        arrivals = Arrivals(
            receive_end, target, loop=asyncio.get_running_loop(), check_orders=lambda: None, on_end=lambda: None,
            publish=broken.append,
        )  # fmt: skip
        other, ours = socket.socketpair()
        with other, ours:
            for head, rest in messages:
                descriptors = [ours.fileno()] * len(head["connections"])
                socket.send_fds(send_end, [json.dumps(head).encode() + b"\n" + rest], descriptors)
        while len(target.arrived) + len(broken) < expected:
            await asyncio.sleep(0)
        arrivals.close()

    asyncio.run(asyncio.wait_for(take(), DEADLINE_SECONDS))
    assert not broken
    return target.arrived


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("added", [{}, {"added": ["something"]}], ids=["as written", "fields added"])
def test_the_messages_of_each_release_so_far_are_read_whatever_else_is_in_them(queue, release, added):
    messages = []
    for head in heads(release):
        rest = rest_of(head)
        connections = [{**one, **added} for one in head["connections"]]
        messages.append(({**head, "connections": connections, **added}, rest))
    assert arrive(queue, messages) == [one for head in heads(release) for one in carried_of(head)]


class Connection:
    """At rest, and ready to go with what it takes along."""

    idle_since = 0.0

    def __init__(self, carried):
        self.carried = carried
        self.other, self.ours = socket.socketpair()

    def pack(self):
        return Parcel(self.ours.fileno(), self.carried)

    def left(self):
        self.other.close()
        self.ours.close()


def test_this_release_writes_what_its_vectors_say(queue):
    send_end, receive_end = queue

    async def send():
        departures = Departures(send_end, LocalPermits(10), asyncio.get_running_loop())
        for head in heads():
            departures.offer_soon(map(Connection, carried_of(head)))
            await asyncio.sleep(0)
        departures.close()

    asyncio.run(send())
    for head in heads():
        message, descriptors, _, _ = socket.recv_fds(receive_end, 65536, 16)
        for descriptor in descriptors:
            os.close(descriptor)
        line, _, rest = message.partition(b"\n")
        assert json.loads(line) == head
        assert rest == rest_of(head)
        assert len(descriptors) == len(head["connections"])
