"""Coroutines that wait for the same thing."""

from __future__ import annotations

import asyncio


class Waiters:
    """Futures that are resolved together. Each wait has its own, so that one that is cancelled disturbs no other."""

    __slots__ = ("_futures", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._futures: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Until the next `wake`."""
        future = self._loop.create_future()
        self._futures.append(future)
        try:
            await future
        finally:
            if future in self._futures:  # cancelled: wake did not come
                self._futures.remove(future)

    def wake(self) -> None:
        """Let all go on that wait now."""
        futures, self._futures = self._futures, []
        for future in futures:
            if not future.done():
                future.set_result(None)
