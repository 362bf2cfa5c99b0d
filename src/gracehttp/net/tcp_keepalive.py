"""Probes to clients that may have vanished without a FIN: powered off, or behind a NAT that forgot them (tcp(7)).

They are set on the listening socket, and accepted ones inherit them, so they cost no system call per connection.
"""

from __future__ import annotations

import contextlib
import socket

PROBES = 4
_SHORTEST_SECONDS = 1
_LONGEST_SECONDS = 32767
"""What the kernel takes (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL)."""


def set_keepalive(listener: socket.socket, seconds: float) -> None:
    """Have connections that `listener` accepts from now on be probed after so many idle seconds, and closed when
    `PROBES` probes, within as long again, stay without an answer. 0 switches it off. Other sockets stay as they are."""
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, seconds > 0)
    if not seconds:
        return
    for name, value in (("TCP_KEEPIDLE", seconds), ("TCP_KEEPINTVL", seconds / PROBES), ("TCP_KEEPCNT", PROBES)):
        whole = min(max(round(value), _SHORTEST_SECONDS), _LONGEST_SECONDS)
        with contextlib.suppress(AttributeError, OSError):  # a system without it has a default
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), whole)
