"""Answers the scrapes of Prometheus: a GET for any path, on a listener of its own.

The supervisor answers itself (docs/decisions/0027-metrics.md). What it needs of HTTP for that are twenty lines: the
head up to its empty line, the method, and a response that ends the connection. The protocol code of the workers is none
of it. Every client has the same few seconds, and there are few clients at a time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from gracehttp.net.address import parse_address
from gracehttp.net.bind import FileIdentity, bound_address, file_identity, open_listener, remove_socket_file
from gracehttp.readiness import Watch
from gracehttp.supervisor.metrics.exposition import CONTENT_TYPE
from gracehttp.values import Descriptor, Value

BACKLOG: Final = 64
MOST_CLIENTS: Final = 16
"""Others wait in the kernel's queue."""
MOST_HEAD_BYTES: Final = 16384
CLIENT_SECONDS: Final = 10.0
ACCEPT_PAUSE_SECONDS: Final = 1.0


class ExporterRecord(Value):
    """The listener, to go on with in another process. Clients that are being answered are not carried: they ask again
    at their next scrape."""

    address: str
    socket: Descriptor
    file: FileIdentity | None = None


class Exporter:
    """Owns its listener. `render()` makes the text."""

    def __init__(self, sock: socket.socket, address: str, file: FileIdentity | None, render: Callable[[], str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self.address = address
        self._file = file
        self.bound = bound_address(sock)
        self._render = render
        self._clients: set[_Client] = set()
        self._watch: Watch | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._accept_on()

    @classmethod
    def listen(cls, address: str, render: Callable[[], str]) -> Exporter:
        """Raises `ListenError`."""
        parsed = parse_address(address)
        sock = open_listener(parsed, backlog=BACKLOG)
        return cls(sock, address, file_identity(parsed), render)

    def carry(self) -> ExporterRecord:
        return ExporterRecord(self.address, Descriptor(self._socket.fileno()), self._file)

    @classmethod
    def adopt(cls, record: ExporterRecord, render: Callable[[], str]) -> Exporter:
        """Go on with what another process carried."""
        return cls(socket.socket(fileno=record.socket), record.address, record.file, render)

    def close(self) -> None:
        """Answer no more, and remove the file of a Unix socket."""
        self._accept_no_more()
        for client in list(self._clients):
            client.close()
        self._socket.close()
        remove_socket_file(parse_address(self.address), self._file)

    def _accept_on(self) -> None:
        self._pause = None
        if self._watch is None and len(self._clients) < MOST_CLIENTS:
            self._watch = Watch(self._loop, self._socket.fileno(), self._accept)

    def _accept_no_more(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _accept(self) -> None:
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:  # no descriptor is left (accept(2)): the client waits in the queue
            self._accept_no_more()
            self._pause = self._loop.call_later(ACCEPT_PAUSE_SECONDS, self._accept_on)
            return
        self._clients.add(_Client(sock, self._loop, self._render, self._forget))
        if len(self._clients) >= MOST_CLIENTS:
            self._accept_no_more()

    def _forget(self, client: _Client) -> None:
        self._clients.discard(client)
        if self._socket.fileno() >= 0 and self._pause is None:
            self._accept_on()


class _Client:
    """One request and its answer. Owns its socket."""

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        render: Callable[[], str],
        on_end: Callable[[_Client], None],
    ) -> None:
        self._socket = sock
        self._loop = loop
        self._render = render
        self._on_end = on_end
        self._head = bytearray()
        self._answer = bytearray()
        sock.setblocking(False)
        self._timeout = loop.call_later(CLIENT_SECONDS, self.close)
        self._watch = Watch(loop, sock.fileno(), self._read)

    def close(self) -> None:
        if self._socket.fileno() < 0:
            return
        self._timeout.cancel()
        self._watch.stop()
        self._socket.close()
        self._on_end(self)

    def _read(self) -> None:
        try:
            data = self._socket.recv(MOST_HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._head += data
        if not data and not self._answer:
            self.close()
        elif b"\r\n\r\n" in self._head:
            self._send(answer(bytes(self._head), self._render))
        elif len(self._head) > MOST_HEAD_BYTES:
            self._send(_response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, ""))

    def _send(self, response: bytes) -> None:
        self._watch.stop()
        self._answer += response
        self._watch = Watch(self._loop, self._socket.fileno(), self._write, for_writing=True)

    def _write(self) -> None:
        try:
            del self._answer[: self._socket.send(self._answer)]
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not self._answer:
            self.close()


def answer(head: bytes, render: Callable[[], str]) -> bytes:
    """The response to a request with this head; only its method counts."""
    method = head.partition(b" ")[0]
    if method not in (b"GET", b"HEAD"):
        return _response(HTTPStatus.METHOD_NOT_ALLOWED, "GET is allowed.\n", "allow: GET, HEAD\r\n")
    response = _response(HTTPStatus.OK, render())
    return response if method == b"GET" else response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def _response(status: HTTPStatus, text: str, fields: str = "") -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {CONTENT_TYPE}\r\n{fields}"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body
