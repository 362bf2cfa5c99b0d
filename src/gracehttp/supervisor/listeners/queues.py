"""The queues in which connections wait between the worker that had them and the one that takes them.

Each listener has one of its own, as it has an accept queue of its own in the kernel. So a worker only receives
connections of listeners that it has. When a generation leaves a listener out, its queue is sealed and emptied like the
one of the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from gracehttp.errors import StartError
from gracehttp.events import Event, HandoverBroken
from gracehttp.net.kernel_view import is_readable
from gracehttp.values import Descriptor, Value
from gracehttp.wire.handover import MESSAGE_BYTES, count

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class QueueRecord(Value):
    """The queue, to go on with in another process. What is in it stays in it."""

    send_end: Descriptor
    receive_end: Descriptor
    sealed: bool = False
    identity: int = 0
    generations: tuple[int, ...] = ()


class HandoverQueue:
    """Held by the supervisor for its whole life, so that no worker's death loses what is in it. Owns both ends.

    `identity` tells it from all earlier ones, also from those before the supervisor replaced itself. `generations` are
    those whose workers have it.

    Raises `OSError` where there are no SOCK_SEQPACKET pairs (unix(7)): then idle connections are closed instead.
    """

    def __init__(self, record: QueueRecord | None = None) -> None:
        """A new queue, or the one that another process carried."""
        if record is None:
            self._send_end, self._receive_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        else:
            self._send_end = socket.socket(fileno=record.send_end)
            self._receive_end = socket.socket(fileno=record.receive_end)
        self.sealed = record is not None and record.sealed
        self.identity = record.identity if record is not None else time.monotonic_ns()
        self.generations = set(record.generations) if record is not None else set()
        self._send_end.setblocking(False)
        self._receive_end.setblocking(False)

    def carry(self) -> QueueRecord:
        return QueueRecord(
            send_end=Descriptor(self._send_end.fileno()),
            receive_end=Descriptor(self._receive_end.fileno()),
            sealed=self.sealed,
            identity=self.identity,
            generations=tuple(sorted(self.generations)),
        )

    def filenos(self) -> tuple[int, int]:
        """The end to send to, the end to receive from."""
        return self._send_end.fileno(), self._receive_end.fileno()

    @property
    def empty(self) -> bool:
        """Whether no connection is on its way."""
        # A sealed queue is readable even without a message: by its end of file.
        return not (is_readable(self._receive_end.fileno()) and _holds_a_message(self._receive_end))

    def seal(self) -> None:
        """End the queue, because its listener has no future: sending fails from now on, and receiving finds the end of
        file behind the last message.

        shutdown(2) acts on the socket in all processes that have it, so a worker that hasn't heard of the stop can't
        enqueue a connection that no worker will read.
        """
        self.sealed = True
        with contextlib.suppress(OSError):
            self._send_end.shutdown(socket.SHUT_WR)

    def close(self) -> list[Event]:
        """Must be called when no worker is left that takes from it. Tells how many connections are lost in it."""
        self.seal()
        lost = 0
        with contextlib.suppress(OSError):
            while message := self._receive_end.recv(MESSAGE_BYTES):  # without room for it, no descriptor is taken
                lost += count(message)
        self._send_end.close()
        self._receive_end.close()
        return [HandoverBroken("the last worker ended before another one took what was left", lost)] if lost else []


class HandoverQueues:
    """The queues of all listeners, by the listeners' numbers."""

    def __init__(self, records: Mapping[int, Sequence[QueueRecord]] | None = None) -> None:
        """None yet, or those that another process carried."""
        self._queues = {number: [HandoverQueue(one) for one in kept] for number, kept in (records or {}).items()}

    def carry(self) -> dict[int, tuple[QueueRecord, ...]]:
        return {number: tuple(one.carry() for one in queues) for number, queues in self._queues.items()}

    def of(self, listener: int, generation: int) -> HandoverQueue | None:
        """The queue that a worker of `generation` gets for this listener; None where the system has none.

        A sealed queue is left to the workers that empty it, and another one takes its place. Raises `StartError` when
        there is a shortage of descriptors or memory.
        """
        queues = self._queues.setdefault(listener, [])
        for over in [one for one in queues if one.sealed and one.empty]:
            queues.remove(over)
            over.close()
        if not queues or queues[-1].sealed:
            try:
                queues.append(HandoverQueue())
            except OSError as exc:
                if exc.errno not in _SHORTAGES:
                    return None
                raise StartError(f"no queue can be made to hand connections over: {exc.strerror}.") from exc
        queues[-1].generations.add(generation)
        return queues[-1]

    def live(self) -> tuple[int, ...]:
        """The identities of those that are not sealed."""
        return tuple(one.identity for queues in self._queues.values() for one in queues if not one.sealed)

    def empty(self, listener: int) -> bool:
        """Whether no connection of this listener is on its way."""
        return all(queue.empty for queue in self._queues.get(listener, ()))

    def seal(self, listeners: Iterable[int]) -> None:
        """Seal the queues of listeners that the generation that serves from now on doesn't have."""
        for number in listeners:
            for queue in self._queues.get(number, ()):
                queue.seal()

    def seal_all(self) -> None:
        """The service ends."""
        self.seal(self._queues)

    def forget(self, generation: int) -> list[Event]:
        """The generation is gone: close the sealed queues that only it had. Tells how many connections are lost."""
        lost: list[Event] = []
        for number, queues in self._queues.items():
            for queue in queues:
                queue.generations.discard(generation)
            over = [one for one in queues if one.sealed and not one.generations]
            self._queues[number] = [one for one in queues if one not in over]
            lost += [event for queue in over for event in queue.close()]
        return lost

    def keep(self, listeners: Collection[int]) -> list[Event]:
        """Close the queues of all other listeners. Tells how many connections are lost."""
        gone = [self._queues.pop(number) for number in list(self._queues) if number not in listeners]
        return [lost for queues in gone for queue in queues for lost in queue.close()]


def _holds_a_message(sock: socket.socket) -> bool:
    """Whether there is something to read before the end of file. Without room for it, no descriptor is taken."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
