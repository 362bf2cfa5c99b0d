"""Keeping new connections out of a listener while the connections in its queue are still served.

Closing a listening socket resets the connections in its accept queue. So before a stop the queue is first closed to new
connections, and then emptied. A TCP listener gets a socket filter (socket(7), SO_ATTACH_FILTER) that drops segments
with SYN set. To a client that is a lost packet: it tries again a second later, and then gets a clean refusal. A client
in the middle of the handshake still completes it. (A Unix socket loses its file instead: see `net.bind`.)

An inherited socket gets no filter: its queue is its opener's, and lives on when this service has ended. When supervisor
and workers are killed, no process removes the filter. New connections may then keep the queue from ever being empty, so
there the server accepts only what was queued when the stop began. The filter of our own socket can't outlive us: the
kernel frees both with the last process that has the socket."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from array import array

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


def drop_new_connections(listener: socket.socket) -> bool:
    """Keep new connections out of the queue of the TCP socket `listener`, in all processes that share it.

    Returns whether the system can do that. A second call changes nothing.
    """
    if listener.family == socket.AF_UNIX or sys.platform != "linux":
        return False
    program = array("B", _DROP_SYN)  # it tells its address, without the megabyte that ctypes takes
    header = struct.pack("HL", len(_DROP_SYN) // 8, program.buffer_info()[0])  # struct sock_fprog
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
    except OSError:
        return False
    return True


def admit_new_connections(listener: socket.socket) -> None:
    """Undo `drop_new_connections`, if it was called."""
    with contextlib.suppress(OSError):  # there is no filter
        listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
