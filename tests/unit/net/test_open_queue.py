"""The end of a listener without a SYN filter: it accepts what waited, however many connections come after."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.http.connection import HttpSettings
from gracehttp.net.acceptor import Acceptor
from gracehttp.net.kernel_view import queue_length
from gracehttp.net.permits import LocalPermits
from gracehttp.net.poller import new_poller
from gracehttp.worker import port as port_module
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.port import Port


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=64) as opened:
        opened.setblocking(False)
        yield opened


@pytest.fixture
def connect(listener):
    with contextlib.ExitStack() as clients:
        yield lambda: clients.enter_context(socket.create_connection(listener.getsockname(), timeout=DEADLINE_SECONDS))


def test_the_kernel_tells_how_many_connections_wait(listener, connect):
    assert queue_length(listener) == 0
    for _ in range(3):
        connect()
    assert queue_length(listener) == 3


def test_of_a_unix_socket_it_is_known_how_many_could_wait(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        assert queue_length(listener) >= 128


def test_a_queue_that_is_never_empty_ends_with_what_waited(listener, connect):
    async def scenario():
        accepted, stopped = [], asyncio.Event()

        def another_comes(sock, _peer):
            accepted.append(sock)
            connect()

        acceptor = Acceptor(
            listener.dup(),
            LocalPermits(40),
            another_comes,
            address="test",
            loop=asyncio.get_running_loop(),
            publish=print,
        )
        for _ in range(20):
            connect()
        acceptor.stop_when_queue_is_empty(stopped.set, at_most=queue_length(listener))
        await asyncio.wait_for(stopped.wait(), DEADLINE_SECONDS)
        assert len(accepted) == queue_length(listener) == 20, "what came later waits for the next program"
        for sock in accepted:
            sock.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("inherited", "accepted"), [(True, 1), (False, 3)])
def test_only_an_inherited_listener_needs_a_limit(listener, connect, monkeypatch, inherited, accepted):
    monkeypatch.setattr(port_module, "queue_length", lambda listener: 1)

    async def scenario():
        stopped = asyncio.Event()
        port = Port(
            GivenListener(1, "test", listener.dup(), LocalPermits(5), inherited=inherited),
            application=None,
            settings=HttpSettings(),
            poller=(poller := new_poller(asyncio.get_running_loop())),
            tls=None,
            request_finished=None,
            publish=print,
            on_change=lambda: None,
            shed_idle_after_seconds=0,
        )
        for _ in range(3):
            connect()
        port.accept_the_rest(stopped.set, drop_new=False)
        await asyncio.wait_for(stopped.wait(), DEADLINE_SECONDS)
        assert port.permits.held == accepted
        port.cut()
        while not port.quiet:
            await asyncio.sleep(0)
        port.close()
        poller.close()

    asyncio.run(scenario())
