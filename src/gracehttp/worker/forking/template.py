"""The template of a generation: a copy of its first worker, made when the application is imported and before anything
of it runs. It forks the other workers of its generation. The supervisor's side is `supervisor.processes.templates`.
"""

from __future__ import annotations

import gc
import socket
import sys
import threading
from collections.abc import Callable

from gracehttp.system.threads import thread_count
from gracehttp.wire.channel import Channel
from gracehttp.wire.messages import Fork, TemplateBegan
from gracehttp.worker.forking.fork_server import fork_on_orders, fork_orphan

_MAIN_THREAD_ONLY = 1


def leave_template(end: socket.socket, *, become_template: Callable[[], None]) -> Channel | None:
    """Leave a copy of this process behind that forks workers for the supervisor, which holds the other end of `end`.

    Returns None in this process, and in each worker that is forked later the channel of that worker. The copy itself
    never returns: it ends when the supervisor is gone, or kills it. `become_template` is called in the copy first, to
    let go of what belongs to this process. Takes `end`. Raises `OSError` if there can't be one more process.

    To be called before an event loop exists; threads aren't copied (see `threads`).
    """
    orders = Channel(end)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # or each worker would write once more what waits in its buffer
    gc.freeze()  # a collection would write to all objects, and end the sharing of their memory
    try:
        if not fork_orphan(lambda pid: orders.send(TemplateBegan(pid))):
            return None
        return _channel_of(fork_on_orders(orders, become_template))
    finally:
        orders.close()


def threads() -> tuple[str, ...]:
    """Names of the threads of this process besides the main one; those that Python doesn't know are counted."""
    named = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    foreign = thread_count() - len(named) - _MAIN_THREAD_ONLY
    return (*named, f"{foreign} not of Python") if foreign > 0 else tuple(named)


def _channel_of(order: Fork) -> Channel:
    sock = socket.socket(fileno=order.channel)
    sock.setblocking(True)
    return Channel(sock)
