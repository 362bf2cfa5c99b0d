"""A drain at a restart while another old worker may accept still: no client is sent away, to come to that one."""

from __future__ import annotations

import asyncio
import socket

import h2.connection
import pytest
import uvloop
from deadlines import DEADLINE_SECONDS
from websocket_client import CLOSE, WebSocket, closing

from gracehttp.applications.drain_notice import drain_notice
from gracehttp.applications.loading import ApplicationLoader
from gracehttp.applications.registry import ApplicationSettings
from gracehttp.config import server_options
from gracehttp.net.permits import LocalPermits
from gracehttp.wire.messages import DrainReason
from gracehttp.worker import drain
from gracehttp.worker.certificates import Certificates
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.service import Service, ServiceSettings

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
DATA, GOAWAY = 0, 7
SETTINGS = ServiceSettings(applications=ApplicationSettings(lifespan="off", threads=1, multiprocess=False))


async def application(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    echoing = asyncio.create_task(echo(receive, send))
    if scope["path"] == "/listens":
        await drain_notice().wait()
        await send({"type": "websocket.close", "code": 4012})
    await echoing


async def echo(receive, send):
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def serving():
    """A service with one client at `/echo` and one at `/listens`, and its TCP port."""
    service = Service(SETTINGS, ApplicationLoader(None), lambda event: None)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    port = listener.getsockname()[1]
    servers = list(server_options(application, ws_goodbye=1, h2c=True))
    given = [GivenListener(1, "test", listener, LocalPermits(5), None)]
    await service.start(servers, given, Certificates(servers))
    service.accept()
    clients = [await WebSocket.connect(port, path) for path in ("/echo", "/listens")]
    return service, port, clients


async def draining(order):
    """A service with one client at `/echo` and one at `/listens`, that `order` has begun to drain."""
    service, _port, clients = await serving()
    return service, await begun(service, order), *clients


async def begun(service, order):
    order(service)
    ended = asyncio.create_task(service.drain())
    while not service._draining:
        await asyncio.sleep(0)
    return ended


async def frames_until(kind, reader):
    """The kinds of all frames of HTTP/2 that come, up to the first one of this kind."""
    kinds = []
    while kind not in kinds:
        head = await reader.readexactly(9)
        await reader.readexactly(int.from_bytes(head[:3], "big"))
        kinds.append(head[3])
    return kinds


async def code_of(websocket):
    while (received := await websocket.receive()).opcode != CLOSE:
        pass
    return closing(received)[0]


def order_to_drain(service):
    service.order_drain(DrainReason.RESTART, 20.0, others_accept=True)


@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("ends", ["no other accepts any more", "the service stops"])
def test_no_client_is_sent_away_while_another_worker_may_accept(factory, ends, monkeypatch):
    monkeypatch.setattr(drain, "LONGEST_WAIT_SECONDS", DEADLINE_SECONDS)
    monkeypatch.setattr(drain, "_MOST_OF_TIMEOUT", 1.0)

    async def scenario():
        service, ended, echoing, listening = await draining(order_to_drain)
        for _ in range(5):
            for client in (echoing, listening):
                await client.echoed("still here")
        if ends == "the service stops":
            service.order_drain(DrainReason.STOP, 20.0)
        else:
            service.others_stopped()
        assert await code_of(listening) == 4012, "its application was told"
        assert await code_of(echoing) == 1012
        for client in (echoing, listening):
            client.writer.close()
        await ended

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def test_no_response_over_http2_brings_goaway_meanwhile(monkeypatch):
    monkeypatch.setattr(drain, "LONGEST_WAIT_SECONDS", DEADLINE_SECONDS)
    monkeypatch.setattr(drain, "_MOST_OF_TIMEOUT", 1.0)
    get = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a")]

    async def scenario():
        service, port, clients = await serving()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = await begun(service, order_to_drain)
        protocol = h2.connection.H2Connection()
        protocol.initiate_connection()
        for number in (1, 3):
            protocol.send_headers(number, get, end_stream=True)
            writer.write(protocol.data_to_send())
            assert GOAWAY not in await frames_until(DATA, reader)
        service.others_stopped()
        await frames_until(GOAWAY, reader)
        for client in clients:
            client.writer.close()
        writer.close()
        await ended

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def test_another_worker_that_hangs_is_waited_for_only_for_a_while(monkeypatch):
    monkeypatch.setattr(drain, "LONGEST_WAIT_SECONDS", 0.01)

    async def scenario():
        _service, ended, echoing, listening = await draining(order_to_drain)
        assert sorted([await code_of(echoing), await code_of(listening)]) == [1012, 4012]
        for client in (echoing, listening):
            client.writer.close()
        await ended

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
