"""Connections on real sockets, with each event loop and each poller."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvloop
from deadlines import DEADLINE_SECONDS
from http_fakes import FakeApplication, FakeOwner

from gracehttp.http import negotiation
from gracehttp.http.connection import NO_PROTOCOL, Connection, Ends, HttpSettings, ServerContext
from gracehttp.http.exchange import Exchange
from gracehttp.net.endpoints import client_of, server_of
from gracehttp.net.poller import EpollPoller, Poller, SelectorsPoller
from gracehttp.net.stream import PlainStream, StreamServices
from gracehttp.net.tls_stream import TlsStream

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
POLLERS = {"epoll": EpollPoller, "selectors": SelectorsPoller}
GROUNDS = [(loop, poller) for loop in LOOPS for poller in POLLERS]
"""Names of a loop and a poller."""


def runner(loop: str) -> Callable[[Any], Any]:
    """Runs a coroutine on this loop; the time-out is against hanging only."""

    def run(main: Any) -> Any:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as running:
            return running.run(asyncio.wait_for(main, 3 * DEADLINE_SECONDS))

    return run


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until the condition holds; the time-out of the runner is the limit."""
    for turn in itertools.count():
        if condition():
            return
        await asyncio.sleep(0 if turn < 100 else 0.002)


class Service:
    """A listening server; its connections and what their owner was told."""

    def __init__(self, on_handle: Callable[[Exchange], None] | None = None, **settings: Any) -> None:
        self.application = FakeApplication(on_handle)
        self.owner = FakeOwner()
        self.settings = HttpSettings(**settings)
        self.accepted: list[Connection] = []
        """As `owner.opened`, but from before the handshake on."""
        self.copies: list[int] = []
        """Of the descriptors of all connections, as a forked process has them, if `keep_copies`."""
        self.keep_copies = False
        self.poller: Poller
        self.context: ServerContext
        self.streams: StreamServices
        self._tls: ssl.SSLContext | None = None

    @contextlib.asynccontextmanager
    async def listening(
        self, poller: str, *, tls: ssl.SSLContext | None = None, unix: str | None = None
    ) -> AsyncIterator[int]:
        loop = asyncio.get_running_loop()
        self._tls = tls
        self.poller = POLLERS[poller](loop)
        self.context = ServerContext(self.application, self.settings, self.owner, loop)
        self.streams = StreamServices(loop, self.poller, self.settings.body_timeout_seconds)
        if unix is None:
            listener = socket.create_server(("127.0.0.1", 0))
        else:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(unix)
            listener.listen()
        listener.setblocking(False)
        loop.add_reader(listener.fileno(), self._accept, listener)
        try:
            yield 0 if unix is not None else listener.getsockname()[1]
        finally:
            loop.remove_reader(listener.fileno())
            listener.close()
            for connection in self.accepted:
                connection.abort()
            assert len(self.owner.closed) == len(self.accepted) == len(set(self.owner.closed))
            self.context.close()
            self.streams.close()
            self.poller.close()
            for copy in self.copies:
                os.close(copy)

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, peer = listener.accept()
        except BlockingIOError:
            return
        self.attach(sock, peer)

    def attach(self, sock: socket.socket, peer: Any) -> None:
        """Serve a connected socket."""
        sock.setblocking(False)
        if self.keep_copies:
            self.copies.append(os.dup(sock.fileno()))
        host, port = client_of(peer) or (None, 0)
        connection = Connection(self.context, Ends(host, server_of(sock.getsockname())), port)
        self.accepted.append(connection)
        plain = PlainStream(sock, self.streams, NO_PROTOCOL, connection)
        if self._tls is None:
            connection.begin(plain)
            negotiation.begin(connection, None)
            return
        connection.begin(
            TlsStream(
                plain,
                self._tls,
                NO_PROTOCOL,
                handshakes=self.context.handshake,
                on_open=lambda alpn: negotiation.begin(connection, alpn),
            )
        )
