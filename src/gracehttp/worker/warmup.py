"""Requests that a worker answers to itself before it counts as ready."""

from __future__ import annotations

import asyncio
import socket

from gracehttp.errors import ApplicationFailed
from gracehttp.http.connection import Connection, HttpSettings
from gracehttp.http.exchange import Application, RequestHead
from gracehttp.http.http1 import Http1Connection
from gracehttp.observe.tracebacks import application_traceback

_SHOWN_BODY_BYTES = 2000


class _WarmUp:
    """The owner of the one connection of a warm-up request. Keeps what the application raised."""

    request_finished = None

    def __init__(self) -> None:
        self.error = ""

    def connection_opened(self, connection: Connection) -> None:
        return

    def connection_closed(self, connection: Connection) -> None:
        return

    def application_failed(self, head: RequestHead, error: BaseException) -> None:
        self.error = application_traceback(error)

    def response_broken(self, head: RequestHead, reason: str) -> None:
        self.error = reason


async def warm_up(application: Application, path: str) -> None:
    """GET `path` from `application`, through all that a client's request passes except the network.

    Raises `ApplicationFailed` if the answer is a 5xx, or if there is none. Other statuses are fine: a redirect or a 401
    shows that the application works.
    """
    loop = asyncio.get_running_loop()
    owner = _WarmUp()
    theirs, ours = socket.socketpair()
    theirs.setblocking(False)
    # No timeouts of its own: the ready timeout bounds everything that a worker does before it is ready.
    forever = HttpSettings(header_timeout_seconds=3600, keep_alive_timeout_seconds=3600, body_timeout_seconds=3600)
    connection = Http1Connection(application=application, settings=forever, owner=owner, loop=loop, scheme="http")
    await loop.connect_accepted_socket(lambda: connection, theirs)
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: gracehttp-warmup\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        answer = await reader.read()
    finally:
        writer.close()
    status_line, _, rest = answer.partition(b"\r\n")
    status = status_line.split(b" ")[1].decode() if status_line.startswith(b"HTTP/") else ""
    if status and not status.startswith("5"):
        return
    body = rest.partition(b"\r\n\r\n")[2][:_SHOWN_BODY_BYTES].decode("utf-8", "replace")
    outcome = f"answered {status}" if status else "got no answer"
    raise ApplicationFailed(f"the warm-up request GET {path} {outcome}", details=owner.error or body)
