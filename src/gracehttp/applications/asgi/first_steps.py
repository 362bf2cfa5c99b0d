"""Tasks whose first steps run at once, up to where they wait for something.

Most requests are answered without waiting. To let the loop come to them later costs a callback for each, and the loop
a turn. CPython 3.12 has `eager_start` for that. Before, a task asks the loop, when it is made, to call its first step
soon (`Task.__init__` in asyncio). At that moment what the task asks is taken here, and then called: it is the same
task, step and context, a moment earlier.

Before 3.12, asyncio keeps its tasks in a `WeakSet`, which is written in Python. To put a task into it and to take it
out costs half as much as all else about a short task. `TaskRegister` does the same work on the same set, and leaves out
tasks that are done after their first steps, unless somebody looks meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import Task
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any
from weakref import WeakSet, ref

from gracehttp.applications import interpreter_calls

_HAS_EAGER_START = sys.version_info >= (3, 12)
NAME = "request"
"""Of all tasks: to make another name for each takes a tenth of what it takes to make the task."""


class FirstSteps:
    """Makes tasks on one loop. For its thread."""

    __slots__ = (
        "_attributes",
        "_before",
        "_capture",
        "_context",
        "_current",
        "_loop",
        "_options",
        "_register",
        "_step",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._attributes: dict[str, Any] = loop.__dict__
        self._capture = self._call_soon
        self._options: dict[str, Any] = {"loop": loop, "name": NAME}
        self._step: Callable[[], object] | None = None
        self._context: Context | None = None  # of the step
        self._before: Callable[..., object] | None = None  # what another library has put in the place of call_soon
        self._current: dict[Any, Any] = {}  # the running task of each loop
        self._register: TaskRegister | None = None
        if not _HAS_EAGER_START:
            self._current = vars(asyncio.tasks)["_current_tasks"]
            self._register = TaskRegister.of(vars(asyncio.tasks)["_all_tasks"])

    def take(self, coroutine: Coroutine[Any, Any, None], context: Context) -> Task[None]:
        """A task of `coroutine`, which has run until it waits for something or is done. It is in `context`, which no
        one else enters, or in a copy of it.

        In the middle of another task, it begins in the next turn of the loop.
        """
        task = self.begin(coroutine, context)
        if not task.done():
            self.keep(task)
        return task

    def keep(self, task: Task[None]) -> None:
        """`task`, from `begin`, goes on: let asyncio know it."""
        if self._register is not None:
            self._register.keep(task)

    def begin(self, coroutine: Coroutine[Any, Any, None], context: Context) -> Task[None]:
        """As `take`, for a caller that knows whether the task is done, and calls `keep` unless it is."""
        if _HAS_EAGER_START:
            eager: Any = Task  # whose argument the types of CPython 3.11 don't know
            task: Task[None] = eager(coroutine, loop=self._loop, name=NAME, context=context, eager_start=True)
            return task
        if self._loop in self._current:
            return Task(coroutine, loop=self._loop, name=NAME, context=context)
        register = self._register
        assert register is not None
        attributes = self._attributes
        self._before = before = attributes.get("call_soon")
        attributes["call_soon"] = self._capture  # of this loop; that of its class stays as it is
        register.expects_in = interpreter_calls.thread()
        try:
            made: Task[None] = interpreter_calls.made_in(context, Task, coroutine, self._options)
        finally:
            register.expects_in = 0
            if before is None:
                del attributes["call_soon"]
            else:
                attributes["call_soon"] = before
        step, self._step = self._step, None
        own, self._context = self._context, None
        try:
            if step is not None and own is not None:  # both or neither
                interpreter_calls.run_in(own, step)
        finally:
            if register.newest is not made:  # but a task of another thread, or of a finalizer
                register.put_newest()
            register.newest = None
        return made

    def _call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> object:
        if self._step is not None or args or context is None:  # not of the task that is being made
            if self._before is not None:
                return self._before(callback, *args, context=context)
            return type(self._loop).call_soon(self._loop, callback, *args, context=context)
        self._step = callback
        self._context = context
        return None


class TaskRegister:
    """In the place of two functions of the set of all tasks: to add one, and to forget one that is gone.

    Another thread may go through the set at any moment: what is gone is left in it meanwhile, as a `WeakSet` does.

    A task of which `FirstSteps` knows is not put into the set before its first steps are over, and then only if it is
    not done. Whoever looks into the set meanwhile, finds it: that look puts it there (`Members`). Several threads may
    have such tasks; one of them waits here, the others are put into the set.
    """

    __slots__ = ("_gone", "_members", "_readers", "_removals", "_tasks", "expects_in", "newest")

    def __init__(self, tasks: WeakSet[Task[Any]]) -> None:
        inside = vars(tasks)
        self._tasks = tasks
        self._members: set[ref[Task[Any]]] = Members(inside["data"])
        self._readers: set[object] = inside["_iterating"]
        self._removals: list[ref[Task[Any]]] = inside["_pending_removals"]
        self._gone = self._forget
        self.expects_in = 0
        """The thread that is about to add a task which may wait; 0: none."""
        self.newest: Task[Any] | None = None
        """A task that takes its first steps, and is not in the set, as far as nobody has looked."""

    @staticmethod
    def of(tasks: WeakSet[Task[Any]]) -> TaskRegister:
        """The one that keeps `tasks`, from now on if none does."""
        inside = vars(tasks)
        if "add" not in inside:
            register = TaskRegister(tasks)
            members: Any = register._members
            members.register = register
            inside["data"] = members
            inside["add"] = register.add
            inside["_remove"] = register._gone
        known: TaskRegister = inside["data"].register
        return known

    def add(self, task: Task[Any]) -> None:
        """As `WeakSet.add`."""
        if self.expects_in and self.expects_in == interpreter_calls.thread():
            self.expects_in = 0
            if self.newest is not None:
                self.put_newest()
            self.newest = task
        else:
            self.keep(task)

    def put_newest(self) -> None:
        """Put the task that waits for the end of its first steps into the set."""
        newest = self.newest
        if newest is not None:
            self.keep(newest)

    def keep(self, task: Task[Any]) -> None:
        """Put `task` into the set, if it isn't there."""
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


class Members(set["ref[Task[Any]]"]):
    """What is in the set of all tasks. A look at it finds also the task that the register has not put there."""

    register: TaskRegister

    def __iter__(self) -> Iterator[ref[Task[Any]]]:
        self.register.put_newest()
        return super().__iter__()

    def __len__(self) -> int:
        self.register.put_newest()
        return super().__len__()

    def __contains__(self, task: object) -> bool:
        self.register.put_newest()
        return super().__contains__(task)

    def copy(self) -> set[ref[Task[Any]]]:
        """As `set.copy`."""
        self.register.put_newest()
        return super().copy()
