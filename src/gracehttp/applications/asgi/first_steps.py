"""Tasks whose first steps run at once, up to where they wait for something.

Most requests are answered without waiting. To let the loop come to them later costs a callback for each, and the loop
a turn. CPython 3.12 has `eager_start` for that. Before, a task asks the loop, when it is made, to call its first step
soon (`Task.__init__` in asyncio). At that moment what the task asks is taken here, and then called: it is the same
task, step and context, a moment earlier.

Before 3.12, asyncio keeps its tasks in a `WeakSet`, which is written in Python. To put a task into it and to take it
out costs half as much as all else about a short task. `TaskRegister` does the same work on the same set.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import Task
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any
from weakref import WeakSet, ref

from gracehttp.applications.asgi import interpreter_calls

_HAS_EAGER_START = sys.version_info >= (3, 12)
NAME = "request"
"""Of all tasks: to make another name for each takes a tenth of what it takes to make the task."""


class FirstSteps:
    """Makes tasks on one loop. For its thread."""

    __slots__ = ("_attributes", "_before", "_capture", "_current", "_loop", "_options", "_step")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._attributes: dict[str, Any] = loop.__dict__
        self._capture = self._call_soon
        self._options: dict[str, Any] = {"loop": loop, "name": NAME, "context": None}
        self._step: Callable[[], object] | None = None
        self._before: Callable[..., object] | None = None  # what another library has put in the place of call_soon
        self._current: dict[Any, Any] = {}  # the running task of each loop
        if not _HAS_EAGER_START:
            self._current = vars(asyncio.tasks)["_current_tasks"]
            TaskRegister.take_over(vars(asyncio.tasks)["_all_tasks"])

    def take(self, coroutine: Coroutine[Any, Any, None], context: Context) -> Task[None]:
        """A task of `coroutine` in `context`, which has run until it waits for something or is done.

        In the middle of another task, it begins in the next turn of the loop.
        """
        if _HAS_EAGER_START:
            eager: Any = Task  # whose argument the types of CPython 3.11 don't know
            task: Task[None] = eager(coroutine, loop=self._loop, name=NAME, context=context, eager_start=True)
            return task
        if self._loop in self._current:
            return Task(coroutine, loop=self._loop, name=NAME, context=context)
        attributes = self._attributes
        self._before = before = attributes.get("call_soon")
        attributes["call_soon"] = self._capture  # of this loop; that of its class stays as it is
        options = self._options
        options["context"] = context
        try:
            made = Task(coroutine, **options)
        finally:
            options["context"] = None
            if before is None:
                del attributes["call_soon"]
            else:
                attributes["call_soon"] = before
        step, self._step = self._step, None
        if step is not None:
            interpreter_calls.run_in(context, step)
        return made

    def _call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> object:
        if self._step is not None or args:  # not of the task that is being made
            if self._before is not None:
                return self._before(callback, *args, context=context)
            return type(self._loop).call_soon(self._loop, callback, *args, context=context)
        self._step = callback
        return None


class TaskRegister:
    """In the place of two functions of the set of all tasks: to add one, and to forget one that is gone.

    The set stays as it is. Another thread may go through it at any moment: what is gone is left in it meanwhile, as a
    `WeakSet` does.
    """

    __slots__ = ("_gone", "_members", "_readers", "_removals", "_tasks")

    def __init__(self, tasks: WeakSet[Task[Any]]) -> None:
        inside = vars(tasks)
        self._tasks = tasks
        self._members: set[ref[Task[Any]]] = inside["data"]
        self._readers: set[object] = inside["_iterating"]
        self._removals: list[ref[Task[Any]]] = inside["_pending_removals"]
        self._gone = self._forget

    @staticmethod
    def take_over(tasks: WeakSet[Task[Any]]) -> None:
        """Let `tasks` be kept by an object of this class from now on."""
        inside = vars(tasks)
        if "add" not in inside:
            register = TaskRegister(tasks)
            inside["add"] = register.add
            inside["_remove"] = register._gone

    def add(self, task: Task[Any]) -> None:
        """As `WeakSet.add`."""
        if self._removals:
            commit: Callable[[], None] = vars(WeakSet)["_commit_removals"].__get__(self._tasks)
            commit()
        self._members.add(interpreter_calls.reference(task, self._gone))

    def _forget(self, gone: ref[Task[Any]]) -> None:
        """`gone` was a member."""
        if self._readers:
            self._removals.append(gone)
        else:
            self._members.discard(gone)
