"""The queue in which connections wait between the worker that had them and the one that takes them."""

from __future__ import annotations

import contextlib
import select
import socket
from dataclasses import dataclass

from gracehttp.events import Event, HandoverBroken
from gracehttp.records import Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRecord:
    """The queue, to go on with in another process. What is in it stays in it."""

    send_end: Descriptor
    receive_end: Descriptor


class HandoverQueue:
    """Held by the supervisor for its whole life, so that no worker's death loses what is in it. Owns both ends.

    Raises `OSError` where there are no SOCK_SEQPACKET pairs (unix(7)): then connections are told to go instead.
    """

    def __init__(self, record: QueueRecord | None = None) -> None:
        """A new queue, or the one that another process carried."""
        if record is None:
            self._send_end, self._receive_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        else:
            self._send_end = socket.socket(fileno=record.send_end)
            self._receive_end = socket.socket(fileno=record.receive_end)
        self._send_end.setblocking(False)
        self._receive_end.setblocking(False)

    def carry(self) -> QueueRecord:
        return QueueRecord(
            send_end=Descriptor(self._send_end.fileno()), receive_end=Descriptor(self._receive_end.fileno())
        )

    def filenos(self) -> tuple[int, int]:
        """The end to send to, the end to receive from."""
        return self._send_end.fileno(), self._receive_end.fileno()

    @property
    def empty(self) -> bool:
        """Whether no connection is on its way."""
        poll = select.poll()
        poll.register(self._receive_end, select.POLLIN | select.POLLRDHUP)
        found = poll.poll(0)
        if not found or not found[0][1] & select.POLLRDHUP:
            return not found
        return not _holds_a_message(self._receive_end)  # sealed: it is readable in any case

    def seal(self) -> None:
        """The service ends: nobody can send any more, and who receives sees the end of file behind the last message.

        shutdown(2) acts on the socket, whichever process has a copy of it, so there is no moment in which a sender
        that has not heard of the stop yet puts a connection where nobody looks any more.
        """
        with contextlib.suppress(OSError):
            self._send_end.shutdown(socket.SHUT_WR)

    def close(self) -> list[Event]:
        """To be called when no worker is left. Tells if there is somebody in it whom nobody took."""
        lost: list[Event] = [] if self.empty else [HandoverBroken("the service ended before anybody took it")]
        self._send_end.close()
        self._receive_end.close()
        return lost


def _holds_a_message(sock: socket.socket) -> bool:
    """Whether there is something to read before the end of file. Without room for it, no descriptor is taken."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
