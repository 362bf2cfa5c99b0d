"""The protocol of the control socket: what `gracehttp restart`, `stop` and `status` ask a supervisor for.

A stream of JSON lines. The client sends one request, `{"version": 1, "command": "restart"}`. The supervisor sends any
number of `{"progress": "..."}`, and at last the outcome, which has `"done": true`. A field that isn't known is passed
over, so within a version a release may add fields that have a default.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

from gracehttp.values import UnreadableValue, Value, from_plain, to_plain
from gracehttp.wire.json_lines import UnreadableLine, decode_line, encode_line

VERSION = 1
MOST_REQUEST_BYTES = 65536

_CREDENTIALS = "3i"  # struct ucred of unix(7): pid, uid, gid


class UnreadableRequest(ValueError):
    """The line is no request that this release understands. It is a sentence for the client, without a full stop."""


class UnreadableAnswer(ValueError):
    """The line is no answer of this protocol."""


# --- where the supervisor listens, and which process is at the other end ---


def abstract_name(pid: int) -> str:
    """The default address of the control socket of the supervisor `pid`: an abstract one (unix(7)), without a file.

    `pid` is meant as this process knows it. Abstract names belong to a network namespace, which containers may share (a
    pod of Kubernetes), and each of them has its own process 1. So the name says which PID namespace is meant.
    """
    return f"\0gracehttp-{pid_namespace()}-{pid}"


def pid_namespace() -> int:
    """What tells the PID namespace of this process from all others on this machine (namespaces(7)); 0 without /proc."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


class Peer(NamedTuple):
    """The process at the other end of a Unix socket. A `pid` of 0 lives in another PID namespace, where this process
    can't see it (pid_namespaces(7)): no PID of ours names it."""

    pid: int
    uid: int


def peer_of(sock: socket.socket) -> Peer | None:
    """The peer as the kernel knows it (unix(7), SO_PEERCRED); None on a system that doesn't tell. Raises `OSError`."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    credentials = sock.getsockopt(socket.SOL_SOCKET, option, struct.calcsize(_CREDENTIALS))
    pid, uid, _gid = struct.unpack(_CREDENTIALS, credentials)
    return Peer(pid, uid)


# --- what a client asks for ---


class Request(Value):
    """The one line of a client. `command` is `restart`, `stop`, `status`, `metrics` or `events`. What the last two ask
    for is the `details` of the outcome: the text that Prometheus reads, and lines of JSON (`RecentEvent`).

    With `supervisor`, a restart replaces the supervisor first. With `supersede`, it ends one that is under way and
    doesn't wait for it. With `force`, a stop cuts requests off.
    """

    command: str
    supervisor: bool = False
    force: bool = False
    supersede: bool = False
    version: int = VERSION


def write_request(request: Request) -> bytes:
    """The line of a request; what isn't asked for is left out."""
    return encode_line({name: value for name, value in to_plain(request).items() if value is not False})


def read_request(line: bytes) -> Request:
    """The request in a line. Raises `UnreadableRequest`."""
    try:
        plain = decode_line(line)
        if from_plain(int, plain.get("version")) == VERSION:
            return from_plain(Request, plain)
    except (UnreadableLine, UnreadableValue) as exc:
        raise UnreadableRequest(f"the request can't be read ({exc})") from exc
    raise UnreadableRequest(f"this supervisor speaks version {VERSION} of the control protocol")


# --- what the supervisor answers ---


class WorkerStatus(Value):
    worker: int
    pid: int | None
    state: str
    build: str = ""
    """Which build it runs, `compiled` or `interpreted` and why; "" until it has said so."""
    connections: int | None = None
    """How many it has open; None where only the worker knows."""
    other_code: bool = False
    """Whether it runs other code than its generation started with, as one that replaces a crashed one may."""


class GenerationStatus(Value):
    """`template` is the PID of its template. `starts_in_seconds` tells when workers that died are started again."""

    generation: int
    state: str
    workers: tuple[WorkerStatus, ...]
    template: int | None = None
    probation_seconds_left: float | None = None
    starts_in_seconds: tuple[float, ...] = ()


class ListenerStatus(Value):
    """`open_connections` is None where each worker counts its own. `shed_connections` is how many idle connections were
    closed to make room."""

    address: str
    bound: str
    max_connections: int
    open_connections: int | None = None
    shed_connections: int = 0
    tls: bool = False


class CertificateStatus(Value):
    """A certificate that the generation that serves uses. `not_after` is when it expires, in seconds since 1970, and
    `days_left` the whole days until then, negative if it is over."""

    path: str
    names: tuple[str, ...]
    not_after: float
    days_left: int


class RestartStatus(Value):
    """How the latest restart ended, which `source` asked for. `ended_at` is in seconds since the epoch, or 0."""

    ok: bool
    message: str
    generation: int = 0
    source: str = ""
    ended_at: float = 0.0


class Status(Value):
    """What `gracehttp status` shows. `version` is the release of the supervisor, `build` which build its installation
    runs."""

    pid: int
    version: str
    uptime_seconds: float
    generations: tuple[GenerationStatus, ...]
    listeners: tuple[ListenerStatus, ...]
    last_restart: RestartStatus | None = None
    build: str = ""
    certificates: tuple[CertificateStatus, ...] = ()


class RecentEvent(Value):
    """A sentence of the log of the supervisor, and when it was told, in seconds since 1970."""

    at: float
    severity: str
    sentence: str


class Progress(Value):
    """A sentence about what happens meanwhile, and how much it matters, as `Severity` has it ("": not known).

    Of a generation that starts, `doing` says what one of its workers does, or `ready` of the `wanted` ones are ready.
    """

    progress: str
    severity: str = ""
    generation: int = 0
    doing: str = ""
    ready: int = 0
    wanted: int = 0


class Outcome(Value):
    """How a command ended. `pids` are the workers of `generation`."""

    ok: bool
    message: str = ""
    details: str = ""
    generation: int = 0
    pids: tuple[int, ...] = ()
    status: Status | None = None
    source: str = ""
    """The signal or client that asked for the restart that ended so."""
    ended_at: float = 0.0
    """When, in seconds since the epoch."""


def write_answer(answer: Progress | Outcome) -> bytes:
    plain = to_plain(answer)
    return encode_line({"done": True, **plain} if isinstance(answer, Outcome) else plain)


def read_answer(line: bytes) -> Progress | Outcome | None:
    """The answer in a line; None if it is one that this release doesn't know. Raises `UnreadableAnswer`."""
    try:
        plain = decode_line(line)
        if plain.get("done") is True:
            return from_plain(Outcome, plain)
        return from_plain(Progress, plain) if "progress" in plain else None
    except (UnreadableLine, UnreadableValue) as exc:
        raise UnreadableAnswer(str(exc)) from exc
