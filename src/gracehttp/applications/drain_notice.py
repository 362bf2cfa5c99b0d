"""Tells applications that their process drains, so that they can end streams which have no end of their own.

An ASGI application gets a `DrainNotice` from `drain_notice()`, and `scope["extensions"]` has `gracehttp.drain` where
that works. A WSGI application finds a `ThreadDrainNotice` in `environ["gracehttp.draining"]`. A process has one of each
kind for all its requests. The drain begins when the worker must end: at a restart, a stop or its recycling. It is never
taken back.

The notice is no part of the scope: that has plain data only, which middleware copies and frameworks write down
(`copy.deepcopy`, `json.dumps`).
"""

from __future__ import annotations

import asyncio
import threading
from contextvars import Context, ContextVar


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


_current: ContextVar[DrainNotice] = ContextVar("gracehttp.drain_notice")


def drain_notice() -> DrainNotice:
    """The notice of the server that runs the calling code: a request of an ASGI application, its lifespan, and the
    tasks and threads that either has started with its context (contextvars).

    Elsewhere, such as in a test or under another server, it is a notice that is never given.
    """
    notice = _current.get(None)
    return DrainNotice(asyncio.Event()) if notice is None else notice


def put_into(context: Context, notice: DrainNotice) -> None:
    """Let `drain_notice` return `notice` in what runs in `context`."""
    context.run(_current.set, notice)


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
