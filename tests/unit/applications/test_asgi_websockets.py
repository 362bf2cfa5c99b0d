"""WebSockets of ASGI applications, over real sockets with asyncio's loop and uvloop: what the specification asks for.

Some are what users of other servers have reported as bugs; what each was about stands beside it.
docs/websockets.md names those that were to be tried and whose text could not be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS
from websocket_client import BINARY, CLOSE, FIN, TEXT, Frame, WebSocket, binary, close, closing, frame, handshake, text

from gracehttp.applications.asgi.application import AsgiApplication
from gracehttp.applications.drain_notice import DrainNotices, drain_notice
from gracehttp.http import negotiation
from gracehttp.http.connection import NO_PROTOCOL, Connection, Ends, ServerContext
from gracehttp.http.settings import HttpSettings, WebSocketSettings
from gracehttp.net.poller import EpollPoller
from gracehttp.net.stream import PlainStream, StreamServices

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class World:
    """A worker with one application, and its clients. It is the owner of the connections, too."""

    def __init__(self, app, **settings):
        loop = asyncio.get_running_loop()
        self.notices = DrainNotices()
        self.failures = []
        self.broken = []
        self.finished = []
        self.open = set()
        self.idle = asyncio.Event()
        self.application = AsgiApplication(
            app, name="app", loop=loop, lifespan="off", draining=self.notices.asgi, on_idle=self.idle.set
        )
        self.application.lifespan.state["shared"] = "thing"
        self.poller = EpollPoller(loop)
        websocket = WebSocketSettings(**settings)
        self.context = ServerContext(self.application, HttpSettings(websocket=websocket), self, loop)
        self.streams = StreamServices(loop, self.poller, 30.0)
        self._clients = []

    # --- the owner ---

    def request_finished(self, head, status, _size, _seconds):
        self.finished.append((head.path, status, head.close_code))

    def connection_speaks(self, connection):
        self.open.add(connection)

    def connection_rested(self, connection):
        pass

    def connection_closed(self, connection):
        self.open.discard(connection)

    def application_failed(self, head, error):
        self.failures.append(error)

    def response_broken(self, head, reason):
        self.broken.append(reason)

    # --- clients ---

    async def client(self):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        connection = Connection(self.context, Ends("192.0.2.1", ("192.0.2.9", 80)), 5)
        connection.begin(PlainStream(ours, self.streams, NO_PROTOCOL, connection))
        negotiation.begin(connection, None)
        reader, writer = await asyncio.open_connection(sock=theirs)
        self._clients.append(writer)
        return reader, writer

    async def connect(self, path="/", **options) -> WebSocket:
        reader, writer = await self.client()
        writer.write(handshake(path, **options))
        return WebSocket(reader, writer, await reader.readuntil(b"\r\n\r\n"))

    @property
    def connection(self):
        (connection,) = self.open
        return connection

    async def all_ended(self):
        while self.application.in_flight:
            self.idle.clear()
            await self.idle.wait()

    async def close(self):
        for writer in self._clients:
            writer.transport.abort()
        while self.open:
            await asyncio.sleep(0)
        self.context.close()
        self.streams.close()
        self.poller.close()


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs `scenario(world)` with an application; the time-out is against hanging only."""

    def run(app, scenario, **settings):
        async def main():
            world = World(app, **settings)
            try:
                await scenario(world)
            finally:
                await world.close()
            return world

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(asyncio.wait_for(main(), DEADLINE_SECONDS))

    return run


async def accept(receive, send, **answer):
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", **answer})


async def echo(scope, receive, send):
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def told(messages):
    """An application that notes what it receives."""

    async def app(scope, receive, send):
        await accept(receive, send)
        while True:
            messages.append(await receive())
            if messages[-1]["type"] == "websocket.disconnect":
                return

    return app


def test_scope(run):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await accept(receive, send, subprotocol=scope["subprotocols"][1], headers=[(b"x-a", b"b")])

    async def scenario(world):
        websocket = await world.connect("/chat%20room?a=b", Sec_WebSocket_Protocol="v1, v2", Cookie="c=d")
        assert b"Sec-WebSocket-Protocol: v2\r\n" in websocket.head
        assert b"x-a: b\r\n" in websocket.head
        (scope,) = scopes
        headers = scope.pop("headers")
        assert (b"cookie", b"c=d") in headers
        assert (b"sec-websocket-version", b"13") in headers
        assert scope.pop("extensions") == {"gracehttp.drain": {}, "websocket.http.response": {}}
        assert scope == {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/chat room",
            "raw_path": b"/chat%20room",
            "query_string": b"a=b",
            "root_path": "",
            "client": ("192.0.2.1", 5),
            "server": ("192.0.2.9", 80),
            "subprotocols": ["v1", "v2"],
            "state": {"shared": "thing"},
        }

    run(app, scenario)


def test_scope_that_an_application_changes_is_not_the_scope_of_the_next_websocket(run):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["extensions"] == {"gracehttp.drain": {}, "websocket.http.response": {}})
        for inner in scope["extensions"].values():
            inner["mine"] = 1
        await accept(receive, send)

    async def scenario(world):
        for _ in range(2):
            await world.connect()
        assert seen == [True, True]

    run(app, scenario)


def test_messages_come_back(run):
    async def scenario(world):
        websocket = await world.connect()
        for message in ("", "hello", "\N{SNOWMAN}" * 50_000):
            await websocket.echoed(message)
        websocket.writer.write(binary(b"\x00\xff" * 100_000))
        assert await websocket.receive() == Frame(FIN | BINARY, b"\x00\xff" * 100_000)
        assert await websocket.close(4000) == (4000, "")
        await world.all_ended()
        assert world.finished == [("/", 101, 4000)]
        assert not world.failures + world.broken

    run(echo, scenario)


def test_empty_messages_are_messages(run):
    """uvicorn's sans-I/O implementation once dropped them (uvicorn pull 2825)."""

    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.send", "text": ""})
        await send({"type": "websocket.send", "bytes": b""})
        await send({"type": "websocket.send", "text": None, "bytes": b"x"})
        await send({"type": "websocket.send", "bytes": None, "text": "y"})

    async def scenario(world):
        websocket = await world.connect()
        received = [await websocket.receive() for _ in range(5)]
        assert received[:4] == [(0x81, b""), (0x82, b""), (0x82, b"x"), (0x81, b"y")]
        assert closing(received[4]) == (1000, "")

    run(app, scenario)


def test_values_of_headers_keep_their_case(run):
    """uvicorn pull 2825."""

    async def app(scope, receive, send):
        await accept(receive, send, headers=[(b"X-Token", b"AbC")])

    async def scenario(world):
        assert b"X-Token: AbC\r\n" in (await world.connect()).head

    run(app, scenario)


@pytest.mark.parametrize(
    ("sent", "expected"),
    {
        "a code": (close(4000, b"bye"), (4000, "bye")),
        "no code": (close(None), (1005, "")),
        "no close frame": (b"", (1006, "")),
        "a broken rule": (frame(3), (1002, "invalid opcode")),
    }.values(),
)
def test_codes_of_the_clients_end(run, sent, expected):
    """Each end has its own code (uvicorn pull 1753): 1005 is only for a close frame without one, and 1006 for none."""
    messages = []

    async def scenario(world):
        websocket = await world.connect()
        websocket.writer.write(text("first") + sent)
        websocket.writer.write_eof()
        await world.all_ended()
        assert messages[0] == {"type": "websocket.receive", "text": "first"}
        assert messages[1:] == [{"type": "websocket.disconnect", "code": expected[0], "reason": expected[1]}]

    run(told(messages), scenario)


def test_messages_before_the_close_frame_come_before_the_disconnect(run):
    messages = []

    async def app(scope, receive, send):
        await accept(receive, send)
        await asyncio.sleep(0.05)  # all of it is there before the first is taken
        while True:
            messages.append(await receive())
            if messages[-1]["type"] == "websocket.disconnect":
                return

    async def scenario(world):
        websocket = await world.connect()
        websocket.writer.write(text("one") + text("two") + close(1000))
        await world.all_ended()
        assert [one.get("text", one.get("code")) for one in messages] == ["one", "two", 1000]

    run(app, scenario)


def test_disconnect_can_be_received_again_and_again(run):
    async def app(scope, receive, send):
        await accept(receive, send)
        for _ in range(3):
            assert (await receive())["type"] == "websocket.disconnect"

    async def scenario(world):
        await (await world.connect()).close()
        await world.all_ended()
        assert not world.failures

    run(app, scenario)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({}, (1000, "")),
        ({"code": 4001, "reason": "enough"}, (4001, "enough")),
        ({"code": None, "reason": None}, (1000, "")),
        ({"code": 3000}, (3000, "")),
    ],
)
def test_application_closes(run, message, expected):
    """Code and reason arrive (granian issue 645), and the application hears of the end (granian issue 798)."""
    heard = []

    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.close", **message})
        heard.append(await receive())

    async def scenario(world):
        websocket = await world.connect()
        assert closing(await websocket.receive()) == expected
        await world.all_ended()
        assert heard == [{"type": "websocket.disconnect", "code": expected[0], "reason": expected[1]}]
        websocket.writer.write(close(expected[0]))
        assert await websocket.reader.read() == b"", "the connection ends when the client has answered"

    run(app, scenario)


def test_close_before_accept_is_403_and_a_disconnect(run):
    """The client got no answer, and the application waited for ever (granian issue 818)."""
    heard = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.close", "code": 4003})
        heard.append(await receive())

    async def scenario(world):
        websocket = await world.connect()
        assert websocket.status == 403
        await world.all_ended()
        assert heard == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        assert world.finished == [("/", 403, None)]
        assert not world.failures + world.broken

    run(app, scenario)


def test_denial_response(run):
    """Another status than 403 could not be told (daphne issue 486, asgiref issue 301, falcon issue 2436)."""
    heard = []

    async def app(scope, receive, send):
        await receive()
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"6")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"who", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"you"})
        heard.append(await receive())

    async def scenario(world):
        websocket = await world.connect()
        assert websocket.status == 401
        assert websocket.head.lower().count(b"content-length") == 1  # uvicorn pull 3041
        assert await websocket.reader.readexactly(6) == b"whoyou"
        await world.all_ended()
        assert heard[0]["type"] == "websocket.disconnect"

    run(app, scenario)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]},
        {"type": "http.response.zerocopysend", "file": 0},
        {"type": "http.response.body", "body": b"more"},
    ],
    ids=lambda message: message["type"],
)
def test_extensions_of_http_have_no_place_in_a_denial_response(run, message):
    """The application is told so, and the client has the response that was whole (asgiref issue 433)."""
    told = []

    async def app(scope, receive, send):
        assert "http.response.trailers" not in scope["extensions"]
        await receive()
        headers = [(b"content-length", b"3")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers, "trailers": True})
        await send({"type": "websocket.http.response.body", "body": b"who"})
        try:
            await send(message)
        except Exception as error:
            told.append(str(error))

    async def scenario(world):
        websocket = await world.connect()
        assert websocket.status == 401
        assert await websocket.reader.readexactly(3) == b"who"
        await world.all_ended()
        assert message["type"] in told[0]

    run(app, scenario)


def test_client_that_leaves_before_accept(run):
    """The application hears of it, and `accept` is no fault of its own (granian issue 835)."""
    outcome = []
    left = asyncio.Event()

    async def app(scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        outcome.append(await receive())
        try:
            await send({"type": "websocket.accept"})
        except OSError as error:
            outcome.append(type(error).__name__)
            left.set()
            raise

    async def scenario(world):
        _reader, writer = await world.client()
        writer.write(handshake())
        await writer.drain()
        while not world.application.in_flight:
            await asyncio.sleep(0)
        writer.close()
        await world.all_ended()
        assert outcome == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}, "ClientDisconnected"]
        assert not world.failures + world.broken

    run(app, scenario)


def test_send_to_a_client_that_is_gone_raises_an_os_error_that_is_not_logged(run):
    """ASGI 2.4; once it was a RuntimeError (granian issue 922), or nothing at all, for ever (starlette issue 759)."""

    async def app(scope, receive, send):
        await accept(receive, send)
        while True:
            await send({"type": "websocket.send", "text": "x"})
            await asyncio.sleep(0)

    async def scenario(world):
        websocket = await world.connect()
        await websocket.receive()
        websocket.writer.transport.abort()
        await world.all_ended()
        assert not world.failures
        assert world.finished == [("/", 101, 1006)]

    run(app, scenario)


def test_error_of_the_application_closes_with_1011_and_is_told(run):
    async def app(scope, receive, send):
        await accept(receive, send)
        raise ValueError("boom")

    async def scenario(world):
        websocket = await world.connect()
        assert closing(await websocket.receive()) == (1011, "the application failed")
        assert [str(error) for error in world.failures] == ["boom"]
        assert world.finished == [("/", 101, 1011)]

    run(app, scenario)


def test_error_before_accept_is_500(run):
    async def app(scope, receive, send):
        raise ValueError("boom")

    async def scenario(world):
        assert (await world.connect()).status == 500
        assert [str(error) for error in world.failures] == ["boom"]

    run(app, scenario)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_exit_ends_the_websocket_and_not_the_worker(run, error):
    async def app(scope, receive, send):
        await accept(receive, send)
        if scope["path"] == "/exit":
            raise error
        await receive()

    async def scenario(world):
        other = await world.connect()
        websocket = await world.connect("/exit")
        assert closing(await websocket.receive())[0] == 1011
        assert await other.close() == (1000, "")

    run(app, scenario)


def test_application_that_returns_closes_with_1000(run):
    async def app(scope, receive, send):
        await accept(receive, send)

    async def scenario(world):
        assert closing(await (await world.connect()).receive()) == (1000, "")
        await world.all_ended()
        assert not world.failures + world.broken

    run(app, scenario)


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "websocket.send", "text": "early"}],
        [{"type": "websocket.accept"}, {"type": "websocket.accept"}],
        [{"type": "websocket.accept"}, {"type": "websocket.send"}],
        [{"type": "websocket.accept"}, {"type": "websocket.send", "text": b"bytes"}],
        [{"type": "websocket.accept"}, {"type": "websocket.send", "bytes": "text"}],
        [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1006}],
        [{"type": "websocket.accept"}, {"type": "websocket.close"}, {"type": "websocket.send", "text": "late"}],
        [{"type": "websocket.accept"}, {"type": "websocket.close"}, {"type": "websocket.close"}],
        [{"type": "websocket.accept"}, {"type": "websocket.http.response.start", "status": 403}],
        [{"type": "websocket.http.response.start", "status": 403}, {"type": "websocket.accept"}],
        [{"type": "websocket.http.response.body", "body": b""}],
        [{"type": "websocket.http.response.start"}],
        [{"type": "http.response.start", "status": 200}],
        [{}],
    ],
)
def test_messages_that_cannot_be_sent_are_the_applications_fault(run, messages):
    caught = []

    async def app(scope, receive, send):
        await receive()
        *good, bad = messages
        for message in good:
            await send(message)
        with pytest.raises(RuntimeError) as raised:
            await send(bad)
        caught.append(raised.value)

    async def scenario(world):
        await world.connect()
        await world.all_ended()
        assert caught

    run(app, scenario)


# --- back-pressure ---


def test_send_waits_for_a_slow_reader(run):
    """It once filled the memory of uvicorn (uvicorn pull 3048)."""
    sent = []

    async def app(scope, receive, send):
        await accept(receive, send)
        for number in range(200):
            await send({"type": "websocket.send", "bytes": bytes(100_000)})
            sent.append(number)

    async def scenario(world):
        websocket = await world.connect()
        before = -1
        while len(sent) > before:  # until it stands still
            before = len(sent)
            await asyncio.sleep(0.05)
        assert 0 < len(sent) < 100
        assert world.connection.stream.unsent_bytes < 300_000
        for _ in range(200):
            await websocket.receive()
        assert closing(await websocket.receive()) == (1000, "")

    run(app, scenario)


def test_send_that_waits_ends_when_the_client_is_gone(run):
    """It once waited for ever (uvicorn pull 3050)."""
    ended = []

    async def app(scope, receive, send):
        await accept(receive, send)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(100_000)})
        except OSError:
            ended.append(True)
            raise

    async def scenario(world):
        websocket = await world.connect()
        while world.connection.stream.writable:
            await asyncio.sleep(0)
        websocket.writer.transport.abort()
        await world.all_ended()
        assert ended
        assert not world.failures

    run(app, scenario)


def test_client_that_sends_faster_than_the_application_takes_is_not_read(run):
    taken = []
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await accept(receive, send)
        await go_on.wait()
        while (message := await receive())["type"] == "websocket.receive":
            taken.append(message["bytes"])

    async def scenario(world):
        websocket = await world.connect()
        websocket.writer.write(binary(bytes(50_000)) * 100)
        while world.connection.stream.reading:
            await asyncio.sleep(0)
        assert websocket.writer.transport.get_write_buffer_size() > 1_000_000
        go_on.set()
        await websocket.close()
        assert len(taken) == 100

    run(app, scenario)


def test_two_tasks_may_send_and_two_may_receive(run):
    async def app(scope, receive, send):
        await accept(receive, send)

        async def answer():
            message = await receive()
            await send({"type": "websocket.send", "text": message["text"]})

        await asyncio.gather(*(answer() for _ in range(4)))

    async def scenario(world):
        websocket = await world.connect()
        for number in range(4):
            websocket.writer.write(text(f"{number}"))
        received = {(await websocket.receive()).payload for _ in range(4)}
        assert received == {b"0", b"1", b"2", b"3"}

    run(app, scenario)


def test_receive_that_is_cancelled_loses_no_message(run):
    async def app(scope, receive, send):
        await accept(receive, send)
        seen = []
        while len(seen) < 20:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    seen.append((await receive())["text"])
        await send({"type": "websocket.send", "text": " ".join(seen)})

    async def scenario(world):
        websocket = await world.connect()
        for number in range(20):
            websocket.writer.write(text(f"{number}"))
            await asyncio.sleep(0.002)
        assert (await websocket.receive()).payload == " ".join(map(str, range(20))).encode()

    run(app, scenario)


@pytest.mark.parametrize("before", [b"", b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_client_that_has_ended_its_half_before_the_handshake_is_answered_is_gone(run, before):
    seen = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            for _ in range(5):  # what follows has come, and the client has ended its half
                await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        seen.append((await receive())["type"])
        seen.append((await asyncio.wait_for(receive(), DEADLINE_SECONDS))["type"])

    async def scenario(world):
        reader, writer = await world.client()
        writer.write(before + handshake("/"))
        writer.write_eof()
        await reader.read()
        await world.all_ended()
        assert seen in ([], ["websocket.connect", "websocket.disconnect"])
        assert world.failures == world.broken == []

    run(app, scenario)


# --- the drain ---


def test_application_that_hears_of_the_drain_says_goodbye_itself(run):
    async def app(scope, receive, send):
        await accept(receive, send)
        await drain_notice().wait()
        await send({"type": "websocket.send", "text": "goodbye"})
        await send({"type": "websocket.close", "code": 4012, "reason": "moved"})

    async def scenario(world):
        websocket = await world.connect()
        world.notices.give()
        assert (await websocket.receive()).payload == b"goodbye"
        assert closing(await websocket.receive()) == (4012, "moved")

    run(app, scenario)


def test_application_that_does_not_hear_of_the_drain_sees_a_disconnect_with_1012(run):
    """uvicorn pull 1816."""
    messages = []

    async def scenario(world):
        websocket = await world.connect()
        assert world.connection.close_idle()
        code, reason = closing(await websocket.receive())
        assert code == 1012
        await world.all_ended()
        assert messages == [{"type": "websocket.disconnect", "code": 1012, "reason": reason}]
        websocket.writer.write(close(1012))
        assert await websocket.reader.read() == b""

    run(told(messages), scenario)


def test_cancelled_at_the_end_of_a_drain(run):
    async def app(scope, receive, send):
        await accept(receive, send)
        await asyncio.Event().wait()

    async def scenario(world):
        websocket = await world.connect()
        world.connection.abort()
        world.application.cancel_all()
        await world.all_ended()
        assert await websocket.reader.read() == b""
        assert not world.failures

    run(app, scenario)


def test_pong_that_nobody_asked_for_is_not_told(run):
    """granian issue 318."""

    async def scenario(world):
        websocket = await world.connect()
        websocket.writer.write(frame(10, b""))
        await websocket.echoed("hello")

    run(echo, scenario)


def test_large_message_in_many_fragments(run):
    async def scenario(world):
        websocket = await world.connect()
        pieces = [b"%07d" % number for number in range(20_000)]
        data = frame(TEXT, pieces[0], fin=False) + b"".join(frame(0, piece, fin=False) for piece in pieces[1:])
        websocket.writer.write(data + frame(0, b""))
        assert await websocket.receive() == Frame(FIN | TEXT, b"".join(pieces))

    run(echo, scenario)


def test_message_beyond_the_limit_is_1009(run):
    messages = []

    async def scenario(world):
        websocket = await world.connect()
        websocket.writer.write(binary(bytes(1001)))
        received = await websocket.receive()
        assert received.opcode == CLOSE
        assert closing(received)[0] == 1009
        await world.all_ended()
        assert [one.get("code") for one in messages] == [1009]

    run(told(messages), scenario, max_size_bytes=1000)
