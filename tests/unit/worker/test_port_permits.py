"""A port: the permits of its connections, and what it tells of them."""

from __future__ import annotations

import asyncio
import socket

from gracehttp.http.connection import HttpSettings
from gracehttp.http.exchange import RequestHead
from gracehttp.net.permits import LocalPermits
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.port import Port


def make_port(listener, permits, *, on_change=lambda: None, request_failed=None):
    return Port(
        GivenListener(0, "somewhere", listener, permits),
        application=None,
        settings=HttpSettings(),
        tls=None,
        request_finished=None,
        request_failed=request_failed,
        publish=print,
        on_change=on_change,
        shed_idle_after_seconds=0,
    )


def test_responses_that_the_application_did_not_give_whole_are_told():
    async def main():
        failed = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = make_port(listener, LocalPermits(1), request_failed=failed.append)
            one, other = (RequestHead.__new__(RequestHead) for _ in range(2))
            for head in (one, other):
                head.method, head.target, head.client = "GET", b"/", None
            port.application_failed(one, RuntimeError("broken"))
            port.response_broken(other, "too short")
            assert failed == [one, other]

    asyncio.run(main())


def test_a_port_is_not_quiet_before_the_last_permit_is_given_back():
    """Whoever finds it quiet closes the permits."""

    async def main():
        permits, changes = LocalPermits(1), []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = make_port(listener, permits, on_change=lambda: changes.append((permits.held, port.quiet)))
            connection = object()
            permits.take()
            port.connection_opened(connection)
            port.connection_closed(connection)
            assert permits.held == 1
            assert not port.quiet
            await asyncio.sleep(0)
            assert changes == [(0, True)]

    asyncio.run(main())
