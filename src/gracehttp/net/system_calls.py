"""The system calls that each request needs, through the objects of the standard library.

Compiled modules call the functions of the same names in `system_calls.pxd` instead, which make the same system calls
with a descriptor and without the objects' own work. What holds for both:

- No call blocks. A call that could not do anything now, or that a signal interrupted (EAGAIN, EINTR), is no error.
- Other errors are raised as `OSError`.
- A descriptor below 0 stands for an object of a class of its own, which wants to be asked by its methods.
"""

from __future__ import annotations

import select
import socket
from typing import Final

READ_BYTES: Final = 65536


_OF_THE_STANDARD_LIBRARY = (socket.socket, getattr(select, "epoll", None))


def descriptor_of(one: socket.socket | select.epoll) -> int:
    """What to give along with `one` below, until it is closed."""
    return one.fileno() if type(one) in _OF_THE_STANDARD_LIBRARY else -1


def receive(sock: socket.socket, fd: int, much: bool) -> bytes | None:
    """What has come, at most `READ_BYTES`: empty at the end, None if nothing has come. `much`: to expect so much that
    one copy more would cost something (recv(2))."""
    try:
        return sock.recv(READ_BYTES)
    except (BlockingIOError, InterruptedError):
        return None


def send(sock: socket.socket, fd: int, data: bytes) -> int:
    """How many bytes of `data` the kernel has taken (send(2))."""
    try:
        return sock.send(data)
    except (BlockingIOError, InterruptedError):
        return 0


def ready(epoll: select.epoll, fd: int, most: int) -> list[tuple[int, int]]:
    """At most `most` descriptors that are ready, and for what (epoll_wait(2)). `fd` is that of `epoll`."""
    return epoll.poll(0, most)
