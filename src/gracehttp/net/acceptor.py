"""Accepting connections of one listener, never more than its permits (promise 5).

The event loop watches the listening socket like any other descriptor, and each wake-up accepts a few connections, so
that several workers share the queue: an idle worker gets there first. (An epoll of our own with EPOLLEXCLUSIVE brings
nothing: docs/decisions/0003-accept-loop.md.)
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from gracehttp.events import AcceptPaused, Event
from gracehttp.net import system_calls
from gracehttp.net.backlog_watch import BacklogWatch, MakeRoom
from gracehttp.net.failures import ACCEPT_NEXT
from gracehttp.net.kernel_view import is_readable
from gracehttp.net.permits import Permits
from gracehttp.net.restraint import Restraint

ACCEPTS_PER_WAKE_UP = 16
SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0

# That the socket doesn't block is known, so its object needs no system call for it.
_SOCKET = socket.SocketType
_STREAM = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)

Accepted = Callable[[socket.SocketType, Any], None]


class Acceptor:
    """Accepts from `listener` while there are permits. Owns `listener`; `permits` stays the caller's.

    `on_connection` gets each accepted socket, non-blocking, the address of its peer (`system_calls.accept`), and with
    them one permit. It must call `release` after the socket was closed, which gives the permit back. It may raise
    `OSError` when it has done so at once, because the system can serve no more connections at the moment.
    """

    __slots__ = (
        "_accepting",
        "_address",
        "_at_hand",
        "_awaiting_permit",
        "_backlog",
        "_closed",
        "_family",
        "_fd",
        "_in_wake_up",
        "_left",
        "_listener",
        "_loop",
        "_on_connection",
        "_on_stopped",
        "_pause",
        "_pause_seconds",
        "_permits",
        "_publish",
        "_restraint",
        "_watched",
    )

    def __init__(
        self,
        listener: socket.socket,
        permits: Permits,
        on_connection: Accepted,
        *,
        address: str,
        loop: asyncio.AbstractEventLoop,
        publish: Callable[[Event], None],
        make_room: MakeRoom | None = None,
        restraint: Restraint | None = None,
    ) -> None:
        """`make_room` is called at intervals while new connections wait for a permit, also in a pause. `restraint`
        tells when connections are left to other workers, while there are some."""
        self._listener = listener
        self._fd = system_calls.descriptor_of(listener)
        self._family = int(listener.family)
        self._permits = permits
        self._on_connection = on_connection
        self._address = address
        self._loop = loop
        self._publish = publish
        self._backlog = BacklogWatch(listener, permits, make_room, loop=loop)
        self._restraint = restraint
        if restraint is not None:
            restraint.look_again = self._look_again
        self._watched: int | None = None
        self._awaiting_permit = False
        self._pause: asyncio.TimerHandle | None = None
        self._pause_seconds = SHORTEST_PAUSE_SECONDS
        self._on_stopped: Callable[[], None] | None = None
        self._left: int | None = None  # how many connections may still be accepted, if that is limited
        self._accepting = False
        self._closed = False
        self._in_wake_up = False
        self._at_hand = 0  # permits of connections that were closed in this wake-up, for its next ones

    def start(self) -> None:
        """Accept from now on, for the first time or again."""
        if not self._closed and not self._accepting:
            self._accepting = True
            self._backlog.stop()
            self._watch_listener()

    def pause(self) -> None:
        """Accept nothing until `start`. The queue is left to the workers that share it.

        `make_room` is still called: connections that are open here may take the places that those workers need.
        """
        self._accepting = self._awaiting_permit = False
        self._watch(None)
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if not self._closed:
            self._backlog.start()

    def stop(self) -> None:
        """Accept no more, and close our copy of the listener. The queue is left to the workers that share it."""
        self.pause()
        self._backlog.stop()
        if not self._closed:
            self._closed = True
            self._fd = -1
            self._listener.close()
            if self._restraint is not None:
                self._restraint.close()
        if self._on_stopped is not None:
            self._loop.call_soon(self._on_stopped)
            self._on_stopped = None

    def stop_when_queue_is_empty(self, on_stopped: Callable[[], None], *, at_most: int | None = None) -> None:
        """Accept what waits in the queue, as permits allow; then stop and call `on_stopped`.

        Give `at_most` unless new connections are kept out of the queue (`net.syn_filter`), or it might never be empty.
        """
        self._on_stopped = on_stopped
        self._left = at_most
        self._accepting = True
        if self._closed:
            self.stop()
        elif self._pause is None and not self._awaiting_permit:
            self._on_acceptable()

    def release(self) -> None:
        """Give back the permit of a connection that is closed."""
        if self._in_wake_up:
            self._at_hand += 1
            return
        self._give_back()

    def _give_back(self) -> None:
        self._permits.give_back()
        if self._awaiting_permit and self._permits.fileno() is None:
            self._awaiting_permit = False
            self._loop.call_soon(self._resume)

    def _on_acceptable(self) -> None:
        """Many a connection is answered and closed when it is accepted. Its permit is the next one's then, and is given
        back when the wake-up ends: two system calls less for each connection, and other workers of a full port wait no
        longer than they would for the wake-up."""
        if self._in_wake_up:  # something that a new connection has led to has called
            self._accept_some()
            return
        self._in_wake_up = True
        try:
            self._accept_some()
        finally:
            self._in_wake_up = False
            while self._at_hand:
                self._at_hand -= 1
                self._give_back()

    def _accept_some(self) -> None:
        listener = self._listener
        waiting = -1  # how many is not known
        for _ in range(ACCEPTS_PER_WAKE_UP):
            if self._left == 0:
                self.stop()
                return
            # All workers that share the queue wake up for one connection, and one of them gets it. To look first costs
            # a tenth of what an accept() that finds nothing does, with a permit taken and given back for it.
            try:
                if waiting < 0:
                    waiting = self._waiting()
                    if not waiting:
                        self._on_empty_queue()
                        return
                elif not waiting:
                    break  # the loop tells of what has come meanwhile
                if not self._may_accept():
                    return
                if waiting > 0:
                    waiting -= 1
            except OSError as exc:
                self._pause_for(exc)
                return
            try:
                accepted = system_calls.accept(listener, self._fd)
                if accepted is None:  # another worker was faster
                    self._at_hand += 1
                    self._on_empty_queue()
                    return
                connection = _SOCKET(self._family, _STREAM, 0, accepted[0])
            except OSError as exc:
                self._at_hand += 1
                if not self._can_continue_after(exc):
                    return
                continue
            if self._left is not None:
                self._left -= 1
            try:
                self._on_connection(connection, accepted[1])
            except OSError as exc:
                self._pause_for(exc, told=True)
                return
            self._pause_seconds = SHORTEST_PAUSE_SECONDS
            if not self._accepting:
                return  # what the connection has led to has ended it
        self._after_some()

    def _after_some(self) -> None:
        """As many were accepted as one wake-up takes, or all that waited."""
        if self._restraint is not None and self._restraint.leaves_some and not self._waiting():
            self._on_empty_queue()  # the loop tells nothing before the next connection comes
        elif self._on_stopped is not None:
            self._loop.call_soon(self._resume)

    def _may_accept(self) -> bool:
        """Take the permit of the next connection; False if it is left to other workers, or has to wait for a permit.
        Raises `OSError`."""
        if self._restraint is not None and self._on_stopped is None and not self._restraint.takes_one():
            self._watch(None)
            return False
        if self._at_hand:
            self._at_hand -= 1
            if self._permits.may_pass_on():
                return True
            self._permits.give_back()
        if not self._permits.take():
            self._wait_for_permit()
            return False
        return True

    def _waiting(self) -> int:
        """See `system_calls.waiting`."""
        if self._fd >= 0:
            return system_calls.waiting(self._listener, self._fd)
        return -1 if is_readable(self._listener.fileno()) else 0

    def _can_continue_after(self, exc: OSError) -> bool:
        if exc.errno in ACCEPT_NEXT:
            return True
        self._pause_for(exc)
        return False

    def _look_again(self) -> None:
        """See `Restraint`."""
        if self._watched is None and self._pause is None and not self._awaiting_permit:
            self._resume()

    def _on_empty_queue(self) -> None:
        if self._restraint is not None:
            self._restraint.queue_is_empty()
        if self._on_stopped is not None:
            self.stop()

    def _wait_for_permit(self) -> None:
        self._awaiting_permit = True
        fd = self._permits.fileno()
        self._watch(None)
        if fd is not None:
            self._watch(fd)
        self._backlog.start()

    def _pause_for(self, exc: OSError, *, told: bool = False) -> None:
        if self._pause_seconds == SHORTEST_PAUSE_SECONDS and not told:
            self._publish(AcceptPaused(self._address, exc.strerror or str(exc), self._pause_seconds))
        self._watch(None)
        if self._pause is not None:
            self._pause.cancel()
        self._pause = self._loop.call_later(self._pause_seconds, self._resume)
        self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def _resume(self) -> None:
        self._pause = None
        if self._closed or not self._accepting:
            return
        self._awaiting_permit = False
        self._backlog.stop()
        self._watch_listener()
        if self._pause is None:
            self._on_acceptable()

    def _watch_listener(self) -> None:
        self._watch(self._listener.fileno())

    def _watch(self, fd: int | None) -> None:
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._watched = None
        if fd is None:
            return
        try:
            self._loop.add_reader(fd, self._resume if self._awaiting_permit else self._on_acceptable)
        except OSError as exc:  # epoll_ctl(2): ENOMEM, ENOSPC
            self._pause_for(exc)
        else:
            self._watched = fd
