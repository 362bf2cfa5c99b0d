"""A port of a worker in a running loop, and the clients that it has."""

from __future__ import annotations

import asyncio
import socket

import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.http.settings import HttpSettings
from gracehttp.net.permits import LocalPermits
from gracehttp.net.poller import new_poller
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.port import Port

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


class PortWorld:
    """Serves `application` on a port of 20 permits. `options` are those of `Port`."""

    def __init__(self, application, **options):
        self.published, self.changes, self.clients = [], [], []
        self.permits = LocalPermits(20)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.poller = new_poller(asyncio.get_running_loop())
        self.port = Port(
            GivenListener(0, "somewhere", self.listener, self.permits),
            application=application,
            poller=self.poller,
            request_finished=None,
            publish=self.published.append,
            on_change=lambda: self.changes.append((self.permits.held, self.port.quiet)),
            shed_idle_after_seconds=0,
            **{"settings": HttpSettings(), "tls": None, **options},
        )

    def open_client(self):
        client = socket.create_connection(self.listener.getsockname())
        client.setblocking(False)
        self.clients.append(client)
        return client

    def close(self):
        self.port.cut()
        self.port.close()
        self.poller.close()
        for client in self.clients:
            client.close()


def runner_of(make_world, loop):
    """Returns `run(scenario, **options)`, which gives the scenario a world of `make_world(**options)` on that loop."""

    def run(scenario, **options):
        async def main():
            world = make_world(**options)
            try:
                await scenario(world)
            finally:
                world.close()

        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(asyncio.wait_for(main(), DEADLINE_SECONDS))

    return run
