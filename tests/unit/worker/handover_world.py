"""An old and a new worker with one port each, and the handover queue between them, over real sockets and permits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from port_world import until

from gracehttp.http.connection import HttpSettings
from gracehttp.http.exchange import RequestHandler
from gracehttp.net.handover_shares import SharedShares
from gracehttp.net.permits import PermitPool
from gracehttp.net.poller import new_poller
from gracehttp.net.shared_permits import SharedPermits
from gracehttp.supervisor.listeners.queues import HandoverQueue
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.port import Port

LIMIT = 100
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Application(RequestHandler):
    """Answers with the name of its worker, at once, or when it is told to."""

    handle_websocket = None

    def __init__(self, name):
        self.name = name
        self.waits = False
        self.exchanges = []

    def handle(self, exchange):
        self.exchanges.append(exchange)
        if not self.waits:
            self.answer()

    def answer(self):
        exchange = self.exchanges.pop(0)
        exchange.start_response(200, [])
        exchange.write(self.name, False)
        exchange.end()


class Worker:
    """One port of one worker, with its own view of the permits."""

    def __init__(self, house, slot, name, **options):
        """`options` are those of `Port`."""
        self.house = house
        self.application = Application(name)
        self.published = []
        self.changed = asyncio.Event()
        self.permits = SharedPermits(*map(os.dup, house.pool.filenos()), slot)
        self.listener = house.listener.dup()
        self.poller = new_poller(asyncio.get_running_loop())
        self.port = Port(
            GivenListener(
                1,
                "test",
                self.listener,
                self.permits,
                (house.duplicate(0), house.duplicate(1)),
                shares=SharedShares(self.permits.page.words("takes"), self.permits.page.words("leaves"), slot),
            ),
            self.application,
            poller=self.poller,
            request_finished=None,
            publish=self.published.append,
            on_change=self.changed.set,
            shed_idle_after_seconds=0.0,
            **{"settings": HttpSettings(), "tls": None, **options},
        )

    def take_over(self, check_orders=lambda: None):
        self.port.take_over(check_orders)

    @property
    def departures(self):
        return self.port._departures

    @property
    def arrivals(self):
        return self.port._arrivals

    @property
    def open(self):
        return len(self.port.connections)

    async def close(self):
        self.port.close_handover()
        self.port.cut()
        await until(lambda: self.port.quiet and self.permits.held == 0)
        self.port.close()
        self.poller.close()


class House:
    """A listener, its permits and the queue, as the supervisor has them, and an old and a new worker."""

    def __init__(self, **options):
        self.pool = PermitPool(LIMIT)
        self.queue = HandoverQueue()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.old = Worker(self, 0, b"old", **options)
        self.new = Worker(self, 1, b"new", **options)
        self.clients = []
        self.old.port.accept()

    def duplicate(self, end):
        sock = socket.socket(fileno=os.dup(self.queue.filenos()[end]))
        sock.setblocking(False)
        return sock

    async def connect(self, count=1):
        for _ in range(count):
            self.clients.append(await asyncio.open_connection(*self.listener.getsockname()))
        await until(lambda: self.old.open + self.new.open == len(self.clients))
        return self.clients[-1]

    def assert_permits_are_exact(self):
        """To be called when nothing is on its way: no worker has lost a permit, and none has one too many."""
        assert self.queue.empty
        assert self.pool.audit([0, 1], lambda: self.queue.empty) == 0
        assert self.pool.open_connections([0, 1]) == len(self.clients) == self.old.permits.held + self.new.permits.held

    async def close(self):
        for _, writer in self.clients:
            writer.close()
        await self.old.close()
        await self.new.close()
        self.listener.close()
        self.queue.close()
        self.pool.close()


@contextlib.asynccontextmanager
async def opened(**options):
    house = House(**options)
    try:
        yield house
    finally:
        await house.close()


async def ask(client, request=GET):
    """One request; returns the name of the worker that answered, and whether it closes the connection."""
    reader, writer = client
    writer.write(request)
    return await answer_on(reader)


async def answer_on(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(3), b"connection: close" in head.lower()
