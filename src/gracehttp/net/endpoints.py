"""Both ends of a connection, as applications want to see them."""

from __future__ import annotations

import os
from typing import Any

_MAPPED_IPV4 = "::ffff:"
"""How an IPv6 socket that takes IPv4 too names an IPv4 client (RFC 4291 section 2.5.5.2)."""


def client_of(peer: Any) -> tuple[str, int] | None:
    """Host and port of the client, from what accept(2) or getpeername(2) says; None on a Unix socket, where clients
    have no name."""
    if not isinstance(peer, tuple):
        return None
    host = peer[0]
    if host.startswith(_MAPPED_IPV4) and "." in host:
        return host.removeprefix(_MAPPED_IPV4), peer[1]
    return peer if len(peer) == 2 else (host, peer[1])


def server_of(name: Any) -> tuple[str, int | None] | None:
    """Host and port that the client has connected to, from what getsockname(2) says; `(path, None)` for a Unix socket,
    as ASGI says."""
    if isinstance(name, tuple):
        return client_of(name)
    return (os.fsdecode(name), None) if name else None
