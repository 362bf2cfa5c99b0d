"""What the kernel knows of a socket."""

from __future__ import annotations

import select
import socket
import struct
from pathlib import Path

_LISTEN_QUEUE_LIMIT = 4096
"""What net.core.somaxconn is since Linux 5.4, for systems that don't tell."""
_UNACKED_OFFSET = 24


def is_readable(fd: int) -> bool:
    """Whether a read, or an accept, would not block (poll(2))."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def most_waiting(listener: socket.socket) -> int:
    """How many connections wait in the accept queue of `listener`; where the kernel doesn't tell, how many could."""
    if listener.family != socket.AF_UNIX and hasattr(socket, "TCP_INFO"):
        # Of a listening socket, tcpi_unacked of struct tcp_info is the length of its accept queue (tcp_get_info in
        # net/ipv4/tcp.c; it is the Recv-Q that ss(8) shows).
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED_OFFSET + 4)
        return int(struct.unpack_from("I", info, _UNACKED_OFFSET)[0])
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        return _LISTEN_QUEUE_LIMIT
