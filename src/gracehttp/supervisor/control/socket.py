"""The control socket: restart, stop and status, for root and the user that runs the supervisor.

`gracehttp.wire.control` is the protocol. By default the socket is abstract (unix(7)): it has no file, and is gone with
the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gracehttp.events import (
    ControlRefused,
    ControlUnavailable,
    Event,
    GenerationGivenUp,
    GenerationPromoted,
    GenerationRolledBack,
    ReplacementGivenUp,
    StartCalledOff,
    StartStageBegan,
    SupervisorStopped,
    WorkerBecameReady,
    WorkerExited,
    WorkerFailedToStart,
    WorkerWrote,
)
from gracehttp.events.bus import EventBus
from gracehttp.net.unix_files import MOST_PATH_BYTES, bind_file, remove_stale_file
from gracehttp.supervisor.client_acceptor import ClientAcceptor
from gracehttp.supervisor.control.connection import ClientRecord, ControlConnection
from gracehttp.supervisor.control.requesters import Requester
from gracehttp.values import Descriptor, Value
from gracehttp.wire.control import (
    Outcome,
    Progress,
    Request,
    Status,
    UnreadableRequest,
    abstract_name,
    peer_of,
    read_request,
    write_answer,
)

REFUSALS_TOLD_EVERY_SECONDS = 60.0
BACKLOG = 1024
"""Any user may connect to an abstract name, and all wait in one queue until the supervisor looks who they are. The
kernel cuts it at net.core.somaxconn (listen(2))."""

_OUTCOMES = (
    GenerationGivenUp,
    GenerationPromoted,
    GenerationRolledBack,
    ReplacementGivenUp,
    StartCalledOff,
    SupervisorStopped,
    WorkerExited,
    WorkerFailedToStart,
)
"""Events that the last line tells, with all details: they are no progress."""


class Commands(Protocol):
    """What the supervisor does for the control socket. It tells each requester the outcome, maybe at once."""

    def restart(self, source: str, requester: Requester, *, supersede: bool) -> None: ...

    def replace(self, source: str, requester: Requester) -> None: ...

    def stop(self, source: str, requester: Requester, *, force: bool) -> None: ...


class Views(Protocol):
    """What the supervisor shows at the control socket."""

    def status(self) -> Status: ...

    def metrics(self) -> str: ...

    def recent_events(self) -> str: ...


class ControlRecord(Value):
    """The control socket with its clients, to go on with in another process."""

    path: str | None
    socket: Descriptor
    clients: tuple[ClientRecord, ...]


class ControlSocket:
    """Serves the control protocol. Owns its socket and, if it has one, its file."""

    def __init__(self, sock: socket.socket, path: str | None, commands: Commands, views: Views, bus: EventBus) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self.path = path and os.path.abspath(path)  # the working directory may change
        self._commands = commands
        self._views = views
        self._bus = bus
        self._connections: set[ControlConnection] = set()
        self._following: set[ControlConnection] = set()
        self._quiet: asyncio.Future[None] | None = None
        self._refusals_told_at = -REFUSALS_TOLD_EVERY_SECONDS
        sock.setblocking(False)
        self._acceptor = ClientAcceptor(sock, self._admit)
        self._acceptor.begin()
        bus.subscribe(self._tell_progress)

    # --- going on in another process ---

    def carry(self, awaited_by: Callable[[Requester], int | None]) -> ControlRecord:
        """`awaited_by` tells for which generation a requester waits."""
        clients = tuple(one.carry(awaited_by(one)) for one in self._connections)
        return ControlRecord(path=self.path, socket=Descriptor(self._socket.fileno()), clients=clients)

    @classmethod
    def adopt(
        cls,
        record: ControlRecord,
        commands: Commands,
        views: Views,
        bus: EventBus,
        waits: Callable[[int, Requester], None],
    ) -> ControlSocket:
        """Go on with what another process carried; `waits(generation, requester)` is called for clients that wait."""
        control = cls(socket.socket(fileno=record.socket), record.path, commands, views, bus)
        for client in record.clients:
            connection = control._connect(socket.socket(fileno=client.socket), client)
            if client.awaits is not None:
                control._following.add(connection)
                waits(client.awaits, connection)
        return control

    # --- the end ---

    async def close(self, answer_within_seconds: float = 1.0) -> None:
        """Stop listening, let the answers that are under way be sent, and remove the file."""
        self._acceptor.pause()
        self._socket.close()
        self._bus.unsubscribe(self._tell_progress)
        self._remove_file()
        for connection in [one for one in self._connections if not one.answered]:
            connection.close()
        if self._connections:
            self._quiet = self._loop.create_future()
            await asyncio.wait([self._quiet], timeout=answer_within_seconds)
        for connection in list(self._connections):
            connection.close()

    def _remove_file(self) -> None:
        if self.path is not None:
            with contextlib.suppress(OSError):
                Path(self.path).unlink()

    # --- clients ---

    def _admit(self, sock: socket.socket) -> None:
        objection = self._objection_to(sock)
        if objection:
            _turn_away(sock, objection)
            self._tell_refused(objection)
        else:
            self._connect(sock)

    def _tell_refused(self, objection: str) -> None:
        now = self._loop.time()
        if now >= self._refusals_told_at + REFUSALS_TOLD_EVERY_SECONDS:
            self._refusals_told_at = now
            self._bus.publish(ControlRefused(objection))

    def _objection_to(self, sock: socket.socket) -> str:
        """Why the process at the other end may not control this service; "" if it may."""
        try:
            peer = peer_of(sock)
        except OSError as exc:
            return f"who asks can't be known ({exc.strerror})"
        if peer is None:  # the mode of the file must do
            return ""
        if peer.uid not in {0, os.geteuid()}:
            return f"user {peer.uid} may not control this service, only root and the user that runs it ({os.geteuid()})"
        if self.path is None and not peer.pid:
            # Another container that shares the network namespace. With a file, a user that can reach it is meant to.
            return "a process of another PID namespace may not control this service, except by --control PATH"
        return ""

    def _connect(self, sock: socket.socket, record: ClientRecord | None = None) -> ControlConnection:
        connection = ControlConnection(sock, on_request=self._on_request, on_end=self._forget, record=record)
        self._connections.add(connection)
        return connection

    def _forget(self, connection: ControlConnection) -> None:
        self._connections.discard(connection)
        self._following.discard(connection)
        if self._quiet is not None and not self._connections and not self._quiet.done():
            self._quiet.set_result(None)

    def _tell_progress(self, event: Event) -> None:
        if isinstance(event, (*_OUTCOMES, WorkerWrote)):  # what a worker prints is for the log
            return
        for connection in list(self._following):
            if not connection.answered:
                connection.send(progress_of(event))

    def _on_request(self, connection: ControlConnection, line: bytes) -> None:
        try:
            self._carry_out(connection, read_request(line))
        except UnreadableRequest as exc:
            connection.tell(_refusal(str(exc)))
        except Exception as exc:  # noqa: BLE001  a defect must not leave the client without an answer
            connection.tell(_refusal(f"the supervisor failed to act on the request ({exc!r})"))
            self._loop.call_exception_handler(
                {"message": "a client of the control socket was failed", "exception": exc}
            )

    def _carry_out(self, connection: ControlConnection, request: Request) -> None:
        peer = peer_of(connection.socket)
        source = f"pid {peer.pid if peer is not None else 0}"
        match request.command:
            case "status":
                connection.tell(Outcome(ok=True, status=self._views.status()))
            case "metrics":
                connection.tell(Outcome(ok=True, details=self._views.metrics()))
            case "events":
                connection.tell(Outcome(ok=True, details=self._views.recent_events()))
            case "restart":
                self._following.add(connection)
                if request.supervisor:
                    self._commands.replace(source, connection)
                else:
                    self._commands.restart(source, connection, supersede=request.supersede)
            case "stop":
                self._following.add(connection)
                self._commands.stop(source, connection, force=request.force)
            case unknown:
                connection.tell(
                    _refusal(f"there is no command {unknown!r}; there are restart, stop, status, metrics and events")
                )


def progress_of(event: Event) -> Progress:
    """What the clients that wait for an outcome are told of an event."""
    sentence, severity = str(event), event.severity.value
    if isinstance(event, StartStageBegan):
        return Progress(sentence, severity, event.generation, doing=event.doing)
    if isinstance(event, WorkerBecameReady):
        return Progress(sentence, severity, event.generation, ready=event.ready, wanted=event.wanted)
    return Progress(sentence, severity)


def open_control(where: str | bool | None, commands: Commands, views: Views, bus: EventBus) -> ControlSocket | None:
    """The control socket at a path; None is the abstract name, False no socket. If it can't be made, that is told,
    and there is none: the service is worth more."""
    if where is False:
        return None
    path = where if isinstance(where, str) else None
    try:
        return ControlSocket(_listen(path), path, commands, views, bus)
    except OSError as exc:
        name = path or abstract_name(os.getpid()).replace("\0", "@")
        bus.publish(ControlUnavailable(name, (path and obstacle(path)) or exc.strerror or str(exc)))
        return None


def obstacle(path: str) -> str:
    """Why there can be no control socket at `path`, as far as that is known without trying; "" if nothing is known."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"the folder {folder} does not exist"
    if os.path.lexists(path) and not Path(path).is_socket():
        return "the file exists and is no socket"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"this user may not write to {folder}"
    if len(os.fsencode(path)) > MOST_PATH_BYTES:
        return f"the path is longer than {MOST_PATH_BYTES} bytes"
    return ""


def _listen(path: str | None) -> socket.socket:
    """Listen at `path`, or at the abstract name of this process. Raises `OSError`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path is None:
            sock.bind(abstract_name(os.getpid()))
        else:
            remove_stale_file(path)
            bind_file(sock, path, 0o600)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _turn_away(sock: socket.socket, objection: str) -> None:
    """Say why, and close at once. Nothing is read, and nothing waits for such a client."""
    with sock, contextlib.suppress(OSError):
        sock.setblocking(False)
        sock.send(write_answer(_refusal(objection)))


def _refusal(message: str) -> Outcome:
    return Outcome(ok=False, message=message)
