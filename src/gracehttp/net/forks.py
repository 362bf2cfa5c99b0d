"""Closes our listening sockets in processes that the application forks.

A forked child gets copies of all descriptors. execve(2) closes them, but some children execute nothing, such as the
workers of multiprocessing. Such a copy would hold the port after the server has ended, with a queue that is not served.
"""

from __future__ import annotations

import os
import socket
import weakref

_listeners: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def close_in_children(listener: socket.socket) -> None:
    """Close the copies of `listener` in all processes that this one forks from now on."""
    _listeners.add(listener)


def _close_all() -> None:
    for listener in list(_listeners):
        listener.close()


os.register_at_fork(after_in_child=_close_all)
