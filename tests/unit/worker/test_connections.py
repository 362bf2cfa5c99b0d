"""The connections of one port: what they tell the worker, their permits, and which of them has been idle longest."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket

import pytest
from port_world import LOOPS, PortWorld, runner_of, until

from gracehttp.events import ConnectionFailed, ConnectionNotWatched
from gracehttp.http.connection import Terms
from gracehttp.http.exchange import RequestHandler
from gracehttp.net.poller import Poller
from gracehttp.wire.handover import Carried
from gracehttp.worker import connections as connections_module
from gracehttp.worker.port_terms import PortTerms

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Application(RequestHandler):
    """Keeps the exchanges; the test answers."""

    def __init__(self):
        self.exchanges = []

    def handle(self, exchange):
        self.exchanges.append(exchange)

    def answer(self):
        exchange = self.exchanges.pop()
        exchange.start_response(200, [])
        exchange.write(b"done", False)
        exchange.end()


class World(PortWorld):
    def __init__(self, **options):
        self.application = Application()
        super().__init__(self.application, **options)
        self.connections = self.port.connections

    async def connect(self):
        """A client, and its connection."""
        before = set(self.connections.open)
        client = self.open_client()
        await until(lambda: len(self.connections) > len(before))
        (connection,) = self.connections.open - before
        return client, connection


@pytest.fixture(params=LOOPS)
def run(request):
    return runner_of(World, request.param)


def test_responses_that_the_application_did_not_give_whole_are_told(run):
    failed = []

    async def scenario(world):
        world.port.accept()
        for error in (None, RuntimeError("broken")):
            client, _ = await world.connect()
            client.send(GET)
            await until(lambda: world.application.exchanges)
            exchange = world.application.exchanges.pop()
            failed.clear()
            exchange.end(error)
            assert failed[0] is exchange.head

    run(scenario, request_failed=failed.append)


def test_a_port_is_not_quiet_before_the_last_permit_is_given_back(run):
    """The worker closes the permits when it finds the port quiet."""

    async def scenario(world):
        world.port.accept()
        _, connection = await world.connect()
        assert world.permits.held == 1
        assert not world.port.quiet
        world.changes.clear()
        connection.abort()
        assert world.changes == [(0, True)]

    run(scenario)


def test_the_permit_is_free_only_when_the_descriptor_is(run):
    """Otherwise one connection too many would be open for a moment."""

    async def scenario(world):
        world.port.accept()
        _, connection = await world.connect()
        number, open_then = connection.stream._socket.fileno(), []
        give_back = world.permits.give_back

        def giving_back():
            with contextlib.suppress(OSError):
                os.fstat(number)
                open_then.append(number)
            give_back()

        world.permits.give_back = giving_back
        connection.abort()
        assert open_then == []
        assert world.permits.held == 0

    run(scenario)


def test_a_connection_that_the_poller_has_no_memory_for_is_closed_told_and_its_permit_is_free(run):
    class FullPoller(Poller):
        def expect(self, *arguments):
            return

        forget = expect

        def add(self, *arguments):
            raise OSError(28, "No space left on device")

    async def scenario(world):
        world.connections._streams.poller = FullPoller(asyncio.get_running_loop())
        world.port.accept()
        with socket.create_connection(world.listener.getsockname()) as client:
            client.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        assert world.published == [ConnectionNotWatched("somewhere", "No space left on device")]
        assert world.permits.held == 0
        assert world.port.quiet

    run(scenario)


class ShortPoller(Poller):
    """As `poller`, but `call` fails because the system has no memory."""

    def __init__(self, poller, call):
        super().__init__(asyncio.get_running_loop())
        self._poller = poller
        self.add, self.change, self.remove, self.release = poller.add, poller.change, poller.remove, poller.release
        self.expect, self.forget = poller.expect, poller.forget
        setattr(self, call, self._refuse)

    def _refuse(self, *arguments):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


@pytest.mark.parametrize("call", ["setblocking", "add"])
def test_a_connection_that_arrives_when_the_system_can_not_serve_it_is_closed_and_told(run, monkeypatch, call):
    async def scenario(world):
        def refuse(*arguments):
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

        theirs, ours = socket.socketpair()
        world.clients.append(ours)
        world.permits.take()
        with monkeypatch.context() as short:
            if call == "add":
                world.connections._streams.poller = ShortPoller(world.poller, "add")
            else:
                short.setattr(socket.socket, call, refuse)
            world.connections.adopt(theirs.detach(), Carried(fresh=False))
        assert world.published == [ConnectionNotWatched("somewhere", "Cannot allocate memory")]
        assert (world.permits.held, world.port.quiet) == (0, True)
        assert ours.recv(1) == b""

    run(scenario)


def test_a_new_connection_without_an_address_is_closed_and_told(run, monkeypatch):
    class NoRoom:
        """In the place of what is known of addresses."""

        def __contains__(self, name):
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    async def scenario(world):
        monkeypatch.setattr(world.connections, "_server", None)
        monkeypatch.setattr(world.connections, "_servers", NoRoom())
        world.port.accept()
        with socket.create_connection(world.listener.getsockname()) as client:
            client.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        assert world.published == [ConnectionNotWatched("somewhere", "No buffer space available")]
        assert world.permits.held == 0

    run(scenario)


def test_a_connection_for_which_there_is_no_tls_session_is_closed_and_told(run):
    class Full:
        def wrap_bio(self, *arguments, **options):
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    async def scenario(world):
        world.connections._tls = Full()
        world.port.accept()
        with socket.create_connection(world.listener.getsockname()) as client:
            client.setblocking(False)
            client.send(b"\x15\x03\x03\x00\x02\x01\x00")  # no text: that would be answered without TLS
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        assert world.published == [ConnectionFailed("somewhere", "Cannot allocate memory")]
        assert (world.permits.held, world.port.quiet) == (0, True)

    run(scenario)


def test_a_connection_that_the_system_can_not_go_on_with_is_told(run):
    async def scenario(world):
        world.port.accept()
        _, connection = await world.connect()
        world.connections._streams.poller = ShortPoller(world.poller, "change")
        connection.stream.pause_reading()
        await until(lambda: world.port.quiet)
        assert world.published == [ConnectionFailed("somewhere", "Cannot allocate memory")]
        assert world.permits.held == 0

    run(scenario)


def test_a_connection_that_arrives_when_its_client_has_reset_it_is_closed(run):
    async def scenario(world):
        theirs, ours = socket.socketpair()
        ours.close()
        world.permits.take()
        world.connections.adopt(theirs.detach(), Carried(fresh=False))
        await until(lambda: world.port.quiet)
        assert world.permits.held == 0

    run(scenario)


def test_of_a_connection_that_is_handed_over_and_has_no_peer_any_more_nothing_is_served(run, monkeypatch):
    """Who the peer is decides what its header fields mean."""

    async def scenario(world):
        theirs, ours = socket.socketpair()
        world.clients.append(ours)

        def gone(*arguments):
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

        with monkeypatch.context() as reset:
            reset.setattr(socket.socket, "getpeername", gone)
            world.permits.take()
            world.connections.adopt(
                theirs.detach(), Carried(fresh=False, received=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            )
        assert (world.permits.held, world.port.quiet) == (0, True)
        assert ours.recv(100) == b""

    run(scenario)


def test_both_ends_of_a_connection_are_known(run):
    async def scenario(world):
        world.port.accept()
        client, connection = await world.connect()
        assert connection.client == client.getsockname()
        assert connection.ends.server == world.listener.getsockname()

    run(scenario)


async def answered(world, client):
    client.send(GET)
    await until(lambda: world.application.exchanges)
    world.application.answer()
    await asyncio.get_running_loop().sock_recv(client, 1000)


def test_the_longest_idle_come_first_whether_new_kept_or_handed_over(run):
    async def scenario(world):
        loop = asyncio.get_running_loop()
        began = loop.time()
        world.port.accept()
        _, new = await world.connect()
        connected = loop.time()
        await until(lambda: loop.time() > connected)  # uvloop's clock has milliseconds
        kept_client, kept = await world.connect()
        await answered(world, kept_client)
        busy_client, busy = await world.connect()
        busy_client.send(GET)
        await until(lambda: world.application.exchanges)
        half_client, half = await world.connect()
        half_client.send(GET[:10])
        await until(lambda: not half.protocol.at_rest)
        theirs, ours = socket.socketpair()
        world.clients.append(ours)
        world.permits.take()
        world.connections.adopt(theirs.detach(), Carried(fresh=False, idle_seconds=50.0))
        (handed_over,) = world.connections.open - {new, kept, busy, half}
        found = world.connections.longest_idle(10)
        assert [connection for _, connection in found] == [handed_over, new, kept]
        sinces = [since for since, _ in found]
        assert sinces == sorted(sinces)
        assert sinces[0] == pytest.approx(began - 50, abs=5)
        assert world.connections.longest_idle(2) == found[:2]

    run(scenario)


def test_no_connection_that_is_about_to_be_closed_counts_as_idle(run):
    async def scenario(world):
        world.port.accept()
        client, connection = await world.connect()
        await answered(world, client)
        assert world.connections.longest_idle(1)
        assert connection.close_idle(linger=True)
        assert world.connections.longest_idle(1) == []

    run(scenario)


def test_the_terms_hold_for_connections_that_come_later_too_until_they_are_taken_back(run):
    async def scenario(world):
        world.port.accept()
        _, first = await world.connect()
        world.connections.see_off(PortTerms())
        _, second = await world.connect()
        assert [one.terms for one in (first, second)] == [Terms.LAST_RESPONSE] * 2
        world.connections.see_off(PortTerms(plain=Terms.HAND_OVER))
        _, third = await world.connect()
        assert [one.terms for one in (first, second, third)] == [Terms.HAND_OVER] * 3
        world.connections.see_off(PortTerms.of_all(Terms.SOON))
        assert {one.terms for one in world.connections} == {Terms.SOON}
        world.connections.keep()
        _, fourth = await world.connect()
        assert {one.terms for one in world.connections} == {Terms.STAY}
        assert fourth in world.connections.open

    run(scenario)


def test_the_kinds_that_a_drain_has_found_are_known(run):
    async def scenario(world):
        world.port.accept()
        _, connection = await world.connect()
        assert world.connections.paces == set()
        world.connections.see_off(PortTerms())
        assert world.connections.paces == {connection.protocol.pace}

    run(scenario)


def test_who_waits_for_the_port_hears_of_each_new_kind_that_a_drain_finds(run):
    """The first connection of its kind may come to speak when the drain has begun: a handshake may end then."""

    async def scenario(world):
        world.port.accept()
        world.connections.see_off(PortTerms())
        world.changes.clear()
        await world.connect()
        assert len(world.changes) == 1
        assert world.connections.paces
        await world.connect()
        assert len(world.changes) == 1, "it is no new kind"

    run(scenario)


def test_a_connection_that_has_not_heard_of_a_handover_yet_is_served_as_before_and_moves_then(run, monkeypatch):
    monkeypatch.setattr(connections_module, "_TOLD_PER_TURN", 1)

    async def scenario(world):
        world.port.accept()
        clients = dict([(await world.connect())[::-1] for _ in range(3)])
        for one in clients.values():
            one.send(GET)
        await until(lambda: len(world.application.exchanges) == 3)
        offered = []
        world.connections.see_off(PortTerms(plain=Terms.HAND_OVER), offer=offered.extend)
        while world.application.exchanges:
            world.application.answer()
        await until(lambda: len(offered) == 3)
        for one in clients.values():
            answer = await asyncio.get_running_loop().sock_recv(one, 1000)
            assert answer.endswith(b"done")
            assert b"Connection: close" not in answer
        assert all(one.protocol.at_rest for one in offered)

    run(scenario)


def test_all_hear_at_once_that_none_goes_to_another_process(run, monkeypatch):
    """Nothing may be offered, or rest for good, on terms that are over."""
    monkeypatch.setattr(connections_module, "_TOLD_PER_TURN", 1)

    async def scenario(world):
        world.port.accept()
        for _ in range(3):
            await world.connect()
        for terms in (Terms.LAST_RESPONSE, Terms.SOON):
            world.connections.see_off(PortTerms(plain=Terms.HAND_OVER))
            world.connections.see_off(PortTerms.of_all(terms))
            assert {one.terms for one in world.connections} == {terms}

    run(scenario)


def test_of_many_connections_some_hear_of_new_terms_in_each_turn(run, monkeypatch):
    monkeypatch.setattr(connections_module, "_TOLD_PER_TURN", 2)

    async def scenario(world):
        world.port.accept()
        for _ in range(5):
            await world.connect()
        offered = []
        world.connections.see_off(PortTerms(plain=Terms.HAND_OVER), offer=offered.append)
        assert [len(some) for some in offered] == [2]
        await until(lambda: sum(map(len, offered)) == 5)
        assert {one.terms for one in world.connections} == {Terms.HAND_OVER}

    run(scenario)


def test_terms_that_change_while_they_are_told_hold_for_all(run, monkeypatch):
    monkeypatch.setattr(connections_module, "_TOLD_PER_TURN", 2)

    async def scenario(world):
        world.port.accept()
        for _ in range(5):
            await world.connect()
        offered = []
        world.connections.see_off(PortTerms(plain=Terms.HAND_OVER), offer=offered.append)
        world.connections.see_off(PortTerms())
        await until(lambda: {one.terms for one in world.connections} == {Terms.LAST_RESPONSE})
        world.connections.see_off(PortTerms(plain=Terms.HAND_OVER), offer=offered.append)
        world.connections.keep()
        for _ in range(10):
            await asyncio.sleep(0)
        assert {one.terms for one in world.connections} == {Terms.STAY}
        assert [len(some) for some in offered] == [2, 2]

    run(scenario)


def test_a_request_that_waits_when_its_connection_is_accepted_needs_no_place_in_the_poller(run):
    """Nor does the connection that ends with it."""

    async def scenario(world):
        added = []

        class Counting(ShortPoller):
            def _refuse(self, fd, *arguments):
                added.append(fd)
                self._poller.add(fd, *arguments)

        world.connections._streams.poller = Counting(world.poller, "add")
        client = socket.create_connection(world.listener.getsockname())
        world.clients.append(client)
        client.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        handle = world.application.handle

        def answer(exchange):
            handle(exchange)
            watched.append(list(world.poller.descriptors))
            world.application.answer()

        watched = []
        world.application.handle = answer
        world.port.accept()
        await until(lambda: world.connections.accepted and world.port.quiet)
        assert added == []
        assert len(watched[0]) == 1, "a process that is forked meanwhile must not keep it"
        assert (world.permits.held, list(world.poller.descriptors)) == (0, [])
        client.setblocking(True)
        assert client.makefile("rb").read().endswith(b"done")

    run(scenario)


def test_a_connection_that_can_not_be_watched_after_its_first_request_is_closed_and_told(run):
    async def scenario(world):
        world.connections._streams.poller = ShortPoller(world.poller, "add")
        client = socket.create_connection(world.listener.getsockname())
        world.clients.append(client)
        client.sendall(GET)
        world.port.accept()
        await until(lambda: world.published)
        assert world.published == [ConnectionNotWatched("somewhere", "Cannot allocate memory")]
        assert (world.permits.held, world.port.quiet, list(world.poller.descriptors)) == (0, True, [])

    run(scenario)


def test_a_stop_that_a_request_leads_to_while_connections_are_accepted_ends_that(run):
    async def scenario(world):
        for _ in range(3):
            client = socket.create_connection(world.listener.getsockname())
            world.clients.append(client)
            client.sendall(GET)
        world.application.handle = lambda exchange: world.port.stop_accepting()
        world.port.accept()
        await until(lambda: world.connections.accepted)
        await asyncio.sleep(0)
        assert (world.connections.accepted, world.published) == (1, [])

    run(scenario)


def test_connections_from_one_host_share_what_is_known_of_it(run):
    async def scenario(world):
        world.port.accept()
        clients = [await world.connect() for _ in range(3)]
        first, *others = (connection for _, connection in clients)
        assert {connection.client for _, connection in clients} == {one.getsockname() for one, _ in clients}
        for other in others:
            assert other.client[0] is first.client[0]
            assert other.ends is first.ends

    run(scenario)


def test_no_more_than_some_hosts_are_remembered(run, monkeypatch):
    monkeypatch.setattr(connections_module, "_MOST_HOSTS", 2)

    async def scenario(world):
        for number in range(5):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            world.permits.take()
            world.connections.attach(ours, (f"192.0.2.{number}", 80))
            assert len(world.connections._hosts) <= 2
            theirs.close()
        assert sorted(one.client[0] for one in world.connections) == [f"192.0.2.{number}" for number in range(5)]
        for connection in world.connections:
            connection.abort()

    run(scenario)


def test_no_more_than_some_addresses_of_a_machine_that_has_a_whole_network_are_remembered(run, monkeypatch):
    monkeypatch.setattr(connections_module, "_MOST_HOSTS", 2)

    async def scenario(world):
        for number in range(1, 6):
            with socket.create_server((f"127.0.0.{number}", 0)) as bound:
                assert world.connections._server_of(bound) == bound.getsockname()
            assert len(world.connections._servers) <= 2

    run(scenario)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.10.99.100", "127.199.200.255"])
def test_a_client_is_named_as_the_socket_module_names_it(run, host):
    async def scenario(world):
        world.port.accept()
        with socket.create_connection(world.listener.getsockname(), source_address=(host, 0)) as client:
            await until(lambda: len(world.connections))
            (connection,) = world.connections
            assert connection.client == client.getsockname() == (host, client.getsockname()[1])
            connection.abort()

    run(scenario)
