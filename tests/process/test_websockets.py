"""WebSockets of real processes: through restarts and stops, with slow clients and clients that leave, and over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import time

import pytest
import trustme
from deadlines import DEADLINE_SECONDS
from server_harness import get, read_response
from websocket_client import BINARY, CLOSE, FIN, WebSocket, binary, close, closing, frames_in, handshake, run, text
from websocket_load import EchoClient, pid_of, through_restarts

APPLICATION = """
    import asyncio
    import os

    import gracehttp

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
            await send({"type": "http.response.body", "body": b"http"})
            return
        assert scope["type"] == "websocket"
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "headers": [(b"x-pid", str(os.getpid()).encode())]})
        await globals()[scope["path"][1:]](scope, receive, send)

    async def echo(scope, receive, send):
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        print_end(message)

    async def listens(scope, receive, send):
        echoing = asyncio.create_task(echo(scope, receive, send))
        await asyncio.wait(
            [echoing, asyncio.create_task(gracehttp.drain_notice().wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        await send({"type": "websocket.close", "code": 4012, "reason": "goodbye"})

    async def lingers(scope, receive, send):
        await gracehttp.drain_notice().wait()
        await asyncio.sleep(0.5)
        await send({"type": "websocket.close", "code": 4012, "reason": "goodbye"})

    async def floods(scope, receive, send):
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(100_000)})
        except OSError as error:
            print_end(type(error).__name__)

    async def ticks(scope, receive, send):
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await asyncio.sleep(0.01)

    async def deaf(scope, receive, send):
        await asyncio.Event().wait()

    def print_end(what):
        os.write(2, f"the application saw {what}\\n".encode())
"""
QUICK = ("--ws-goodbye", "300ms", "--drain-timeout", "10s")


@pytest.fixture
def begin(start):
    def begin(*options, application=APPLICATION, **more):
        arguments = ("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", *options)
        server = start(*arguments, files={"application.py": application}, **more)
        server.pids = server.wait_until_serving()
        return server

    return begin


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def certified(authority, folder):
    """The file of a certificate for localhost, with its key."""
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    return folder / "both.pem"


def trusting(authority):
    """The context of a client."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def closed(websocket):
    """Read to its close frame, answer it, and return its code and reason."""
    while (received := await websocket.receive()).opcode != CLOSE:
        pass
    code, reason = closing(received)
    websocket.writer.write(close(code))
    assert await websocket.reader.read() == b"", "the server ends the connection"
    websocket.writer.close()
    return code, reason


@pytest.mark.parametrize("restarts", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_each_websocket_is_closed_by_its_application_or_with_1012(begin, restarts):
    server = begin("-w", "2", *QUICK)
    clients = [EchoClient(server.port, path) for path in ("/echo", "/listens") for _ in range(25)]
    run(through_restarts(server, restarts, clients), seconds=DEADLINE_SECONDS * restarts)
    codes = [code for one in clients for code in one.codes]
    echoes = sum(one.echoes for one in clients)
    print(f"{restarts} restarts: {echoes} echoes, {codes.count(1012)} closed with 1012, {codes.count(4012)} with 4012")
    assert [one.wrong for one in clients] == [[]] * 50
    for one in clients:
        assert one.codes == [1012 if one.path == "/echo" else 4012] * restarts, one.path
        assert len(one.pids) == restarts + 1
        assert one.pids[-1] in server.pids, "who connects again is with the new generation"
        assert one.echoes
    assert "cut" not in server.log.replace("no request was cut", "")


def test_application_sees_the_close_and_the_access_log_has_its_code(begin):
    server = begin("--access-log", *QUICK)

    async def scenario():
        websocket = await WebSocket.connect(server.port, "/echo")
        await websocket.echoed("hello")
        await asyncio.to_thread(server.restart, 2)
        code, reason = await closed(websocket)
        assert (code, reason) == (1012, "the server restarts, connect again")

    run(scenario())
    server.wait_for(
        r"the application saw \{'type': 'websocket.disconnect', 'code': 1012, 'reason': 'the server restarts"
    )
    server.wait_for(r"GET /echo 101 7 bytes \d+\.\d ms 127\.0\.0\.1:\d+ worker 1 generation 1 close 1012$")


def test_application_has_a_while_to_say_goodbye(begin):
    server = begin("--ws-goodbye", "1s", "--drain-timeout", "1h")  # to wait for the end of that is to hang

    async def scenario():
        silent, listening = [await WebSocket.connect(server.port, path) for path in ("/echo", "/listens")]
        began = time.monotonic()
        server.send_signal(signal.SIGHUP)
        assert await closed(listening) == (4012, "goodbye")
        assert (await closed(silent))[0] == 1012
        assert time.monotonic() - began > 1.0

    run(scenario())
    server.wait_until_gone(1)


def test_websocket_that_opens_late_in_a_drain_has_the_same_while(begin, authority, tmp_path):
    trust = trusting(authority)
    server = begin(
        *("--certfile", str(certified(authority, tmp_path)), "--ws-goodbye", "2s", "--drain-timeout", "1h"),
    )

    async def scenario():
        old = await WebSocket.connect(server.port, "/echo", tls=trust)
        late = await asyncio.open_connection("127.0.0.1", server.port, ssl=trust, server_hostname="localhost")
        server.send_signal(signal.SIGHUP)
        assert (await closed(old))[0] == 1012  # its while is over
        reader, writer = late
        writer.write(handshake("/lingers"))
        websocket = WebSocket(reader, writer, await reader.readuntil(b"\r\n\r\n"))
        assert pid_of(websocket) in server.pids
        assert await closed(websocket) == (4012, "goodbye")

    run(scenario())
    server.wait_until_gone(1)


def test_many_websockets_do_not_come_back_at_once(begin):
    server = begin("--ws-goodbye", "0s")
    count = 200

    async def scenario():
        websockets = [await WebSocket.connect(server.port, "/echo") for _ in range(count)]
        server.send_signal(signal.SIGHUP)
        assert {code for code, _ in await asyncio.gather(*map(closed, websockets))} == {1012}

    run(scenario())
    # By the clock of the worker: this process may have been held up, and have seen many at once.
    assert float(server.wait_for(r"drained in (\S+) s")[1]) > 1.5, "100 in a second"


@pytest.mark.parametrize("path", ["/echo", "/listens", "/ticks"])
def test_stop_closes_too(begin, path):
    """The code was 1006 (uvicorn issue 1344), and an application that sends on was an error (uvicorn issue 326)."""
    server = begin(*QUICK)

    async def scenario():
        websocket = await WebSocket.connect(server.port, path)
        server.send_signal(signal.SIGTERM)
        assert (await closed(websocket))[0] == (4012 if path == "/listens" else 1012)

    run(scenario())
    assert server.wait() == 0
    assert "ERROR" not in server.log


def test_reader_that_is_slow_is_told_behind_what_it_has_not_read_yet(begin):
    server = begin(*QUICK)

    async def scenario():
        websocket = await WebSocket.connect(server.port, "/floods")
        await asyncio.to_thread(server.restart, 2)
        await asyncio.sleep(0.7)
        assert (await closed(websocket))[0] == 1012

    run(scenario())
    server.wait_for("the application saw ClientDisconnected")
    server.wait_until_gone(1)


LARGE_BYTES = 16_000_000
"""More than the kernel takes for one connection, on both of its ends together, in either direction."""
LARGE_APPLICATION = f"""
    import gracehttp.http.websocket.protocol
    gracehttp.http.websocket.protocol.CLOSING_SECONDS = 0.1  # so that no test must wait for it
{APPLICATION}
    async def large(scope, receive, send):
        try:
            await send({{"type": "websocket.send", "bytes": bytes({LARGE_BYTES})}})
        except OSError as error:
            print_end(type(error).__name__)
"""


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_slow_reader_that_sends_on_gets_its_message_and_1012_and_no_reset(begin, authority, tmp_path, secure):
    """It doesn't read before the closing deadline is over, and it sends meanwhile: were that left unread, the close
    would be a reset, which destroys what the kernel has for this client."""
    options = ["--ws-goodbye", "0s", "--drain-timeout", "1h", "--body-timeout", f"{DEADLINE_SECONDS}s"]
    tls = None
    if secure:
        options, tls = [*options, "--certfile", str(certified(authority, tmp_path))], trusting(authority)
    server = begin(*options, application=LARGE_APPLICATION)
    with contextlib.ExitStack() as ends:
        sock = ends.enter_context(connected(server))
        if tls is not None:
            sock = ends.enter_context(tls.wrap_socket(sock, server_hostname="localhost"))
        sock.sendall(handshake("/large"))
        stream = ends.enter_context(sock.makefile("rb"))
        while stream.readline().strip():
            pass
        header = stream.read(10)
        assert (header[0], int.from_bytes(header[2:], "big")) == (FIN | BINARY, LARGE_BYTES)
        server.restart(2)
        server.wait_for("the application saw ClientDisconnected")  # so its close frame stands behind the message
        # The server reads nothing of an open WebSocket whose client is so slow. So this can be sent only when it has
        # given up to wait for the client's close frame, and discards what comes.
        sock.sendall(binary(bytes(65_000)) * (LARGE_BYTES // 65_000))
        assert stream.read(LARGE_BYTES) == bytes(LARGE_BYTES)
        (received,), rest = frames_in(stream.read())
        assert closing(received) == (1012, "the server restarts, connect again")
        assert rest == b""
    server.wait_until_gone(1)


def test_what_is_left_at_the_end_of_the_drain_is_cut_and_told(begin):
    server = begin("--ws-goodbye", "100ms", "--drain-timeout", "2s")

    async def scenario():
        websocket = await WebSocket.connect(server.port, "/floods")
        await asyncio.to_thread(server.restart, 2)
        await asyncio.to_thread(server.wait_until_gone, 1)
        websocket.writer.transport.abort()

    run(scenario())
    server.wait_for(r"WebSocket /floods for \d")
    assert "the application saw ClientDisconnected" in server.log


def test_client_that_is_gone(begin):
    server = begin()

    async def scenario():
        echoing = await WebSocket.connect(server.port, "/echo")
        await echoing.echoed("hello")
        echoing.writer.transport.abort()
        flooded = await WebSocket.connect(server.port, "/floods")
        await flooded.receive()
        flooded.writer.transport.abort()
        await asyncio.to_thread(server.wait_for, r"the application saw \{'type': 'websocket.disconnect', 'code': 1006")
        await asyncio.to_thread(server.wait_for, "the application saw ClientDisconnected")

    run(scenario())
    assert "ERROR" not in server.log


def test_client_that_does_not_answer_pings(begin):
    server = begin("--ws-ping-interval", "200ms", "--ws-ping-timeout", "200ms")

    async def scenario():
        silent = await WebSocket.connect(server.port, "/deaf")
        data = await silent.reader.read()
        assert data.startswith(b"\x89\x04"), "a ping"
        assert b"\x03\xf3no answer to a ping" in data  # 1011

    run(scenario())


def test_over_tls(begin, authority, tmp_path):
    trust = trusting(authority)
    server = begin("--certfile", str(certified(authority, tmp_path)), "--ws-deflate", "on", *QUICK)

    async def scenario():
        websocket = await WebSocket.connect(server.port, "/echo", tls=trust)
        for size in (1, 1000, 100_000):
            await websocket.echoed("x" * size)
        websocket.writer.write(binary(b"\x00" * 3_000_000))
        assert (await websocket.receive()).payload == b"\x00" * 3_000_000
        await asyncio.to_thread(server.restart, 2)
        assert (await closed(websocket))[0] == 1012
        again = await WebSocket.connect(server.port, "/echo", tls=trust)
        assert pid_of(again) != pid_of(websocket)
        assert await again.close() == (1000, "")

    run(scenario())


def test_the_librarys_own_client_with_compression(begin):
    from websockets.asyncio.client import connect

    server = begin("--ws-deflate", "on", *QUICK)

    async def scenario():
        async with connect(f"ws://127.0.0.1:{server.port}/echo", proxy=None) as websocket:
            assert "permessage-deflate" in websocket.response.headers["Sec-WebSocket-Extensions"]
            for message in ("hello", "hello " * 10_000, b"\x00" * 1_000_000, ""):
                await websocket.send(message)
                assert await websocket.recv() == message
            await websocket.send(["in ", "three ", "fragments"])
            assert await websocket.recv() == "in three fragments"
            await (await websocket.ping())
            await asyncio.to_thread(server.restart, 2)
            await websocket.wait_closed()
            assert websocket.close_code == 1012

    run(scenario())


def test_wsgi_application_gets_no_upgrade(begin):
    application = """
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "4")])
            return [b"wsgi"]
    """
    server = begin(application=application)
    with contextlib.closing(connected(server)) as sock:
        sock.sendall(handshake())
        assert read_response(sock)[0::2] == (200, b"wsgi")


def test_without_the_library(begin, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "websockets.py").write_text('raise ImportError("not installed")\n')
    server = begin(environment={"PYTHONPATH": str(hidden)})
    with contextlib.closing(connected(server)) as sock:
        for _ in range(2):
            sock.sendall(handshake())
            assert read_response(sock)[0::2] == (200, b"http")
    server.wait_for("pip install websockets")
    assert get(server.port)[0] == 200
    assert server.log.count("pip install websockets") == 1


def connected(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)


def test_request_and_websocket_on_one_connection(begin):
    server = begin()

    async def scenario():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + handshake("/echo") + text("early"))
        assert await reader.readuntil(b"\r\n\r\nhttp")
        head = await reader.readuntil(b"\r\n\r\n")
        websocket = WebSocket(reader, writer, head)
        assert (await websocket.receive()).payload == b"early"
        assert await websocket.close() == (1000, "")

    run(scenario())
