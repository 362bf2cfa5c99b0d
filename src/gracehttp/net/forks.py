"""What a process that the application forks must not keep.

A child gets copies of all descriptors, and those that are closed by execve(2) stay open if it executes nothing, such as
a worker of multiprocessing. A copy of a listening socket would hold the port, with a queue that nobody serves, when the
server has ended long ago.
"""

from __future__ import annotations

import os
import socket
import weakref

_ours: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def close_in_children(listener: socket.socket) -> None:
    """Close the copies of `listener` in all processes that this one forks from now on."""
    _ours.add(listener)


def _close_all() -> None:
    for listener in list(_ours):
        listener.close()


os.register_at_fork(after_in_child=_close_all)
