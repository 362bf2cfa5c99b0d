"""The message in which connections go from one worker to another, over a queue that the supervisor keeps.

One message carries several connections: their descriptors (SCM_RIGHTS, unix(7)), and behind one JSON line the bytes of
pipelined requests that were read already, of one connection after the other:

    {"version": 2, "connections": [{"fresh": false, "idle_seconds": 3.25, "received": 0}, ...]}

`fresh`: no request was received on it yet. `idle_seconds`: how long the client has already taken of its current
timeout. `received`: how many of the bytes behind the line are its. `protocol`: its name in ALPN (RFC 7301), if it isn't
`http/1.1`. The permit goes with the connection. If a proxy has introduced it (PROXY protocol), what it has said goes
along, which the kernel doesn't know:

    "proxied": {"client": ["192.0.2.1", 50000], "server": ["192.0.2.9", 443], "tls": true,
                "tls_facts": {"version": "TLSv1.3", "cipher": "", "client_name": "someone", "client_verified": true}}

A connection that speaks TLS 1.3 takes along what its session needs (`net.tls13`); then the version is 3. Its secrets,
of `secret` bytes each, that of the client's direction first, stand behind the line before the bytes of its requests:

    "tls": {"cipher": "TLS_AES_128_GCM_SHA256", "secret": 32, "read": 3, "written": 5}

So no secret is in the line, which may be told when it can't be read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

MESSAGE_VERSION = 2
TLS_VERSION = 3
"""The version of a message with connections that speak TLS. A release that doesn't know it can't take them for plain
ones."""
MOST_CONNECTIONS = 16
"""In one message: the receiver keeps as many places free in its table of descriptors. SCM_RIGHTS would take 253."""
MOST_PIPELINED_BYTES = 32768
"""The most bytes read ahead of all connections in one message. A connection with more can't go."""
MOST_SECRET_BYTES = 64
"""The longest secret of one direction: the digests of TLS 1.3's cipher suites have up to 48 bytes."""
_MOST_PROXIED_TLS_BYTES = 1280
"""Of `ProxiedTls` in the line: texts of 64, 64 and 256 bytes, of which JSON makes three times as many at most."""
MESSAGE_BYTES = MOST_PIPELINED_BYTES + (512 + _MOST_PROXIED_TLS_BYTES + 2 * MOST_SECRET_BYTES) * (MOST_CONNECTIONS + 1)

HTTP1 = "http/1.1"

_HIGHEST_PORT = 65535
_LONGEST_IDLE_SECONDS = 1e9  # NaN isn't below it either


class ProxiedTls(NamedTuple):
    """What a proxy knows of the client's TLS: see `net.proxy_protocol.TlsFacts`."""

    version: str
    cipher: str
    client_name: str | None
    client_verified: bool


class Proxied(NamedTuple):
    """What a proxy has said of a connection: both ends of its client's, and whether the client speaks TLS to it.

    `client` is None, and `server` is `(path, None)` or None, for a Unix socket. `tls_facts` is None if the client
    speaks no TLS.
    """

    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    tls: bool = False
    tls_facts: ProxiedTls | None = None


class CarriedTls(NamedTuple):
    """What a session of TLS 1.3 is made of: see `net.tls13.state.TlsState`. This one is a format between
    releases, and `net` knows no formats: so there are two."""

    cipher: str
    read_secret: bytearray
    read_sequence: int
    write_secret: bytearray
    write_sequence: int

    def __repr__(self) -> str:
        return f"CarriedTls({self.cipher}, {self.read_sequence}, {self.write_sequence})"

    def wipe(self) -> None:
        """Overwrite the secrets."""
        for secret in (self.read_secret, self.write_secret):
            secret[:] = bytes(len(secret))


class Carried(NamedTuple):
    """What goes along with one connection. The default is a new connection."""

    fresh: bool = True
    idle_seconds: float = 0.0
    received: bytes = b""
    protocol: str = HTTP1
    proxied: Proxied | None = None
    tls: CarriedTls | None = None


class UnreadableHandover(ValueError):
    """The message is of a version that this release doesn't know, or damaged."""


def encode(connections: Sequence[Carried]) -> bytearray:
    """The message for `connections`, in the order of their descriptors. Overwrite it when it is sent: it may have
    secrets in it."""
    facts = [
        {"fresh": one.fresh, "idle_seconds": round(one.idle_seconds, 3), "received": len(one.received)}
        | ({} if one.protocol == HTTP1 else {"protocol": one.protocol})
        | ({} if one.proxied is None else {"proxied": _facts_of_proxied(one.proxied)})
        | ({} if one.tls is None else {"tls": _facts_of(one.tls)})
        for one in connections
    ]
    version = MESSAGE_VERSION if all(one.tls is None for one in connections) else TLS_VERSION
    message = bytearray(json.dumps({"version": version, "connections": facts}, separators=(",", ":")).encode())
    message += b"\n"
    # All of it at once: a bytearray that grows leaves what it had before behind in memory.
    size = len(message)
    message += bytes(sum(len(one.received) + (2 * len(one.tls.read_secret) if one.tls else 0) for one in connections))
    for one in connections:
        for part in (one.received,) if one.tls is None else (one.tls.read_secret, one.tls.write_secret, one.received):
            message[size : size + len(part)] = part
            size += len(part)
    return message


def _facts_of_proxied(proxied: Proxied) -> dict[str, object]:
    facts = {"client": proxied.client, "server": proxied.server, "tls": proxied.tls}
    return facts | ({} if proxied.tls_facts is None else {"tls_facts": proxied.tls_facts._asdict()})


def _facts_of(tls: CarriedTls) -> dict[str, object]:
    return {
        "cipher": tls.cipher,
        "secret": len(tls.read_secret),
        "read": tls.read_sequence,
        "written": tls.write_sequence,
    }


def decode(message: bytes | bytearray) -> list[Carried]:
    """What `encode` was given. Raises `UnreadableHandover`."""
    line, rest = _split(message)
    facts = _parse(line)
    carried = []
    for one in facts:
        tls = None
        if "tls" in one:
            tls, rest = _read_tls(one["tls"], rest, line)
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
        carried.append(Carried(one.get("fresh") is True, idle, bytes(rest[:size]), protocol, proxied, tls))
        rest = rest[size:]
    return carried


def _split(message: bytes | bytearray) -> tuple[bytes, memoryview]:
    """The line, and a view of what stands behind it: a copy couldn't be overwritten."""
    end = message.find(b"\n")
    end = len(message) if end < 0 else end
    return bytes(message[:end]), memoryview(message)[end + 1 :]


def _read_tls(fact: object, rest: memoryview, line: bytes) -> tuple[CarriedTls, memoryview]:
    """What goes along with a session, and what stands behind its secrets. Raises `UnreadableHandover`."""
    match fact:
        case {"cipher": str(cipher), "secret": int(size), "read": int(read), "written": int(written)}:
            if not 0 <= size <= MOST_SECRET_BYTES or 2 * size > len(rest):
                raise UnreadableHandover(f"it is not whole ({line[:100]!r})")
            secrets = bytearray(rest[:size]), bytearray(rest[size : 2 * size])
            return CarriedTls(cipher, secrets[0], read, secrets[1], written), rest[2 * size :]
    raise UnreadableHandover(f"it is no message ({line[:100]!r})")


def count(message: bytes | bytearray) -> int:
    """How many connections a message carries; at least one, also if it can't be read."""
    try:
        return max(1, len(_parse(_split(message)[0])))
    except UnreadableHandover:
        return 1


def _read_proxied(fact: object, line: bytes) -> Proxied:
    """To go on without it would show the application the proxy as the client. Raises `UnreadableHandover`."""
    if isinstance(fact, dict):
        match fact.get("client"), fact.get("server"):
            case None | [str(), int()] as client, None | [str(), int() | None] as server:
                client = None if client is None else (client[0], client[1])
                server = None if server is None else (server[0], server[1])
                if not all(end is None or end[1] is None or 0 <= end[1] <= _HIGHEST_PORT for end in (client, server)):
                    raise UnreadableHandover(f"it is no message ({line[:100]!r})")
                return Proxied(client, server, fact.get("tls") is True, _read_proxied_tls(fact.get("tls_facts"), line))
    raise UnreadableHandover(f"it is no message ({line[:100]!r})")


def _read_proxied_tls(fact: object, line: bytes) -> ProxiedTls | None:
    match fact:
        case None:
            return None
        case {
            "version": str() as version,
            "cipher": str() as cipher,
            "client_name": None | str() as name,
            "client_verified": bool() as verified,
        }:
            return ProxiedTls(version, cipher, name, verified)
    raise UnreadableHandover(f"it is no message ({line[:100]!r})")


def _parse(line: bytes) -> list[dict[str, object]]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise UnreadableHandover(f"it is no message ({line[:100]!r})") from exc
    if not isinstance(message, dict) or message.get("version") not in (MESSAGE_VERSION, TLS_VERSION):
        raise UnreadableHandover(f"this release can't read what another one has sent ({line[:100]!r})")
    connections = message.get("connections")
    if not isinstance(connections, list) or not all(isinstance(one, dict) for one in connections):
        raise UnreadableHandover(f"it is no message ({line[:100]!r})")
    return connections
