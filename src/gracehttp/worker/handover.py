"""Handing connections that are between two messages to the next generation, on the same TCP connection (promise 3).

The queue of a listener is a pair of SOCK_SEQPACKET sockets that the supervisor keeps. Workers that drain send, workers
that serve receive. If a receiver dies, another one reads what it has not read. `wire.handover` has the message: up to
sixteen connections each, so that a thousand of them cost the two workers little.

The permit goes with the connection. No process holds it while it is in the queue, so the supervisor audits permits only
while the queue is empty, and both ends open their entries in the shared page around the transfer.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import os
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from gracehttp.events import Event, HandoverBroken, HandoverDelayed, HandoverQueueLost
from gracehttp.http.connection import Connection, Parcel
from gracehttp.net.handover_shares import ALONE, HandoverShares
from gracehttp.net.kernel_view import unsent_bytes
from gracehttp.net.permits import Permits
from gracehttp.system.readiness import Watch
from gracehttp.wire.handover import (
    MESSAGE_BYTES,
    MOST_CONNECTIONS,
    MOST_PIPELINED_BYTES,
    Carried,
    UnreadableHandover,
    decode,
    encode,
)
from gracehttp.wire.shortages import SHORTAGES

MESSAGES_PER_TURN: Final = 2  # so that requests are answered in between, and workers share what comes
QUEUED_BYTES: Final = 32768
"""When so much is in the queue, no more is sent. A connection on its way isn't served: its next request waits until a
worker has taken all that was sent before it, some 200 connections here."""
MOST_ACTIVE: Final = 4
"""Of the connections in a message: the client of one that was active a moment ago is likely to send again while it is
on its way, and must not wait for many others."""
ACTIVE_SECONDS: Final = 0.25
CROWDED_SECONDS: Final = 0.001
LEAVE_SECONDS: Final = 0.001
MOST_LEFT: Final = 25
"""How long, and how often in one handover, a worker that has its share leaves the queue to others."""
RETRY_SECONDS: Final = 0.02
LONGEST_RETRY_SECONDS: Final = 0.32

_ITEM_BYTES: Final = array.array("i").itemsize
_ANCILLARY_BYTES: Final = socket.CMSG_LEN(MOST_CONNECTIONS * _ITEM_BYTES)
_CLOSE_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Departures:
    """Sends connections of this worker into the queue. What the queue has no room for stays and is served here.

    Owns `queue`; `permits` stay the caller's. A connection that is handed over closes its own copy of the descriptor
    (`Connection.left`).
    """

    def __init__(
        self,
        queue: socket.socket,
        permits: Permits,
        loop: asyncio.AbstractEventLoop,
        shares: HandoverShares = ALONE,
    ) -> None:
        self._queue = queue
        self._permits = permits
        self._shares = shares
        self._loop = loop
        self._waiting: OrderedDict[Connection, None] = OrderedDict()
        self._scheduled: asyncio.Handle | None = None
        self._watching: Watch | None = None  # for the queue to be writable
        self._full = 0  # the error of the last attempt, while it is one that passes
        self._held = False
        self._closed = False

    def begin(self) -> None:
        """All connections of this worker are to be handed over."""
        if not self._closed:
            self._shares.begin_leaving(self._permits.held)

    def offer(self, connection: Connection) -> None:
        """Hand over now, or when the queue has room. If the connection is busy then, offer it again when it is not."""
        if not (self._closed or self._full or self._held):
            self._send([connection])
        if self._full or self._held:
            self.offer_soon([connection])

    def offer_soon(self, connections: Iterable[Connection]) -> None:
        """As `offer`, in the turns of the loop that follow, so that requests are answered in between."""
        if not self._closed:
            self._waiting.update((one, None) for one in connections)
            self._schedule()

    def hold(self) -> None:
        """No worker would take what is handed over: keep it, and serve it here until `resume`."""
        self._held = True
        self._unschedule()

    def resume(self) -> None:
        """Workers take what is handed over again."""
        self._held = False
        self._schedule()

    def withdraw(self) -> None:
        """Hand over nothing of what waits."""
        self._shares.end_leaving()
        self._waiting.clear()
        self._unschedule()

    def seal(self) -> None:
        """There will be no supervisor and no next generation: close the queue for all senders, as the supervisor would
        have done."""
        with contextlib.suppress(OSError):
            self._queue.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Hand nothing over any more."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self._unschedule()
            self._queue.close()

    def _schedule(self) -> None:
        if self._scheduled is not None or self._held or not self._waiting:
            return
        if not self._full:
            # Nothing tells when the other worker has taken enough: the kernel calls a queue writable long after that.
            if self._is_crowded():
                self._scheduled = self._loop.call_later(CROWDED_SECONDS, self._send_waiting)
            else:
                self._scheduled = self._loop.call_soon(self._send_waiting)
            return
        # Meanwhile all go on here. The loop tells when the queue is half empty again, but nothing tells when too many
        # descriptors of this user are no longer on their way (ETOOMANYREFS), so look again in any case.
        self._scheduled = self._loop.call_later(RETRY_SECONDS, self._send_waiting)
        if self._full == errno.EAGAIN:
            self._watching = Watch(self._loop, self._queue.fileno(), self._send_waiting, for_writing=True)

    def _is_crowded(self) -> bool:
        return unsent_bytes(self._queue.fileno()) >= QUEUED_BYTES

    def _unschedule(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        if self._watching is not None:
            self._watching.stop()
            self._watching = None

    def _send_waiting(self) -> None:
        self._unschedule()
        self._full = 0
        for _ in range(MESSAGES_PER_TURN):
            if self._full or not self._waiting or self._is_crowded():
                break
            batch = [self._waiting.popitem(last=False)[0] for _ in range(min(self._most(), len(self._waiting)))]
            for connection in reversed(self._send(batch)):
                self._waiting[connection] = None
                self._waiting.move_to_end(connection, last=False)
        self._schedule()

    def _most(self) -> int:
        """Of connections in a message: a worker's share can't be met by messages that are larger."""
        share = self._shares.share()
        return MOST_CONNECTIONS if share is None else max(1, min(MOST_CONNECTIONS, share // 2))

    def _send(self, batch: list[Connection]) -> list[Connection]:
        """Send those of `batch` that can go in one message. Returns those that must wait for another one."""
        packed, left_over = _pack(batch)
        if not packed:
            return left_over
        message = encode([parcel.carried for _, parcel in packed])
        descriptors = array.array("i", [parcel.descriptor for _, parcel in packed])
        self._full = 0
        with self._permits.transfer() as transfer:
            try:
                self._queue.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
            except OSError as exc:
                # Any other error: there is no queue any more, so serve on here.
                self._full = exc.errno if exc.errno in SHORTAGES else 0
                sent = False
            else:
                transfer.sent(len(packed))
                sent = True
        message[:] = bytes(len(message))  # secrets of TLS are in it
        for connection, parcel in packed:
            if parcel.carried.tls is not None:
                parcel.carried.tls.wipe()
            if sent:
                connection.left()
            else:
                connection.unpack()
        return [connection for connection, _ in packed] + left_over if self._full else left_over


def _pack(batch: list[Connection]) -> tuple[list[tuple[Connection, Parcel]], list[Connection]]:
    """What of `batch` goes in one message, and which connections must wait for another one. Those that are busy are
    left out: they are offered again when they are not."""
    packed: list[tuple[Connection, Parcel]] = []
    room = MOST_PIPELINED_BYTES
    active = 0
    for at, connection in enumerate(batch):
        parcel = connection.pack()
        if parcel is None:
            continue
        size = len(parcel.carried.received)
        if size > room:
            connection.unpack()
            if packed:
                return packed, batch[at:]
            continue  # its client has sent too much ahead: it is served here until there is less
        room -= size
        packed.append((connection, parcel))
        active += parcel.carried.idle_seconds < ACTIVE_SECONDS
        if active == MOST_ACTIVE:
            return packed, batch[at + 1 :]
    return packed, []


class HandoverTarget(Protocol):
    """Where connections arrive: a port."""

    permits: Permits

    def adopt(self, descriptor: int, carried: Carried) -> None:
        """Go on with a connection whose permit this process holds."""

    def release(self) -> None:
        """Give the permit of a connection back that was lost on the way."""


class Arrivals:
    """Takes connections out of the queue, for one port of this worker. Owns `queue`.

    `check_orders` is called before each look at the queue. The worker must see an order to drain before a message in
    the queue that is younger, or a connection could move back to an older generation.

    A shortage of the system loses nothing: the message is still there, for this worker later or for another one at
    once. A connection can be lost if its descriptor finds no place (MSG_CTRUNC, recvmsg(2)): the kernel has taken the
    message out of the queue by then, and closes what it can't deliver. Places are kept free for them, so that takes a
    thread of the application which opens files in the same moment. It is told, and the permit is free again.
    """

    def __init__(
        self,
        queue: socket.socket,
        target: HandoverTarget,
        *,
        loop: asyncio.AbstractEventLoop,
        check_orders: Callable[[], None],
        on_end: Callable[[], None],
        publish: Callable[[Event], None],
        shares: HandoverShares = ALONE,
    ) -> None:
        """`on_end` is called when the queue was sealed and the last connection was taken, so that none will come."""
        self._queue = queue
        self._target = target
        self._shares = shares
        self._taken = 0  # connections, in this handover
        self._left = 0  # how often the queue was left to others
        self._loop = loop
        self._check_orders = check_orders
        self._on_end = on_end
        self._publish = publish
        self._open = True
        self._paused = False
        self.ended = False
        self._again: asyncio.TimerHandle | None = None
        self._retry_seconds = RETRY_SECONDS
        # Descriptors that find no place in a full table are lost (MSG_CTRUNC), so places are always kept for them.
        self._kept_places: list[int] = []
        self._keep_places()
        self._watch = Watch(loop, queue.fileno(), self._take_some)

    def pause(self) -> None:
        """Take nothing until `resume`. What is in the queue is left to the other readers."""
        if self._open and not self.ended and not self._paused:
            self._paused = True
            self._shares.end_taking()
            self._stop_looking()

    def resume(self) -> None:
        """Take what is in the queue again."""
        if self._paused:
            self._paused = False
            self._taken = self._left = 0
            self._shares.begin_taking()
            self._watch = Watch(self._loop, self._queue.fileno(), self._take_some)

    def close(self) -> None:
        """Take nothing any more. What is in the queue is left to the other readers."""
        if self._open:
            self._open = self._paused = False
            self.ended = True
            self._shares.end_taking()
            self._stop_looking()
            self._queue.close()
            self._free_places()

    def _stop_looking(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._watch.stop()

    def _take_some(self) -> None:
        self._check_orders()
        for _ in range(MESSAGES_PER_TURN):
            if not self._open or self._paused or not self._has_places():
                return
            if self._leaves_it_to_others() or not self._take_one():
                return

    def _leaves_it_to_others(self) -> bool:
        """Whether this worker has its share of what is handed over. For a moment: the others may be busy, or hang."""
        share = self._shares.share()
        if share is None:  # the handover is over, or nearly
            self._taken = self._left = 0
            return False
        if self._taken < share or self._left == MOST_LEFT:
            return False
        self._left += 1
        self._look_later(LEAVE_SECONDS)
        return True

    def _keep_places(self) -> None:
        kept = self._kept_places
        with contextlib.suppress(OSError):
            while len(kept) < MOST_CONNECTIONS:
                kept.append(os.dup(kept[0]) if kept else os.open(os.devnull, os.O_RDONLY))

    def _free_places(self) -> None:
        while self._kept_places:
            os.close(self._kept_places.pop())

    def _has_places(self) -> bool:
        """Whether a whole message finds its places; if not, another worker may take it, or we later. The end of the
        queue needs none."""
        self._keep_places()
        if len(self._kept_places) == MOST_CONNECTIONS:
            return True
        if self._is_at_the_end():
            self._end()
        else:
            self._look_later(RETRY_SECONDS)
        return False

    def _is_at_the_end(self) -> bool:
        try:
            return not self._queue.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)  # every message has a head
        except OSError:
            return False

    def _look_later(self, seconds: float) -> None:
        self._watch.stop()
        self._again = self._loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        self._again = None
        self._watch = Watch(self._loop, self._queue.fileno(), self._take_some)

    def _take_one(self) -> bool:
        descriptors, flags = array.array("i"), 0
        message = bytearray(MESSAGE_BYTES)
        size = 0
        carried: list[Carried] = []
        unreadable = ""
        try:
            with self._target.permits.transfer() as transfer:
                self._free_places()
                size, ancillary, flags, _ = self._queue.recvmsg_into([message], _ANCILLARY_BYTES, _CLOSE_ON_EXEC)
                if size:
                    del message[size:]
                    descriptors = _descriptors_in(ancillary)
                    carried, unreadable = _read(message, flags)
                    transfer.received(max(1, len(carried), len(descriptors)))
        except BlockingIOError:
            return False
        except OSError as exc:
            self._failed(exc)
            return False
        finally:
            message[:] = bytes(len(message))  # secrets of TLS may be in it
            self._keep_places()
        if not size:  # the end of file: every message has a head
            self._end()
            return False
        self._retry_seconds = RETRY_SECONDS
        self._settle(carried, descriptors, unreadable)
        return True

    def _failed(self, exc: OSError) -> None:
        reason = exc.strerror or str(exc)
        if exc.errno not in SHORTAGES:
            self._publish(HandoverQueueLost(reason))
            self._end()
            return
        if self._retry_seconds == RETRY_SECONDS:
            self._publish(HandoverDelayed(reason))
        self._look_later(self._retry_seconds)
        self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)

    def _end(self) -> None:
        self.ended = True
        self._shares.end_taking()
        self._watch.stop()
        self._on_end()

    def _settle(self, carried: list[Carried], descriptors: array.array[int], unreadable: str) -> None:
        """`carried` and `descriptors` are in the same order; of a table that was full, the last ones are missing."""
        self._taken += len(carried)
        for descriptor, one in zip(descriptors, carried, strict=False):
            self._target.adopt(descriptor, one)
        for descriptor in descriptors[len(carried) :]:
            with socket.socket(fileno=descriptor) as sock, contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)  # a client that waits reads the end, and no reset
        lost = max(1, len(carried), len(descriptors)) - min(len(carried), len(descriptors))
        for _ in range(lost):
            self._target.release()
        if lost:
            self._publish(HandoverBroken(unreadable or "descriptors were lost on the way", lost))


def _descriptors_in(ancillary: list[tuple[int, int, bytes]]) -> array.array[int]:
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % _ITEM_BYTES])
    if not _CLOSE_ON_EXEC:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
    return descriptors


def _read(message: bytearray, flags: int) -> tuple[list[Carried], str]:
    """What a message says, or why it can't be read."""
    if flags & socket.MSG_TRUNC:
        return [], "this release can't read what another one has sent: the message is too long"
    try:
        return decode(message), ""
    except UnreadableHandover as exc:
        return [], str(exc)
