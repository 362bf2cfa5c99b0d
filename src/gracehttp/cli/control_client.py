"""The client of the control socket: one request goes, answers come (`gracehttp.wire.control`)."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from gracehttp.cli.process_table import SUPERVISOR_NAME, Entry, entry_of
from gracehttp.errors import CommandFailed, StillUnderWay
from gracehttp.values import Value
from gracehttp.wire.control import (
    Outcome,
    Peer,
    Progress,
    Request,
    UnreadableAnswer,
    abstract_name,
    peer_of,
    read_answer,
    write_request,
)
from gracehttp.wire.json_lines import LineBuffer

CONNECT_TIMEOUT_SECONDS = 5.0
CONNECT_RETRY_SECONDS = 0.005
EXIT_TIMEOUT_SECONDS = 5.0
MEANWHILE_SECONDS = 0.2
_READ_BYTES = 65536


class ControlAddress(Value):
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
        if self.path is not None:
            return self.path
        assert self.pid is not None
        return abstract_name(self.pid)


class SupervisorEnded(CommandFailed):
    """The connection ended before the last answer. `accepted` tells whether any answer came before."""

    def __init__(self, doing: str, *, accepted: bool) -> None:
        super().__init__(f"the supervisor ended while {doing}.", hint="its log tells why")
        self.accepted = accepted


class ControlClient:
    """A connection to a supervisor. To be used in a `with` statement."""

    def __init__(self, address: ControlAddress) -> None:
        """Connect. Raises `CommandFailed` if no supervisor listens there, or if it refuses this user."""
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _connect(self._socket, address.name, CONNECT_TIMEOUT_SECONDS)
            peer = peer_of(self._socket)
            _check_identity(address, peer)
            self.peer_pid = (peer.pid or None) if peer is not None else None
            """The PID of the process that listens; None where that can't be known."""
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
        on_progress: Callable[[Progress], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
        **parameters: bool,
    ) -> Outcome:
        """Send `command` and wait for its last answer. `doing` is what the supervisor does then, "restarting".
        `meanwhile` is called again and again while nothing comes.

        Raises `SupervisorEnded`, and `StillUnderWay` when `timeout_seconds` (None: as long as it takes) are over.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        request = Request(command, **parameters)
        conversation = Conversation()
        try:
            self._socket.settimeout(timeout_seconds)
            self._socket.sendall(write_request(request))
        except ConnectionError:
            pass  # a supervisor that refuses us closes without reading; its reason can still be read
        while conversation.outcome is None:
            data = self._receive(deadline, doing, meanwhile)
            if not data:
                raise SupervisorEnded(doing, accepted=conversation.accepted)
            for progress in conversation.feed(data):
                if on_progress is not None:
                    on_progress(progress)
        return conversation.outcome

    def stay_connected(self) -> None:
        """Leave the connection open until this process has ended: the supervisor waits for that, for a while."""
        self._socket.detach()

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

    def _receive(self, deadline: float | None, doing: str, meanwhile: Callable[[], None] | None) -> bytes:
        while True:
            waits = [MEANWHILE_SECONDS] if meanwhile is not None else []
            if deadline is not None:
                waits.append(max(deadline - time.monotonic(), 0.001))
            self._socket.settimeout(min(waits, default=None))
            try:
                return self._socket.recv(_READ_BYTES)
            except TimeoutError as exc:
                if deadline is not None and time.monotonic() >= deadline:
                    raise StillUnderWay(
                        f"the supervisor ({self.address}) is still {doing}.",
                        hint=f"it goes on; gracehttp status {self.address.option} tells how it ends",
                    ) from exc
            except ConnectionError:
                return b""
            if meanwhile is not None:
                meanwhile()


class Conversation:
    """What the supervisor has answered so far. Pure: bytes go in, progress comes out."""

    def __init__(self) -> None:
        self.accepted = False
        self.outcome: Outcome | None = None
        self._lines = LineBuffer()

    def feed(self, data: bytes) -> list[Progress]:
        """Take bytes as they came; returns what is new of the progress. `outcome` is set once the last line came.

        Raises `CommandFailed` for a line that is none of the protocol.
        """
        news = []
        for line in self._lines.feed(data):
            try:
                answer = read_answer(line)
            except UnreadableAnswer as exc:
                raise CommandFailed(
                    "the supervisor's answer can't be understood.", hint="is this the socket of another program?"
                ) from exc
            match answer:
                case Outcome():
                    self.outcome = answer
                case Progress():
                    news.append(answer)
            self.accepted = True
        return news


def unreachable(address: ControlAddress, exc: OSError) -> CommandFailed:
    """The error for a connection that failed with `exc`: a sentence, and what to do."""
    if isinstance(exc, PermissionError):
        return CommandFailed(
            f"you may not control the supervisor at {address}.", hint="be root, or the user that runs it"
        )
    if isinstance(exc, BlockingIOError):
        return CommandFailed(
            f"the supervisor at {address} has not taken the connection: too many clients wait for it.",
            hint="try again; kill -HUP and -TERM work all the same",
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
    return _no_control_socket(address.pid, entry_of(address.pid))


def _no_control_socket(pid: int, entry: Entry | None) -> CommandFailed:
    """The error for a process that runs and has no control socket. `entry` is what /proc says of it, if anything."""
    sentence = f"process {pid} has no control socket"
    if entry is not None and entry.has_ended:
        return CommandFailed(
            f"{sentence}: it has ended, and its parent (pid {entry.parent}) has not asked how.",
            hint="the service is not running",
        )
    if entry is None or entry.name == SUPERVISOR_NAME:
        return CommandFailed(
            f"{sentence}.",
            hint="is it the supervisor of gracehttp? If it runs with --control PATH, give that; with --no-control, "
            f"kill -HUP {pid} restarts and kill -TERM {pid} stops",
        )
    if entry.name.startswith(f"{SUPERVISOR_NAME}-"):
        parent = entry_of(entry.parent)
        named = parent is not None and parent.name == SUPERVISOR_NAME
        return CommandFailed(
            f"{sentence}: it is a worker, template or spare process of gracehttp ({entry.name}).",
            hint=f"its supervisor is pid {entry.parent}" if named else "give the PID of its supervisor",
        )
    return CommandFailed(
        f"{sentence}: it is {entry.name!r}, and no supervisor of gracehttp.",
        hint="is that PID an old one? ps -ef shows services as gracehttp: supervisor",
    )


def _connect(sock: socket.socket, name: str, timeout_seconds: float) -> None:
    """Raises `OSError`, in particular `BlockingIOError` if the queue of the other side stays full."""
    sock.settimeout(timeout_seconds)
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            sock.connect(name)
        except BlockingIOError:  # a Unix socket tells a full queue by EAGAIN, whatever the timeout is (connect(2))
            if time.monotonic() >= deadline:
                raise
            # SO_SNDTIMEO would wait in the kernel, but Python takes such a connect(2), interrupted by a signal, for one
            # that goes on. No event tells of room in the queue.
            time.sleep(CONNECT_RETRY_SECONDS)
        else:
            return


def _check_identity(address: ControlAddress, peer: Peer | None) -> None:
    """Any user may take an abstract name (unix(7)), so the name alone proves nothing about the process that answers."""
    if address.path is not None or peer is None or peer.pid == address.pid:
        return
    who = f"another process, pid {peer.pid}" if peer.pid else "a process of another PID namespace"
    raise CommandFailed(
        f"the control socket of pid {address.pid} is held by {who}.",
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
