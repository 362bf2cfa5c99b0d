"""Being called while a descriptor is ready, also when the system has no room to watch one more.

epoll_ctl(2) fails with ENOSPC when all descriptors that a user watches are too many (epoll(7), max_user_watches), and
with ENOMEM. That passes, nothing tells when, and a descriptor that stays unwatched is never heard of again: a port is
dead, an order unread. So it is tried again, and until then the descriptor is looked at in intervals.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Final

LOOK_AGAIN_SECONDS: Final = 0.05
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.ENOMEM})


class Watch:
    """Calls `callback` while `fd` is readable, or `for_writing` writable, from now on until `stop`, which must come
    before `fd` is closed.

    `callback` may also be called when `fd` isn't ready. Raises `OSError` for a descriptor that can't be watched at all
    (EPERM, EBADF).
    """

    __slots__ = ("_again", "_callback", "_fd", "_for_writing", "_loop", "_stopped")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, callback: Callable[[], object], *, for_writing: bool = False
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._callback = callback
        self._for_writing = for_writing
        self._again: asyncio.TimerHandle | None = None
        self._stopped = False
        self._begin()

    def stop(self) -> None:
        """Call it no more. A second call changes nothing."""
        if self._stopped:
            return
        self._stopped = True
        if self._again is not None:
            self._again.cancel()
        elif self._for_writing:
            self._loop.remove_writer(self._fd)
        else:
            self._loop.remove_reader(self._fd)

    def _begin(self) -> None:
        add = self._loop.add_writer if self._for_writing else self._loop.add_reader
        try:
            add(self._fd, self._callback)
        except OSError as exc:
            if exc.errno not in _NO_ROOM:
                raise
            self._again = self._loop.call_later(LOOK_AGAIN_SECONDS, self._look_again)
        else:
            self._again = None

    def _look_again(self) -> None:
        try:
            self._callback()
        finally:
            if not self._stopped:
                self._begin()
