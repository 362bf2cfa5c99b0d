"""One poller for all connections of a worker, nested in the event loop.

The event loop watches one descriptor, that of the poller (epoll(7): an epoll instance is readable while one of its
descriptors is ready). So a connection costs the loop nothing, and the loop stays asyncio's or uvloop's, for the
application, timers and signals.

Both pollers are level-triggered: what a turn leaves is told again in the next one. A turn handles a bounded number of
events, so that the callbacks of the application get theirs.

When there is more than one event in a turn, what streams have to send is held for a moment, and sent together
(`holding`). A client that gets the first of many responses wakes up, and takes the processor from us, or a part of it,
while we make the others. What a turn brings forth is sent at its end; what callbacks of the loop write between turns, a
pass of the loop later; both when `HOLD_SECONDS` are over, if that comes first. That can only be noticed between two
events. So after one that took long, as with an application that blocks, each response is sent at once for a while.

A turn also sends a bounded number of bytes. A stream that has more for a kernel that would take it lines up
(`line_up`), and isn't watched for room meanwhile: so hundreds of slow readers, for each of which the kernel has
megabytes of room, stand neither before the requests of other clients nor between them. While many wait, another stream
with as much to send goes to the end of their line, and doesn't spend what the turn has for those that answer at once.

Within one batch of events a descriptor can be closed and its number be given to a new connection. The rest of the batch
may still have an event for that number, which is not the new connection's: `remove` marks the number until the batch
ends, and what the kernel really has to tell of the new one comes with the next batch.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import signal
from collections import deque
from collections.abc import Iterable
from typing import Final

from gracehttp.net import system_calls
from gracehttp.net.forks import disconnect_in_children

READABLE: Final = 1
WRITABLE: Final = 4
BROKEN: Final = 24
"""EPOLLERR | EPOLLHUP: both directions are over (epoll_ctl(2)). Told whether one asks for it or not."""

HALF_CLOSED: Final = 0x2000
"""EPOLLRDHUP: the client has ended its half, though what it sent before may wait still. Only epoll tells of it."""

EVENTS_PER_TURN: Final = 128
HOLD_SECONDS: Final = 0.001
"""How old the first of what is held may be, when it is noticed."""
LONG_SECONDS: Final = 0.005
CALM_AFTER: Final = 5
"""Nothing is held after something took `LONG_SECONDS` or more, for as many times as long."""
LONGEST_FAILURE_SECONDS: Final = 5.0
"""How long epoll_wait(2) may fail again and again, before the process ends."""
BYTES_PER_TURN: Final = 262144
BYTES_PER_LINE: Final = 131072
"""How much those that have lined up may send in a turn of the loop: two lines, each as much."""
MANY_WAIT: Final = 100
"""With so many large responses in line, another one has no turn before them. With fewer it would cost more turns of the
loop, a fifth of a 100 KB response, and spare others little."""
BRIEF_BYTES: Final = 16384
"""A stream that waits with no more than this stands in a line of its own, and not behind large responses."""


class Pollable:
    """What a poller watches for. A class, because compiled code needs no look-up for it.

    `ready` and `flush` must not raise. If they do it nevertheless, `failed` follows, and the event loop tells why.
    """

    __slots__ = ()

    def ready(self, events: int) -> None:
        """What holds for the descriptor: a sum of `READABLE`, `WRITABLE`, `HALF_CLOSED` and `BROKEN`."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send what is held (`Poller.held`)."""
        raise NotImplementedError

    def failed(self) -> None:
        """Keep nobody waiting: `ready` or `flush` has raised, and what it was to do is done in part only."""


def tell(pollable: Pollable, events: int) -> None:
    """Call `ready`. Raises what that raises; what was ready and is not told then, is told again."""
    try:
        pollable.ready(events)
    except Exception:
        pollable.failed()
        raise


class Poller:
    """Watches descriptors. For the thread of the loop."""

    __slots__ = (
        "_brief",
        "_called",
        "_held_since",
        "_holds_from",
        "_long",
        "_loop",
        "credit",
        "crowded",
        "held",
        "holding",
        "turning",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._brief: deque[Pollable] = deque()
        self._long: deque[Pollable] = deque()
        self._called = False  # the loop will call `_take_turns`
        self.credit = BYTES_PER_TURN
        """How many bytes may be written at once until the next turn, to all descriptors together: an application that
        has much to say must not keep the loop from the others. A stream that writes counts it down."""
        self.crowded = False
        """Whether many streams with more than `BRIEF_BYTES` wait: another one with as much lines up at once."""
        self.holding = False
        """Whether a stream should hold what it has to send, if that isn't much, and put itself into `held`."""
        self.held: list[Pollable] = []
        self.turning = False
        """Whether the turn sends what is held at its end; otherwise `send_soon` sees to that."""
        self._held_since = 0.0  # by `system_calls.monotonic`, of the first that is held between turns
        self._holds_from = 0.0

    def add(self, fd: int, pollable: Pollable, events: int) -> None:
        """Tell `pollable` of `events` on `fd` from now on. Raises `OSError` (ENOMEM, ENOSPC: epoll_ctl(2))."""
        raise NotImplementedError

    def expect(self, fd: int, pollable: Pollable) -> None:
        """Know of `fd`, and tell nothing yet: `add` or `forget` follows."""
        raise NotImplementedError

    def forget(self, fd: int) -> None:
        """`add` will not follow. The descriptor must be closed right after that."""
        raise NotImplementedError

    def change(self, fd: int, events: int) -> None:
        """Tell of these events instead; 0 leaves `BROKEN`, where the system tells of that alone. Raises `OSError`: then
        it is not known what is told from now on."""
        raise NotImplementedError

    def remove(self, fd: int) -> None:
        """Tell nothing more. The descriptor must be closed right after that."""
        raise NotImplementedError

    def release(self, fd: int) -> None:
        """As `remove`, for a connection that goes on in another process. Raises `OSError`: then it is watched as
        before, and must stay."""
        raise NotImplementedError

    def line_up(self, pollable: Pollable, size: int) -> None:
        """Tell `pollable` that it is `WRITABLE` when its turn comes. It has `size` bytes to send, is watched for other
        events only, and is in no line. It may be closed meanwhile: it ignores what it is told then."""
        if size <= BRIEF_BYTES:
            self._brief.append(pollable)
        else:
            self._long.append(pollable)
            self.crowded = len(self._long) > MANY_WAIT
        if not self._called:
            self._called = True
            self._loop.call_soon(self._take_turns)

    def _take_turns(self) -> None:
        self._called = False
        try:
            for line in (self._brief, self._long):
                self.credit = BYTES_PER_LINE
                for _ in range(len(line)):
                    pollable = line.popleft()
                    self.crowded = len(self._long) > MANY_WAIT
                    tell(pollable, WRITABLE)
                    if self.credit <= 0:
                        break
        finally:  # also when one of them raises: nothing else would tell the others
            self.credit = BYTES_PER_TURN
            if (self._brief or self._long) and not self._called:
                self._called = True
                self._loop.call_soon(self._take_turns)

    def send_soon(self) -> None:
        """Tell those that hold something to send it when this pass of the loop is over. One has just begun to."""
        if len(self.held) == 1:
            self._held_since = system_calls.monotonic()
            self._loop.call_soon(self._pass_is_over)
        elif system_calls.monotonic() - self._held_since > HOLD_SECONDS:
            self.send_held()

    def send_held(self) -> None:
        """Tell those that hold something to send it."""
        held = self.held
        self.held = []
        sent = 0
        try:
            for pollable in held:
                sent += 1
                try:
                    pollable.flush()
                except Exception:
                    pollable.failed()
                    raise
        finally:
            if sent < len(held):  # one of them has raised: nothing else would tell the others
                self.held = held[sent:] + self.held
                self._held_since = system_calls.monotonic()
                self._loop.call_soon(self._pass_is_over)

    def _pass_is_over(self) -> None:
        """Of the loop, in which something was held."""
        if self.held:
            self._took(system_calls.monotonic() - self._held_since)
            self.send_held()

    def _took(self, seconds: float) -> None:
        """What was held might have had to wait for so long."""
        if seconds > LONG_SECONDS:
            self._holds_from = system_calls.monotonic() + seconds * CALM_AFTER
            self.holding = False

    def close(self) -> None:
        """Release the poller's own descriptor."""
        raise NotImplementedError

    @property
    def descriptors(self) -> Iterable[int]:
        """Those that are watched."""
        raise NotImplementedError


class EpollPoller(Poller):
    """On epoll(7)."""

    __slots__ = ("__weakref__", "_epoll", "_failing_since", "_fd", "_pollables", "_removed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        Poller.__init__(self, loop)
        self._epoll = select.epoll()
        self._fd = system_calls.descriptor_of(self._epoll)
        self._pollables: list[Pollable | None] = []  # by descriptor: these are small numbers
        self._removed: set[int] = set()  # since the current batch was fetched
        self._failing_since: float | None = None
        loop.add_reader(self._epoll.fileno(), self._turn)
        disconnect_in_children(self)

    def add(self, fd: int, pollable: Pollable, events: int) -> None:
        self._epoll.register(fd, events)
        self.expect(fd, pollable)

    def expect(self, fd: int, pollable: Pollable) -> None:
        pollables = self._pollables
        if fd >= len(pollables):
            pollables.extend([None] * (fd + 1 - len(pollables)))
        pollables[fd] = pollable

    def forget(self, fd: int) -> None:
        self._pollables[fd] = None

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        self._pollables[fd] = None
        self._removed.add(fd)
        try:
            self._epoll.unregister(fd)
        except OSError:  # close(2) does the same
            return

    def release(self, fd: int) -> None:
        self._epoll.unregister(fd)  # or the other process's copy would wake us
        self._pollables[fd] = None
        self._removed.add(fd)

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._fd = -1
        self._pollables.clear()

    @property
    def descriptors(self) -> Iterable[int]:
        return [fd for fd, pollable in enumerate(self._pollables) if pollable is not None]

    def _turn(self) -> None:
        pollables = self._pollables
        removed = self._removed
        removed.clear()
        self.credit = BYTES_PER_TURN
        try:
            ready = system_calls.ready(self._epoll, self._fd, EVENTS_PER_TURN)
        except OSError:
            self._leave_out()
            return
        self._failing_since = None
        if len(ready) == 1:
            self.holding = False
            fd, events = ready[0]
            pollable = pollables[fd]
            if pollable is not None:
                try:  # as `tell`, whose call would cost each request some, interpreted
                    pollable.ready(events)
                except Exception:
                    pollable.failed()
                    raise
            return
        brief, much = HOLD_SECONDS, LONG_SECONDS
        before = since = system_calls.monotonic()
        self.holding = since >= self._holds_from
        self.turning = True
        try:
            for fd, events in ready:
                pollable = pollables[fd]
                if pollable is not None and not (removed and fd in removed):
                    try:
                        pollable.ready(events)
                    except Exception:
                        pollable.failed()
                        raise
                    now = system_calls.monotonic()
                    if now - before > much:
                        self._took(now - before)
                    before = now
                    if now - since > brief:
                        since = now
                        if self.held:
                            self.send_held()
        finally:
            self.turning = False
            if self.held:
                self.send_held()

    def _leave_out(self) -> None:
        """No events can be had in this turn. What is ready is told again in the next one, unless that goes on: a
        process that hears nothing of its connections can't serve, and another one takes its place."""
        now = self._loop.time()
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since > LONGEST_FAILURE_SECONDS:
            signal.raise_signal(signal.SIGABRT)


class SelectorsPoller(Poller):
    """On the `selectors` module, for systems without epoll. A connection that is not read is not told to be broken."""

    __slots__ = ("__weakref__", "_pollables", "_removed", "_selector", "_watched")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        Poller.__init__(self, loop)
        self._selector = selectors.DefaultSelector()
        self._pollables: dict[int, Pollable] = {}
        self._watched: set[int] = set()  # those of which there is an event to tell
        self._removed: set[int] = set()
        loop.add_reader(self._fileno(), self._turn)
        disconnect_in_children(self)

    def add(self, fd: int, pollable: Pollable, events: int) -> None:
        self.change(fd, events)
        self._pollables[fd] = pollable

    def expect(self, fd: int, pollable: Pollable) -> None:
        self._pollables[fd] = pollable

    def forget(self, fd: int) -> None:
        del self._pollables[fd]

    def change(self, fd: int, events: int) -> None:
        wanted = _to_selectors(events)
        if fd not in self._watched:
            if wanted:
                self._selector.register(fd, wanted)
                self._watched.add(fd)
        elif wanted:
            try:
                self._selector.modify(fd, wanted)
            except OSError:
                self._watched.discard(fd)  # as the selector has done
                raise
        else:
            self._selector.unregister(fd)
            self._watched.discard(fd)

    def remove(self, fd: int) -> None:
        self.change(fd, 0)
        del self._pollables[fd]
        self._removed.add(fd)

    release = remove

    def close(self) -> None:
        self._loop.remove_reader(self._fileno())
        self._selector.close()
        self._pollables.clear()

    @property
    def descriptors(self) -> Iterable[int]:
        return list(self._pollables)

    def _fileno(self) -> int:
        # Of the selectors that are a descriptor themselves: epoll's, kqueue's, /dev/poll's. select's and poll's aren't,
        # and are no default on any system with kqueue or epoll.
        return int(self._selector.fileno())

    def _turn(self) -> None:
        removed = self._removed
        removed.clear()
        self.credit = BYTES_PER_TURN
        for key, events in self._selector.select(0):  # all of them: which ones it would tell first is up to the system
            pollable = self._pollables.get(key.fd)
            if pollable is not None and key.fd not in removed:
                tell(pollable, _from_selectors(events))


def _to_selectors(events: int) -> int:
    readable = selectors.EVENT_READ if events & READABLE else 0
    return readable | (selectors.EVENT_WRITE if events & WRITABLE else 0)


def _from_selectors(events: int) -> int:
    readable = READABLE if events & selectors.EVENT_READ else 0
    return readable | (WRITABLE if events & selectors.EVENT_WRITE else 0)


def new_poller(loop: asyncio.AbstractEventLoop) -> Poller:
    """The best that the system has."""
    return EpollPoller(loop) if hasattr(select, "epoll") else SelectorsPoller(loop)
