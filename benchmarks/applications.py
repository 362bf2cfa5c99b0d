"""What the measured servers serve. It does nothing, so that what remains is the server."""

from __future__ import annotations

import os

_ASGI_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
_WSGI_HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "13")]
_PID_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"10")]


async def hello(scope, receive, send):
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await send({"type": "http.response.start", "status": 200, "headers": _ASGI_HEADERS})
        await send({"type": "http.response.body", "body": b"Hello, world!"})


def hello_wsgi(environ, start_response):
    start_response("200 OK", _WSGI_HEADERS)
    return [b"Hello, world!"]


async def pid(scope, receive, send):
    """Answers with the ID of the worker in ten digits."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await send({"type": "http.response.start", "status": 200, "headers": _PID_HEADERS})
        await send({"type": "http.response.body", "body": b"%010d" % os.getpid()})


async def echo(scope, receive, send):
    """Sends each message of a WebSocket back; HTTP requests are answered as by `hello`."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def _lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
