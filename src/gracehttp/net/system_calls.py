"""The system calls that each request and each connection needs, through the objects of the standard library.

Compiled modules call the functions of the same names in `system_calls.pxd` instead, which make the same system calls
with a descriptor and without the objects' own work. What holds for both:

- No call blocks. A call that could not do anything now, or that a signal interrupted (EAGAIN, EINTR), is no error.
- Other errors are raised as `OSError`.
- A descriptor below 0 stands for an object of a class of its own, which wants to be asked by its methods.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Any, Final

from gracehttp.net.kernel_view import is_readable, waiting_in

READ_BYTES: Final = 65536

monotonic: Final = time.monotonic
"""Seconds of a clock that only goes forward, for differences among themselves (clock_gettime(2))."""

_MORE: Final = getattr(socket, "MSG_MORE", 0)
_OF_THE_STANDARD_LIBRARY = (socket.socket, socket.SocketType, getattr(select, "epoll", None))


def descriptor_of(one: socket.SocketType | select.epoll) -> int:
    """What to give along with `one` below, until it is closed."""
    return one.fileno() if type(one) in _OF_THE_STANDARD_LIBRARY else -1


def waiting(listener: socket.socket, fd: int) -> int:
    """How many connections wait to be accepted (TCP_INFO of tcp(7)); -1: at least one (poll(2)), and the kernel doesn't
    tell how many."""
    return (waiting_in(listener) or -1) if is_readable(listener.fileno()) else 0


def accept(listener: socket.socket, fd: int) -> tuple[int, Any] | None:
    """The descriptor of the next connection, which doesn't block, and the address of its client, which on a Unix socket
    may be None; None if no connection waits (accept4(2))."""
    try:
        if fd < 0:
            sock, client = listener.accept()
            try:
                sock.setblocking(False)
            except OSError:
                sock.close()
                raise
            return sock.detach(), client
        # As accept() does it, without an object that has a name of its own for each attribute.
        descriptor, client = listener._accept()  # type: ignore[attr-defined]  # typeshed has it not
    except BlockingIOError:
        return None
    try:
        os.set_blocking(descriptor, False)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor, client


def receive(sock: socket.SocketType, fd: int, much: bool) -> bytes | None:
    """What has come, at most `READ_BYTES`: empty at the end, None if nothing has come. `much`: to expect so much that
    one copy more would cost something (recv(2))."""
    try:
        return sock.recv(READ_BYTES)
    except (BlockingIOError, InterruptedError):
        return None


def send(sock: socket.SocketType, fd: int, data: bytes, more: bool = False) -> int:
    """How many bytes of `data` the kernel has taken (send(2)). `more`: what follows, or the end of our half, comes at
    once, and the kernel may wait for it with the last segment."""
    try:
        return sock.send(data, _MORE) if more and fd >= 0 else sock.send(data)
    except (BlockingIOError, InterruptedError):
        return 0


def take_one(eventfd: int) -> bool:
    """Take one of the count of an eventfd in semaphore mode, which doesn't block; False if it is 0 (eventfd(2))."""
    try:
        os.eventfd_read(eventfd)
    except BlockingIOError:
        return False
    return True


def give_one(eventfd: int) -> None:
    """Add one to the count of an eventfd (eventfd(2))."""
    os.eventfd_write(eventfd, 1)


def shut(sock: socket.SocketType, fd: int) -> bool:
    """End our half (shutdown(2)). Here an error is told by False: a close follows in any case."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return False
    return True


def take_time_slice(nanoseconds: int) -> bool:
    """Have the scheduler give this thread turns of that length (sched_setattr(2), Linux 6.12). Returns whether the
    kernel has taken it; kernels before that take it and do nothing. Here it is not done: the standard library doesn't
    have the call."""
    return False


def ready(epoll: select.epoll, fd: int, most: int) -> list[tuple[int, int]]:
    """At most `most` descriptors that are ready, and for what (epoll_wait(2)). `fd` is that of `epoll`."""
    return epoll.poll(0, most)
