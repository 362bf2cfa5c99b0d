"""The same connection on real sockets, with asyncio's loop and uvloop, and over TLS."""

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
import time

import pytest
import trustme
import uvloop
from http_fakes import FakeApplication, FakeOwner, answer

from gracehttp.http import connection_end
from gracehttp.http.connection import HttpSettings
from gracehttp.http.http1 import Http1Connection
from gracehttp.worker.port import TLS_SHUTDOWN_SECONDS

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(asyncio.wait_for(main, 20))

    return run


class Service:
    """A listening server; its connections and what their owner was told."""

    def __init__(self, on_handle=None, **settings):
        self.application = FakeApplication(on_handle)
        self.owner = FakeOwner()
        self.settings = HttpSettings(**settings)
        self.changed = asyncio.Event()
        self.owner.connection_closed = lambda connection: (self.owner.closed.append(connection), self.changed.set())

    @contextlib.asynccontextmanager
    async def listening(self, tls=None, unix=None):
        loop = asyncio.get_running_loop()

        def connect():
            return Http1Connection(
                application=self.application,
                settings=self.settings,
                owner=self.owner,
                loop=loop,
                scheme="https" if tls else "http",
            )

        if unix is not None:
            server = await loop.create_unix_server(connect, unix)
        else:
            shutdown = TLS_SHUTDOWN_SECONDS if tls else None
            server = await loop.create_server(connect, "127.0.0.1", 0, ssl=tls, ssl_shutdown_timeout=shutdown)
        try:
            yield None if unix is not None else server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for connection in self.owner.opened:
                if connection not in self.owner.closed:
                    connection.abort()
            while len(self.owner.closed) < len(self.owner.opened):
                self.changed.clear()
                await self.changed.wait()


async def until(condition):
    """Let the loop turn until the condition holds; the runner's time-out is the limit."""
    while not condition():
        await asyncio.sleep(0)


def test_requests_are_answered_and_the_connection_goes_on(run):
    async def main():
        service = Service(answer)
        async with service.listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(2):
                writer.write(GET)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
                assert await reader.readexactly(2) == b"ok"
            assert service.application.exchanges[0].head.client == writer.get_extra_info("sockname")
            assert service.application.exchanges[0].head.server == ("127.0.0.1", port)
            writer.close()

    run(main())


def test_unix_socket_has_a_path_and_no_client(run, tmp_path):
    async def main():
        service = Service(answer)
        path = str(tmp_path / "s")
        async with service.listening(unix=path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(GET)
            await reader.readuntil(b"ok")
            head = service.application.exchanges[0].head
            assert (head.client, head.server) == (None, (path, None))
            writer.close()

    run(main())


def test_the_client_learns_of_the_close_also_while_another_process_has_a_copy_of_the_descriptor(run):
    copies = []

    def fork_and_answer(exchange):
        copies.append(service.owner.opened[0]._transport.get_extra_info("socket").dup())
        answer(exchange)

    service = Service(fork_and_answer)

    async def main():
        async with service.listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            assert (await reader.read()).endswith(b"ok")
            writer.close()
            await until(lambda: service.owner.closed)
        for copy in copies:
            copy.close()

    run(main())


@contextlib.contextmanager
def garbage_of_ours():
    """The objects of gracehttp that only the garbage collector has found; known at the end of the block."""
    found = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += [one for one in gc.garbage if type(one).__module__.startswith("gracehttp.")]
    finally:
        gc.set_debug(0)
        gc.enable()
        gc.garbage.clear()


@pytest.mark.parametrize("request_", [GET, b"GET / HTTP/1.0\r\n\r\n", b"nonsense\r\n\r\n"], ids=["kept", "last", "bad"])
def test_a_connection_that_is_over_leaves_nothing_to_the_garbage_collector(run, request_):
    service = Service(answer)

    async def main():
        async with service.listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request_)
            assert await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await until(lambda: service.owner.closed)
        for told in (service.owner.opened, service.owner.closed, service.owner.finished, service.application.exchanges):
            told.clear()

    with garbage_of_ours() as found:
        run(main())
    assert found == []


def test_polite_close_gives_the_client_the_whole_response_and_then_the_end(run):
    async def main():
        service = Service(answer)
        async with service.listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await reader.readuntil(b"ok")
            service.owner.opened[0].drain()
            writer.write(GET)
            response = await reader.read()  # until the end of the server's side
            assert b"\r\nConnection: close\r\n" in response
            assert not service.owner.closed
            writer.write(b"too late")
            writer.close()
            await until(lambda: service.owner.closed)

    run(main())


def test_large_response_to_a_client_that_still_sends_is_not_destroyed(run):
    body = b"x" * 3_000_000

    async def main():
        service = Service(lambda exchange: answer(exchange, body))
        async with service.listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + b"y" * 500_000)
            response = await reader.read()
            assert response.endswith(body)
            writer.close()

    run(main())


def test_back_pressure_stops_and_continues_the_application(run):
    size, count = 100_000, 100

    async def main():
        paused = 0

        async def stream(exchange):
            nonlocal paused
            exchange.start_response(200, [(b"content-length", b"%d" % (size * count))])
            for number in range(count):
                exchange.write(b"x" * size, number < count - 1)
                paused += not exchange.writable
                await exchange.wait_until_writable()
            exchange.end()

        tasks = []
        service = Service(lambda exchange: tasks.append(asyncio.ensure_future(stream(exchange))))
        async with service.listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            await until(lambda: paused)
            assert not tasks[0].done()
            await reader.readexactly(size * count)
            await tasks[0]
            writer.close()

    run(main())


def test_upload_stops_in_the_kernel_while_the_application_takes_nothing(run):
    size = 20_000_000

    async def main():
        service = Service()
        async with service.listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            await until(lambda: service.application.exchanges)
            exchange = service.application.exchanges[0]
            connection = service.owner.opened[0]
            await until(lambda: connection._reading_paused)
            taken, more = 0, True
            while more:
                piece = exchange.take_body()
                if piece is None:
                    await exchange.wait_for_input()
                    continue
                data, more = piece
                assert len(data) < 1_000_000
                taken += len(data)
            assert taken == size
            answer(exchange)
            assert b"200 OK" in await reader.readuntil(b"ok")
            writer.close()

    run(main())


def test_client_that_only_listens_gets_its_answer(run):
    async def main():
        service = Service()
        async with service.listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            writer.write_eof()
            await until(lambda: service.application.exchanges and service.owner.opened[0]._eof)
            answer(service.application.exchanges[0])
            assert (await reader.read()).endswith(b"ok")
            await until(lambda: service.owner.closed)
            writer.close()

    run(main())


def test_client_that_resets_is_noticed(run):
    async def main():
        service = Service()
        async with service.listening() as port:
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await until(lambda: service.application.exchanges)
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            await service.application.exchanges[0].wait_for_disconnect()
            assert service.application.exchanges[0].disconnected

    run(main())


def test_broken_body_until_close_is_seen_as_an_error(run):
    async def main():
        def fail(exchange):
            exchange.start_response(200, [])
            exchange.write(b"half", True)
            exchange.end(ValueError("boom"))

        service = Service(fail)
        async with service.listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    run(main())


def test_client_that_takes_nothing_is_aborted(run):
    async def main():
        service = Service(body_timeout_seconds=0.05)
        async with service.listening() as port:
            _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.write(GET)
            await until(lambda: service.application.exchanges)
            exchange = service.application.exchanges[0]
            exchange.start_response(200, [])
            exchange.write(b"x" * 30_000_000, True)
            await exchange.wait_until_writable()
            assert exchange.disconnected
            writer.transport.abort()

    run(main())


def test_connection_that_waits_for_the_kernel_is_told_to_be_idle_when_all_is_sent(run):
    body = b"x" * 8_000_000

    async def main():
        service = Service(lambda exchange: answer(exchange, body))
        async with service.listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
            writer.write(GET)
            await until(lambda: service.application.exchanges)
            connection = service.owner.opened[0]
            told = asyncio.Event()
            connection.call_when_idle(lambda _: told.set())
            assert not connection.idle
            received = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(body))
            await told.wait()
            assert connection.idle
            assert received.startswith(b"HTTP/1.1 200 OK")
            writer.close()

    run(main())


@pytest.fixture(scope="module")
def certificates():
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


def test_tls_connection_serves_drains_and_closes(run, certificates):
    async def main():
        server, client = certificates
        service = Service(answer)
        async with service.listening(tls=server) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
            writer.write(GET)
            await reader.readuntil(b"ok")
            assert service.application.exchanges[0].head.scheme == "https"
            connection = service.owner.opened[0]
            assert connection.idle
            connection.drain()
            writer.write(GET)
            assert b"\r\nConnection: close\r\n" in await reader.read()
            writer.close()
            await until(lambda: service.owner.closed)

    run(main())


def test_idle_tls_connection_is_closed(run, certificates):
    async def main():
        server, client = certificates
        service = Service(answer)
        async with service.listening(tls=server) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
            await until(lambda: service.owner.opened)
            assert service.owner.opened[0].close_idle()
            assert await reader.read() == b""
            writer.close()

    run(main())


def test_tls_client_that_closes_while_it_waits_is_noticed(run, certificates):
    async def main():
        server, client = certificates
        service = Service()
        async with service.listening(tls=server) as port:
            _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
            writer.write(GET)
            await until(lambda: service.application.exchanges)
            writer.close()
            await service.application.exchanges[0].wait_for_disconnect()
            assert service.application.exchanges[0].disconnected

    run(main())


class Looks:
    """Makes a connection that ends look often whether its client takes something, and counts."""

    def __init__(self, monkeypatch):
        self.count = 0
        look = connection_end.Uptake.went_on

        def counted(uptake):
            self.count += 1
            return look(uptake)

        monkeypatch.setattr(connection_end.Uptake, "went_on", counted)
        monkeypatch.setattr(connection_end, "_LINGER_SECONDS", 0.01)


BODY = b"x" * 8_000_000  # more than the kernel takes, so that a part of it waits below the transport of TLS
LAST_GET = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@contextlib.asynccontextmanager
async def slow_tls_client(certificates, request, **settings):
    """A client that has asked for `BODY`, reads nothing, and has little room; gives the service and its reader."""
    server, client = certificates
    service = Service(lambda exchange: answer(exchange, BODY), **settings)
    async with service.listening(tls=server) as port:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock, ssl=client, server_hostname="localhost", limit=1)
        writer.write(request)
        yield service, reader
        writer.transport.abort()
        await until(lambda: service.owner.closed)


def test_last_response_over_tls_waits_for_a_client_that_takes_its_time(run, certificates, monkeypatch):
    looks = Looks(monkeypatch)

    async def main():
        async with slow_tls_client(certificates, LAST_GET) as (service, reader):
            await until(lambda: looks.count > 3)
            assert "has not taken" in service.owner.opened[0].describe()
            assert service.owner.opened[0].idle_since is None
            assert (await reader.read()).endswith(b"\r\n\r\n" + BODY)

    run(main())


def test_idle_tls_connection_that_is_closed_gives_its_client_the_rest(run, certificates, monkeypatch):
    looks = Looks(monkeypatch)

    async def main():
        async with slow_tls_client(certificates, GET) as (service, reader):
            await until(lambda: service.owner.finished)
            connection = service.owner.opened[0]
            await until(connection.describe)  # until the kernel has what it takes
            assert connection.close_idle()
            await until(lambda: looks.count > 3)
            assert (await reader.read()).endswith(b"\r\n\r\n" + BODY)

    run(main())


def test_tls_client_that_takes_nothing_more_is_not_waited_for_for_ever(run, certificates, monkeypatch):
    Looks(monkeypatch)

    async def main():
        async with slow_tls_client(certificates, LAST_GET, body_timeout_seconds=0.05) as (service, _reader):
            await until(lambda: service.owner.closed)

    run(main())


@pytest.mark.parametrize("begun", [b"", GET[:10]], ids=["nothing", "half-a-head"])
def test_a_request_that_came_in_time_is_answered_though_the_loop_was_busy_beyond_the_timeout(run, begun):
    async def main():
        def hold_up_the_loop(exchange):
            if len(service.owner.opened) == 2:  # the other client's request, read in the same turn of the loop
                service.owner.opened.append(None)
                late.send(GET[len(begun) :])
                time.sleep(0.15)
                service.owner.opened.remove(None)
            answer(exchange)

        service = Service(hold_up_the_loop, header_timeout_seconds=0.1)
        async with service.listening() as port:
            with socket.create_connection(("127.0.0.1", port)) as late:
                await until(lambda: service.owner.opened)
                late.send(begun)
                while begun and not service.owner.opened[0].describe():
                    await asyncio.sleep(0)
                _, other = await asyncio.open_connection("127.0.0.1", port)
                other.write(GET)
                late.setblocking(False)
                assert (await asyncio.get_running_loop().sock_recv(late, 12)) == b"HTTP/1.1 200"
                other.close()

    run(main())
