"""Handing connections that are between two requests to the next generation, on the same TCP connection (promise 3).

The queue of a listener is a pair of SOCK_SEQPACKET sockets that the supervisor keeps: workers that drain send, workers
that serve receive, and a message that a dying receiver has not read is read by another one. A message is one
connection: a JSON line, then the bytes of pipelined requests that were read already, with the descriptor (SCM_RIGHTS,
unix(7)).

    {"version": 1, "fresh": false, "idle_seconds": 3.25}

So the clocks of a connection go on where they were: see `Carried`. Of version 1, `idle_seconds` may be missing.

The permit goes with the connection. Nobody holds it while it is in the queue, so the supervisor audits permits only
while the queue is empty (`supervisor.auditor`), and both ends open their ledger entries around the transfer.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from gracehttp.events import Event, HandoverBroken
from gracehttp.http.connection import Carried, Connection
from gracehttp.net.permits import Permits

MESSAGE_VERSION = 1
MOST_PIPELINED_BYTES = 32768
"""A client that has sent more than this ahead is served here until there is less."""
TAKEN_PER_WAKE_UP = 4  # so that workers share what comes
SENT_PER_TURN = 64
AGAIN_SECONDS = 0.02

_MESSAGE_BYTES = MOST_PIPELINED_BYTES + 1024
_NO_TIME_SECONDS = 1e9  # NaN isn't below it either
_NO_ROOM = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS, errno.EMFILE, errno.ENFILE})


@dataclass(frozen=True, slots=True)
class Departure:
    """A connection that is to go, when it is between two requests; `on_gone` is called when it, and its permit, did."""

    connection: Connection
    permits: Permits
    on_gone: Callable[[Connection], None]


class Departures:
    """Sends connections of this worker into the queue. What the queue has no room for stays and is served here.

    Owns `queue`.
    """

    def __init__(self, queue: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = queue
        self._loop = loop
        self._waiting: OrderedDict[Connection, Departure] = OrderedDict()
        self._scheduled: asyncio.Handle | None = None
        self._watching = False  # for the queue to be writable
        self._full = 0  # the error of the last attempt, while it is one that passes
        self._held = False
        self._closed = False

    def offer(self, departure: Departure) -> None:
        """Hand over now, or when the queue has room. If the connection is busy then, offer it again when it is not."""
        if not (self._closed or self._full or self._held):
            self._send(departure)
        if self._full or self._held:
            self.offer_soon([departure])

    def offer_soon(self, departures: Iterable[Departure]) -> None:
        """As `offer`, in the turns of the loop that follow, so that requests are answered in between."""
        if not self._closed:
            self._waiting.update((one.connection, one) for one in departures)
            self._schedule()

    def hold(self) -> None:
        """Nobody would take what is handed over: keep it, and serve it here until `go_on`."""
        self._held = True
        self._unschedule()

    def go_on(self) -> None:
        """Somebody takes what is handed over again."""
        self._held = False
        self._schedule()

    def withdraw(self) -> None:
        """Hand over nothing of what waits."""
        self._waiting.clear()
        self._unschedule()

    def seal(self) -> None:
        """There will be no supervisor and no next generation: see `HandoverQueue.seal`, which can't do it any more."""
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
            self._scheduled = self._loop.call_soon(self._send_waiting)
            return
        # Meanwhile all go on here. The loop tells when the queue is half empty again, but nothing tells when too many
        # descriptors of this user are no longer on their way (ETOOMANYREFS), so look again in any case.
        self._scheduled = self._loop.call_later(AGAIN_SECONDS, self._send_waiting)
        if self._full == errno.EAGAIN:
            self._watching = True
            self._loop.add_writer(self._queue.fileno(), self._send_waiting)

    def _unschedule(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        if self._watching:
            self._watching = False
            self._loop.remove_writer(self._queue.fileno())

    def _send_waiting(self) -> None:
        self._unschedule()
        self._full = 0
        for _ in range(min(SENT_PER_TURN, len(self._waiting))):
            connection, departure = self._waiting.popitem(last=False)
            self._send(departure)
            if self._full:
                self._waiting[connection] = departure
                self._waiting.move_to_end(connection, last=False)
                break
        self._schedule()

    def _send(self, departure: Departure) -> None:
        with departure.permits.transfer() as transfer:
            gone = departure.connection.hand_over(self._send_message)
            if gone:
                transfer.sent()
        if gone:
            departure.on_gone(departure.connection)

    def _send_message(self, fd: int, carried: Carried) -> bool:
        if len(carried.received) > MOST_PIPELINED_BYTES:
            return False
        facts = {"version": MESSAGE_VERSION, "fresh": carried.fresh, "idle_seconds": round(carried.idle_seconds, 3)}
        try:
            socket.send_fds(self._queue, [json.dumps(facts).encode(), b"\n", carried.received], [fd])
        except OSError as exc:
            # Any other error: there is no queue any more, so serve on here.
            self._full = exc.errno if exc.errno in _NO_ROOM else 0
            return False
        return True


class Harbour(Protocol):
    """Where connections arrive: a `Port`."""

    permits: Permits

    def adopt(self, sock: socket.socket, carried: Carried) -> None:
        """Go on with a connection whose permit is held already."""

    def release(self) -> None:
        """Give the permit of a connection back that was lost on the way."""


class Arrivals:
    """Takes connections out of the queue, for one port of this worker. Owns `queue`.

    `obey` is called before each look at the queue: an order to drain that is older than a message in the queue must be
    seen first, or a connection could come back to older code than it was served by already.
    """

    def __init__(
        self,
        queue: socket.socket,
        harbour: Harbour,
        *,
        loop: asyncio.AbstractEventLoop,
        obey: Callable[[], None],
        on_end: Callable[[], None],
        publish: Callable[[Event], None],
    ) -> None:
        """`on_end` is called when the queue was sealed, the last connection was taken, and so nothing will come."""
        self._queue = queue
        self._harbour = harbour
        self._loop = loop
        self._obey = obey
        self._on_end = on_end
        self._publish = publish
        self._open = True
        self._paused = False
        self.ended = False
        self._again: asyncio.TimerHandle | None = None
        # Descriptors that find no place in a full table are lost (MSG_CTRUNC), so one place is always kept for them.
        self._spare = os.open(os.devnull, os.O_RDONLY)
        loop.add_reader(queue.fileno(), self._take_some)

    def pause(self) -> None:
        """Take nothing until `resume`. What is in the queue is left to the other readers."""
        if self._open and not self.ended and not self._paused:
            self._paused = True
            self._stop_looking()

    def resume(self) -> None:
        """Take what is in the queue again."""
        if self._paused:
            self._paused = False
            self._loop.add_reader(self._queue.fileno(), self._take_some)

    def close(self) -> None:
        """Take nothing any more. What is in the queue is left to the other readers."""
        if self._open:
            self._open = self._paused = False
            self.ended = True
            self._stop_looking()
            self._queue.close()
            if self._spare >= 0:
                os.close(self._spare)

    def _stop_looking(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._loop.remove_reader(self._queue.fileno())

    def _take_some(self) -> None:
        self._obey()
        for _ in range(TAKEN_PER_WAKE_UP):
            if not self._open or self._paused or not self._make_room() or not self._take_one():
                return

    def _make_room(self) -> bool:
        """Whether there is a place for a descriptor; if not, somebody else may take the connection, or we later."""
        if self._spare < 0:
            try:
                self._spare = os.open(os.devnull, os.O_RDONLY)
            except OSError:
                self._loop.remove_reader(self._queue.fileno())
                self._again = self._loop.call_later(AGAIN_SECONDS, self._look_again)
                return False
        return True

    def _look_again(self) -> None:
        self._again = None
        self._loop.add_reader(self._queue.fileno(), self._take_some)

    def _take_one(self) -> bool:
        message = b""
        try:
            with self._harbour.permits.transfer() as transfer:
                os.close(self._spare)
                self._spare = -1
                message, fds, flags, _ = socket.recv_fds(self._queue, _MESSAGE_BYTES, 1)
                if message:
                    transfer.received()
        except BlockingIOError:
            return False
        except OSError as exc:
            self._publish(HandoverBroken(f"the queue can't be read ({exc.strerror})"))
        finally:
            with contextlib.suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY)
        if not message:  # the end of file: every message has a head
            self._end()
            return False
        self._settle(message, fds, flags)
        return True

    def _end(self) -> None:
        self.ended = True
        self._loop.remove_reader(self._queue.fileno())
        self._on_end()

    def _settle(self, message: bytes, fds: list[int], flags: int) -> None:
        if not fds or flags & socket.MSG_CTRUNC:
            self._refuse(fds, "the descriptor was lost on the way")
            return
        head, _, received = message.partition(b"\n")
        carried = _carried(head, received)
        if carried is None or flags & socket.MSG_TRUNC:
            self._refuse(fds, f"this release can't read what another one sent with it ({head[:100]!r})")
            return
        sock = socket.socket(fileno=fds[0])
        sock.setblocking(False)
        sock.set_inheritable(False)
        self._harbour.adopt(sock, carried)

    def _refuse(self, fds: list[int], reason: str) -> None:
        for fd in fds:
            with socket.socket(fileno=fd) as sock, contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)  # whoever waits reads the end, and no reset
        self._harbour.release()
        self._publish(HandoverBroken(reason))


def _carried(head: bytes, received: bytes) -> Carried | None:
    """What a message says; None if its head isn't of a version that we know."""
    try:
        facts = json.loads(head)
    except ValueError:
        return None
    if not isinstance(facts, dict) or facts.get("version") != MESSAGE_VERSION:
        return None
    idle = facts.get("idle_seconds")
    if not isinstance(idle, (int, float)) or not 0 <= idle < _NO_TIME_SECONDS:
        idle = 0.0
    return Carried(fresh=facts.get("fresh") is True, idle_seconds=idle, received=received)
