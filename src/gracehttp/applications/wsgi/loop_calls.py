"""How the threads of an application have the event loop make a call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class LoopCalls:
    """Calls that threads ask the loop to make, in the order in which they asked.

    It costs a system call to wake the loop, so calls that are posted before it wakes share one.
    """

    __slots__ = ("_calls", "_loop", "_made", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[Callable[[], object]] = deque()
        self._woken = False
        self._made = self._make  # one for all calls

    def post(self, call: Callable[[], object]) -> None:
        """Have the loop make `call`. From any thread; `call` must not raise.

        Raises `RuntimeError` when the loop is closed.
        """
        # The order matters: the call is in the queue before the flag is read, and `_make` lowers the flag before it
        # looks into the queue. So either `_make` sees the call, or this sees the flag down and wakes the loop.
        self._calls.append(call)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._made)
            except RuntimeError:
                self._woken = False  # so that the next call raises too
                raise

    def _make(self) -> None:
        self._woken = False
        # Only what is there now: threads that keep posting must not keep the loop from its other work.
        for _ in range(len(self._calls)):
            self._calls.popleft()()
