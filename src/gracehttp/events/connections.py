"""Ports, their limits, and what becomes of connections."""

from __future__ import annotations

from gracehttp.events.base import Event, Severity, counted

_MOST_NAMED = 10


def _shared_with(other_ports: int) -> str:
    return f", shared with {counted(other_ports, 'other port')}" if other_ports else ""


def _and_more(connections: int) -> str:
    """Behind the first one: how many others there were."""
    return f", and {counted(connections - 1, 'more connection')}" if connections > 1 else ""


class ListenerOpened(Event):
    """`descriptors` is how many files a process may open if that is what lowers the default limit, else None. `url` is
    where a client on this machine reaches a TCP port, else it is empty."""

    severity = Severity.NOTICE
    address: str
    max_connections: int
    descriptors: int | None = None
    other_ports: int = 0
    url: str = ""

    def __str__(self) -> str:
        because = ""
        if self.descriptors is not None:
            because = f" (a process may open {self.descriptors} files{_shared_with(self.other_ports)})"
        where = f"{self.address} ({self.url})" if self.url else self.address
        if self.url.endswith(f"://{self.address}"):
            where = self.url
        limit = f"at most {counted(self.max_connections, 'connection')}{because}"
        return f"listening on {where}, {limit}; no worker accepts yet"


class ListenerKept(Event):
    """The service manager has kept a listener for a supervisor that was killed."""

    severity = Severity.NOTICE
    address: str

    def __str__(self) -> str:
        return f"{self.address}: going on with the queue that the service manager has kept"


class ListenerLeft(Event):
    severity = Severity.NOTICE
    address: str

    def __str__(self) -> str:
        return f"{self.address}: the service manager has kept a queue that nothing listens to any more; it is closed"


class ListenerClosed(Event):
    severity = Severity.NOTICE
    address: str

    def __str__(self) -> str:
        return f"closed {self.address}"


class LimitLowered(Event):
    """A limit that the options set can't be had. `ListenerOpened` tells of the default."""

    severity = Severity.NOTICE
    address: str
    wanted: int
    effective: int
    descriptors: int
    other_ports: int = 0
    """The other ports of the program, which share what a process may open."""

    def __str__(self) -> str:
        return (
            f"{self.address}: the limit of {counted(self.wanted, 'connection')} is lowered to {self.effective}, "
            f"because a process may open {self.descriptors} files{_shared_with(self.other_ports)} "
            f"(raise RLIMIT_NOFILE, with ulimit -Hn or LimitNOFILE=)"
        )


class LimitChanged(Event):
    severity = Severity.NOTICE
    address: str
    before: int
    after: int

    def __str__(self) -> str:
        return f"{self.address}: the limit changed from {self.before} to {counted(self.after, 'connection')}"


class LimitSplit(Event):
    severity = Severity.NOTICE
    address: str
    share: int

    def __str__(self) -> str:
        share = counted(self.share, "connection")
        return f"{self.address}: this system has no eventfd or no memfd_create: the workers share {share} evenly"


class PermitsReclaimed(Event):
    severity = Severity.NOTICE
    address: str
    permits: int

    def __str__(self) -> str:
        they = "it counts" if self.permits == 1 else "they count"
        held = counted(self.permits, "open connection")
        return f"{self.address}: a worker died with {held}; {they} no longer against the limit"


class PermitsNotCounted(Event):
    severity = Severity.ERROR
    address: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.address}: connections of workers that died still count against the limit, because they can't be "
            f"counted now ({self.reason}); it is tried again"
        )


class AcceptPaused(Event):
    severity = Severity.ERROR
    address: str
    reason: str
    pause_seconds: float

    def __str__(self) -> str:
        then = f"new connections wait in the kernel, next try in {self.pause_seconds:g} s"
        return f"{self.address}: accept() failed ({self.reason}); {then}"


class ConnectionNotWatched(Event):
    severity = Severity.ERROR
    address: str
    reason: str

    def __str__(self) -> str:
        return f"{self.address}: closed a new connection that the system can't watch ({self.reason})"


class ConnectionFailed(Event):
    severity = Severity.ERROR
    address: str
    reason: str

    def __str__(self) -> str:
        return f"{self.address}: closed a connection that the system can't go on with ({self.reason})"


class ConnectionsNotIntroduced(Event):
    """On a port that takes connections by the PROXY protocol alone. Told at most once a second by each worker.

    `peer` and `reason` are those of the first one.
    """

    severity = Severity.ERROR
    address: str
    connections: int
    peer: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.address}: closed a connection from {self.peer}, because {self.reason}{_and_more(self.connections)}"
        )


class PlainHttpRefused(Event):
    """On a port with TLS. Told at most once a second by each worker. `peer` and `reason` are those of the first one."""

    severity = Severity.NOTICE
    address: str
    connections: int
    peer: str
    reason: str

    def __str__(self) -> str:
        more = _and_more(self.connections)
        return f"https://{self.address}: answered 400 to {self.peer}, because {self.reason}{more}"


class ForwardedFieldRemoved(Event):
    """Told once by each worker for each port."""

    severity = Severity.NOTICE
    address: str
    peer: str
    field: str

    def __str__(self) -> str:
        return (
            f"{self.address}: {self.peer} sends {self.field}, and is no trusted proxy: such fields are removed "
            f"(--forwarded-allow-ips names proxies, --no-proxy-headers leaves the fields to the application)"
        )


class ConnectionsShed(Event):
    """Told at most once a second by each worker."""

    severity = Severity.NOTICE
    listener: int
    address: str
    connections: int

    def __str__(self) -> str:
        closed = f"closed {counted(self.connections, 'idle connection')} for new connections that wait"
        return f"{self.address} is full: {closed}"


class DrainStarted(Event):
    severity = Severity.DEBUG
    connections: int
    timeout_seconds: float

    def __str__(self) -> str:
        return f"draining {counted(self.connections, 'connection')}, for at most {self.timeout_seconds:g} s"


class DrainFinished(Event):
    severity = Severity.DEBUG
    seconds: float

    def __str__(self) -> str:
        return f"drained in {self.seconds:.2f} s, no request was cut"


class RequestsCut(Event):
    """A drain of the worker `pid` ended with requests in flight. `cut` describes each: method, target, age; ten are in
    the sentence."""

    severity = Severity.WARNING
    seconds: float
    cut: tuple[str, ...]
    pid: int = 0

    def __str__(self) -> str:
        named = "; ".join(self.cut[:_MOST_NAMED])
        more = f"; and {len(self.cut) - _MOST_NAMED} more" if len(self.cut) > _MOST_NAMED else ""
        were = "was" if len(self.cut) == 1 else "were"
        what = f"{counted(len(self.cut), 'request')} {were} cut"
        return f"drain ended after {self.seconds:.2f} s, {what}: {named}{more}"


class HandoverBroken(Event):
    severity = Severity.ERROR
    reason: str
    connections: int = 1

    def __str__(self) -> str:
        lost = "a connection was" if self.connections == 1 else f"{self.connections} connections were"
        return f"{lost} lost between two generations: {self.reason}"


class HandoverDelayed(Event):
    """A worker can't read the queue now; what is in it stays there, for this worker or another one."""

    severity = Severity.ERROR
    reason: str

    def __str__(self) -> str:
        return f"connections of another generation can't be taken now ({self.reason}); it is tried again"


class HandoverQueueLost(Event):
    """Connections that are in the queue are left to other workers."""

    severity = Severity.ERROR
    reason: str

    def __str__(self) -> str:
        return (
            f"this worker takes no connections of other generations any more: the queue can't be read ({self.reason})"
        )
