"""Requests that a worker answers to itself before it counts as ready."""

from __future__ import annotations

import asyncio
import re
import socket

from gracehttp.errors import ApplicationFailed
from gracehttp.events import WarmUpAnswered, WarmUpMissed
from gracehttp.http import negotiation
from gracehttp.http.connection import NO_PROTOCOL, Connection, Ends, ServerContext
from gracehttp.http.exchange import RequestFinished, RequestHead
from gracehttp.http.forwarded import Forwarding
from gracehttp.http.handler import Application
from gracehttp.http.settings import HttpSettings, ProxySettings
from gracehttp.net.poller import Poller
from gracehttp.net.stream import PlainStream, StreamServices
from gracehttp.observe.tracebacks import application_traceback
from gracehttp.wire.handover import Proxied

_SHOWN_BODY_BYTES = 2000
_LOCATION = re.compile(rb"(?im)^location:[ \t]*([^\r\n]*)")
_NO_TIMEOUT_SECONDS = 3600.0
"""The ready timeout bounds everything that a worker does before it is ready."""


class _WarmUp:
    """The owner of the one connection of a warm-up request. It keeps what the application raised."""

    def __init__(self) -> None:
        self.request_finished: RequestFinished | None = None
        self.error = ""

    def connection_speaks(self, connection: Connection) -> None:
        return

    def connection_stays(self, connection: Connection) -> None:
        return

    def connection_rested(self, connection: Connection) -> None:
        return

    def connection_closed(self, connection: Connection) -> None:
        return

    def application_failed(self, head: RequestHead, error: BaseException) -> None:
        self.error = application_traceback(error)

    def response_broken(self, head: RequestHead, reason: str) -> None:
        self.error = reason

    def response_corrected(self, head: RequestHead, kind: str, reason: str) -> None:
        return


async def warm_up(application: Application, target: str, poller: Poller, *, root_path: str = "") -> WarmUpAnswered:
    """GET `target` from `application`, on the same way that a client's request takes, but for the network.

    `target` is a path, or a URL whose host and scheme the application sees. `root_path` is that of its server. Returns
    what to tell of the answer. Raises `ApplicationFailed` if it is a 5xx or none at all. Other statuses are fine: a
    redirect or a 401 shows that the application works.
    """
    began_at = asyncio.get_running_loop().time()
    scheme, host, path = _parts(target)
    owner = _WarmUp()
    theirs, ours = socket.socketpair()
    connection = _serve(theirs, application, owner, poller, root_path, scheme)
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: gracehttp-warmup\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        answer = await reader.read()
    finally:
        writer.close()
        connection.abort()  # it may linger for what else its client has to say
    status_line, _, rest = answer.partition(b"\r\n")
    status = status_line.split(b" ")[1].decode() if status_line.startswith(b"HTTP/") else ""
    if status and not status.startswith("5"):
        seconds = asyncio.get_running_loop().time() - began_at
        if status.startswith("2"):
            return WarmUpAnswered(application.name, target, int(status), seconds)
        found = _LOCATION.search(rest.partition(b"\r\n\r\n")[0])
        location = found[1].decode("latin-1") if found is not None else ""
        return WarmUpMissed(application.name, target, int(status), seconds, location)
    body = rest.partition(b"\r\n\r\n")[2][:_SHOWN_BODY_BYTES].decode("utf-8", "replace")
    outcome = f"answered {status}" if status else "got no answer"
    raise ApplicationFailed(f"the warm-up request GET {target} {outcome}", details=owner.error or body)


def _parts(target: str) -> tuple[str, str, str]:
    """Scheme, host and path of a URL; those of a path are http and localhost."""
    if target.startswith("/"):
        return "http", "localhost", target
    scheme, _, rest = target.partition("://")
    host, _, path = rest.partition("/")
    return scheme, host, f"/{path}"


def _serve(
    sock: socket.socket, application: Application, owner: _WarmUp, poller: Poller, root_path: str, scheme: str
) -> Connection:
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    settings = HttpSettings(
        keep_alive_timeout_seconds=_NO_TIMEOUT_SECONDS,
        header_timeout_seconds=_NO_TIMEOUT_SECONDS,
        body_timeout_seconds=_NO_TIMEOUT_SECONDS,
    )
    adjust = Forwarding(ProxySettings(), root_path, lambda client, name: None).of(None) if root_path else None
    # As behind a proxy that has ended TLS.
    proxied = Proxied(None, None, tls=True) if scheme == "https" else None
    ends = Ends(None, None, adjust, proxied)
    connection = Connection(ServerContext(application, settings, owner, loop), ends)
    services = StreamServices(loop, poller, _NO_TIMEOUT_SECONDS)
    connection.begin(PlainStream(sock, services, NO_PROTOCOL, connection))
    negotiation.begin(connection, None)
    return connection
