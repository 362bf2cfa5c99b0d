"""The end of a worker: what is still being opened, several applications, and a supervisor that is gone."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
import trustme

from gracehttp.applications.loading import ApplicationLoader
from gracehttp.applications.registry import ApplicationSettings
from gracehttp.config import server_options
from gracehttp.errors import StartError
from gracehttp.http.connection import HttpSettings
from gracehttp.net.certificates import TlsSettings, load
from gracehttp.net.permits import LocalPermits
from gracehttp.net.poller import new_poller
from gracehttp.wire.messages import DrainReason
from gracehttp.worker import service as service_module
from gracehttp.worker.certificates import Certificates
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.port import Port
from gracehttp.worker.service import Service, ServiceSettings


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    path = tmp_path_factory.mktemp("certificate") / "cert.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
    return str(path)


def listening():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


def port_of(listener, poller, tls):
    return Port(
        GivenListener(1, "test", listener, LocalPermits(5)),
        application=None,
        settings=HttpSettings(header_timeout_seconds=60),  # so that it is not that which ends a handshake
        poller=poller,
        tls=tls,
        request_finished=None,
        publish=print,
        on_change=lambda: None,
        shed_idle_after_seconds=0,
    )


def test_a_handshake_that_takes_its_time_is_cut_with_the_connections(run, certificate):
    async def scenario():
        listener = listening()
        poller = new_poller(asyncio.get_running_loop())
        port = port_of(listener, poller, load(TlsSettings(((certificate, certificate),))).default)
        port.accept()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        await until(lambda: port.connections)
        assert port.cut() == [], "no request was cut"
        assert port.quiet
        assert port.permits.held == 0
        assert await reader.read() == b""
        writer.close()
        port.close()
        poller.close()

    run(scenario())


def test_a_connection_that_is_cut_before_its_first_turn_leaves_nothing_behind(run):
    async def scenario():
        poller = new_poller(asyncio.get_running_loop())
        port = port_of(listening(), poller, None)
        theirs, ours = socket.socketpair()
        theirs.setblocking(False)
        assert port.permits.take()
        port.connections.attach(theirs, ours.getsockname())
        port.cut()
        assert port.quiet
        assert port.permits.held == 0
        with ours:
            assert ours.recv(1) == b""
        port.close()
        poller.close()

    run(scenario())


@pytest.mark.usefixtures("undisturbed")
def test_applications_end_beside_each_other_not_one_after_the_other(run, monkeypatch, caplog):
    monkeypatch.setattr(service_module, "LIFESPAN_SHUTDOWN_SECONDS", 0.2)

    async def scenario():
        heard = [asyncio.Event(), asyncio.Event()]

        def application(number):
            async def app(scope, receive, send):
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                heard[number].set()
                await heard[1 - number].wait()
                await send({"type": "lifespan.shutdown.complete"})

            return app

        settings = ApplicationSettings(lifespan="on", threads=1, multiprocess=False)
        service = Service(
            ServiceSettings(applications=settings, drops_new_connections=True),
            ApplicationLoader(None),
            lambda event: None,
        )
        servers = [*server_options(application(0)), *server_options(application(1))]
        given = [GivenListener(number, "test", listening(), LocalPermits(5)) for number in (1, 2)]
        await service.start(servers, given, Certificates(servers))
        service.order_drain(DrainReason.STOP, 5.0)
        await service.drain()
        assert all(event.is_set() for event in heard)

    run(scenario())
    assert caplog.records == []


@pytest.mark.usefixtures("undisturbed")
def test_a_start_that_fails_leaves_no_descriptor_behind(run):
    async def failing(scope, receive, send):
        raise LookupError

    async def scenario():
        settings = ServiceSettings(
            applications=ApplicationSettings(lifespan="on", threads=1, multiprocess=False), drops_new_connections=True
        )
        before = len(os.listdir("/proc/self/fd"))
        service = Service(settings, ApplicationLoader(None), lambda event: None)
        servers = server_options(failing)
        certificates = Certificates(servers)
        with listening() as listener, pytest.raises(StartError):
            await service.start(servers, [GivenListener(1, "test", listener, LocalPermits(5))], certificates)
        assert len(os.listdir("/proc/self/fd")) == before

    run(scenario())
