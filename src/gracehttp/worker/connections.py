"""The open connections of one port: from the accepted socket to the permit that is given back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from heapq import merge
from itertools import islice
from typing import Any, Final

from gracehttp.events import (
    ConnectionFailed,
    ConnectionNotWatched,
    Event,
    ForwardedFieldRemoved,
    HandoverBroken,
    PlainHttpRefused,
)
from gracehttp.http import negotiation
from gracehttp.http.connection import NEW, NO_PROTOCOL, Connection, Ends, Pace, ServerContext, Terms
from gracehttp.http.exchange import RequestFinished
from gracehttp.http.forwarded import Forwarding
from gracehttp.http.handler import Handler
from gracehttp.http.head import RequestHead
from gracehttp.http.request_ids import RequestIds
from gracehttp.http.settings import HttpSettings
from gracehttp.net.endpoints import client_of, server_of
from gracehttp.net.introduction import Introduction
from gracehttp.net.poller import Poller
from gracehttp.net.proxy_protocol import ProxyHeader, TlsFacts
from gracehttp.net.stream import PlainStream, StreamServices
from gracehttp.net.tls13.handover import KeyLog, continue_session, witness_of
from gracehttp.net.tls_session import TlsSession
from gracehttp.net.tls_stream import TlsStream
from gracehttp.net.trusted_peers import TrustedPeers
from gracehttp.observe.request_failures import log_application_failure, log_broken_response, log_corrected_response
from gracehttp.wire.handover import Carried, Proxied, ProxiedTls
from gracehttp.worker.port_terms import STAY, PortTerms
from gracehttp.worker.turned_away import TurnedAway

RequestFailed = Callable[[RequestHead], None]
"""Takes the head of a request that the application did not answer as it should have. Comes before `RequestFinished`."""


_WITHOUT_TLS: Final = negotiation.PROTOCOLS[NEW.protocol]
"""What each connection begins with, as `negotiation.begin` would find."""
_TOLD_PER_TURN: Final = 512
_MOST_HOSTS: Final = 1024
"""Clients' hosts that are remembered: from one host there are often several connections, and behind a proxy all."""


class Connections:
    """The connections of one port, and their `ConnectionOwner`.

    `on_closed` is called for each connection that is closed, with whether its permit is free: one that goes on in
    another process has taken its permit along. `on_rested` gets each connection whose terms ask for it when it comes to
    rest: `ConnectionOwner.connection_rested`.
    """

    __slots__ = (
        "_address",
        "_adjust_of",
        "_context",
        "_family",
        "_hosts",
        "_introducers",
        "_key_log",
        "_on_closed",
        "_on_pace",
        "_on_rested",
        "_plain_http",
        "_publish",
        "_request_failed",
        "_server",
        "_servers",
        "_streams",
        "_terms",
        "_tls",
        "_told_of_fields",
        "_turned_away",
        "_untold",
        "accepted",
        "adopted",
        "handed_over",
        "open",
        "paces",
        "request_finished",
    )

    def __init__(
        self,
        listener: socket.socket,
        application: Handler,
        settings: HttpSettings,
        *,
        address: str,
        poller: Poller,
        loop: asyncio.AbstractEventLoop,
        tls: ssl.SSLContext | None,
        key_log: KeyLog | None = None,
        request_finished: RequestFinished | None,
        request_failed: RequestFailed | None,
        on_closed: Callable[[bool], None],
        on_rested: Callable[[Connection], None],
        on_pace: Callable[[], None],
        publish: Callable[[Event], None],
    ) -> None:
        """`listener` is where they come from. `tls` is None for plain connections. `key_log` is attached to it if
        connections with TLS are to be handed over. `on_pace` is called when `paces` has grown."""
        self.open: set[Connection] = set()
        self.accepted = self.adopted = self.handed_over = 0
        """How many connections have come from the kernel and from other workers, and gone to other workers."""
        self.paces: set[Pace] = set()
        """The paces of the connections that a drain has found."""
        self.request_finished = request_finished
        self._request_failed = request_failed
        self._address = address
        self._family = int(listener.family)
        self._server = _fixed_server(listener)
        self._servers: dict[Any, tuple[str, int | None] | None] = {}
        self._tls = tls
        self._key_log = key_log
        self._on_closed = on_closed
        self._on_rested = on_rested
        self._on_pace = on_pace
        self._publish = publish
        forwarding = Forwarding(settings.proxies, settings.root_path, self._field_removed)
        self._adjust_of = (
            forwarding.of
            if settings.request_id == "off"
            else RequestIds(forwarding, echoes=settings.request_id == "echo").of
        )
        self._told_of_fields = False
        self._hosts: dict[Any, Ends] = {}
        self._introducers = TrustedPeers(settings.proxies.trusted) if settings.proxies.introduced else None
        self._turned_away = TurnedAway(address, loop, publish)
        self._plain_http = TurnedAway(address, loop, publish, PlainHttpRefused)
        self._terms = STAY
        self._untold: Iterator[Connection] = iter(())
        self._context = ServerContext(application, settings, self, loop)
        self._context.adjusts_unforwarded = bool(settings.root_path) or settings.request_id != "off"
        self._streams = StreamServices(loop, poller, settings.body_timeout_seconds, self._connection_failed)

    def __len__(self) -> int:
        return len(self.open)

    def __iter__(self) -> Iterator[Connection]:
        """Those that are open at this moment; they may be closed meanwhile."""
        return iter(tuple(self.open))

    # --- arriving ---

    def attach(self, sock: socket.SocketType, peer: Any) -> None:
        """Serve an accepted socket, which is non-blocking, with its permit: the PROXY protocol first and then TLS if
        the port has them, then the protocol. Raises `OSError` if the system has no means for it: it is closed then,
        and told."""
        self.accepted += 1
        introducers = self._introducers
        if introducers is not None and not introducers.trusts(client_of(peer)):
            with contextlib.suppress(OSError):
                sock.close()
            self._turned_away.tell(client_of(peer), "it is no trusted proxy (--forwarded-allow-ips)")
            self._on_closed(True)
            return
        if introducers is not None:
            connection, stream = self._connect(sock, peer)
            self._await_introduction(connection, stream)
        elif self._tls is not None:
            connection, stream = self._connect(sock, peer)
            self._begin(connection, stream)
        else:
            self._attach_plain(sock, peer)

    def _attach_plain(self, sock: socket.SocketType, peer: Any) -> None:
        """Often the request is there already, and often the connection ends with its response: then it needs no place
        in the poller."""
        connection, stream = self._connect(sock, peer, False)
        connection.switch(_WITHOUT_TLS(connection, NEW))
        try:
            stream.begin()
        except OSError as exc:
            self._publish(ConnectionNotWatched(self._address, exc.strerror or str(exc)))
            stream.abort()
            raise

    def adopt(self, descriptor: int, carried: Carried) -> None:
        """Go on with a connection that another worker has handed over, with the permit that came with it.

        It speaks TLS if it did there, whatever this port speaks by now.
        """
        self.adopted += 1
        sock = socket.socket(self._family, socket.SOCK_STREAM, 0, fileno=descriptor)
        try:
            peer = sock.getpeername()
        except OSError:  # the client has reset it meanwhile; who it was decides what is believed, so nothing is served
            with contextlib.suppress(OSError):
                sock.close()
            self._on_closed(True)
            return
        try:
            sock.setblocking(False)
        except OSError as exc:
            self._refuse(sock, exc)
            return
        try:
            connection, stream = self._connect(sock, peer)
        except OSError:
            return
        if carried.proxied is not None:
            self._introduce(connection, carried.proxied)
        if carried.tls is not None:
            try:
                session = continue_session(carried.tls)
            except ValueError as exc:
                self._publish(HandoverBroken(str(exc), 1))
                connection.abort()
                return
            secure = TlsStream(stream, None, NO_PROTOCOL, session=session, can_go_on=self._key_log is not None)
            _know_session(connection, secure.session)
            connection.begin(secure)
        negotiation.begin(connection, None, carried)

    def _connect(self, sock: socket.SocketType, peer: Any, watched: bool = True) -> tuple[Connection, PlainStream]:
        host, port = (peer[0], peer[1]) if isinstance(peer, tuple) else (None, 0)
        try:
            key = host if self._server is not None else (host, sock.getsockname())
            ends = self._hosts.get(key)
            if ends is None:
                ends = self._newcomer(key, peer, self._server or self._server_of(sock))
            connection = Connection(self._context, ends, port)
            stream = PlainStream.__new__(PlainStream)
            stream.set_up(sock, self._streams, NO_PROTOCOL, connection, watched)
        except OSError as exc:
            self._refuse(sock, exc)
            raise
        self.open.add(connection)
        connection.begin(stream)
        return connection, stream

    def _newcomer(self, key: Any, peer: Any, server: tuple[str, int | None] | None) -> Ends:
        """The ends of a connection from `peer` to `server`, remembered by `key` for later connections of that host."""
        client = client_of(peer)
        if len(self._hosts) >= _MOST_HOSTS:
            self._hosts.clear()
        ends = self._hosts[key] = Ends(client[0] if client is not None else None, server, self._adjust_of(client))
        return ends

    def _begin(self, connection: Connection, stream: PlainStream, received: bytes = b"") -> None:
        """TLS, or the protocol; of its bytes `received` were read already."""
        if self._tls is None:
            negotiation.begin(connection, None, Carried(received=received) if received else NEW)
            return

        def opened(alpn: str | None) -> None:
            _know_session(connection, secure.session)
            negotiation.begin(connection, alpn)

        secure = TlsStream(
            stream,
            self._tls,
            NO_PROTOCOL,
            handshakes=self._context.handshake,
            on_open=opened,
            answer_plain=partial(self._answer_plain, connection),
            witness=None if self._key_log is None else witness_of(self._key_log),
        )
        connection.begin(secure)
        if received:
            stream.consumer.received(received)

    def use_tls(self, context: ssl.SSLContext) -> None:
        """From now on handshakes begin with `context`; those that have begun go on with the one that they have."""
        self._tls = context

    def _answer_plain(self, connection: Connection, received: bytes) -> bytes:
        """See `AnswerPlain`."""
        answer = negotiation.answer_plain(received)
        if answer:
            self._plain_http.tell(connection.client, "it speaks plain HTTP")
        return answer

    def _await_introduction(self, connection: Connection, stream: PlainStream) -> None:
        """Let the peer, which is a trusted proxy, say first who its client is."""
        proxy = connection.client

        def introduced(header: ProxyHeader, received: bytes) -> None:
            if header.told:
                facts = None if header.tls is None else ProxiedTls(*header.tls)
                self._introduce(connection, Proxied(header.client, header.server, facts is not None, facts))
            self._begin(connection, stream, received)

        Introduction(stream, self._context.introduction, introduced, lambda why: self._turned_away.tell(proxy, why))

    def _introduce(self, connection: Connection, proxied: Proxied) -> None:
        """Take the client that the proxy has named for the client. Whether its fields are believed depends on that one,
        too."""
        host, connection.port = proxied.client or (None, 0)
        server = proxied.server or connection.ends.server
        if proxied.tls_facts is not None:
            connection.tls = TlsSession(None, TlsFacts(*proxied.tls_facts))
        connection.ends = Ends(host, server, self._adjust_of(proxied.client), proxied)

    def _field_removed(self, peer: tuple[str, int] | None, field: str) -> None:
        if not self._told_of_fields:
            self._told_of_fields = True
            self._publish(ForwardedFieldRemoved(self._address, peer[0] if peer else "a peer on a Unix socket", field))

    def _refuse(self, sock: socket.SocketType, error: OSError) -> None:
        """Close a connection that has no stream yet."""
        with contextlib.suppress(OSError):
            sock.close()
        self._publish(ConnectionNotWatched(self._address, error.strerror or str(error)))
        self._on_closed(True)

    def _server_of(self, sock: socket.SocketType) -> tuple[str, int | None] | None:
        """The address that the client has connected to; one object for all connections that have the same."""
        name = sock.getsockname()
        if name not in self._servers:
            if len(self._servers) >= _MOST_HOSTS:  # a machine may answer for a whole network
                self._servers.clear()
            self._servers[name] = server_of(name)
        return self._servers[name]

    # --- the terms ---

    def see_off(self, terms: PortTerms, offer: Callable[[list[Connection]], None] = lambda connections: None) -> None:
        """The terms of all connections from now on, also of those that come yet.

        Those that are to be handed over are passed to `offer`. Of many, some hear of it in each turn of the loop, so
        that requests are answered in between: one whose turn has not come is served as before. Where none is handed
        over, all hear of it at once, which takes a microsecond each: none is offered, or kept, on terms that are over.
        """
        self._terms = terms
        untold = self._new_round()
        if terms.hand_over:
            self._tell_some(untold, offer)
        else:
            for connection in untold:
                self._tell_terms(connection)

    def _new_round(self) -> Iterator[Connection]:
        """All that are open now, to be told of the terms one after the other. An older round ends."""
        self._untold = iter(tuple(self.open))
        return self._untold

    def _tell_some(self, untold: Iterator[Connection], offer: Callable[[list[Connection]], None]) -> None:
        if untold is not self._untold:
            return  # the terms have changed again
        told = [connection for connection in islice(untold, _TOLD_PER_TURN) if connection in self.open]
        for connection in told:
            self._tell_terms(connection)
        offer([connection for connection in told if connection.terms is Terms.HAND_OVER])
        if told:
            self._context.loop.call_soon(self._tell_some, untold, offer)

    def keep(self) -> None:
        """Take `see_off` back. A response that has said `Connection: close` is still the last one."""
        self._terms = STAY
        self._new_round()
        for connection in self:
            connection.see_off(Terms.STAY)

    def others_accept(self, accept: bool) -> None:
        """See `ServerContext.others_accept`."""
        self._context.others_accept = accept

    def _tell_terms(self, connection: Connection) -> None:
        pace = connection.protocol.pace
        if pace not in self.paces:
            self.paces.add(pace)
            self._on_pace()
        connection.see_off(self._terms.of(connection))

    def longest_idle(self, most: int) -> list[tuple[float, Connection]]:
        """At most `most` connections that aren't busy, with since when, by the loop's clock; the longest idle first."""
        waiting = merge(self._context.idle.longest(), self._context.head.longest(), key=lambda found: found[0])
        idle = ((since, connection) for since, connection in waiting if connection.idle_since is not None)
        return list(islice(idle, most))

    @property
    def idle(self) -> int:
        """How many wait for their next request."""
        return len(self._context.idle)

    @property
    def received_bytes(self) -> int:
        return self._streams.received_bytes

    @property
    def sent_bytes(self) -> int:
        return self._streams.sent_bytes

    def close(self) -> None:
        """None is left."""
        self._turned_away.close()
        self._plain_http.close()
        self._context.close()
        self._streams.close()

    # --- what connections report ---

    def connection_speaks(self, connection: Connection) -> None:
        if self._terms is not STAY:
            # It came out of the queue, or ended its handshake, after the drain began: it has the same right to be heard
            # as the others.
            self._tell_terms(connection)
            self._context.loop.call_soon(connection.rested)

    def connection_stays(self, connection: Connection) -> None:
        self.connection_speaks(connection)

    def connection_rested(self, connection: Connection) -> None:
        if connection in self.open:
            self._on_rested(connection)

    def connection_closed(self, connection: Connection) -> None:
        self.open.discard(connection)
        moved = connection.moved
        self.handed_over += moved
        self._on_closed(not moved)

    def _connection_failed(self, error: OSError) -> None:
        self._publish(ConnectionFailed(self._address, error.strerror or str(error)))

    def application_failed(self, head: RequestHead, error: BaseException) -> None:
        log_application_failure(head, error)
        if self._request_failed is not None:
            self._request_failed(head)

    def response_broken(self, head: RequestHead, reason: str) -> None:
        log_broken_response(head, reason)
        if self._request_failed is not None:
            self._request_failed(head)

    def response_corrected(self, head: RequestHead, kind: str, reason: str) -> None:
        log_corrected_response(head, kind, reason)


def _know_session(connection: Connection, session: TlsSession) -> None:
    """Keep what our own handshake has agreed on, beside what a proxy has said of the one before."""
    if connection.tls is not None:
        session.proxied = connection.tls.proxied
    connection.tls = session


def _fixed_server(listener: socket.socket) -> tuple[str, int | None] | None:
    """The server's address of all connections, if it is the same for all; None for a wildcard address."""
    server = server_of(listener.getsockname())
    return None if server is None or server[0] in ("0.0.0.0", "::") else server  # noqa: S104  nothing is bound here
