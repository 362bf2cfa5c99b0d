"""When a worker leaves new connections to the workers that share their queue: while all of its threads are busy.

A worker whose event loop is busy doesn't get to accept. One whose threads are busy would, and the requests would wait
here though another worker could answer them at once. So it looks away from the queue, and looks again when a thread is
free. If all workers are busy, a connection waits in the kernel for the first one that has a thread.

It doesn't wait there for long. A worker whose threads get on accepts after a moment, since it has a queue of its own
that moves. One whose threads don't get on accepts after `LONGEST_SECONDS`: what it accepts may be a health check, which
takes no thread, or one more request that waits for threads that hang, by which the watchdog knows. (Why not otherwise:
docs/decisions/0031-a-worker-whose-threads-are-busy.md.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

SHORTEST_SECONDS: Final = 0.01
"""How long a worker looks away at first."""
LONGEST_SECONDS: Final = 0.5
"""How long a connection is left to others at most, if its listener was not empty meanwhile."""
EXPECTED_SECONDS: Final = 0.005
"""How long after it was accepted a connection is expected to ask for a thread."""
_MOST_PER_THREAD: Final = 4096


class Room(Protocol):
    """What the requests of a listener run in: a pool of threads."""

    @property
    def free(self) -> int:
        """How many threads have nothing to do; 0 or less if there is none."""

    @property
    def submitted(self) -> int:
        """How many requests have asked for a thread so far."""

    @property
    def finished(self) -> int:
        """With how many of them the threads are done."""

    def when_free(self, call: Callable[[], None]) -> None:
        """Make `call` once, when a thread is free. The same one is remembered once."""


class Restraint:
    """That of one acceptor. `look_again` is called when it may look at the queue again, which it leaves alone after
    `takes_one` has said no."""

    def __init__(self, room: Room, loop: asyncio.AbstractEventLoop) -> None:
        self._room = room
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        # Accepted since then, and how many requests there had been: the others are expected. How many of them a free
        # thread may have: where clients connect and don't ask, twice as many each time.
        self._accepted_since = -EXPECTED_SECONDS
        self._accepted = self._submitted = 0
        self._per_thread = 1
        # While connections are left to others: since when, and how many requests were done with at that time.
        self._waits_since: float | None = None
        self._finished = 0
        self.look_again: Callable[[], None] = lambda: None

    @property
    def leaves_some(self) -> bool:
        """Whether connections that wait in the queue are left to others, as far as is known here."""
        return self._waits_since is not None

    def takes_one(self) -> bool:
        """Whether a connection that waits in the queue is to be accepted here."""
        room, now = self._room, self._loop.time()
        free, expected = room.free, self._accepted - (room.submitted - self._submitted)
        if now - self._accepted_since >= EXPECTED_SECONDS:
            self._per_thread = min(self._per_thread * 2, _MOST_PER_THREAD) if expected > 0 else 1
            self._accepted_since, self._accepted, self._submitted = now, 0, room.submitted
            expected = 0
        if free > 0 and expected < free * self._per_thread:
            self._accepted += 1
            self._waits_since = None
            return True
        if self._waits_since is None:
            self._waits_since, self._finished = now, room.finished
        waited = now - self._waits_since
        if waited >= LONGEST_SECONDS or (waited >= SHORTEST_SECONDS and room.finished != self._finished):
            return True
        if self._timer is None:
            pause = min(max(waited, SHORTEST_SECONDS), LONGEST_SECONDS - waited)
            self._timer = self._loop.call_later(pause, self._look_again)
        room.when_free(self._look_again)
        return False

    def queue_is_empty(self) -> None:
        """Others have taken what was left to them, or it was accepted here."""
        self._waits_since = None

    def close(self) -> None:
        """`look_again` is called no more."""
        self.look_again = lambda: None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.look_again()
