"""A second protocol on the same floor, with the same worker: nothing in `net` and `worker` knows HTTP/1.1.

It is an echo. A message is its length in four bytes and its text; many are in flight at once, and the test answers them
in any order. The last message of a server that wants to go is GOODBYE, and the client that gets it says it, too.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from http_fakes import FakeApplication, answer
from loop_fakes import GROUNDS, POLLERS, runner, until

import gracehttp
from gracehttp.http import negotiation
from gracehttp.http.connection import NEW, Connection, HttpSettings, InFlight, Pace, Terms
from gracehttp.http.fields import ResponseFields
from gracehttp.net.permits import LocalPermits
from gracehttp.wire.handover import Carried, encode
from gracehttp.worker.drain import Drain, DrainReason
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.port import Port
from gracehttp.worker.port_terms import PortTerms

GOODBYE = b"goodbye"
UPGRADE = b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def framed(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


class Echo:
    """See `WireProtocol`."""

    pace = Pace(first_left=0.8, last_left=0.6, grace_seconds=0.0, stop_spread_seconds=3.0)
    can_move = True

    def __init__(self, connection: Connection, carried: Carried = NEW) -> None:
        self.connection = connection
        self.waiting: dict[bytes, float] = {}  # messages that the test has not answered, and when they came
        self.terms = Terms.STAY
        self.over = False
        self._received = b""
        self._said_goodbye = False
        self._idle = connection.context.idle
        self._idle.add(self, carried.idle_seconds)

    # --- the stream's side ---

    def received(self, data: bytes) -> None:
        data = self._received + data
        while len(data) >= 4 and len(data) - 4 >= (size := int.from_bytes(data[:4], "big")):
            self._take(data[4 : 4 + size])
            data = data[4 + size :]
        self._received = data
        if self.at_rest and not self.over:
            self._rest()

    def ended(self) -> None:
        self.connection.stream.close(linger=False)

    def ended_unread(self) -> None:
        return

    def writable_again(self) -> None:
        if self.at_rest:
            self._rest()

    # --- messages ---

    def _take(self, text: bytes) -> None:
        if text == GOODBYE:
            self.connection.stream.close(linger=False)
            return
        self._idle.discard(self)
        self.waiting[text] = self.connection.context.loop.time()

    def answer(self, text: bytes) -> None:
        del self.waiting[text]
        self.connection.stream.write(framed(text))
        if self.at_rest:
            self._rest()

    def _rest(self) -> None:
        if self not in self._idle:
            self._idle.add(self)
        self.connection.context.loop.call_soon(self.connection.rested)

    def _say_goodbye(self) -> None:
        if not self._said_goodbye:
            self._said_goodbye = True
            self.connection.stream.write(framed(GOODBYE))

    # --- the worker's side ---

    @property
    def at_rest(self) -> bool:
        return not (self.waiting or self._received or self.over)

    @property
    def idle_since(self) -> float | None:
        return self._idle.since(self)

    def last_call(self, terms: Terms) -> None:
        self.terms = terms
        if terms in (Terms.LAST_RESPONSE, Terms.SOON):
            self._say_goodbye()

    def close_at_rest(self, *, linger: bool) -> None:
        self._say_goodbye()
        self.connection.stream.close(linger=linger)

    def carried(self) -> Carried | None:
        if self.waiting or self.over:
            return None
        return Carried(fresh=False, received=self._received, protocol="echo")

    def in_flight(self) -> Iterator[InFlight]:
        now = self.connection.context.loop.time()
        return (InFlight(f"echo of {text.decode()}", now - came) for text, came in self.waiting.items())

    def timed_out(self) -> None:
        self.close_at_rest(linger=True)

    def lost(self) -> None:
        self.over = True
        self._idle.discard(self)


class FixedEcho(Echo):
    """One that can't be handed over."""

    can_move = False


class Worker:
    """A port of a worker, whose connections speak what is asked for."""

    def __init__(self, poller: str, listener: socket.socket, handover, tls: ssl.SSLContext | None = None) -> None:
        self.application = FakeApplication(self._handle)
        self.finished: list[tuple[str, int]] = []
        self.permits = LocalPermits(10)
        self.poller = POLLERS[poller](asyncio.get_running_loop())
        self.changes = 0
        ends = None if handover is None else tuple(end.dup() for end in handover)
        self.port = Port(
            GivenListener(1, "test", listener.dup(), self.permits, ends),
            self.application,
            HttpSettings(),
            poller=self.poller,
            tls=tls,
            request_finished=lambda head, status, _size, _seconds: self.finished.append((head.path, status)),
            publish=lambda event: None,
            on_change=self._changed,
            shed_idle_after_seconds=0.0,
        )

    def _changed(self) -> None:
        self.changes += 1

    def _handle(self, exchange) -> None:
        if (b"upgrade", b"echo") not in exchange.head.headers:
            answer(exchange)
            return
        (http1,) = (one.protocol for one in self.port.connections if "/echo" in "".join(one.describe()))
        http1.upgrade(exchange, ResponseFields([(b"Upgrade", b"echo")]), negotiation.PROTOCOLS["echo"])

    @property
    def echoes(self) -> list[Echo]:
        return [one.protocol for one in self.port.connections if isinstance(one.protocol, Echo)]

    async def echo(self, messages: int = 0) -> Echo:
        """The one that there is, when so many messages wait."""
        await until(lambda: self.echoes and len(self.echoes[0].waiting) == messages)
        return self.echoes[0]

    async def close(self) -> None:
        self.port.stop_accepting()
        self.port.cut()
        await until(lambda: not self.port.connections.open)
        self.port.close()
        self.poller.close()


class World:
    def __init__(self, poller: str) -> None:
        self._poller = poller
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self._ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in self._ends:
            end.setblocking(False)
        self._workers: list[Worker] = []
        self._writers: list[asyncio.StreamWriter] = []

    def worker(self, tls: ssl.SSLContext | None = None, accepts: bool = True) -> Worker:
        worker = Worker(self._poller, self.listener, self._ends, tls)
        if accepts:
            worker.port.accept()
        self._workers.append(worker)
        return worker

    async def connect(self, **options):
        reader, writer = await asyncio.open_connection(*self.listener.getsockname(), **options)
        self._writers.append(writer)
        return reader, writer

    async def upgraded(self, rest: bytes = b""):
        """A client that speaks echo by now; `rest` comes along with its request."""
        reader, writer = await self.connect()
        writer.write(UPGRADE + rest)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head == b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
        return reader, writer

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for worker in self._workers:
            await worker.close()
        for end in (*self._ends, self.listener):
            end.close()


async def message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


@pytest.fixture(params=GROUNDS, ids="-".join)
def run(request, monkeypatch):
    loop, poller = request.param
    monkeypatch.setitem(negotiation.PROTOCOLS, "echo", Echo)

    def run(scenario, *args):
        async def main():
            world = World(poller)
            try:
                await scenario(world, *args)
            finally:
                await world.close()

        runner(loop)(main())

    return run


def test_protocol_takes_over_from_http_1_1_and_has_many_messages_in_flight(run):
    async def scenario(world):
        worker = world.worker()
        reader, writer = await world.connect()
        writer.write(GET)
        await reader.readuntil(b"ok")
        writer.write(UPGRADE + framed(b"one") + framed(b"two")[:5])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(framed(b"two")[5:] + framed(b"three"))
        echo = await worker.echo(3)
        assert list(echo.waiting) == [b"one", b"two", b"three"]
        assert [told.partition(" for ")[0] for told in echo.connection.describe()] == [
            "echo of one",
            "echo of two",
            "echo of three",
        ]
        assert echo.connection.busy
        for text in (b"three", b"one", b"two"):
            echo.answer(text)
            assert await message(reader) == text
        assert not echo.connection.busy
        assert echo.connection.describe() == []
        assert worker.finished == [("/", 200), ("/echo", 101)]
        assert len(worker.application.exchanges) == 2
        assert worker.application.exchanges[1].disconnected

    run(scenario)


def test_protocol_that_takes_over_from_a_client_that_only_listens_hears_of_it(run):
    async def scenario(world):
        worker = world.worker()
        reader, writer = await world.connect()
        writer.write(UPGRADE)
        writer.write_eof()
        assert (await reader.read()).startswith(b"HTTP/1.1 101")
        await until(lambda: worker.changes and not worker.port.connections.open)

    run(scenario)


@pytest.fixture(scope="module")
def contexts():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    server.set_alpn_protocols(["echo", "http/1.1"])
    return server, client


@pytest.mark.parametrize("offers", [["echo"], ["http/1.1", "echo"], ["http/1.1"], None])
def test_alpn_chooses_the_first_protocol(run, contexts, offers):
    async def scenario(world):
        server, client = contexts
        client.set_alpn_protocols(offers or ["unknown"])
        worker = world.worker(tls=server)
        reader, writer = await world.connect(ssl=client, server_hostname="localhost")
        if offers is None or "echo" not in offers:
            writer.write(GET)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
            return
        writer.write(framed(b"hello"))
        echo = await worker.echo(1)
        echo.answer(b"hello")
        assert await message(reader) == b"hello"
        assert not worker.application.exchanges

    run(scenario)


# --- the drain ---


@pytest.mark.parametrize("moves", [False, True], ids=["stays", "could move but there is no next process"])
def test_protocol_that_is_told_to_go_says_goodbye_and_ends_when_its_client_does(run, monkeypatch, moves):
    monkeypatch.setitem(negotiation.PROTOCOLS, "echo", Echo if moves else FixedEcho)

    async def scenario(world):
        worker = world.worker()
        reader, writer = await world.upgraded(framed(b"one"))
        echo = await worker.echo(1)
        worker.port.drain(PortTerms(plain=Terms.LAST_RESPONSE if moves else Terms.HAND_OVER))
        assert echo.terms is Terms.LAST_RESPONSE
        assert worker.port.connections.paces == {Echo.pace}
        assert await message(reader) == GOODBYE
        writer.write(framed(b"two"))  # on its way when the server said goodbye
        await worker.echo(2)
        for text in (b"two", b"one"):
            echo.answer(text)
            assert await message(reader) == text
        assert not worker.port.quiet
        writer.write(framed(GOODBYE))
        assert await reader.read() == b""
        await until(lambda: worker.port.quiet)
        assert echo.over

    run(scenario)


def test_protocol_over_tls_is_told_to_go_where_others_are_handed_over(run, contexts):
    async def scenario(world):
        server, client = contexts
        client.set_alpn_protocols(["echo"])
        worker = world.worker(tls=server)
        reader, writer = await world.connect(ssl=client, server_hostname="localhost")
        echo = await worker.echo()
        worker.port.drain(PortTerms(plain=Terms.HAND_OVER))
        assert echo.terms is Terms.LAST_RESPONSE
        assert await message(reader) == GOODBYE
        writer.write(framed(GOODBYE))
        await until(lambda: worker.port.quiet)

    run(scenario)


@pytest.mark.parametrize("half", [b"", framed(b"two")[:6]], ids=["at rest", "within a message"])
def test_protocol_that_can_move_goes_to_the_next_process_between_two_messages(run, half):
    async def scenario(world):
        older = world.worker()
        reader, writer = await world.upgraded(framed(b"one"))
        echo = await older.echo(1)
        newer = world.worker(accepts=False)
        newer.port.take_over(lambda: None)
        older.port.drain(PortTerms(plain=Terms.HAND_OVER))
        assert echo.terms is Terms.HAND_OVER
        assert older.port.connections.paces == {Echo.pace}
        for _ in range(5):
            await asyncio.sleep(0)
        assert not older.port.quiet
        echo.answer(b"one")
        assert await message(reader) == b"one"
        await until(lambda: older.port.quiet)
        writer.write(half)
        second = await newer.echo()
        assert second is not echo
        writer.write(framed(b"two")[len(half) :])
        await newer.echo(1)
        second.answer(b"two")
        assert await message(reader) == b"two"

    run(scenario)


def test_what_was_read_of_the_next_message_goes_along(run):
    async def scenario(world):
        older = world.worker()
        reader, writer = await world.upgraded(framed(b"one")[:6])
        await until(lambda: older.echoes and older.echoes[0].connection.busy)
        newer = world.worker(accepts=False)
        newer.port.take_over(lambda: None)
        # It can move with half a message, and is offered though it is busy.
        older.port.drain(PortTerms(plain=Terms.HAND_OVER))
        second = await newer.echo()
        writer.write(framed(b"one")[6:])
        await newer.echo(1)
        second.answer(b"one")
        assert await message(reader) == b"one"

    run(scenario)


def test_protocol_that_begins_during_a_drain_is_told_the_terms(run):
    async def scenario(world):
        worker = world.worker()
        reader, writer = await world.connect()
        writer.write(UPGRADE[:10])
        await until(lambda: worker.port.connections.open and any(one.busy for one in worker.port.connections))
        worker.port.drain(PortTerms.of_all(Terms.SOON))
        writer.write(UPGRADE[10:])
        await reader.readuntil(b"\r\n\r\n")
        assert await message(reader) == GOODBYE
        assert worker.port.connections.paces >= {Echo.pace}
        assert await reader.read() == b"", "it came to rest, and has no grace"

    run(scenario)


def test_terms_can_be_taken_back(run):
    async def scenario(world):
        worker = world.worker()
        reader, _writer = await world.upgraded(framed(b"one"))
        echo = await worker.echo(1)
        worker.port.pause(PortTerms(plain=Terms.HAND_OVER))
        worker.port.accept()
        assert echo.terms is Terms.STAY
        echo.answer(b"one")
        assert await message(reader) == b"one"
        for _ in range(5):
            await asyncio.sleep(0)
        assert worker.echoes == [echo]

    run(scenario)


def test_connections_at_rest_are_closed_with_a_goodbye(run):
    async def scenario(world):
        worker = world.worker()
        reader, _writer = await world.upgraded()
        echo = await worker.echo()
        worker.port.close_rested(echo.connection)
        assert await message(reader) == GOODBYE
        assert await reader.read() == b""

    run(scenario)


def test_what_is_cut_is_described(run):
    async def scenario(world):
        worker = world.worker()
        reader, _writer = await world.upgraded(framed(b"one") + framed(b"two"))
        await worker.echo(2)
        assert [told.partition(" for ")[0] for told in worker.port.cut()] == ["echo of one", "echo of two"]
        assert await reader.read() == b""

    run(scenario)


def test_protocol_that_this_release_does_not_speak_is_ended(run, monkeypatch):
    async def scenario(world):
        older = world.worker()
        reader, writer = await world.upgraded()
        await older.echo()
        monkeypatch.delitem(negotiation.PROTOCOLS, "echo")
        newer = world.worker(accepts=False)
        newer.port.take_over(lambda: None)
        older.port.drain(PortTerms(plain=Terms.HAND_OVER))
        assert await reader.read() == b""
        writer.close()
        await until(lambda: not newer.port.connections.open and older.port.quiet)
        assert not newer.application.exchanges

    run(scenario)


def test_each_kind_is_closed_at_its_own_pace():
    http1 = Pace()
    restart = Drain(DrainReason.RESTART, 100.0, 0.0)
    restart.expect([http1, Echo.pace])
    assert [pace for pace, _ in restart.closing(20.0)] == [Echo.pace]
    assert {pace for pace, _ in restart.closing(75.0)} == {http1, Echo.pace}
    stop = Drain(DrainReason.STOP, 100.0, 0.0)
    stop.expect([http1, Echo.pace])
    ((pace, pacer),) = stop.closing(0.0)
    assert pace is Echo.pace
    assert (pacer.closing_at, pacer.closing_until) == (0.0, 3.0)


def test_handover_message_names_only_a_protocol_that_is_not_usual():
    assert b"protocol" not in encode([NEW])
    assert b'"protocol":"echo"' in encode([NEW._replace(protocol="echo")])


# --- who knows whom ---


def imported_by(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{name.name}" for name in node.names}
    return found


@pytest.mark.parametrize("package", ["net", "worker", "wire"])
def test_no_module_imports_http_1_1(package):
    modules = list((Path(gracehttp.__file__).parent / package).rglob("*.py"))
    assert modules
    knowing = [
        path.name for path in modules if any(name.startswith("gracehttp.http.http1") for name in imported_by(path))
    ]
    assert knowing == []


def test_no_module_of_net_imports_any_protocol():
    for path in (Path(gracehttp.__file__).parent / "net").rglob("*.py"):
        with contextlib.suppress(StopIteration):
            name = next(name for name in imported_by(path) if name.startswith("gracehttp.http"))
            raise AssertionError(f"{path.name} imports {name}")
