"""A worker tells what it begins, so that the command that waits for it in vain can say where it hangs."""

from __future__ import annotations

import asyncio
import socket

from deadlines import DEADLINE_SECONDS

from gracehttp.applications.loading import ApplicationLoader
from gracehttp.applications.registry import ApplicationSettings
from gracehttp.config import server_options
from gracehttp.net.permits import LocalPermits
from gracehttp.wire.messages import DrainReason
from gracehttp.worker.certificates import Certificates
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.service import Service, ServiceSettings

DEMO = "gracehttp.demo.app:application"
APPLICATIONS = ApplicationSettings(lifespan="auto", threads=1, multiprocess=False)


def test_each_stage_is_told_before_it_begins():
    told = []

    async def scenario():
        settings = ServiceSettings(applications=APPLICATIONS, warmup=["/ping", "/else"], drops_new_connections=True)
        loader = ApplicationLoader(None)
        servers = server_options(DEMO)
        loader.load_all([*servers, *servers], told.append)
        service = Service(settings, loader, lambda event: None)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        given = [GivenListener(1, "test", listener, LocalPermits(5))]
        await service.start(servers, given, Certificates(servers), told.append)
        service.accept()
        service.order_drain(DrainReason.STOP, 20.0)
        await service.drain()

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
    assert told == [
        f"importing {DEMO}",
        f"in the lifespan startup of {DEMO}",
        "waiting for the answer to the warm-up request GET /ping",
        "waiting for the answer to the warm-up request GET /else",
    ]
