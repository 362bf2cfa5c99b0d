"""Tasks whose first steps run at once, up to where they wait for something.

Most requests are answered without waiting. To let the loop come to them later costs a callback for each, and the loop
a turn. CPython 3.12 has `eager_start` for that. Before, a task asks the loop, when it is made, to call its first step
soon (`Task.__init__` in asyncio). At that moment what the task asks is taken here, and then called: it is the same
task, step and context, a moment earlier.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import Task, current_task  # by themselves: to look them up takes as long as to call the second
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

_HAS_EAGER_START = sys.version_info >= (3, 12)
NAME = "request"
"""Of all tasks: to make another name for each takes a tenth of what it takes to make the task."""


class FirstSteps:
    """Makes tasks on one loop. For its thread."""

    __slots__ = ("_before", "_capture", "_loop", "_step")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._capture = self._call_soon
        self._step: Callable[[], object] | None = None
        self._before: Callable[..., object] | None = None  # what another library has put in the place of call_soon

    def take(self, coroutine: Coroutine[Any, Any, None], context: Context) -> Task[None]:
        """A task of `coroutine` in `context`, which has run until it waits for something or is done.

        In the middle of another task, it begins in the next turn of the loop.
        """
        if _HAS_EAGER_START:
            eager: Any = Task  # whose argument the types of CPython 3.11 don't know
            task: Task[None] = eager(coroutine, loop=self._loop, name=NAME, context=context, eager_start=True)
            return task
        if current_task(self._loop) is not None:
            return Task(coroutine, loop=self._loop, name=NAME, context=context)
        made = self._make(coroutine, context)
        step, self._step = self._step, None
        if step is not None:
            context.run(step)
        return made

    def _make(self, coroutine: Coroutine[Any, Any, None], context: Context) -> Task[None]:
        loop: Any = self._loop
        self._before = before = loop.__dict__.get("call_soon")
        loop.call_soon = self._capture  # of this object; that of its class stays as it is
        try:
            return Task(coroutine, loop=loop, name=NAME, context=context)
        finally:
            if before is None:
                del loop.call_soon
            else:
                loop.call_soon = before

    def _call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> object:
        if self._step is not None or args:  # not of the task that is being made
            if self._before is not None:
                return self._before(callback, *args, context=context)
            return type(self._loop).call_soon(self._loop, callback, *args, context=context)
        self._step = callback
        return None
