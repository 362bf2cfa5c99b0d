"""The application of `gracehttp demo`, in plain ASGI: `/ping` answers with the PID, all else is unknown."""

from __future__ import annotations

import os

from gracehttp.applications.asgi.types import Receive, Scope, Send


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI 3 application (asgiref, specs/main and specs/www)."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http":
        await _answer(scope["path"], send)
    else:
        raise NotImplementedError(f"the demo speaks HTTP only, not {scope['type']}")


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(path: str, send: Send) -> None:
    if path == "/ping":
        status, body = 200, f"pong by pid:{os.getpid()}".encode()
    else:
        status, body = 404, b"unknown"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
