"""Processes that a spare process has forked before a worker is ordered: each waits to be one.

Two forks are what takes longest when a worker is ordered, because tables of pages are copied twice, and taken down once
(`template`). So they are made beforehand, when no order has come for a moment. A process in reserve is a copy: it has
what the spare process had loaded, and what tells whether that is still right, tells it for both.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from gracehttp.values import Value
from gracehttp.wire.channel import Channel, ChannelClosed
from gracehttp.wire.messages import Fork, Forked

REST_SECONDS: Final = 0.5
"""After so long without an order, another one is forked."""
FEWEST: Final = 2
MOST: Final = 4
"""Each has a megabyte or two of its own."""


class _Reserve(Value):
    """One that waits, as the process that forked it has it. If `life`, the only write end of a pipe, is closed before
    it has answered an order, it ends."""

    channel: Channel
    life: int

    def close(self) -> None:
        self.channel.close()
        os.close(self.life)


class Reserves:
    """Belongs to the process that has the channel `orders`. `fork` is `fork_server.fork_orphan`."""

    def __init__(self, orders: Channel, fork: Callable[[Callable[[int], None], Sequence[int]], bool]) -> None:
        self._orders = orders
        self._fork = fork
        self._waiting: list[_Reserve] = []
        self._wanted = FEWEST

    def fill(self) -> Fork | None:
        """Fork until there are as many as are wanted, or an order comes. Returns None in this process; in each that was
        forked it returns when it is to be a worker, with the order."""
        while len(self._waiting) < self._wanted and not self._has_orders():
            try:
                with contextlib.ExitStack() as opened:
                    ours, theirs = map(opened.enter_context, socket.socketpair())
                    watched, life = os.pipe()
                    opened.callback(os.close, watched)
                    opened.callback(os.close, life)
                    is_reserve = self._fork(partial(_kill_with_the_writer, watched), (life,))
                    opened.pop_all()
            except OSError:  # there can't be one more process
                self._wanted = 0
                return None
            if is_reserve:
                ours.close()
                self._orders.close()
                self.close()
                return _wait(Channel(theirs), watched)
            theirs.close()
            os.close(watched)
            self._waiting.append(_Reserve(Channel(ours), life))
        return None

    def take(self, order: Fork) -> int:
        """Have one carry out the order, which keeps its descriptors. Returns its PID, 0 if there is none."""
        while self._waiting:
            with contextlib.closing(self._waiting.pop()) as reserve, contextlib.suppress(ChannelClosed):
                reserve.channel.send(order)
                for answer in reserve.channel.receive():
                    if isinstance(answer, Forked):
                        return answer.pid
        self._wanted = min(self._wanted + 1, MOST)
        return 0

    def close(self) -> None:
        """Let go of all, in a process that forks no more. They end with the one that still does."""
        while self._waiting:
            self._waiting.pop().close()

    def _has_orders(self) -> bool:
        poll = select.poll()
        poll.register(self._orders.fileno(), select.POLLIN)
        return bool(poll.poll(1000 * REST_SECONDS))


def _wait(channel: Channel, watched: int) -> Fork:
    try:
        while True:
            for order in channel.receive():
                if isinstance(order, Fork):
                    if order.directory:
                        os.chdir(order.directory)  # the other process could, a moment ago
                    os.close(watched)
                    channel.send(Forked(os.getpid()))
                    channel.close()
                    return order
    except (ChannelClosed, OSError):
        os._exit(0)


def _kill_with_the_writer(read_end: int, pid: int) -> None:
    """Have the kernel kill the process `pid`, which has a copy of `read_end`, when the last write end of that pipe is
    closed and the copy is not. The end of its channel says the same, but one that is stopped (SIGSTOP) doesn't read it.
    To be called before the process does anything."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(read_end, fcntl.F_SETOWN, pid)
        fcntl.fcntl(read_end, fcntl.F_SETSIG, signal.SIGKILL)  # fcntl(2), "Signals"
        fcntl.fcntl(read_end, fcntl.F_SETFL, fcntl.fcntl(read_end, fcntl.F_GETFL) | fcntl.FASYNC)
