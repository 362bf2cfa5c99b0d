"""Every answer reaches its client as a whole, whatever its size, the protocol, the application and the client's pace.

Several clients ask in the same turn of the poller, again and again on the same connections: what is left of one answer
would be missed before the next one. Sizes stand around each constant of the way from the application to the kernel.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import socket
import ssl
import struct
import time

import h2.config
import h2.connection
import h2.events
import pytest
import uvloop
from client_ends import ISSUED, PlainEnd, TlsEnd
from deadlines import DEADLINE_SECONDS
from garbage import garbage_of_ours

from gracehttp.applications.asgi.application import AsgiApplication
from gracehttp.applications.drain_notice import DrainNotices
from gracehttp.applications.wsgi import modes
from gracehttp.http import negotiation
from gracehttp.http.settings import HttpSettings
from gracehttp.net.poller import BRIEF_BYTES, new_poller
from gracehttp.net.stream import BURST_BYTES, HIGH_WATER_BYTES, HOLD_BYTES
from gracehttp.net.tls13.key_log import KeyLog
from gracehttp.worker.connections import Connections

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
CLIENTS = 3
RECORD_BYTES = 16384
ENCRYPTED_BYTES = 65536
JOINED_BYTES = 65536
"""Head and body of HTTP/1.1 are joined up to this."""
SIZES = sorted(
    {
        edge + by
        for edge in (
            HOLD_BYTES,
            BRIEF_BYTES,
            RECORD_BYTES,
            ENCRYPTED_BYTES,
            HIGH_WATER_BYTES,
            BURST_BYTES,
            JOINED_BYTES,
        )
        for by in (-200, -1, 0, 1)  # a head comes before it
    }
    | {0, 1, 100, 8 * ENCRYPTED_BYTES, 8 * ENCRYPTED_BYTES + 100, 8 * ENCRYPTED_BYTES + HOLD_BYTES}
)
PIECE_BYTES = 20_000
FORMS = ("counted whole", "counted pieces", "counted, one byte last", "chunked whole", "chunked pieces")
OF_ONE_CONNECTION = {
    "Connection", "PlainStream", "TlsStream", "Ending", "Witness", "ContinuedSession", "Http1Protocol", "Exchange",
    "RequestBody", "RequestCycle", "WsgiResponse", "Http2Protocol", "Http2Stream", "Engine", "WebSocketProtocol",
    "WebSocketSession", "WebSocketCycle", "Messages",
}  # fmt: skip
"""What each connection has of its own, and what must not be left to the garbage collector."""
NOISE = random.Random(2).randbytes(max(SIZES))
SLOW_BYTES = 30_000
"""A slow client reads so much in a pass of the loop, at the most."""


def pieces_of(size, form):
    body = NOISE[:size]
    if form.endswith("pieces"):
        return [body[at : at + PIECE_BYTES] for at in range(0, size, PIECE_BYTES)] or [b""]
    if form.endswith("last") and size:
        return [body[:-1], body[-1:]]
    return [body]


def read_path(path):
    _, size, form = path.split("/")
    return int(size), form.replace("_", " ")


def path_of(size, form):
    return f"/{size}/{form.replace(' ', '_')}"


def fields_of(size, form):
    return [("content-length", str(size))] if form.startswith("counted") else []


async def asgi(scope, receive, send):
    if scope["type"] == "websocket":
        await asgi_websocket(receive, send)
        return
    size, form = read_path(scope["path"])
    if scope["query_string"]:
        send = SENDS[scope["query_string"]](send)
    fields = [(name.encode(), value.encode()) for name, value in fields_of(size, form)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    pieces = pieces_of(size, form)
    for piece in pieces[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": pieces[-1], "more_body": form.startswith("chunked")})
    if form.startswith("chunked"):
        await send({"type": "http.response.body"})


def raising(send):
    """A `send` that raises instead of the second piece of a body."""
    pieces = []

    async def send_or_raise(message):
        if message["type"].endswith("body"):
            pieces.append(message)
            if len(pieces) == 2:
                raise ZeroDivisionError
        await send(message)

    return send_or_raise


def cancelled(send):
    """A `send` whose waiting is cancelled, with each message."""

    async def send_and_cancel(message):
        sending = asyncio.ensure_future(send(message))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait([sending])

    return send_and_cancel


SENDS = {b"raises": raising, b"cancelled": cancelled}


async def asgi_websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        for piece in pieces_of(*read_path(message["text"])):
            await send({"type": "websocket.send", "bytes": piece})


def wsgi(environ, start_response):
    size, form = read_path(environ["PATH_INFO"])
    start_response("200 OK", fields_of(size, form))
    pieces = pieces_of(size, form)
    return pieces if form.endswith("whole") and form.startswith("counted") else iter(pieces)


# --- what clients speak ---


class Http1:
    def __init__(self, end):
        self._end = end

    def ask(self, size, form, query=""):
        self._end.data.clear()
        self._end.say(f"GET {path_of(size, form)}?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def look(self, most):
        return self._end.look(most)

    @property
    def reset(self):
        """The answer was cut."""
        return self._end.over

    @property
    def answer(self):
        """The body, when all of it is there, and behind it nothing."""
        data = self._end.data
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            return None
        head = bytes(data[:end]).lower()
        if b"transfer-encoding: chunked" not in head:
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return bytes(data[end:]) if len(data) >= end + length else None
        if not data.endswith(b"0\r\n\r\n"):
            return None
        body = []
        while True:
            line = data.index(b"\r\n", end)
            size = int(data[end:line], 16)
            if len(data) < line + 4 + size:
                return None  # what looked like an end was none
            if not size:
                assert len(data) == line + 4
                return b"".join(body)
            body.append(bytes(data[line + 2 : line + 2 + size]))
            end = line + 4 + size


class Http2:
    def __init__(self, end):
        self._end = end
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._h2.initiate_connection()
        self._stream = -1
        self._body = bytearray()
        self.reset = False
        """The answer was cut."""
        self._ended = False

    def ask(self, size, form, query=""):
        self._body.clear()
        self._ended = self.reset = False
        self._stream += 2
        path = f"{path_of(size, form)}?{query}"
        fields = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self._h2.send_headers(self._stream, fields, end_stream=True)
        self._end.say(self._h2.data_to_send())

    def look(self, most):
        came = self._end.look(most)
        data = bytes(self._end.data)
        self._end.data.clear()
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                assert event.stream_id == self._stream
                self._body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self._ended = True
            elif isinstance(event, h2.events.StreamReset):
                self.reset = True
            else:
                assert not isinstance(event, h2.events.ConnectionTerminated)
        if more := self._h2.data_to_send():
            self._end.say(more)
        return came

    @property
    def answer(self):
        return bytes(self._body) if self._ended else None


class WebSocket:
    def __init__(self, end):
        self._end = end
        key = base64.b64encode(bytes(16)).decode()
        end.say(
            f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._open = False
        self._left = 0
        self._body = bytearray()
        self._size = 0

    def ask(self, size, form):
        text = path_of(size, form).encode()
        self._left = len(pieces_of(size, form))
        self._body.clear()
        self._end.say(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)

    def look(self, most):
        came = self._end.look(most)
        data = self._end.data
        if not self._open and b"\r\n\r\n" in data:
            self._open = True
            del data[: data.index(b"\r\n\r\n") + 4]
        while self._open and (end := self._end_of_frame(data)):
            self._left -= 1
            self._body += data[self._size : end]
            del data[:end]
        return came

    def _end_of_frame(self, data):
        """0: it is not whole."""
        if len(data) < 2:
            return 0
        assert data[0] == 0x82
        length, self._size = data[1], 2
        if length >= 126:
            code = ">H" if length == 126 else ">Q"
            self._size += struct.calcsize(code)
            if len(data) < self._size:
                return 0
            (length,) = struct.unpack_from(code, data, 2)
        return self._size + length if len(data) >= self._size + length else 0

    @property
    def answer(self):
        return None if self._left or self._end.data else bytes(self._body)


CARRIERS = {
    "HTTP/1.1": (Http1, ()),
    "HTTP/1.1 over TLS": (Http1, ("http/1.1",)),
    "HTTP/1.1 over TLS, handed over": (Http1, ("http/1.1",)),
    "HTTP/2 over TLS": (Http2, ("h2",)),
    "WebSocket": (WebSocket, ()),
    "WebSocket over TLS": (WebSocket, ("http/1.1",)),
}
APPLICATIONS = ("ASGI", "WSGI in threads", "WSGI on the loop")
MATRIX = [(carrier, one) for carrier in CARRIERS for one in APPLICATIONS if one == "ASGI" or "WebSocket" not in carrier]


class Site:
    """A port of a worker, without the worker."""

    def __init__(self, application, *, secure, moves):
        loop = asyncio.get_running_loop()
        self._exits = contextlib.ExitStack()
        self.faults = []
        loop.set_exception_handler(lambda loop, context: self.faults.append(context))
        self._exits.callback(loop.set_exception_handler, None)
        self._listener = self._exits.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._moves = moves
        self._poller = new_poller(loop)
        context = None
        settings = HttpSettings()
        key_log = KeyLog() if moves else None
        if secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_alpn_protocols(negotiation.offers(settings, secure=True))
            ISSUED.configure_cert(context)
            if key_log is not None:
                key_log.attach(context)
        self.connections = Connections(
            self._listener,
            application,
            settings,
            address="",
            poller=self._poller,
            loop=loop,
            tls=context,
            key_log=key_log,
            request_finished=None,
            request_failed=self.faults.append,
            on_closed=lambda permit_is_free: None,
            on_rested=lambda connection: None,
            on_pace=lambda: None,
            publish=self.faults.append,
        )

    async def client(self, make, alpn, *, slow):
        theirs = self._exits.enter_context(socket.socket())
        if slow:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        theirs.connect(self._listener.getsockname())
        ours, peer = self._listener.accept()
        ours.setblocking(False)
        if slow:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        before = set(self.connections)
        self.connections.attach(ours, peer)
        end = PlainEnd(theirs)
        if alpn:
            end = TlsEnd(theirs, alpn)
            while not end.shake_hands():
                await asyncio.sleep(0)
        if self._moves:
            await self._move(*set(self.connections) - before)
        return make(end)

    async def _move(self, connection):
        """As if another process took it."""
        while (parcel := connection.pack()) is None:
            await asyncio.sleep(0)
        descriptor = os.dup(parcel.descriptor)
        connection.left()
        self.connections.adopt(descriptor, parcel.carried)

    def close(self):
        for connection in self.connections:
            connection.abort()
        self.connections.close()
        self._poller.close()
        self._exits.close()


@contextlib.asynccontextmanager
async def application_of(interface):
    loop = asyncio.get_running_loop()
    notices = DrainNotices()
    if interface == "ASGI":
        yield AsgiApplication(asgi, name="app", loop=loop, lifespan="off", draining=notices.asgi, on_idle=lambda: None)
        return
    threads = CLIENTS if "threads" in interface else 0
    wrapped = modes.wrap(
        wsgi, name="app", loop=loop, threads=threads, multiprocess=False, draining=notices.wsgi, on_idle=lambda: None
    )
    await wrapped.startup()
    yield wrapped
    await wrapped.shutdown(DEADLINE_SECONDS)


async def answers(clients, most):
    """Let the clients read until they have them."""
    ends_at = time.monotonic() + DEADLINE_SECONDS
    missing = dict.fromkeys(clients)
    while missing:
        assert time.monotonic() < ends_at, f"{len(missing)} of {len(clients)} clients wait for ever"
        came = False
        for client in list(missing):
            came = client.look(most) or came
            if client.answer is not None:
                del missing[client]
        await asyncio.sleep(0 if came else 0.0001)
    return [client.answer for client in clients]


@pytest.mark.parametrize("pace", ["fast", "slow"])
@pytest.mark.parametrize(("carrier", "interface"), MATRIX)
@pytest.mark.parametrize("loop", LOOPS)
def test_clients_that_ask_at_the_same_time_get_all_of_their_answers(loop, carrier, interface, pace):
    make, alpn = CARRIERS[carrier]

    async def scenario():
        async with application_of(interface) as application:
            site = Site(application, secure=bool(alpn), moves="handed" in carrier)
            with contextlib.closing(site):
                clients = [await site.client(make, alpn, slow=pace == "slow") for _ in range(CLIENTS)]
                for form in FORMS:
                    for size in SIZES:
                        for client in clients:
                            client.ask(size, form)
                        found = await answers(clients, SLOW_BYTES if pace == "slow" else 1 << 30)
                        assert [one == NOISE[:size] for one in found] == [True] * CLIENTS, (form, size)
                assert site.faults == []
                assert [one.stream.unsent_bytes for one in site.connections] == [0] * CLIENTS

    with garbage_of_ours() as found, asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(scenario())
    assert [one for one in found if type(one).__name__ in OF_ONE_CONNECTION] == []


HTTP_OF_ASGI = [carrier for carrier in CARRIERS if "WebSocket" not in carrier]


async def scenes(carrier, scenario):
    make, alpn = CARRIERS[carrier]
    async with application_of("ASGI") as application:
        with contextlib.closing(Site(application, secure=bool(alpn), moves="handed" in carrier)) as site:
            clients = [await site.client(make, alpn, slow=True) for _ in range(CLIENTS)]
            await scenario(site, clients)


@pytest.mark.parametrize("carrier", HTTP_OF_ASGI)
def test_an_application_that_stops_waiting_in_the_middle_sends_all_nevertheless(carrier):
    async def scenario(site, clients):
        for form in FORMS:
            for size in (HOLD_BYTES, ENCRYPTED_BYTES + 1, max(SIZES)):
                for client in clients:
                    client.ask(size, form, "cancelled")
                found = await answers(clients, SLOW_BYTES)
                assert [one == NOISE[:size] for one in found] == [True] * CLIENTS, (form, size)
        assert site.faults == []

    asyncio.run(scenes(carrier, scenario))


@pytest.mark.parametrize("size", [HOLD_BYTES, ENCRYPTED_BYTES + 1, max(SIZES)])
@pytest.mark.parametrize("carrier", HTTP_OF_ASGI)
def test_an_application_that_raises_in_the_middle_costs_its_own_answer_alone(carrier, size):
    async def scenario(site, clients):
        failing, *others = clients
        failing.ask(size, "counted, one byte last", "raises")
        for client in others:
            client.ask(size, "counted, one byte last")
        found = await answers(others, SLOW_BYTES)
        assert [one == NOISE[:size] for one in found] == [True] * len(others)
        while not failing.reset:
            failing.look(SLOW_BYTES)
            await asyncio.sleep(0)
        assert failing.answer is None
        assert len(site.faults) == 1  # it was told

    asyncio.run(asyncio.wait_for(scenes(carrier, scenario), DEADLINE_SECONDS))
