"""A listening socket of the supervisor for short answers: a client says a little, gets one answer, and is closed.

Clients can hold up nothing and take little: there are at most `MOST_CLIENTS`, each for at most `CLIENT_SECONDS`, and
the others wait in the queue of the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Protocol, Self

from gracehttp.net.address import parse_address
from gracehttp.net.bind import FileIdentity, bound_address, file_identity, open_listener, remove_socket_file
from gracehttp.net.forks import close_in_children
from gracehttp.supervisor.client_acceptor import ClientAcceptor
from gracehttp.system.readiness import Watch
from gracehttp.values import Descriptor, Value

MOST_CLIENTS = 64
CLIENT_SECONDS = 10.0
LINGER_SECONDS = 2.0
"""How long a client may take to close after its answer. Closing first could reset what it hasn't read."""
MOST_HEAD_BYTES = 8192
BACKLOG = 128


class EndpointRecord(Value):
    """The endpoint, to go on with in another process. Clients that have no answer yet are closed."""

    address: str
    socket: Descriptor
    file: FileIdentity | None = None


class Responder(Protocol):
    """What an endpoint says to its clients."""

    def begin(self, client: Client) -> None:
        """A client has come: answer it, or wait for what it says."""

    def receive(self, client: Client, data: bytes) -> None:
        """All that it has said so far."""


class Endpoint:
    """Owns the socket and, at a path, its file."""

    def __init__(self, address: str, sock: socket.socket, file: FileIdentity | None, responder: Responder) -> None:
        self.address = address
        self._file = file
        self._socket = sock
        self._responder = responder
        self._loop = asyncio.get_running_loop()
        self._clients: set[Client] = set()
        self._acceptor = ClientAcceptor(sock, self._begin, has_room=lambda: len(self._clients) < MOST_CLIENTS)
        self.bound = bound_address(sock)
        close_in_children(sock)
        self._acceptor.begin()

    @classmethod
    def open(cls, address: str, responder: Responder) -> Self:
        """Raises `ListenError`."""
        where = parse_address(address)
        sock = open_listener(where, backlog=BACKLOG)
        return cls(address, sock, file_identity(where), responder)

    def carry(self) -> EndpointRecord:
        return EndpointRecord(address=self.address, socket=Descriptor(self._socket.fileno()), file=self._file)

    @classmethod
    def adopt(cls, record: EndpointRecord, responder: Responder) -> Self:
        """Go on with what another process carried."""
        sock = socket.socket(fileno=record.socket)
        sock.setblocking(False)
        return cls(record.address, sock, record.file, responder)

    def close(self) -> None:
        self._acceptor.pause()
        self._socket.close()
        remove_socket_file(parse_address(self.address), self._file)
        for client in list(self._clients):
            client.close()

    def _begin(self, sock: socket.socket) -> None:
        client = Client(sock, self._responder.receive, self._forget)
        self._clients.add(client)
        self._responder.begin(client)

    def _forget(self, client: Client) -> None:
        self._clients.discard(client)
        self._acceptor.begin()


class Client:
    """One client, until it is closed. Owns its socket."""

    def __init__(
        self,
        sock: socket.socket,
        on_data: Callable[[Client, bytes], None],
        on_end: Callable[[Client], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._on_data = on_data
        self._on_end = on_end
        self._received = b""
        self._unsent = b""
        self._answered = False
        sock.setblocking(False)
        self._timer = self._loop.call_later(CLIENT_SECONDS, self.close)
        self._reading: Watch | None = Watch(self._loop, sock.fileno(), self._read)
        self._writing: Watch | None = None

    def answer(self, data: bytes) -> None:
        """Send `data`, all that the client gets, then close. A second answer is passed over, as is one for a client
        that is gone."""
        if self._answered or self._socket.fileno() < 0:
            return
        self._answered = True
        self._unsent = data
        self._send()

    def close(self) -> None:
        if self._socket.fileno() < 0:
            return
        self._timer.cancel()
        for watch in (self._reading, self._writing):
            if watch is not None:
                watch.stop()
        self._socket.close()
        self._on_end(self)

    def _read(self) -> None:
        try:
            data = self._socket.recv(MOST_HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended()
        elif not self._answered:
            self._received = (self._received + data)[: MOST_HEAD_BYTES + 1]
            self._on_data(self, self._received)

    def _ended(self) -> None:
        """The client says no more. It may still read."""
        if self._answered and not self._unsent:
            self.close()
        elif self._reading is not None:  # what it waits for is still to come; its deadline holds
            self._reading.stop()
            self._reading = None

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            if self._writing is None:
                self._writing = Watch(self._loop, self._socket.fileno(), self._send, for_writing=True)
            return
        except OSError:
            self.close()
            return
        if self._writing is not None:
            self._writing.stop()
            self._writing = None
        if self._reading is None:
            self.close()
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._timer.cancel()
        self._timer = self._loop.call_later(LINGER_SECONDS, self.close)
