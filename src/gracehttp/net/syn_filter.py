"""Letting nobody new into a listener while those who wait in its queue are still served.

Closing a listening socket resets the connections in its accept queue, so before a stop the door is closed first and
the queue emptied after. A TCP listener gets a socket filter (socket(7), SO_ATTACH_FILTER) that drops segments with
SYN set. To a client that is a lost packet: it tries again a second later, and then gets a clean refusal. Whoever is
in the middle of the handshake still completes it. (A Unix socket loses its file: see `net.bind`.)

The door of an inherited socket stays open, because its queue is its opener's: newcomers may keep it from ever being
empty, so there the last ones to be accepted are those who waited when the end began.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys

_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
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
