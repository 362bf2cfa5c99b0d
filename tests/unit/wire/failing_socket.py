"""A socket whose sends and receives fail as the kernel's do, as often as the test wants."""

from __future__ import annotations

import os
import socket
from collections import deque


class FailingSocket(socket.socket):
    """`sends` and `receives` are the numbers of the errors (errno) of the next calls; None lets one through."""

    def __init__(self, sock):
        super().__init__(fileno=sock.detach())
        self.setblocking(False)
        self.sends, self.receives = deque(), deque()

    def send(self, *arguments):
        _fail(self.sends)
        return super().send(*arguments)

    def sendmsg(self, *arguments):
        _fail(self.sends)
        return super().sendmsg(*arguments)

    def recvmsg(self, *arguments):
        _fail(self.receives)
        return super().recvmsg(*arguments)


def _fail(errors):
    number = errors.popleft() if errors else None
    if number is not None:
        raise OSError(number, os.strerror(number))


class Always(deque):
    """The same error at each call, until it is cleared."""

    def popleft(self):
        return self[0]
