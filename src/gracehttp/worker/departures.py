"""Sending connections that are between two messages to the next generation, on the same TCP connection (promise 3).

The queue of a listener is a pair of SOCK_SEQPACKET sockets that the supervisor keeps. Workers that drain send, workers
that serve receive (`arrivals`). If a receiver dies, another one reads what it has not read. `wire.handover` has the
message: up to sixteen connections each, so that a thousand of them cost the two workers little.

The permit goes with the connection. No process holds it while it is in the queue, so the supervisor audits permits only
while the queue is empty, and both ends open their entries in the shared page around the transfer.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import socket
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from gracehttp.http.connection import Connection, Parcel
from gracehttp.net.handover_shares import ALONE, HandoverShares
from gracehttp.net.kernel_view import unsent_bytes
from gracehttp.net.permits import Permits
from gracehttp.system.readiness import Watch
from gracehttp.wire.handover import (
    MOST_CONNECTIONS,
    MOST_PIPELINED_BYTES,
    encode,
)
from gracehttp.wire.shortages import SHORTAGES

MESSAGES_PER_TURN: Final = 2  # so that requests are answered in between, and workers share what comes
QUEUED_BYTES: Final = 32768
"""When so much is in the queue, no more is sent. A connection on its way isn't served: its next request waits until a
worker has taken all that was sent before it, some 200 connections here."""
MOST_ACTIVE: Final = 4
"""The most connections in a message whose client was active a moment ago. Such a client is likely to send again while
its connection is on the way, and must not wait for many others."""
ACTIVE_SECONDS: Final = 0.25
AWAITED_SECONDS: Final = 0.03
"""How long the next request of a client that was active a moment ago is awaited before its connection is sent. The
connection goes with that request, in a message of its own: the request doesn't meet it on its way, among many others.
Behind this time the connection goes in any case."""
CROWDED_SECONDS: Final = 0.001
RETRY_SECONDS: Final = 0.02


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
        self._awaited: dict[Connection, None] = {}
        self._awaiting: asyncio.TimerHandle | None = None  # the end of it, while some are awaited
        self._scheduled: asyncio.Handle | None = None
        self._watching: Watch | None = None  # for the queue to be writable
        self._full = 0  # the error of the last attempt, while it is one that passes
        self._held = False
        self._hurries = False
        self._closed = False

    def begin(self) -> None:
        """All connections of this worker are to be handed over."""
        if not self._closed:
            self._shares.begin_leaving(self._permits.held)

    def offer(self, connection: Connection) -> None:
        """Hand over now, or when the queue has room. If the connection is busy then, offer it again when it is not."""
        self._awaited.pop(connection, None)
        if not (self._closed or self._full or self._held):
            self._send([connection])
        if self._full or self._held:
            self._wait([connection])

    def offer_soon(self, connections: Iterable[Connection]) -> None:
        """As `offer`, in the turns of the loop that follow, so that requests are answered in between. Those whose
        clients were active a moment ago are to be offered again with their next request, and go without it a little
        later."""
        if self._closed or self._held or self._hurries:
            self._wait(connections)
            return
        active_since = self._loop.time() - ACTIVE_SECONDS
        at_once = []
        for connection in connections:
            since = connection.idle_since
            if since is None or since <= active_since:
                at_once.append(connection)
            else:
                self._awaited[connection] = None
        if self._awaited and self._awaiting is None:
            self._awaiting = self._loop.call_later(AWAITED_SECONDS, self._await_no_more)
        self._wait(at_once)

    def hold(self) -> None:
        """No worker would take what is handed over: keep it, and serve it here until `resume`."""
        self._held = True
        self._await_no_more()
        self._unschedule()

    def resume(self) -> None:
        """Workers take what is handed over again."""
        self._held = False
        self._schedule()

    def hurry(self) -> None:
        """This worker ends soon: send all that waits, and from now on whatever comes, as far as the kernel has room for
        it, even if no worker has taken what was sent before."""
        self._hurries = True
        self._await_no_more()
        while self._waiting and not (self._full or self._held):
            self._send_waiting()

    def withdraw(self) -> None:
        """Hand over nothing of what waits."""
        self._shares.end_leaving()
        self._forget_all()

    def seal(self) -> None:
        """There will be no supervisor and no next generation: close the queue for all senders, as the supervisor would
        have done."""
        with contextlib.suppress(OSError):
            self._queue.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Hand nothing over any more."""
        if not self._closed:
            self._closed = True
            self._forget_all()
            self._queue.close()

    def _wait(self, connections: Iterable[Connection]) -> None:
        if not self._closed:
            self._waiting.update((one, None) for one in connections)
            self._schedule()

    def _await_no_more(self) -> None:
        """Send what is awaited like the others."""
        if self._awaiting is not None:
            self._awaiting.cancel()
            self._awaiting = None
            awaited, self._awaited = self._awaited, {}
            self._wait(awaited)

    def _forget_all(self) -> None:
        self._await_no_more()
        self._waiting.clear()
        self._unschedule()

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
        return not self._hurries and unsent_bytes(self._queue.fileno()) >= QUEUED_BYTES

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
        """How many connections go in a message. With larger messages no worker would get just its share."""
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
            if parcel.carried.tls is not None:
                parcel.carried.tls.wipe()
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
