"""The message in which connections go from one worker to another, over a queue that the supervisor keeps.

One message carries several connections: their descriptors (SCM_RIGHTS, unix(7)), and behind one JSON line the bytes of
pipelined requests that were read already, of one connection after the other:

    {"version": 2, "connections": [{"fresh": false, "idle_seconds": 3.25, "received": 0}, ...]}

`fresh`: no request was received on it yet. `idle_seconds`: how long the client has already taken of its current
timeout. `received`: how many of the bytes behind the line are its. `protocol`: its name in ALPN (RFC 7301), if it isn't
`http/1.1`. The permit goes with the connection. If a proxy has introduced it (PROXY protocol), what it has said goes
along, which the kernel doesn't know:

    "proxied": {"client": ["192.0.2.1", 50000], "server": ["192.0.2.9", 443], "tls": true}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

MESSAGE_VERSION = 2
MOST_CONNECTIONS = 16
"""In one message: the receiver keeps as many places free in its table of descriptors. SCM_RIGHTS would take 253."""
MOST_PIPELINED_BYTES = 32768
"""Of all connections in one message. A connection whose client has sent more than this ahead can't go."""
MESSAGE_BYTES = MOST_PIPELINED_BYTES + 384 * (MOST_CONNECTIONS + 1)

HTTP1 = "http/1.1"

_LONGEST_IDLE_SECONDS = 1e9  # NaN isn't below it either


class Proxied(NamedTuple):
    """What a proxy has said of a connection: both ends of its client's, and whether the client speaks TLS to it.

    `client` is None, and `server` is `(path, None)` or None, for a Unix socket.
    """

    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    tls: bool = False


class Carried(NamedTuple):
    """What goes along with one connection. The default is a new connection."""

    fresh: bool = True
    idle_seconds: float = 0.0
    received: bytes = b""
    protocol: str = HTTP1
    proxied: Proxied | None = None


class UnreadableHandover(ValueError):
    """The message is of a version that this release doesn't know, or damaged."""


def encode(connections: Sequence[Carried]) -> bytes:
    """The message for `connections`, in the order of their descriptors."""
    facts = [
        {"fresh": one.fresh, "idle_seconds": round(one.idle_seconds, 3), "received": len(one.received)}
        | ({} if one.protocol == HTTP1 else {"protocol": one.protocol})
        | ({} if one.proxied is None else {"proxied": one.proxied._asdict()})
        for one in connections
    ]
    line = json.dumps({"version": MESSAGE_VERSION, "connections": facts}, separators=(",", ":")).encode()
    return b"".join((line, b"\n", *(one.received for one in connections)))


def decode(message: bytes) -> list[Carried]:
    """What `encode` was given. Raises `UnreadableHandover`."""
    line, _, rest = message.partition(b"\n")
    facts = _parse(line)
    carried = []
    for one in facts:
        size = one.get("received")
        if not isinstance(size, int) or not 0 <= size <= len(rest):
            raise UnreadableHandover(f"it is not whole ({line[:100]!r})")
        idle = one.get("idle_seconds")
        if not isinstance(idle, (int, float)) or not 0 <= idle < _LONGEST_IDLE_SECONDS:
            idle = 0.0
        protocol = one.get("protocol", HTTP1)
        if not isinstance(protocol, str):
            raise UnreadableHandover(f"it is no message ({line[:100]!r})")
        proxied = _read_proxied(one["proxied"], line) if "proxied" in one else None
        carried.append(Carried(one.get("fresh") is True, idle, rest[:size], protocol, proxied))
        rest = rest[size:]
    return carried


def count(message: bytes) -> int:
    """How many connections a message carries; at least one, also if it can't be read."""
    try:
        return max(1, len(_parse(message.partition(b"\n")[0])))
    except UnreadableHandover:
        return 1


def _read_proxied(fact: object, line: bytes) -> Proxied:
    """To go on without it would show the application the proxy as the client. Raises `UnreadableHandover`."""
    if isinstance(fact, dict):
        match fact.get("client"), fact.get("server"):
            case None | [str(), int()] as client, None | [str(), int() | None] as server:
                client = None if client is None else (client[0], client[1])
                server = None if server is None else (server[0], server[1])
                return Proxied(client, server, fact.get("tls") is True)
    raise UnreadableHandover(f"it is no message ({line[:100]!r})")


def _parse(line: bytes) -> list[dict[str, object]]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise UnreadableHandover(f"it is no message ({line[:100]!r})") from exc
    if not isinstance(message, dict) or message.get("version") != MESSAGE_VERSION:
        raise UnreadableHandover(f"this release can't read what another one has sent ({line[:100]!r})")
    connections = message.get("connections")
    if not isinstance(connections, list) or not all(isinstance(one, dict) for one in connections):
        raise UnreadableHandover(f"it is no message ({line[:100]!r})")
    return connections
