"""A worker that stands by: what it leaves to others, what it goes on with, and how its pause ends."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.applications.drain_notice import drain_notice
from gracehttp.applications.loading import ApplicationLoader
from gracehttp.applications.registry import ApplicationSettings
from gracehttp.config import server_options
from gracehttp.net.permits import LocalPermits
from gracehttp.supervisor.listeners.queues import HandoverQueue
from gracehttp.wire.handover import Carried, encode
from gracehttp.wire.messages import DrainReason
from gracehttp.worker.certificates import Certificates
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.service import Service, ServiceSettings
from gracehttp.worker.successors import Successors

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
SETTINGS = ServiceSettings(
    applications=ApplicationSettings(lifespan="on", threads=1, multiprocess=False), drops_new_connections=True
)
SHARED, OWN = 1, 2


class Worker:
    """A service with two listeners, of which the next generation has only one."""

    def __init__(self):
        self.queues = {number: HandoverQueue() for number in (SHARED, OWN)}
        self.queue = self.queues[SHARED]
        self.listeners = {number: socket.create_server(("127.0.0.1", 0)) for number in (SHARED, OWN)}
        self.heard = []
        self.drain = None
        self.service = Service(SETTINGS, ApplicationLoader(None), lambda event: None)

    async def application(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                self.heard.append(message["type"])
                await send({"type": f"{message['type']}.complete"})
        self.drain = drain_notice()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    async def start(self):
        given = []
        for number, listener in self.listeners.items():
            listener.setblocking(False)
            queue = self.queues[number]
            ends = (queue._send_end.dup(), queue._receive_end.dup())
            given.append(GivenListener(number, "test", listener.dup(), LocalPermits(5), ends))
        servers = list(server_options(self.application, bind=["127.0.0.1:1", "127.0.0.1:2"]))
        await self.service.start(servers, given, Certificates(servers))
        self.service.accept()

    async def connect(self, number):
        """A client with a request; what it reads is the answer."""
        reader, writer = await asyncio.open_connection(*self.listeners[number].getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        return reader, writer

    async def end(self, reason):
        draining = asyncio.create_task(self.service.drain())
        goes_on = [SHARED] if reason is DrainReason.RESTART else []
        for number, queue in self.queues.items():
            if number not in goes_on:
                queue.seal()  # as the supervisor does with the queues that no generation comes after
        self.service.order_drain(reason, 5.0, Successors.of(goes_on))
        await draining

    def close(self):
        for listener in self.listeners.values():
            listener.close()
        for queue in self.queues.values():
            queue.close()


async def answer(client):
    reader, writer = client
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(4)
    writer.close()
    return head.split(b"\r\n")[0]


async def unanswered(client):
    """After a few turns of the loop no worker has taken the connection."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not client[0]._buffer


@pytest.fixture(params=LOOPS)
def run(request):
    def run(scenario):
        async def main():
            worker = Worker()
            await worker.start()
            try:
                await scenario(worker)
            finally:
                worker.close()

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(main(), DEADLINE_SECONDS))

    return run


def test_it_serves_what_only_it_has_and_after_the_pause_everything(run):
    async def scenario(worker):
        worker.service.pause(Successors.of([SHARED]))
        shared = await worker.connect(SHARED)
        assert b"200" in await answer(await worker.connect(OWN))
        assert await unanswered(shared)
        assert not worker.drain.is_set()
        assert worker.heard == ["lifespan.startup"]
        worker.service.accept()
        assert b"200" in await answer(shared)
        assert b"200" in await answer(await worker.connect(OWN))
        await worker.end(DrainReason.RESTART)
        assert worker.drain.is_set()

    run(scenario)


def test_told_again_it_serves_what_the_newest_successor_does_not_have(run):
    async def scenario(worker):
        worker.service.pause(Successors.of([SHARED]))
        worker.service.pause(Successors.of([OWN]))
        own = await worker.connect(OWN)
        assert b"200" in await answer(await worker.connect(SHARED))
        assert await unanswered(own)
        own[1].close()
        await worker.end(DrainReason.RESTART)

    run(scenario)


def test_a_pause_ends_with_an_order_to_drain_as_well(run):
    async def scenario(worker):
        worker.service.pause(Successors.of([SHARED]))
        shared = await worker.connect(SHARED)
        await worker.end(DrainReason.RESTART)
        assert worker.heard == ["lifespan.startup", "lifespan.shutdown"]
        shared[1].close()

    run(scenario)


def test_at_a_stop_a_paused_worker_helps_to_empty_the_queue(run):
    async def scenario(worker):
        worker.service.pause(Successors.of([SHARED]))
        shared = await worker.connect(SHARED)
        await worker.end(DrainReason.STOP)
        assert b"200" in await answer(shared)

    run(scenario)


def test_after_a_pause_what_waits_to_be_handed_over_is_not(run):
    async def scenario(worker):
        client = await worker.connect(SHARED)
        head = await client[0].readuntil(b"\r\n\r\n")
        assert b"close" not in head
        worker.service.hold()
        worker.service.pause(Successors.of([SHARED]))
        worker.service.accept()
        worker.service.resume()
        for _ in range(20):
            await asyncio.sleep(0)
        assert worker.service.ports[0]._departures._waiting == {}
        assert worker.queue.empty
        client[1].close()
        await worker.end(DrainReason.RESTART)

    run(scenario)


def hand_over(worker):
    """Put a connection with a request into the queue, as an older worker would; returns the client's end."""
    theirs, ours = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        ours.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        socket.send_fds(worker.queue._send_end, [encode([Carried(fresh=False)])], [theirs.fileno()])
    return ours


def test_while_it_is_paused_it_takes_nothing_from_the_queue(run):
    async def scenario(worker):
        worker.service.take_over(lambda: None)
        worker.service.pause(Successors.of([SHARED]))
        with hand_over(worker) as client:
            for _ in range(20):
                await asyncio.sleep(0)
            assert not worker.queue.empty
            worker.service.accept()
            received = await asyncio.get_running_loop().sock_recv(client, 1000)
            assert received.endswith(b"done")
        await worker.end(DrainReason.RESTART)

    run(scenario)


def test_at_a_stop_a_paused_worker_helps_to_empty_the_handover_queue(run):
    """The workers that serve may be the ones that hang."""

    async def scenario(worker):
        worker.service.take_over(lambda: None)
        worker.service.pause(Successors.of([SHARED]))
        with hand_over(worker) as client:
            await worker.end(DrainReason.STOP)
            assert b"connection: close" in client.recv(1000).lower()

    run(scenario)


def test_a_queue_that_is_not_the_one_that_others_take_from_is_emptied(run):
    """The listener was left out, and came back with another queue, while this worker heard nothing."""

    async def scenario(worker):
        worker.service.take_over(lambda: None)
        with hand_over(worker) as client:
            worker.queue.seal()
            draining = asyncio.create_task(worker.service.drain())
            worker.queues[OWN].seal()
            worker.service.order_drain(DrainReason.RESTART, 5.0, Successors.of([]))
            worker.service.order_drain(DrainReason.RESTART, 5.0, Successors.of([SHARED], [4711]))
            await draining
            assert b"connection: close" in client.recv(1000).lower()

    run(scenario)


def test_it_pauses_no_more_once_it_drains(run):
    async def scenario(worker):
        worker.service.order_drain(DrainReason.STOP, 5.0)
        worker.service.pause(Successors.of([SHARED]))
        shared = await worker.connect(SHARED)
        await worker.end(DrainReason.STOP)
        assert b"200" in await answer(shared)

    run(scenario)
