"""The control socket: restart, stop and status, for whoever is root or the same user.

A stream of JSON lines. The client sends one, `{"version": 1, "command": "restart"}`; the server sends any number of
`{"progress": "..."}` and at last one with `"done": true`. By default the socket is abstract (unix(7)): it has no file,
and is gone with the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gracehttp.events import Event, EventBus

CONTROL_VERSION = 1
REQUEST_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    ok: bool
    message: str
    details: str = ""
    generation: int = 0
    pids: list[int] = field(default_factory=list)

    def as_answer(self) -> dict[str, Any]:
        return {
            "done": True, "ok": self.ok, "message": self.message, "details": self.details,
            "generation": self.generation, "pids": self.pids,
        }  # fmt: skip


class Commands(Protocol):
    """What the supervisor does for the control socket."""

    def restart(self, source: str) -> asyncio.Future[Outcome]: ...

    def stop(self, source: str, *, force: bool) -> asyncio.Future[Outcome]: ...

    def status(self) -> dict[str, Any]: ...


def abstract_name(pid: int) -> str:
    """The abstract address of the control socket of the supervisor `pid`."""
    return f"\0gracehttp-{pid}"


class ControlSocket:
    """Serves the control protocol. Owns its socket and, if it has one, its file."""

    def __init__(self, path: str | None, commands: Commands, bus: EventBus) -> None:
        """Bind to `path`, or to the abstract name of this process. Raises `OSError`."""
        self._path = path
        self._commands = commands
        self._bus = bus
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if path is None:
                self._socket.bind(abstract_name(os.getpid()))
            else:
                _remove_stale(path)
                before = os.umask(0o177)
                try:
                    self._socket.bind(path)
                finally:
                    os.umask(before)
            self._socket.listen(16)
        except OSError:
            self._socket.close()
            raise

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, sock=self._socket, limit=65536)

    async def close(self, answer_within_seconds: float = 1.0) -> None:
        """Stop listening, let the answers that are under way be sent, and remove the file."""
        if self._server is not None:
            self._server.close()
        self._socket.close()
        self._remove_file()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=answer_within_seconds)
        for task in self._tasks:
            task.cancel()

    def _remove_file(self) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):
                Path(self._path).unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with (
            contextlib.closing(writer),
            contextlib.suppress(ConnectionError, TimeoutError, asyncio.LimitOverrunError),
        ):
            try:
                pid, uid = _peer(writer.get_extra_info("socket"))
                if uid not in {0, os.geteuid()}:
                    answer: dict[str, Any] = _refusal(f"user {uid} may not control this service")
                else:
                    line = await asyncio.wait_for(reader.readline(), REQUEST_TIMEOUT_SECONDS)
                    answer = await self._answer(line, f"pid {pid}", writer)
            except (ValueError, KeyError, TypeError) as exc:
                answer = _refusal(f"the request can't be read ({exc})")
            _send(writer, answer)
            await writer.drain()

    async def _answer(self, line: bytes, source: str, writer: asyncio.StreamWriter) -> dict[str, Any]:
        request = json.loads(line)
        if request["version"] != CONTROL_VERSION:
            return _refusal(f"this supervisor speaks version {CONTROL_VERSION} of the control protocol")
        match request["command"]:
            case "status":
                return {"done": True, "ok": True, "status": self._commands.status()}
            case "restart":
                with _progress_to(writer, self._bus):
                    return (await asyncio.shield(self._commands.restart(source))).as_answer()
            case "stop":
                with _progress_to(writer, self._bus):
                    stopped = self._commands.stop(source, force=request.get("force") is True)
                    return (await asyncio.shield(stopped)).as_answer()
            case unknown:
                return _refusal(f"there is no command {unknown!r}; there are restart, stop and status")


@contextlib.contextmanager
def _progress_to(writer: asyncio.StreamWriter, bus: EventBus) -> Iterator[None]:
    def tell(event: Event) -> None:
        _send(writer, {"progress": str(event)})

    bus.subscribe(tell)
    try:
        yield
    finally:
        bus.unsubscribe(tell)


def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")


def _refusal(message: str) -> dict[str, Any]:
    return Outcome(ok=False, message=message).as_answer()


def _peer(sock: socket.socket) -> tuple[int, int]:
    """PID and user of the other side (unix(7), SO_PEERCRED; where there is none, the file's mode must do)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return 0, os.geteuid()
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, option, 12))
    return pid, uid


def _remove_stale(path: str) -> None:
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)


__all__ = ["CONTROL_VERSION", "Commands", "ControlSocket", "Outcome", "abstract_name"]
