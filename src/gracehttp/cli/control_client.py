"""The client of the control socket: one request as a JSON line, answers as JSON lines (supervisor/control.py)."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from gracehttp.errors import CommandFailed, StillUnderWay

CONTROL_VERSION = 1
CONNECT_TIMEOUT_SECONDS = 5.0
EXIT_TIMEOUT_SECONDS = 5.0
_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class ControlAddress:
    """Where a supervisor listens for commands: the `path` of a socket, else the abstract name with its `pid`."""

    pid: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        return self.path if self.path is not None else f"pid {self.pid}"

    @property
    def option(self) -> str:
        """The option of a command that names it."""
        return f"--control {self.path}" if self.path is not None else f"--pid {self.pid}"

    @property
    def name(self) -> str:
        """The address in the sense of unix(7)."""
        return self.path if self.path is not None else f"\0gracehttp-{self.pid}"


@dataclass(frozen=True, slots=True)
class Reply:
    """The last answer to a command."""

    ok: bool
    message: str = ""
    details: str = ""
    pids: tuple[int, ...] = ()
    generation: int = 0
    status: Mapping[str, Any] | None = None


class SupervisorEnded(CommandFailed):
    """The connection ended before the last answer. `accepted` tells whether any answer came before."""

    def __init__(self, doing: str, *, accepted: bool) -> None:
        super().__init__(f"the supervisor ended while {doing}.", hint="its log tells why")
        self.accepted = accepted


class ControlClient:
    """A connection to a supervisor. To be used in a `with` statement."""

    def __init__(self, address: ControlAddress) -> None:
        """Connect. Raises `CommandFailed` when nobody listens there, or not for us."""
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(CONNECT_TIMEOUT_SECONDS)
            self._socket.connect(address.name)
            self.peer_pid = _peer_pid(self._socket)
            _check_identity(address, self.peer_pid)
        except OSError as exc:
            self._socket.close()
            raise unreachable(address, exc) from exc
        except CommandFailed:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(
        self,
        command: str,
        *,
        doing: str,
        timeout_seconds: float | None = None,
        on_progress: Callable[[str], None] | None = None,
        **parameters: object,
    ) -> Reply:
        """Send `command` and wait for its last answer. `doing` is what the supervisor does then, "restarting".

        Raises `SupervisorEnded`, and `StillUnderWay` when `timeout_seconds` (None: as long as it takes) are over.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        request = {"version": CONTROL_VERSION, "command": command, **parameters}
        conversation = Conversation()
        try:
            self._socket.settimeout(timeout_seconds)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except ConnectionError:
            pass  # who refuses us closes without reading; the reason is still to be read
        while conversation.reply is None:
            data = self._receive(deadline, doing)
            if not data:
                raise SupervisorEnded(doing, accepted=conversation.accepted)
            for sentence in conversation.feed(data):
                if on_progress is not None:
                    on_progress(sentence)
        return conversation.reply

    def wait_for_exit(self) -> bool:
        """Wait a little until the supervisor's process is gone. Tells whether it is; where that can't be known, yes."""
        if self.peer_pid is None or not hasattr(os, "pidfd_open"):
            return True
        try:
            descriptor = os.pidfd_open(self.peer_pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], EXIT_TIMEOUT_SECONDS)[0])
        finally:
            os.close(descriptor)

    def _receive(self, deadline: float | None, doing: str) -> bytes:
        try:
            if deadline is not None:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            return self._socket.recv(_READ_BYTES)
        except TimeoutError as exc:
            raise StillUnderWay(
                f"the supervisor ({self.address}) is still {doing}.",
                hint=f"it goes on; gracehttp status {self.address.option} tells how it ends",
            ) from exc
        except ConnectionError:
            return b""


class Conversation:
    """What the supervisor has answered so far. Pure: bytes go in, sentences come out."""

    def __init__(self) -> None:
        self.accepted = False
        self.reply: Reply | None = None
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Take bytes as they came; returns the new sentences of progress. `reply` is set once the last line came.

        Raises `CommandFailed` for what is no JSON line of the protocol.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        sentences = []
        for line in lines:
            try:
                message = json.loads(line)
                if message.get("done"):
                    self.reply = _reply(message)
                elif "progress" in message:
                    sentences.append(str(message["progress"]))
            except (ValueError, TypeError, AttributeError, KeyError) as exc:
                raise CommandFailed(
                    "the supervisor's answer can't be understood.", hint="is this the socket of another program?"
                ) from exc
            self.accepted = True
        return sentences


def unreachable(address: ControlAddress, exc: OSError) -> CommandFailed:
    """The error for a connection that failed with `exc`: a sentence, and what to do."""
    if isinstance(exc, PermissionError):
        return CommandFailed(
            f"you may not control the supervisor at {address}.", hint="be root, or the user that runs it"
        )
    if isinstance(exc, TimeoutError):
        return CommandFailed(
            f"the supervisor at {address} does not answer.", hint="kill -HUP and -TERM work all the same"
        )
    if address.path is not None:
        if isinstance(exc, (FileNotFoundError, ConnectionRefusedError)):
            return CommandFailed(
                f"no supervisor listens at {address.path}.", hint="is it running, with the same --control?"
            )
        return CommandFailed(f"cannot connect to {address.path}: {exc.strerror or exc}.")
    assert address.pid is not None
    if not _runs(address.pid):
        return CommandFailed(f"no process has the pid {address.pid}.", hint="the service is not running")
    return CommandFailed(
        f"process {address.pid} has no control socket.",
        hint="is it the supervisor of gracehttp? If it runs with --control PATH, give that; with --no-control, "
        f"kill -HUP {address.pid} restarts and kill -TERM {address.pid} stops",
    )


def _reply(message: Mapping[str, Any]) -> Reply:
    return Reply(
        ok=message["ok"] is True,
        message=str(message.get("message", "")),
        details=str(message.get("details", "")),
        pids=tuple(int(pid) for pid in message.get("pids", ())),
        generation=int(message.get("generation", 0)),
        status=message.get("status"),
    )


def _peer_pid(sock: socket.socket) -> int | None:
    """The PID of the process that listens (unix(7), SO_PEERCRED); None where the system doesn't tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    pid, _uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return int(pid) or None  # 0: it lives in a PID namespace that is not ours (pid_namespaces(7))


def _check_identity(address: ControlAddress, peer_pid: int | None) -> None:
    """Any user may take an abstract name (unix(7)), so the name alone proves nothing about who answers."""
    if address.path is None and peer_pid not in (None, address.pid):
        raise CommandFailed(
            f"the control socket of pid {address.pid} is held by another process, pid {peer_pid}.",
            hint="give the PID as this machine, not as a container, knows it",
        )


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
