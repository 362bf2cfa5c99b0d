"""Connections that an old worker has at any stage of TLS or of the PROXY protocol when its drain begins: each request
is answered once, in order, and from the stage on at which a connection can go it is the new worker that answers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple

import pytest
import trustme
from handover_world import GET, Worker, opened
from port_world import until

pytest.importorskip("cryptography")

from gracehttp.http.connection import Terms
from gracehttp.http.settings import HttpSettings, ProxySettings
from gracehttp.net.tls13.handover import new_key_log
from gracehttp.net.tls13.records import RecordLayer
from gracehttp.net.tls13.state import TlsState
from gracehttp.worker.port_terms import PortTerms

AUTHORITY = trustme.CA()
ISSUED = AUTHORITY.issue_cert("localhost")
HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n"
INTRODUCED = HttpSettings(proxies=ProxySettings(trusted=("127.0.0.1",), introduced=True))
GO = PortTerms(plain=Terms.HAND_OVER, tls=Terms.HAND_OVER)
HALF = len(GET) // 2


class Client:
    """What it sends is first put down with `seal`, so that a test can send a part of it."""

    def __init__(self, house, *, secure, keys=None):
        """`keys` is the file to which its secrets are written."""
        self.sock = socket.create_connection(house.listener.getsockname())
        self.sock.setblocking(False)
        self.received = b""
        self.sent = 0
        self.owed = 0  # answers to requests of which a part was sent
        self.shakes = False
        self.tls = None
        self._keys = keys
        self._records: RecordLayer | None = None
        self._records_sealed = self._records_read = 0
        if secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            AUTHORITY.configure_trust(context)
            context.keylog_filename = keys
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def send(self, data):
        await asyncio.get_running_loop().sock_sendall(self.sock, data)
        self.sent += len(data)

    def seal(self, data):
        if self.tls is None:
            return data
        if self._records is not None:
            return self._records.seal(data)
        self._records_sealed += 1
        self.tls.write(data)
        return self._outgoing.read()

    def flight(self):
        """What the client says next in its handshake."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self.shakes = True
        else:
            self.shakes = False
        return self._outgoing.read()

    async def read(self):
        """What comes next; no bytes at the end."""
        data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        if self.tls is None:
            return data
        if not data:
            return b""
        if self._records is not None:
            self._records.feed(data)
            return self._records.next_data() or await self.read()
        self._records_read += count_records(data)
        self._incoming.write(data)
        found = b""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while piece := self.tls.read(65536):
                found += piece
        return found or await self.read()

    def records(self):
        """From here on the client seals and opens its records with these: Python's ssl can't send a KeyUpdate."""
        lines = [line.split() for line in self._keys.read_text().splitlines() if not line.startswith("#")]
        secrets = {line[0]: bytearray.fromhex(line[2]) for line in lines}
        theirs, ours = secrets["SERVER_TRAFFIC_SECRET_0"], secrets["CLIENT_TRAFFIC_SECRET_0"]
        cipher = self.tls.cipher()[0]
        self._records = RecordLayer(TlsState(cipher, theirs, self._records_read, ours, self._records_sealed))
        return self._records

    async def hear(self):
        """The server's flight."""
        self._incoming.write(await asyncio.get_running_loop().sock_recv(self.sock, 65536))

    async def answer(self):
        """The name of the worker that answers."""
        while b"\r\n\r\n" not in self.received:
            data = await self.read()
            assert data, f"it has ended after {self.received!r}"
            self.received += data
        head, _, rest = self.received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        while len(rest) < 3:
            rest += await self.read()
        self.received = rest[3:]
        return rest[:3]

    async def ask(self):
        await self.send(self.seal(GET))
        return await self.answer()


def count_records(data):
    """In `data`, which has whole ones."""
    at = count = 0
    while at < len(data):
        at += 5 + (data[at + 3] << 8 | data[at + 4])
        count += 1
    assert at == len(data)
    return count


# --- stages: each returns what the client sends next in any case ---


async def nothing(client):
    return client.flight() if client.tls else b""


async def half_a_hello(client):
    hello = client.flight()
    await client.send(hello[:50])
    return hello[50:]


async def a_hello(client):
    await client.send(client.flight())
    await client.hear()
    return client.flight()


async def half_a_finished(client):
    finished = await a_hello(client)
    await client.send(finished[:-10])
    return finished[-10:]


async def a_handshake(client):
    await client.send(await a_hello(client))
    return b""


async def a_request_with_the_finished(client):
    await client.send(await a_hello(client) + client.seal(GET))
    assert await client.answer() == b"old"
    return b""


async def half_a_first_record(client):
    await a_handshake(client)
    record = client.seal(GET)
    await client.send(record[:HALF])
    client.owed = 1
    return record[HALF:]


async def half_a_first_head(client):
    await a_handshake(client)
    await client.send(client.seal(GET[:HALF]))
    client.owed = 1
    return client.seal(GET[HALF:])


async def an_empty_line(client):
    await a_handshake(client)
    await client.send(client.seal(b"\r\n"))
    return b""


async def a_request(client):
    await a_handshake(client)
    assert await client.ask() == b"old"
    return b""


async def half_a_record(client):
    await a_request(client)
    record = client.seal(GET)
    await client.send(record[:HALF])
    client.owed = 1
    return record[HALF:]


async def half_a_header_of_a_record(client):
    await a_request(client)
    record = client.seal(GET)
    await client.send(record[:3])
    client.owed = 1
    return record[3:]


async def a_record_and_a_half(client):
    await a_request(client)
    records = client.seal(GET[:HALF]) + client.seal(GET[HALF:])
    await client.send(records[:-5])
    client.owed = 1
    return records[-5:]


async def half_a_head(client):
    await a_request(client)
    await client.send(client.seal(GET[:HALF]))
    client.owed = 1
    return client.seal(GET[HALF:])


async def half_a_proxy_header(client):
    await client.send(HEADER[:20])
    return HEADER[20:]


async def a_proxy_header(client):
    await client.send(HEADER)
    return b""


async def no_proxy_header(_client):
    return HEADER


async def a_proxy_header_and_half_a_request(client):
    await client.send(HEADER + GET[:HALF])
    client.owed = 1
    return GET[HALF:]


async def a_proxy_header_and_a_request(client):
    await client.send(HEADER + GET)
    assert await client.answer() == b"old"
    return b""


async def a_proxy_header_and_half_a_hello(client):
    hello = client.flight()
    await client.send(HEADER + hello[:50])
    return hello[50:]


async def a_proxy_header_and_a_handshake(client):
    await client.send(HEADER)
    await a_handshake(client)
    return b""


class Stage(NamedTuple):
    reach: Callable
    secure: bool
    goes: bool
    """When the drain begins; otherwise later."""
    introduced: bool = False


STAGES = [
    Stage(nothing, secure=True, goes=False),
    Stage(half_a_hello, secure=True, goes=False),
    Stage(a_hello, secure=True, goes=False),
    Stage(half_a_finished, secure=True, goes=False),
    Stage(a_handshake, secure=True, goes=True),
    Stage(a_request_with_the_finished, secure=True, goes=True),
    Stage(half_a_first_record, secure=True, goes=False),
    Stage(half_a_first_head, secure=True, goes=False),
    Stage(an_empty_line, secure=True, goes=True),
    Stage(a_request, secure=True, goes=True),
    Stage(half_a_record, secure=True, goes=False),
    Stage(half_a_header_of_a_record, secure=True, goes=False),
    Stage(a_record_and_a_half, secure=True, goes=False),
    Stage(half_a_head, secure=True, goes=False),
    Stage(no_proxy_header, secure=False, goes=False, introduced=True),
    Stage(half_a_proxy_header, secure=False, goes=False, introduced=True),
    Stage(a_proxy_header, secure=False, goes=True, introduced=True),
    Stage(a_proxy_header_and_half_a_request, secure=False, goes=False, introduced=True),
    Stage(a_proxy_header_and_a_request, secure=False, goes=True, introduced=True),
    Stage(a_proxy_header_and_half_a_hello, secure=True, goes=False, introduced=True),
    Stage(a_proxy_header_and_a_handshake, secure=True, goes=True, introduced=True),
]


class Queue:
    """Has no room for the first attempts."""

    def __init__(self, queue, refusals):
        self.queue = queue
        self.refusals = refusals

    def sendmsg(self, *arguments):
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOBUFS, "no room")
        return self.queue.sendmsg(*arguments)

    def __getattr__(self, what):
        return getattr(self.queue, what)


def options_of(stage):
    options = {"settings": INTRODUCED if stage.introduced else HttpSettings()}
    if stage.secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ISSUED.configure_cert(context)
        options |= {"tls": context, "key_log": new_key_log([context])}
    return options


@contextlib.asynccontextmanager
async def reached(stage, keys=None):
    """The workers, a client whose connection has come to `stage`, and what it sends next in any case."""
    async with opened(**options_of(stage)) as house:
        client = Client(house, secure=stage.secure, keys=keys)
        with client.sock:
            await until(lambda: house.old.open == 1)
            rest = await stage.reach(client)
            await until(lambda: house.old.port.connections.received_bytes == client.sent)
            yield house, client, rest
        await until(lambda: house.old.open + house.new.open == 0)


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("at_once", [False, True], ids=["", "with the next request"])
@pytest.mark.parametrize("refusals", [0, 2], ids=["", "when there is room"])
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.reach.__name__)
def test_each_request_is_answered_and_at_the_end_by_the_new_worker(run, stage, refusals, at_once):
    async def scenario():
        async with reached(stage) as (house, client, rest):
            house.old.departures._queue = Queue(house.old.departures._queue, refusals)
            house.new.take_over()
            house.old.port.drain(GO)
            if stage.goes:
                await until(lambda: house.new.open == 1)
            else:
                await turns()
                assert house.new.open == 0
            if at_once and not client.shakes:
                rest += client.seal(GET)
                client.owed += 1
            await client.send(rest)
            while client.shakes:
                await client.hear()
                await client.send(client.flight())
            names = [await client.answer() for _ in range(client.owed)]
            await until(lambda: house.new.open == 1)
            names += [await client.ask(), await client.ask()]
            assert names == sorted(names, reverse=True), "once it went, it doesn't come back"
            assert names[-2:] == [b"new", b"new"]
            assert house.old.published == house.new.published == []
            if stage.introduced:
                (connection,) = house.new.port.connections
                assert connection.client == ("192.0.2.1", 56324)
            house.clients.append((None, client.sock))
            house.assert_permits_are_exact()
            house.clients.clear()

    run(scenario())


SECURE = Stage(a_request, secure=True, goes=True)


@contextlib.asynccontextmanager
async def gone_on(keys=None):
    """The session goes on in the new worker, and a third one waits for it."""
    async with reached(SECURE, keys) as (house, client, _):
        house.new.take_over()
        house.old.port.drain(GO)
        assert await client.ask() == b"new"
        house.new.port.take_no_more()
        third = Worker(house, 2, b"3rd", **options_of(SECURE))
        try:
            yield house, client, third
        finally:
            await third.close()


@pytest.mark.parametrize("cut", [3, HALF, len(GET) + 10])
@pytest.mark.parametrize("pieces", [(GET, GET), (GET[:HALF], GET[HALF:] + GET)], ids=["two requests", "parts"])
def test_a_session_that_has_gone_once_goes_again_whatever_is_read_together(run, cut, pieces):
    async def scenario():
        async with gone_on() as (house, client, third):
            records = b"".join(map(client.seal, pieces))
            read_before = house.new.port.connections.received_bytes
            await client.send(records[:cut])
            await until(lambda: house.new.port.connections.received_bytes == read_before + cut)
            third.take_over()
            house.new.port.drain(GO)
            await turns()
            await client.send(records[cut:])
            names = [await client.answer(), await client.answer(), await client.ask()]
            assert names == sorted(names, reverse=True)
            assert names[-1] == b"3rd"

    run(scenario())


def test_keys_that_are_asked_for_with_a_request_keep_no_session_from_going(run, tmp_path):
    async def scenario():
        async with gone_on(tmp_path / "keys") as (house, client, third):
            records = client.records()
            empty_line = records.seal(b"\r\n")
            read_before = house.new.port.connections.received_bytes
            await client.send(empty_line[:10])
            await until(lambda: house.new.port.connections.received_bytes == read_before + 10)
            third.take_over()
            house.new.port.drain(GO)
            await turns()
            records.update(ask=True)  # RFC 8446 section 4.6.3
            await client.send(empty_line[10:] + records.take_owed() + records.seal(GET))
            await client.answer()
            await until(lambda: third.open == 1)
            assert await client.ask() == b"3rd"

    run(scenario())


@pytest.mark.parametrize("cut", [0, 10], ids=["together", "in two parts"])
def test_keys_that_change_behind_a_request_keep_no_session_from_going(run, tmp_path, cut):
    """No data comes with them, so nothing else tells that the session can go."""

    async def scenario():
        async with gone_on(tmp_path / "keys") as (house, client, third):
            records = client.records()
            request = records.seal(GET)
            read_before = house.new.port.connections.received_bytes
            await client.send(request[:10])
            await until(lambda: house.new.port.connections.received_bytes == read_before + 10)
            third.take_over()
            house.new.port.drain(GO)
            await turns()
            records.update(ask=True)
            update = records.take_owed()
            await client.send(request[10:] + update[: len(update) - cut])
            assert await client.answer() == b"new"
            await client.send(update[len(update) - cut :])
            await until(lambda: third.open == 1)
            assert await client.ask() == b"3rd"

    run(scenario())


def test_a_session_of_openssl_whose_keys_change_behind_a_request_is_known_to_stay(run, tmp_path):
    """So its client is told `Connection: close` in time."""

    async def scenario():
        async with reached(SECURE, tmp_path / "keys") as (house, client, _):
            records = client.records()
            request = records.seal(GET)
            read_before = house.old.port.connections.received_bytes
            await client.send(request[:10])
            await until(lambda: house.old.port.connections.received_bytes == read_before + 10)
            house.new.take_over()
            house.old.port.drain(GO)
            await turns()
            records.update(ask=True)
            update = records.take_owed()
            await client.send(request[10:] + update[:10])
            assert await client.answer() == b"old"
            await client.send(update[10:])
            (connection,) = house.old.port.connections
            await until(lambda: connection.terms is Terms.LAST_RESPONSE)
            assert await client.ask() == b"old"

    run(scenario())
