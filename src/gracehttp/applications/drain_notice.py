"""Tells applications that their process drains, so that they can end streams which have no end of their own.

An ASGI application finds a `DrainNotice` in `scope["extensions"]["gracehttp.drain"]`, a WSGI application a
`ThreadDrainNotice` in `environ["gracehttp.draining"]`. A process has one of each kind for all its requests. The drain
begins when the worker must end: at a restart, a stop or its recycling. It is never taken back.
"""

from __future__ import annotations

import asyncio
import threading


class DrainNotice:
    """For ASGI. `wait` is for the event loop that runs the application, `is_set` for any thread."""

    __slots__ = ("_given",)

    def __init__(self, given: asyncio.Event) -> None:
        self._given = given

    def is_set(self) -> bool:
        """Whether the drain has begun."""
        return self._given.is_set()

    async def wait(self) -> None:
        """Return when the drain begins, at once if it has begun. May be cancelled."""
        await self._given.wait()


class ThreadDrainNotice:
    """For WSGI. Any thread may call it."""

    __slots__ = ("_given",)

    def __init__(self, given: threading.Event) -> None:
        self._given = given

    def is_set(self) -> bool:
        """Whether the drain has begun."""
        return self._given.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the drain begins, for at most `timeout` seconds. Returns whether it has begun."""
        return self._given.wait(timeout)


class DrainNotices:
    """Both notices of a process. Only this object can give them; `give` is for the thread of the event loop."""

    def __init__(self) -> None:
        self._for_loop = asyncio.Event()
        self._for_threads = threading.Event()
        self.asgi = DrainNotice(self._for_loop)
        self.wsgi = ThreadDrainNotice(self._for_threads)

    def give(self) -> None:
        """Tell that the drain has begun. May be called again."""
        self._for_loop.set()
        self._for_threads.set()
