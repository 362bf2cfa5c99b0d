"""Whether a client takes what waits for it, from one look to the next."""

from __future__ import annotations

import socket

from gracehttp.net.kernel_view import acknowledged_bytes, unsent_bytes


class Progress:
    """Compares what a client has not taken yet at two moments.

    What waits in this process may stand still for minutes while the client takes bytes: the kernel has megabytes of
    its own to send first. So the kernel's queue (SIOCOUTQ, tcp(7)) and the client's acknowledgements count as well.
    """

    __slots__ = ("_acknowledged", "_socket", "_unsent")

    def __init__(self, sock: socket.SocketType, waiting_bytes: int) -> None:
        """`waiting_bytes` wait in this process."""
        self._socket = sock
        self._look(waiting_bytes)

    def went_on(self, waiting_bytes: int) -> bool:
        """Look again: whether the client has taken something since the last look."""
        unsent, acknowledged = self._unsent, self._acknowledged
        self._look(waiting_bytes)
        # Less may be unsent only because more is written than taken, so an acknowledgement counts as well.
        return self._unsent < unsent or self._acknowledged > acknowledged

    def _look(self, waiting_bytes: int) -> None:
        self._unsent = waiting_bytes + unsent_bytes(self._socket.fileno())
        self._acknowledged = acknowledged_bytes(self._socket)
