"""What the measured servers serve: without a framework, so that what remains is the server. ASGI, and WSGI below."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

HELLO = b"Hello, world!"
LARGE = b"x" * 100_000
CHUNK, CHUNKS = b"x" * 1000, 64
PIECE = b"\0" * 65536
GIGABYTE = 1_000_000_000
FILE_VARIABLE = "BENCHMARK_FILE"
"""The environment variable that names what `download_file` sends."""


def _for_http(handle: Application) -> Application:
    """The application, with a lifespan that does nothing."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await handle(scope, receive, send)
            return
        await _lifespan(receive, send)

    return app


def _fixed(body: bytes) -> Application:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


hello = _fixed(HELLO)
large = _fixed(LARGE)


@_for_http
async def pid(scope: Message, receive: Receive, send: Send) -> None:
    """Answers with the ID of the worker in ten digits."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"10")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"%010d" % os.getpid()})


@_for_http
async def pid_or_all(scope: Message, receive: Receive, send: Send) -> None:
    """As `transfer` for /upload and /download, else as `pid`."""
    await (transfer if len(scope["path"]) > 1 else pid)(scope, receive, send)


@_for_http
async def blocking(scope: Message, receive: Receive, send: Send) -> None:
    """As `pid`, after it has blocked the worker for 20 ms."""
    time.sleep(0.02)
    await pid(scope, receive, send)


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Sends each message of a WebSocket back; HTTP requests are answered as by `hello`."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


@_for_http
async def post(scope: Message, receive: Receive, send: Send) -> None:
    """Reads a JSON document and answers with how many items it has."""
    body = await _read(receive) or b'{"items": []}'  # a GET asks whether the server is ready
    answer = json.dumps({"items": len(json.loads(body)["items"])}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


@_for_http
async def stream(scope: Message, receive: Receive, send: Send) -> None:
    """Sends 64 chunks of 1,000 bytes, without a length in advance."""
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@_for_http
async def transfer(scope: Message, receive: Receive, send: Send) -> None:
    """/upload tells how many bytes came; /download sends 1 GB in pieces; /file sends the file of the same size."""
    if scope["path"] == "/download":
        await _begin(send, GIGABYTE)
        left = GIGABYTE
        while left > 0:
            piece = PIECE[: min(left, len(PIECE))]
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        return
    if scope["path"] == "/file":
        await _send_file(os.environ[FILE_VARIABLE], "http.response.pathsend" in scope.get("extensions", {}), send)
        return
    received, more = 0, True
    while more:
        message = await receive()
        received += len(message.get("body", b""))
        more = message.get("more_body", False) and message["type"] == "http.request"
    answer = b"%d" % received
    await _begin(send, len(answer))
    await send({"type": "http.response.body", "body": answer})


async def _send_file(path: str, by_server: bool, send: Send) -> None:
    """As Starlette's FileResponse does: by the server where it offers that, else in pieces of 64 KiB."""
    await _begin(send, GIGABYTE)
    if by_server:
        await send({"type": "http.response.pathsend", "path": path})
        return
    with open(path, "rb") as file:
        left = GIGABYTE
        while left > 0:
            piece = file.read(65536)
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})


async def _begin(send: Send, length: int) -> None:
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


# --- WSGI ---

_WSGI_HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(HELLO)))]


def hello_wsgi(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", _WSGI_HEADERS)
    return [HELLO]
