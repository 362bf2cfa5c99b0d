"""Closes our sockets in processes that the application forks.

A forked child gets copies of all descriptors. execve(2) closes them, but some children execute nothing, such as the
workers of multiprocessing. Such a copy of a listener would hold the port after the server has ended, with a queue that
is not served. One of a connection would keep it open: a reset, or the end of a worker that was killed, would not reach
the client before the child ends.
"""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections.abc import Iterable
from typing import Protocol


class Watcher(Protocol):
    """What knows the descriptors of connections: a poller."""

    @property
    def descriptors(self) -> Iterable[int]: ...


_listeners: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()


def close_in_children(listener: socket.socket) -> None:
    """Close the copies of `listener` in all processes that this one forks from now on."""
    _listeners.add(listener)


def disconnect_in_children(watcher: Watcher) -> None:
    """Close the copies of the connections that `watcher` has, in all processes that this one forks from now on."""
    _watchers.add(watcher)


def _close_all() -> None:
    for listener in list(_listeners):
        listener.close()
    with contextlib.suppress(OSError):  # the table of descriptors is full
        null = os.open(os.devnull, os.O_RDWR)
        try:
            # Not closed: objects of the child still have the numbers, which must not become those of other files.
            for watcher in list(_watchers):
                for descriptor in watcher.descriptors:
                    os.dup2(null, descriptor, inheritable=False)
        finally:
            os.close(null)


os.register_at_fork(after_in_child=_close_all)
