"""Taking connections that older workers have put into the handover queue; `departures` is the other end.

Several workers may take from one queue, each its share (`net.handover_shares`). What can't be taken is counted, and its
permit given back.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final, Protocol

from gracehttp.events import Event, HandoverBroken, HandoverDelayed, HandoverQueueLost
from gracehttp.net.handover_shares import ALONE, HandoverShares
from gracehttp.net.permits import Permits
from gracehttp.system.readiness import Watch
from gracehttp.wire.handover import (
    MESSAGE_BYTES,
    MOST_CONNECTIONS,
    Carried,
    UnreadableHandover,
    decode,
)
from gracehttp.wire.shortages import SHORTAGES
from gracehttp.worker.departures import MESSAGES_PER_TURN, RETRY_SECONDS

LEAVE_SECONDS: Final = 0.001
MOST_LEFT: Final = 25
"""How long, and how often in one handover, a worker that has its share leaves the queue to others."""
LONGEST_RETRY_SECONDS: Final = 0.32

_ITEM_BYTES: Final = array.array("i").itemsize
_ANCILLARY_BYTES: Final = socket.CMSG_LEN(MOST_CONNECTIONS * _ITEM_BYTES)
_CLOSE_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


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
