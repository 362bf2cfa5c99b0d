"""Letting nobody new into a listener while those who wait in its queue are still served.

Closing a listening socket resets the connections in its accept queue, so before a stop the door is closed first and
the queue emptied after. A TCP listener gets a socket filter (socket(7), SO_ATTACH_FILTER) that drops segments with
SYN set. To a client that is a lost packet: it tries again a second later, and then gets a clean refusal. Whoever is
in the middle of the handshake still completes it. (A Unix socket loses its file: see `listeners.bind`.)

The door of an inherited socket stays open, because its queue is its opener's: newcomers may keep it from ever being
empty, so there the last ones to be accepted are those who waited when the end began.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
from pathlib import Path

_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_LISTEN_QUEUE_LIMIT = 4096
"""What net.core.somaxconn is since Linux 5.4, for systems that don't tell."""
_UNACKED_OFFSET = 24
_TCP_FLAGS_OFFSET = 13
_SYN = 0x02

# struct sock_filter: code, jump if true, jump if false, operand (linux/filter.h). The data starts at the TCP header.
_DROP_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, _TCP_FLAGS_OFFSET),  # load the byte with the flags
        (0x45, 0, 1, _SYN),  # is SYN set?
        (0x06, 0, 0, 0),  # yes: keep 0 bytes, that is, drop
        (0x06, 0, 0, 0xFFFFFFFF),  # no: keep all
    )
)


def close_door(listener: socket.socket) -> bool:
    """Let no new connection into the queue of the TCP socket `listener`, whichever process shares it.

    Tells whether that could be done; doing it twice does no harm.
    """
    if listener.family == socket.AF_UNIX or sys.platform != "linux":
        return False
    program = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    header = struct.pack("HL", len(_DROP_SYN) // 8, ctypes.addressof(program))  # struct sock_fprog
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
    except OSError:
        return False
    return True


def open_door(listener: socket.socket) -> None:
    """Let connections into the queue again."""
    with contextlib.suppress(OSError):  # it was not closed
        listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


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
