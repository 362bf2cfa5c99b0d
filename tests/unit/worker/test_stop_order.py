"""The end of a worker at a stop: it waits for connections that are on their way to it."""

from __future__ import annotations

import asyncio
import math
import socket

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.applications.loading import ApplicationLoader
from gracehttp.applications.registry import ApplicationSettings
from gracehttp.config import server_options
from gracehttp.http import negotiation
from gracehttp.http.connection import Pace
from gracehttp.http.http1.protocol import Http1Protocol
from gracehttp.net.permits import LocalPermits
from gracehttp.supervisor.listeners.queues import HandoverQueue
from gracehttp.wire.handover import HTTP1, Carried, encode
from gracehttp.wire.messages import DrainReason
from gracehttp.worker.certificates import Certificates
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.service import Service, ServiceSettings
from gracehttp.worker.successors import Successors

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
SETTINGS = ServiceSettings(
    applications=ApplicationSettings(lifespan="off", threads=1, multiprocess=False), drops_new_connections=True
)


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def started(handover=None):
    """A service with one port, and the listener of that; it doesn't accept yet."""
    service = Service(SETTINGS, ApplicationLoader(None), lambda event: None)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    servers, given = server_options(answer), [GivenListener(1, "test", listener, LocalPermits(5), handover)]
    await service.start(servers, given, Certificates(servers))
    return service, listener


@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
def test_a_receiver_ends_only_when_the_queue_is_sealed_and_empty(factory):
    async def scenario():
        queue = HandoverQueue()
        service, _listener = await started(handover=(queue._send_end.dup(), queue._receive_end.dup()))
        service.accept()
        service.take_over(lambda: None)
        service.on_stopped_accepting = (stopped := asyncio.Event()).set
        service.order_drain(DrainReason.STOP, 20.0)
        draining = asyncio.create_task(service.drain())
        await stopped.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not draining.done(), "a connection may still come"
        theirs, ours = socket.socketpair()
        with theirs, ours:
            ours.setblocking(False)
            ours.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            socket.send_fds(queue._send_end, [encode([Carried(fresh=False)])], [theirs.fileno()])
            theirs.close()
            queue.seal()
            await draining
            assert ours.recv(1000).endswith(b"done")
        assert queue.close() == []

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def test_what_no_worker_took_is_told_at_the_end():
    queue = HandoverQueue()
    with socket.socket() as sock:
        socket.send_fds(queue._send_end, [b"{}\n"], [sock.fileno()])
    queue.seal()
    assert not queue.empty
    assert len(queue.close()) == 1


def test_at_a_restart_only_the_ports_that_end_go_on_taking():
    async def scenario():
        queues, given = [HandoverQueue(), HandoverQueue()], []
        for number, queue in enumerate(queues):
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            ends = (queue._send_end.dup(), queue._receive_end.dup())
            given.append(GivenListener(number, "test", listener, LocalPermits(5), ends))
        service = Service(SETTINGS, ApplicationLoader(None), lambda event: None)
        servers = [*server_options(answer), *server_options(answer)]
        await service.start(servers, given, Certificates(servers))
        service.accept()
        service.take_over(lambda: None)
        service.order_drain(DrainReason.RESTART, 20.0, Successors.of([0]))
        assert [port._arrivals.ended for port in service.ports] == [True, False]
        queues[1].seal()
        await service.drain()
        assert [lost for queue in queues for lost in queue.close()] == []

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
def test_a_connection_that_is_accepted_after_a_restart_has_the_time_of_those_that_were_there_before(
    factory, monkeypatch
):
    class WithoutGrace(Http1Protocol):
        pace = Pace(grace_seconds=0.0)

    monkeypatch.setitem(negotiation.PROTOCOLS, HTTP1, WithoutGrace)

    async def scenario():
        service, listener = await started()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        service.order_drain(DrainReason.RESTART, 20.0)
        draining = asyncio.create_task(service.drain())
        while not service.ports[0].connections:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not reader.at_eof()
        writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await reader.read()).endswith(b"done")
        writer.close()
        await draining

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


@pytest.mark.parametrize("reason", DrainReason)
@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
def test_a_client_that_was_answered_just_before_idle_connections_are_closed_may_still_ask(factory, reason):
    async def scenario():
        service, listener = await started()
        service.accept()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        draining = asyncio.create_task(service.drain())
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert b"close" not in await reader.readuntil(b"done")
            service.order_drain(reason, 20.0)
            while not service._drain._pacers:
                await asyncio.sleep(0)
            (pacer,) = service._drain._pacers.values()
            pacer.closing_at = pacer.closing_until = 0.0  # all are due at once
            service._changed.set()
            while pacer.closing_at < math.inf:
                await asyncio.sleep(0)
            writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert b"close" in await reader.readuntil(b"done")
            assert await reader.read() == b""
        finally:
            writer.close()
            service.order_drain(reason, 0.0)
            await draining

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
