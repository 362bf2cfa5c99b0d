"""WebSockets as frameworks have them: Starlette, FastAPI, Django Channels, Quart, Socket.IO; and a real browser.

Each application sends messages back, refuses some, ends some itself, and hears of the end, also through a restart.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from websocket_client import CLOSE, TEXT, WebSocket, close, closing, run, text

STARLETTE = """
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocketDisconnect
    from ends import ended

    async def echo(websocket):
        await websocket.accept(subprotocol="chat")
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect as end:
            ended(end.code)

    async def leave(websocket):
        await websocket.accept()
        await websocket.close(4001, "enough")

    async def refuse(websocket):
        await websocket.close(1008)

    async def deny(websocket):
        await websocket.send_denial_response(PlainTextResponse("who are you?", 401))

    routes = [WebSocketRoute(f"/{name.__name__}", name) for name in (echo, leave, refuse, deny)]
    app = Starlette(routes=routes)
"""
FASTAPI = """
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect, WebSocketException
    from ends import ended

    app = FastAPI()

    @app.websocket("/echo")
    async def echo(websocket: WebSocket):
        await websocket.accept(subprotocol="chat")
        try:
            async for message in websocket.iter_text():
                await websocket.send_text(message)
        finally:
            ended("an end")

    @app.websocket("/leave")
    async def leave(websocket: WebSocket):
        await websocket.accept()
        raise WebSocketException(4001, "enough")

    @app.websocket("/refuse")
    async def refuse(websocket: WebSocket):
        raise WebSocketException(1008)
"""
CHANNELS = """
    from django.conf import settings
    settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"])
    import django
    django.setup()
    from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.core.asgi import get_asgi_application
    from django.urls import path
    from ends import ended

    urlpatterns = []

    class Echo(AsyncWebsocketConsumer):
        async def connect(self):
            await self.accept("chat")

        async def receive(self, text_data=None, bytes_data=None):
            await self.send(text_data=text_data)

        async def disconnect(self, code):
            ended(code)

    class Leave(WebsocketConsumer):  # in a thread
        def connect(self):
            self.accept()
            self.close(4001, "enough")

    class Refuse(AsyncWebsocketConsumer):
        async def connect(self):
            await self.close()

    routes = URLRouter([path("echo", Echo.as_asgi()), path("leave", Leave.as_asgi()), path("refuse", Refuse.as_asgi())])
    app = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": routes})
"""
QUART = """
    import asyncio
    from quart import Quart, abort, websocket
    from ends import ended

    app = Quart(__name__)

    @app.websocket("/echo")
    async def echo():
        await websocket.accept(subprotocol="chat")
        try:
            while True:
                await websocket.send(await websocket.receive())
        except asyncio.CancelledError:
            ended("an end")
            raise

    @app.websocket("/leave")
    async def leave():
        await websocket.accept()
        await websocket.close(4001, "enough")

    @app.websocket("/refuse")
    async def refuse():
        abort(403)
"""
ENDS = """
    import os

    def ended(how):
        os.write(2, f"the application saw {how}\\n".encode())
"""
SOCKETIO = """
    import socketio
    from ends import ended

    server = socketio.AsyncServer(async_mode="asgi", logger=False, engineio_logger=False)
    app = socketio.ASGIApp(server)

    @server.event
    async def message(session, text):
        await server.emit("message", text, to=session)

    @server.event
    async def disconnect(session, reason):
        ended(reason)
"""
APPLICATIONS = {"starlette": STARLETTE, "fastapi": FASTAPI, "channels": CHANNELS, "quart": QUART}
ENDS_WITH_CODE = ("starlette", "channels")


@pytest.fixture
def serve(start):
    servers = []

    def serve(name, text_of_it):
        pytest.importorskip("django" if name == "channels" else name)
        pytest.importorskip(name)
        arguments = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "--ws-goodbye", "100ms")
        server = start(*arguments, files={"application.py": text_of_it, "ends.py": ENDS})
        server.wait_until_serving()
        servers.append(server)
        return server

    yield serve
    for server in servers:
        assert server.stop() == 0
        assert "ERROR" not in server.log


@pytest.mark.parametrize("name", APPLICATIONS)
def test_framework(serve, name):
    server = serve(name, APPLICATIONS[name])

    async def scenario():
        echo = await WebSocket.connect(server.port, "/echo", Sec_WebSocket_Protocol="chat")
        assert b"Sec-WebSocket-Protocol: chat\r\n" in echo.head
        for message in ("hello", "\N{SNOWMAN}", "x" * 70_000):
            await echo.echoed(message)
        assert await echo.close(4000) == (4000, "")
        how = "4000" if name in ENDS_WITH_CODE else "an end"
        await asyncio.to_thread(server.wait_for, f"the application saw {how}")

        leave = await WebSocket.connect(server.port, "/leave")
        assert closing(await leave.receive()) == (4001, "enough")
        leave.writer.write(close(4001))
        assert await leave.reader.read() == b""

        refuse = await WebSocket.connect(server.port, "/refuse")
        assert refuse.status == 403

        gone = await WebSocket.connect(server.port, "/echo")
        await gone.echoed("hello")
        gone.writer.transport.abort()
        how = "1006" if name in ENDS_WITH_CODE else "an end"
        await asyncio.to_thread(server.wait_for, f"the application saw {how}", count=1 if name in ENDS_WITH_CODE else 2)

        stays = await WebSocket.connect(server.port, "/echo")
        await stays.echoed("before")
        await asyncio.to_thread(server.restart, 2)
        received = await stays.receive()
        assert closing(received)[0] == 1012
        stays.writer.write(close(1012))
        assert await stays.reader.read() == b""
        again = await WebSocket.connect(server.port, "/echo")
        await again.echoed("after")
        assert await again.close() == (1000, "")
        await asyncio.to_thread(server.wait_until_gone, 1)
        if name in ENDS_WITH_CODE:
            server.wait_for("the application saw 1012")

    run(scenario())
    if name == "starlette":
        run(denied(server))


async def denied(server):
    deny = await WebSocket.connect(server.port, "/deny")
    assert deny.status == 401
    assert await deny.reader.readexactly(12) == b"who are you?"


def test_socket_io(serve):
    """Engine.IO 4 over WebSocket from the first byte on: its packets have a digit in front, Socket.IO's a second."""
    server = serve("socketio", SOCKETIO)

    async def connect():
        websocket = await WebSocket.connect(server.port, "/socket.io/?EIO=4&transport=websocket")
        opened = await websocket.receive()
        assert opened.payload[:1] == b"0"
        assert json.loads(opened.payload[1:])["sid"]
        websocket.writer.write(text("40"))
        assert (await websocket.receive()).payload.startswith(b'40{"sid"')
        return websocket

    async def asked(websocket, message):
        websocket.writer.write(text(f'42["message","{message}"]'))
        received = await websocket.receive()
        assert (received.opcode, received.payload) == (TEXT, f'42["message","{message}"]'.encode())

    async def scenario():
        websocket = await connect()
        await asked(websocket, "hello")
        await asyncio.to_thread(server.restart, 2)
        while (received := await websocket.receive()).opcode != CLOSE:
            pass
        assert closing(received)[0] == 1012
        websocket.writer.write(close(1012))
        await asyncio.to_thread(server.wait_for, "the application saw ")
        again = await connect()
        await asked(again, "after")
        await again.close()

    run(scenario())


PAGE = """
    PAGE = b'''<!doctype html><title>start</title><script>
    let told = [];
    function connect(round) {
        const socket = new WebSocket(`ws://${location.host}/ws`, ["chat"]);
        let expected = 0;
        socket.onopen = () => { told.push(`open ${socket.protocol}`); socket.send("x".repeat(100000)); };
        socket.onmessage = (event) => {
            if (event.data.length === 100000) { socket.send("\\u2603"); return; }
            told.push(event.data);
            if (round) socket.close(4000, "done"); else fetch("/ready");
        };
        socket.onclose = (event) => {
            told.push(`close ${event.code} ${event.wasClean}`);
            if (round) fetch("/told", {method: "POST", body: told.join("|")}); else connect(1);
        };
    }
    connect(0);
    </script>'''

    import os

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "subprotocol": "chat"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})
            return
        if scope["path"] == "/told":
            os.write(2, b"the browser saw " + (await receive())["body"] + b"\\n")
        elif scope["path"] == "/ready":
            os.write(2, b"the browser is ready\\n")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": PAGE if scope["path"] == "/" else b""})
"""


@pytest.mark.browser
@pytest.mark.parametrize("deflate", ["off", "on"])
def test_chromium(start, browse, deflate):
    """A page with a WebSocket that is open through a restart: it hears 1012, connects again, and closes by itself."""
    options = ("--ws-goodbye", "100ms", "--ws-deflate", deflate)
    arguments = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", *options)
    server = start(*arguments, files={"application.py": PAGE})
    server.wait_until_serving()
    browse(f"http://127.0.0.1:{server.port}/")
    server.wait_for("the browser is ready")
    server.restart(2)
    told = server.wait_for("the browser saw (.*)")[1]
    assert told == "open chat|\N{SNOWMAN}|close 1012 true|open chat|\N{SNOWMAN}|close 4000 true"
    assert server.stop() == 0
