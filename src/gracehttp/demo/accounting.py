"""What the load counts, and how it reads a response. Pure."""

from __future__ import annotations

import enum
import re
from array import array
from dataclasses import dataclass, field

from gracehttp.values import Value

_PID = re.compile(rb"pid:(\d+)")
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d+)[ \t]*\r?$")
_CLOSE = re.compile(rb"(?im)^connection:[ \t]*close[ \t]*\r?$")


class Ending(enum.Enum):
    """How one request ended."""

    ANSWERED = "answered"
    ANSWERED_AND_CLOSING = "answered, with Connection: close"
    LOST = "lost"


class Response(Value):
    """A whole response: its status, its body, and whether the server closes the connection after it."""

    status: int
    body: bytes
    closing: bool


def take_response(data: bytes) -> tuple[Response, bytes] | None:
    """The response at the head of `data` and what follows it, or None if more bytes are needed.

    Reads responses with Content-Length (RFC 9112 section 6.2), as the demo's application sends them. Raises
    `ValueError` for any other.
    """
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    length = _LENGTH.search(head)
    parts = head.split(b" ", 2)
    if length is None or len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        raise ValueError(f"no response that the demo sends: {head[:80]!r}")
    size = int(length[1])
    if len(rest) < size:
        return None
    return Response(int(parts[1]), rest[:size], _CLOSE.search(head) is not None), rest[size:]


@dataclass(slots=True)
class Account:
    """The sums over all connections of a load."""

    answered: int = 0
    lost: int = 0
    reconnects: int = 0
    pids: list[int] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    latencies_seconds: array[float] = field(default_factory=lambda: array("d"))

    @property
    def requests(self) -> int:
        """The number of requests that have ended."""
        return self.answered + self.lost

    def response(self, response: Response, seconds: float) -> Ending:
        """Count a whole response that took `seconds`. It counts as lost if it isn't the application's."""
        pid = _PID.search(response.body)
        if response.status != 200 or pid is None:
            return self.loss(f"answered with status {response.status}")
        self.answered += 1
        self.latencies_seconds.append(seconds)
        if int(pid[1]) not in self.pids:
            self.pids.append(int(pid[1]))
        if response.closing:
            self.reconnects += 1
            return Ending.ANSWERED_AND_CLOSING
        return Ending.ANSWERED

    def loss(self, reason: str) -> Ending:
        """Count a request that got no whole response. The first reasons are kept for the report."""
        self.lost += 1
        if len(self.losses) < 5:
            self.losses.append(reason)
        return Ending.LOST

    def quantile_seconds(self, share: float) -> float:
        """The latency that `share` (0 to 1) of the answered requests did not exceed (nearest rank); 0 without any."""
        if not self.latencies_seconds:
            return 0.0
        ranked = sorted(self.latencies_seconds)
        return ranked[max(0, -int(-share * len(ranked) // 1) - 1)]


def report(account: Account, *, restarts: int) -> list[str]:
    """The lines that `gracehttp demo --restarts` prints at its end."""
    rows = [
        ("restarts", str(restarts)),
        ("requests", str(account.requests)),
        ("lost", str(account.lost)),
        ("reconnects", str(account.reconnects)),
        ("latency, median", f"{account.quantile_seconds(0.5) * 1000:.2f} ms"),
        ("latency, 99th percentile", f"{account.quantile_seconds(0.99) * 1000:.2f} ms"),
        ("PIDs seen", " ".join(map(str, account.pids))),
    ]
    return [f"{name:25} {value}" for name, value in rows] + [f"lost: {reason}" for reason in account.losses]
