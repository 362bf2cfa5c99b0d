"""How an application learns that its process drains, so that it can end a stream that would go on for ever.

An ASGI application finds a `DrainNotice` in `scope["extensions"]["gracehttp.drain"]`, a WSGI application a
`ThreadDrainNotice` in `environ["gracehttp.draining"]`. Each process has one of either kind for all of its requests. The
drain begins at a restart, a stop and whatever else ends a worker on purpose, and it is never taken back.
"""

from __future__ import annotations

import asyncio
import threading


class DrainNotice:
    """For ASGI. `wait` belongs to the event loop that runs the application; `is_set` may be called from anywhere."""

    __slots__ = ("_given",)

    def __init__(self, given: asyncio.Event) -> None:
        self._given = given

    def is_set(self) -> bool:
        """Whether the drain has begun."""
        return self._given.is_set()

    async def wait(self) -> None:
        """Return when the drain begins; at once if it has. Cancel it when you no longer care."""
        await self._given.wait()


class ThreadDrainNotice:
    """For WSGI. To be called from any thread."""

    __slots__ = ("_given",)

    def __init__(self, given: threading.Event) -> None:
        self._given = given

    def is_set(self) -> bool:
        """Whether the drain has begun."""
        return self._given.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the drain begins, at most `timeout` seconds. Returns whether it has begun."""
        return self._given.wait(timeout)


class DrainNotices:
    """Both of one process, and the only way to give them. `give` is for the thread of the event loop."""

    def __init__(self) -> None:
        self._for_loop = asyncio.Event()
        self._for_threads = threading.Event()
        self.asgi = DrainNotice(self._for_loop)
        self.wsgi = ThreadDrainNotice(self._for_threads)

    def give(self) -> None:
        """The drain has begun. May be called again."""
        self._for_loop.set()
        self._for_threads.set()
