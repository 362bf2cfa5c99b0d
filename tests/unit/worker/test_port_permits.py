"""A port and the permits of its connections."""

from __future__ import annotations

import asyncio
import socket

from gracehttp.http.connection import HttpSettings
from gracehttp.listeners.permits import LocalPermits
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.port import Port


def test_a_port_is_not_quiet_before_the_last_permit_is_given_back():
    """Whoever finds it quiet closes the permits."""

    async def main():
        permits, changes = LocalPermits(1), []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = Port(
                GivenListener(0, "somewhere", listener, permits),
                application=None,
                settings=HttpSettings(),
                tls=None,
                request_finished=None,
                publish=print,
                on_change=lambda: changes.append((permits.held, port.quiet)),
                shed_idle_after_seconds=0,
            )
            connection = object()
            permits.take()
            port.connection_opened(connection)
            port.connection_closed(connection)
            assert permits.held == 1
            assert not port.quiet
            await asyncio.sleep(0)
            assert changes == [(0, True)]

    asyncio.run(main())
