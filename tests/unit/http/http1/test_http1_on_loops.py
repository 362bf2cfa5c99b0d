"""The same connection on real sockets: with asyncio's loop and uvloop, with each poller, plain and over TLS."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import time

import pytest
from garbage import garbage_of_ours
from http_fakes import answer
from loop_fakes import GROUNDS, Service, runner, until

from gracehttp.http.connection import Terms
from gracehttp.net.deadlines import Deadlines

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


class Ground:
    """A loop, a poller, and whether there is TLS; what a test does with its service and its client goes through it."""

    def __init__(self, loop, poller, contexts):
        self.run = runner(loop)
        self._poller = poller
        self._server, self._client = contexts
        self.tls = self._server is not None

    def listening(self, service, *, unix=None):
        return service.listening(self._poller, tls=self._server, unix=unix)

    async def connect(self, port, **options):
        """Reader and writer of a client."""
        return await asyncio.open_connection("127.0.0.1", port, **self._security, **options)

    async def connect_slowly(self, port):
        """Reader and writer of a client that has little room, and reads nothing by itself."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return await asyncio.open_connection(sock=sock, limit=1, **self._security)

    @property
    def _security(self):
        return {"ssl": self._client, "server_hostname": "localhost"} if self.tls else {}


class TlsClient:
    """A client that has its TLS session in its own hands."""

    def __init__(self, context, reader, writer):
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, context, port):
        client = cls(context, *await asyncio.open_connection("127.0.0.1", port))
        await client.shake_hands()
        return client

    async def shake_hands(self):
        while True:
            try:
                self.session.do_handshake()
            except ssl.SSLWantReadError:
                self.writer.write(self._outgoing.read())
                self._incoming.write(await self.reader.read(65536))
            else:
                self.writer.write(self._outgoing.read())
                return

    def sealed(self, data):
        """`data` as records."""
        self.session.write(data)
        return self._outgoing.read()

    def close_notify(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.session.unwrap()
        return self._outgoing.read()

    async def read(self):
        """All that comes up to the end, and whether that was a close_notify."""
        got = b""
        while True:
            try:
                data = self.session.read(65536)
                if not data:
                    return got, True
                got += data
            except ssl.SSLWantReadError:
                more = await self.reader.read(65536)
                if not more:
                    return got, False
                self._incoming.write(more)
            except ssl.SSLZeroReturnError:
                return got, True


@pytest.fixture(params=GROUNDS, ids="-".join)
def loop_and_poller(request):
    return request.param


@pytest.fixture
def plain(loop_and_poller):
    return Ground(*loop_and_poller, (None, None))


@pytest.fixture
def secure(loop_and_poller, certificates):
    return Ground(*loop_and_poller, certificates)


@pytest.fixture(params=["plain", "tls"])
def ground(request, loop_and_poller, certificates):
    return Ground(*loop_and_poller, certificates if request.param == "tls" else (None, None))


def test_requests_are_answered_and_the_connection_goes_on(ground):
    async def main():
        service = Service(answer)
        async with ground.listening(service) as port:
            reader, writer = await ground.connect(port)
            for _ in range(2):
                writer.write(GET)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
                assert await reader.readexactly(2) == b"ok"
            head = service.application.exchanges[0].head
            assert head.client == writer.get_extra_info("sockname")
            assert head.server == ("127.0.0.1", port)
            assert head.scheme == ("https" if ground.tls else "http")
            assert not service.owner.opened[0].busy
            writer.close()
            await until(lambda: service.owner.closed)

    ground.run(main())


def test_unix_socket_has_a_path_and_no_client(plain, tmp_path):
    async def main():
        service = Service(answer)
        path = str(tmp_path / "s")
        async with plain.listening(service, unix=path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(GET)
            await reader.readuntil(b"ok")
            head = service.application.exchanges[0].head
            assert (head.client, head.server) == (None, (path, None))
            writer.close()

    plain.run(main())


@pytest.mark.parametrize("how", ["last response", "idle", "abort"])
def test_the_client_learns_of_the_close_also_while_another_process_has_a_copy_of_the_descriptor(ground, how):
    async def main():
        service = Service(answer)
        service.keep_copies = True
        async with ground.listening(service) as port:
            reader, writer = await ground.connect(port)
            writer.write(LAST_GET if how == "last response" else GET)
            await reader.readuntil(b"ok")
            if how == "idle":
                assert service.owner.opened[0].close_idle()
            elif how == "abort":
                service.owner.opened[0].abort()
            assert await reader.read() == b""
            writer.close()
            await until(lambda: service.owner.closed)
            assert service.copies

    ground.run(main())


# --- what is left behind ---


def reset(writer):
    """Close with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


EXPECTS_BODY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"


@pytest.mark.parametrize(
    "request_",
    [GET, LAST_GET, b"nonsense\r\n\r\n", GET + GET[:9], EXPECTS_BODY],
    ids=["kept", "last", "bad", "half a head", "half a body"],
)
@pytest.mark.parametrize("leaves", ["closes", "resets"])
def test_a_connection_that_is_over_leaves_nothing_to_the_garbage_collector(ground, request_, leaves):
    service = Service(answer)

    async def main():
        async with ground.listening(service) as port:
            reader, writer = await ground.connect(port)
            writer.write(request_)
            assert await reader.readuntil(b"\r\n\r\n")
            if leaves == "resets":
                reset(writer)
            else:
                writer.close()
            await until(lambda: service.owner.closed)
        forget(service)

    with garbage_of_ours() as found:
        ground.run(main())
    assert found == []


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01"])
@pytest.mark.parametrize("leaves", ["ends", "resets", "is aborted"])
def test_a_handshake_that_fails_ends_at_once_and_leaves_nothing(secure, sent, leaves):
    service = Service(answer)

    async def main():
        async with secure.listening(service) as port:
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if sent:
                writer.write(sent)
            await until(lambda: service.accepted)
            if leaves == "is aborted":
                service.accepted[0].abort()
            elif leaves == "resets":
                reset(writer)
            else:
                writer.write_eof()
            await until(lambda: service.owner.closed)
            assert len(service.context.handshake) == 0
            writer.transport.abort()
        assert not service.owner.opened
        forget(service)

    with garbage_of_ours() as found:
        secure.run(main())
    assert found == []


def forget(service):
    owner = service.owner
    for told in (service.accepted, owner.opened, owner.closed, owner.finished, service.application.exchanges):
        told.clear()


def test_handshake_has_its_time(secure):
    async def main():
        service = Service(answer, header_timeout_seconds=0.05)
        async with secure.listening(service) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            await until(lambda: service.owner.closed)
            assert not service.owner.opened
            writer.close()

    secure.run(main())


# --- the end ---


def test_polite_close_gives_the_client_the_whole_response_and_then_the_end(ground):
    async def main():
        service = Service(answer)
        async with ground.listening(service) as port:
            reader, writer = await ground.connect(port)
            writer.write(GET)
            await reader.readuntil(b"ok")
            service.owner.opened[0].see_off(Terms.LAST_RESPONSE)
            writer.write(GET)
            response = await reader.read()  # until the end of the server's side
            assert b"\r\nConnection: close\r\n" in response
            if not ground.tls:  # asyncio's client has answered our close_notify by itself
                assert not service.owner.closed
                writer.write(b"too late")
            writer.close()
            await until(lambda: service.owner.closed)

    ground.run(main())


def test_idle_connection_is_closed(ground):
    async def main():
        service = Service(answer)
        async with ground.listening(service) as port:
            reader, writer = await ground.connect(port)
            await until(lambda: service.owner.opened)
            assert service.owner.opened[0].close_idle()
            assert await reader.read() == b""
            writer.close()
            await until(lambda: service.owner.closed)

    ground.run(main())


def test_large_response_to_a_client_that_still_sends_is_not_destroyed(ground, certificates):
    body = b"x" * 3_000_000
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + b"y" * 500_000

    async def main():
        service = Service(lambda exchange: answer(exchange, body))
        async with ground.listening(service) as port:
            if ground.tls:  # not with that of uvloop, which drops what it has read when the end comes in its pause
                client = await TlsClient.connect(certificates[1], port)
                client.writer.write(client.sealed(request))
                response, ended_well = await client.read()
                assert ended_well
                client.writer.close()
            else:
                reader, writer = await ground.connect(port)
                writer.write(request)
                response = await reader.read()
                writer.close()
            assert response.endswith(body)

    ground.run(main())


def test_client_that_resets_is_noticed(ground):
    async def main():
        service = Service()
        async with ground.listening(service) as port:
            _reader, writer = await ground.connect(port)
            writer.write(GET)
            await until(lambda: service.application.exchanges)
            reset(writer)
            await service.application.exchanges[0].wait_for_disconnect()
            assert service.application.exchanges[0].disconnected

    ground.run(main())


def test_write_to_a_client_that_is_gone_ends_the_connection(ground):
    async def main():
        service = Service()
        async with ground.listening(service) as port:
            _reader, writer = await ground.connect(port)
            writer.write(GET)
            await until(lambda: service.application.exchanges)
            (exchange,) = service.application.exchanges
            writer.transport.abort()
            exchange.start_response(200, [])
            while not exchange.disconnected:  # the first write is answered with RST, and one behind that fails
                exchange.write(b"x" * 1000, True)
                await asyncio.sleep(0)
            assert service.owner.closed

    ground.run(main())


def test_broken_body_until_close_is_seen_as_an_error(ground):
    async def main():
        def fail(exchange):
            exchange.start_response(200, [])
            exchange.write(b"half", True)
            exchange.end(ValueError("boom"))

        service = Service(fail)
        async with ground.listening(service) as port:
            reader, writer = await ground.connect(port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            if ground.tls:
                # asyncio doesn't tell the end of a TLS connection from a cut, so look at what came: no close_notify.
                session = writer.get_extra_info("ssl_object")
                assert (await reader.read()).endswith(b"half")
                with pytest.raises(ssl.SSLError) as caught:
                    session.read(1)
                assert not isinstance(caught.value, ssl.SSLZeroReturnError)
            else:
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            writer.close()

    ground.run(main())


# --- half-closed clients ---


def test_client_that_only_listens_gets_its_answer(plain):
    async def main():
        service = Service()
        async with plain.listening(service) as port:
            reader, writer = await plain.connect(port)
            writer.write(GET)
            writer.write_eof()
            await until(lambda: service.application.exchanges and service.owner.opened[0].stream.input_over)
            answer(service.application.exchanges[0])
            assert (await reader.read()).endswith(b"ok")
            await until(lambda: service.owner.closed)
            writer.close()

    plain.run(main())


@pytest.mark.parametrize("says", ["close_notify", "FIN", "both"])
def test_tls_client_that_only_listens_gets_its_answer(secure, certificates, says):
    async def main():
        service = Service()
        async with secure.listening(service) as port:
            client = await TlsClient.connect(certificates[1], port)
            client.writer.write(client.sealed(GET))
            if says != "FIN":
                client.writer.write(client.close_notify())
            if says != "close_notify":
                client.writer.write_eof()
            await until(lambda: service.application.exchanges and service.owner.opened[0].stream.input_over)
            (exchange,) = service.application.exchanges
            assert not exchange.disconnected
            answer(exchange)
            got, ended_well = await client.read()
            assert got.endswith(b"\r\nConnection: close\r\n\r\nok")
            assert ended_well
            await until(lambda: service.owner.closed)
            client.writer.close()

    secure.run(main())


@pytest.mark.parametrize("says", ["close_notify", "FIN"])
def test_tls_client_that_ends_an_idle_connection_is_answered_in_kind(secure, certificates, says):
    async def main():
        service = Service(answer)
        async with secure.listening(service) as port:
            client = await TlsClient.connect(certificates[1], port)
            await until(lambda: service.owner.opened)
            if says == "FIN":
                client.writer.write_eof()
            else:
                client.writer.write(client.close_notify())
            assert await client.read() == (b"", True)
            await until(lambda: service.owner.closed)
            client.writer.close()

    secure.run(main())


def test_request_in_single_bytes_of_its_records_is_answered(secure, certificates):
    async def main():
        service = Service(answer)
        async with secure.listening(service) as port:
            client = await TlsClient.connect(certificates[1], port)
            await until(lambda: service.owner.opened)
            connection = service.owner.opened[0]
            record = client.sealed(GET)
            client.writer.write(record[:1])
            await until(lambda: connection.busy)
            assert connection.idle_since is None
            assert not connection.close_idle()
            for at in range(1, len(record)):
                client.writer.write(record[at : at + 1])
                await asyncio.sleep(0)
            await until(lambda: service.owner.finished)
            await until(lambda: not connection.busy)
            assert connection.close_idle()
            got, ended_well = await client.read()
            assert got.endswith(b"ok")
            assert ended_well
            client.writer.close()

    secure.run(main())


def test_record_that_was_tampered_with_ends_the_connection(secure, certificates):
    async def main():
        service = Service()
        async with secure.listening(service) as port:
            client = await TlsClient.connect(certificates[1], port)
            client.writer.write(client.sealed(GET))
            await until(lambda: service.application.exchanges)
            record = bytearray(client.sealed(GET))
            record[-1] ^= 1
            client.writer.write(record)
            await until(lambda: service.owner.closed)
            assert service.application.exchanges[0].disconnected
            client.writer.close()

    secure.run(main())


# --- flow ---


def test_back_pressure_stops_and_continues_the_application(ground):
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
        async with ground.listening(service) as port:
            reader, writer = await ground.connect(port, limit=1000)
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            await until(lambda: paused)
            assert not tasks[0].done()
            await reader.readexactly(size * count)
            await tasks[0]
            writer.close()

    ground.run(main())


def test_upload_stops_in_the_kernel_while_the_application_takes_nothing(ground):
    size = 20_000_000

    async def main():
        service = Service()
        async with ground.listening(service) as port:
            reader, writer = await ground.connect(port)
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            await until(lambda: service.application.exchanges)
            exchange = service.application.exchanges[0]
            connection = service.owner.opened[0]
            await until(lambda: not connection.stream.reading)
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

    ground.run(main())


def test_client_that_ends_behind_an_upload_that_waits_is_read_to_its_end(ground):
    """What was decrypted but not passed on yet comes before the end."""
    size = 500_000

    async def main():
        service = Service()
        async with ground.listening(service) as port:
            _reader, writer = await ground.connect(port)
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            writer.close()
            await until(lambda: service.application.exchanges)
            (exchange,) = service.application.exchanges
            taken, more = 0, True
            while more:
                piece = exchange.take_body()
                if piece is None:
                    assert not exchange.disconnected
                    await exchange.wait_for_input()
                    continue
                data, more = piece
                taken += len(data)
                for _ in range(5):
                    await asyncio.sleep(0)
            assert taken == size

    ground.run(main())


def test_client_that_takes_nothing_is_aborted(ground):
    async def main():
        service = Service(body_timeout_seconds=0.05)
        async with ground.listening(service) as port:
            _reader, writer = await ground.connect(port, limit=1)
            writer.write(GET)
            await until(lambda: service.application.exchanges)
            exchange = service.application.exchanges[0]
            exchange.start_response(200, [])
            exchange.write(b"x" * 30_000_000, True)
            await exchange.wait_until_writable()
            assert exchange.disconnected
            writer.transport.abort()

    ground.run(main())


def test_owner_is_told_of_rest_when_the_kernel_has_all(ground):
    body = b"x" * 8_000_000

    async def main():
        service = Service(lambda exchange: answer(exchange, body))
        async with ground.listening(service) as port:
            reader, writer = await ground.connect(port, limit=1000)
            writer.write(GET)
            await until(lambda: service.application.exchanges)
            connection = service.owner.opened[0]
            connection.see_off(Terms.HAND_OVER)
            assert connection.busy
            assert not service.owner.rested
            received = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(body))
            await until(lambda: service.owner.rested)
            assert not connection.busy
            assert received.startswith(b"HTTP/1.1 200 OK")
            writer.close()

    ground.run(main())


BODY = b"x" * 8_000_000  # more than the kernel takes, so that a part of it waits in the stream


@contextlib.asynccontextmanager
async def slow_client(ground, request, **settings):
    """A client that has asked for `BODY`, reads nothing, and has little room; gives the service and its reader."""
    service = Service(lambda exchange: answer(exchange, BODY), **settings)
    async with ground.listening(service) as port:
        reader, writer = await ground.connect_slowly(port)
        writer.write(request)
        yield service, reader
        writer.transport.abort()
        await until(lambda: service.owner.closed)


class CountingDeadlines(Deadlines):
    """Counts how often something begins to wait."""

    __slots__ = ("count",)

    def __init__(self, seconds, loop):
        super().__init__(seconds, loop)
        self.count = 0

    def add(self, item, waited=0.0):
        self.count += 1
        super().add(item, waited)


def test_last_response_waits_for_a_client_that_takes_its_time(ground):
    async def main():
        async with slow_client(ground, LAST_GET) as (service, reader):
            looks = service.streams.linger = CountingDeadlines(0.01, asyncio.get_running_loop())
            if ground.tls:  # what is not encrypted yet waits as that of a response that isn't the last one
                await until(lambda: service.owner.finished)
            else:
                await until(lambda: looks.count > 3)
            assert "has not taken" in service.owner.opened[0].describe()[0]
            assert service.owner.opened[0].idle_since is None
            assert (await reader.read()).endswith(b"\r\n\r\n" + BODY)

    ground.run(main())


def test_connection_whose_client_has_not_taken_all_is_not_idle(ground):
    async def main():
        async with slow_client(ground, GET) as (service, reader):
            await until(lambda: service.owner.finished)
            connection = service.owner.opened[0]
            assert connection.describe()
            assert not connection.close_idle()
            got = bytearray()
            while len(got) < len(BODY) or not got.endswith(b"\r\n\r\n" + BODY):
                got += await reader.read(len(BODY))
            await until(lambda: not connection.busy)
            assert connection.close_idle()
            assert await reader.read() == b""

    ground.run(main())


def test_client_that_takes_nothing_more_is_not_waited_for_for_ever(ground):
    async def main():
        async with slow_client(ground, LAST_GET, body_timeout_seconds=0.05) as (service, _reader):
            await until(lambda: service.owner.closed)

    ground.run(main())


@pytest.mark.parametrize("begun", [b"", GET[:10]], ids=["nothing", "half-a-head"])
def test_a_request_that_came_in_time_is_answered_though_the_loop_was_busy_beyond_the_timeout(plain, begun):
    async def main():
        held_up = []

        def hold_up_the_loop(exchange):
            if not held_up:  # the other client's request, read in the same turn of the loop
                held_up.append(exchange)
                late.send(GET[len(begun) :])
                time.sleep(0.15)
            answer(exchange)

        service = Service(hold_up_the_loop, header_timeout_seconds=0.1)
        async with plain.listening(service) as port:
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

    plain.run(main())


def test_connection_that_gets_the_number_of_one_that_was_closed_in_the_same_turn_is_not_taken_for_it(plain):
    async def main():
        numbers, ours = [], []

        def replace_the_other(exchange):
            if not ours:
                (other,) = (one for one in service.accepted if not one.describe())
                numbers.append(other.stream._socket.fileno())
                other.abort()
                theirs, mine = socket.socketpair()
                ours.append(mine)
                numbers.append(theirs.fileno())
                service.attach(theirs, None)
            answer(exchange)

        service = Service(replace_the_other)
        async with plain.listening(service) as port:
            clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
            await until(lambda: len(service.accepted) == 2)
            for client in clients:
                client.send(GET)  # the loop sees both in one turn
            await until(lambda: ours)
            assert numbers[0] == numbers[1]
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(service.application.exchanges) == 1
            assert [len(service.owner.closed), len(service.accepted)] == [1, 3]
            ours[0].send(GET)
            ours[0].setblocking(False)
            assert (await asyncio.get_running_loop().sock_recv(ours[0], 12)) == b"HTTP/1.1 200"
            for one in (*clients, *ours):
                one.close()
            await until(lambda: len(service.owner.closed) == 3)

    plain.run(main())


# --- to another process ---


def test_connection_goes_on_where_its_descriptor_goes(plain):
    async def main():
        service = Service(answer)
        async with plain.listening(service) as port:
            reader, writer = await plain.connect(port)
            writer.write(GET)
            await reader.readuntil(b"ok")
            connection = service.owner.opened[0]
            parcel = connection.pack()
            writer.write(b"between")
            elsewhere = socket.socket(fileno=os.dup(parcel.descriptor))
            connection.left()
            assert service.owner.closed == [connection]
            with elsewhere:
                loop = asyncio.get_running_loop()
                assert await loop.sock_recv(elsewhere, 100) == b"between"
                await loop.sock_sendall(elsewhere, b"behind")
                assert await reader.readexactly(6) == b"behind"
            assert await reader.read() == b""
            writer.close()

    plain.run(main())


def test_connection_that_comes_back_reads_what_came_meanwhile(plain):
    async def main():
        service = Service(answer)
        async with plain.listening(service) as port:
            reader, writer = await plain.connect(port)
            await until(lambda: service.owner.opened)
            connection = service.owner.opened[0]
            assert connection.pack() is not None
            writer.write(GET)
            connection.unpack()
            assert b"200 OK" in await reader.readuntil(b"ok")
            writer.close()

    plain.run(main())
