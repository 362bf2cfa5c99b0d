"""Connections of a port behind a proxy: which peers introduce them, and what goes along to another worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl

import pytest
import trustme
from port_world import LOOPS, PortWorld, runner_of, until

from gracehttp.events import ConnectionsNotIntroduced, ForwardedFieldRemoved
from gracehttp.http.connection import Terms
from gracehttp.http.exchange import RequestHandler
from gracehttp.http.settings import HttpSettings, ProxySettings
from gracehttp.net.certificates import TlsSettings, load
from gracehttp.wire.handover import Carried, Proxied, ProxiedTls
from gracehttp.worker.port_terms import PortTerms

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n"
OVER_TLS = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x14\xc0\x00\x02\x01\xc0\x00\x02\x09\xdc\x04\x01\xbb\x20\x00\x05\x01\0\0\0\0"
)
FACTS = {"version": "", "cipher": "", "client_name": None, "client_verified": False}
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
GET = b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n"


class World(PortWorld, RequestHandler):
    """Its application keeps heads and answers at once."""

    handle_websocket = None

    def __init__(self, *, tls=None, trusted=("127.0.0.1",), introduced=True, fields=("x-forwarded-for",), root_path=""):
        self.heads = []
        proxies = ProxySettings(True, trusted, fields, introduced=introduced)
        super().__init__(self, settings=HttpSettings(proxies=proxies, root_path=root_path), tls=tls)
        self.port.accept()

    def handle(self, exchange):
        self.heads.append(exchange.head)
        exchange.start_response(200, [])
        exchange.write(b"done", False)
        exchange.end()

    def connect(self, data=b""):
        client = self.open_client()
        if data:
            client.send(data)
        return client

    async def head(self):
        await until(lambda: self.heads)
        return self.heads.pop(0)


@pytest.fixture(params=LOOPS)
def run(request):
    return runner_of(World, request.param)


@pytest.mark.parametrize(
    ("header", "client", "server", "scheme"),
    [
        (HEADER, ("192.0.2.1", 56324), ("192.0.2.9", 443), "http"),
        (OVER_TLS, ("192.0.2.1", 56324), ("192.0.2.9", 443), "https"),
    ],
    ids=["v1", "v2 with TLS"],
)
def test_the_client_of_each_request_is_the_one_that_the_proxy_has_introduced(run, header, client, server, scheme):
    async def scenario(world):
        connection = world.connect(header + GET)
        for _ in range(2):
            head = await world.head()
            assert (head.client, head.server, head.scheme) == (client, server, scheme)
            # It is the client that has sent the rest, and it isn't trusted.
            assert head.headers == [(b"host", b"test")]
            connection.send(GET)
        assert world.published == [ForwardedFieldRemoved("somewhere", "192.0.2.1", "x-forwarded-for")]

    run(scenario)


def test_what_the_proxy_says_of_tls_stands_beside_our_own_handshake_and_not_in_its_place(run):
    async def scenario(world):
        world.connect(OVER_TLS + GET)
        told = (await world.head()).tls.extensions()
        assert told == {"gracehttp.proxy_tls": FACTS}
        assert told["gracehttp.proxy_tls"] is not (await again(world)).tls.extensions()["gracehttp.proxy_tls"]
        world.connect(HEADER + GET)
        assert (await world.head()).tls is None

    async def again(world):
        world.connect(OVER_TLS + GET)
        return await world.head()

    run(scenario)


def test_with_tls_behind_the_proxy_too_there_are_both(run, tmp_path):
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    async def scenario(world):
        client = world.connect(OVER_TLS)
        _reader, writer = await asyncio.open_connection(sock=client, ssl=client_side, server_hostname="localhost")
        writer.write(GET)
        await writer.drain()
        tls = (await world.head()).tls
        told, environ = tls.extensions(), tls.environ()
        assert told.keys() == {"tls", "gracehttp.proxy_tls"}
        assert (told["tls"]["tls_version"], told["gracehttp.proxy_tls"]) == (0x0304, FACTS)
        assert (environ["SSL_PROTOCOL"], environ["gracehttp.proxy_tls"]) == ("TLSv1.3", FACTS)
        writer.transport.abort()

    path = str(tmp_path / "cert.pem")
    run(scenario, tls=load(TlsSettings(((path, path),))).default)


def test_a_connection_of_the_proxy_s_own_has_its_own_client(run):
    async def scenario(world):
        client = world.connect(LOCAL + GET.replace(b"X-Forwarded-For", b"X-Other"))
        head = await world.head()
        assert head.client == client.getsockname()
        assert head.server == client.getpeername()

    run(scenario)


def test_what_an_introduced_client_says_counts_if_it_is_a_trusted_proxy_too(run):
    async def scenario(world):
        world.connect(HEADER + GET)
        assert (await world.head()).client == ("203.0.113.7", 0)

    run(scenario, trusted=("127.0.0.1", "192.0.2.0/24"))


def test_fields_of_a_trusted_peer_count_without_the_protocol_too(run):
    async def scenario(world):
        world.connect(GET)
        assert (await world.head()).client == ("203.0.113.7", 0)
        assert world.published == []

    run(scenario, introduced=False)


def test_a_field_that_can_not_be_read_is_answered_with_400(run):
    async def scenario(world):
        client = world.connect(GET.replace(b"203.0.113.7", b"nonsense"))
        answer = await asyncio.get_running_loop().sock_recv(client, 1000)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"the proxy names a client that is no address" in answer
        assert not world.heads

    run(scenario, introduced=False)


def test_the_root_path_stands_in_the_path(run):
    async def scenario(world):
        world.connect(GET)
        assert (await world.head()).line.path == "/api/"

    run(scenario, introduced=False, root_path="/api")


def test_the_root_path_stands_in_the_path_of_each_request_of_a_connection(run):
    async def scenario(world):
        client = world.connect()
        for _ in range(4):
            client.send(b"GET /a HTTP/1.1\r\nHost: test\r\n\r\n")
            assert (await world.head()).line.path == "/api/a"

    run(scenario, introduced=False, root_path="/api")


def test_a_peer_that_is_not_trusted_is_closed_at_once_and_told_of_together(run):
    async def scenario(world):
        clients = [world.connect(HEADER + GET) for _ in range(3)]
        for client in clients:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(client, 1000) == b""
        await until(lambda: world.permits.held == 0)
        assert not world.heads
        (first,) = world.published
        assert isinstance(first, ConnectionsNotIntroduced)
        assert (first.connections, first.peer) == (1, "127.0.0.1")
        world.port.close()
        told = [one for one in world.published if isinstance(one, ConnectionsNotIntroduced)]
        assert sum(one.connections for one in told) == 3
        assert "no trusted proxy" in str(told[-1])

    run(scenario, trusted=("192.0.2.0/24",))


def test_a_connection_that_is_not_introduced_is_closed_and_told(run):
    async def scenario(world):
        client = world.connect(GET)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.get_running_loop().sock_recv(client, 1000) == b""
        await until(lambda: world.permits.held == 0)
        assert not world.heads
        (told,) = world.published
        assert (told.peer, told.reason) == ("127.0.0.1", "it begins with no PROXY header")

    run(scenario)


@pytest.mark.parametrize("at_once", [True, False], ids=["in one piece", "one after the other"])
def test_the_header_comes_before_tls(run, tmp_path, at_once):
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def scenario(world):
        loop = asyncio.get_running_loop()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        client = world.connect()
        if not at_once:
            client.send(HEADER)
            await until(lambda: world.port.connections.open)
        first = b"" if not at_once else HEADER
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await loop.sock_sendall(client, first + outgoing.read())
                first = b""
                incoming.write(await loop.sock_recv(client, 65536))
        tls.write(GET)
        await loop.sock_sendall(client, outgoing.read())
        head = await world.head()
        assert (head.client, head.server, head.scheme) == (("192.0.2.1", 56324), ("192.0.2.9", 443), "https")

    path = str(tmp_path / "cert.pem")
    run(scenario, tls=load(TlsSettings(((path, path),))).default)


def test_what_the_proxy_has_said_goes_along_to_another_worker(run):
    async def scenario(world):
        client = world.connect(OVER_TLS + GET)
        await world.head()
        (connection,) = world.port.connections.open
        await until(lambda: not connection.busy)
        parcel = connection.pack()
        assert parcel is not None
        assert parcel.carried.proxied == Proxied(
            ("192.0.2.1", 56324), ("192.0.2.9", 443), True, ProxiedTls("", "", None, False)
        )
        descriptor = os.dup(parcel.descriptor)
        connection.left()
        assert world.permits.take()
        world.port.adopt(descriptor, parcel.carried)
        client.send(GET)
        head = await world.head()
        assert (head.client, head.server, head.scheme) == (("192.0.2.1", 56324), ("192.0.2.9", 443), "https")
        assert head.tls.extensions() == {"gracehttp.proxy_tls": FACTS}
        assert head.headers == [(b"host", b"test")]

    run(scenario)


def test_a_connection_that_was_handed_over_is_not_introduced_again(run):
    async def scenario(world):
        ours, theirs = socket.socketpair()
        world.clients.append(theirs)
        theirs.setblocking(False)
        assert world.permits.take()
        world.port.adopt(ours.detach(), Carried(fresh=False))
        theirs.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await world.head()).headers == [(b"host", b"test")]

    run(scenario)


def test_a_connection_that_is_not_introduced_yet_is_not_closed_as_an_idle_one(run):
    async def scenario(world):
        client = world.connect()
        await until(lambda: world.port.connections.open)
        (connection,) = world.port.connections.open
        assert connection.pack() is None
        assert not connection.close_idle()
        world.port.drain(PortTerms.of_all(Terms.SOON))
        client.send(HEADER + GET)
        await world.head()
        answer = await asyncio.get_running_loop().sock_recv(client, 1000)
        assert b"Connection: close" in answer

    run(scenario)
