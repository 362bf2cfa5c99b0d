"""Where the tasks of an application wait. A suspended coroutine is on no thread's stack, so it must be looked for."""

from __future__ import annotations

import asyncio
import gc
import os
import traceback
from collections.abc import Iterator, Sequence
from types import AsyncGeneratorType, CoroutineType, FrameType
from typing import Any

from gracehttp.observe.tracebacks import belongs_to_the_server

_ASYNCIO = os.path.dirname(asyncio.__file__) + os.sep
_STEPS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
"""Of coroutines, generators and asynchronous generators, also of those that Cython makes: the frame, and what it waits
for (docs.python.org: inspect, Types and members)."""
_OPAQUE = {"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"}
"""What the interpreter puts between two of them (Objects/genobject.c, iterobject.c). They lack such attributes, so only
the garbage collector knows what they refer to."""
_MOST_STEPS = 1000
_MOST_SHOWN = 20
_MOST_NAMES = 3


def waiting_frames(awaitable: object) -> list[FrameType]:
    """The frames of a suspended coroutine and of those that it awaits, the outermost first."""
    return list(_frames(awaitable))


def describe_suspended_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """Where the application's tasks on `loop` wait, as lines of tracebacks; "" if there are none.

    Frames and tasks of the server itself are left out. Tasks that wait at the same place are shown together; those for
    which the server waits come first. Must be called in a callback of the loop.
    """
    chains = [(task.get_name(), waiting_frames(task.get_coro())) for task in asyncio.all_tasks(loop)]
    places: dict[str, list[str]] = {}
    for name, frames in sorted(chains, key=_order):
        if any(map(_is_the_applications, frames)):
            places.setdefault(_format(frames), []).append(name)
    lines = [f"{_names(names)} here (most recent call last):\n{place}" for place, names in places.items()]
    if len(lines) > _MOST_SHOWN:
        lines[_MOST_SHOWN:] = [f"Tasks wait at {len(lines) - _MOST_SHOWN} places more.\n"]
    return "".join(lines)


def write_suspended_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Write `describe_suspended_tasks` to standard error, where the fault handler writes the stacks of threads."""
    with open(2, "wb", closefd=False) as stderr:
        stderr.write(describe_suspended_tasks(loop).encode("utf-8", "backslashreplace"))


def _frames(awaitable: Any) -> Iterator[FrameType]:
    for _ in range(_MOST_STEPS):
        found = next((names for names in _STEPS if hasattr(awaitable, names[0])), None)
        if found is not None:
            frame, awaits = found
            if isinstance(at := getattr(awaitable, frame), FrameType):
                yield at
            awaitable = getattr(awaitable, awaits, None)
        elif type(awaitable).__name__ in _OPAQUE:
            awaitable = _held_by(awaitable)
        else:
            return


def _held_by(opaque: object) -> object | None:
    held = gc.get_referents(opaque)
    kinds = (CoroutineType, AsyncGeneratorType)
    return next((one for one in held if isinstance(one, kinds) or type(one).__name__ in _OPAQUE), None)


def _is_the_applications(frame: FrameType) -> bool:
    filename = frame.f_code.co_filename
    return not belongs_to_the_server(filename) and not filename.startswith(_ASYNCIO)


def _order(chain: tuple[str, list[FrameType]]) -> tuple[bool, int, str]:
    name, frames = chain
    ours = bool(frames) and belongs_to_the_server(frames[0].f_code.co_filename)
    return not ours, len(name), name  # so that Task-10 comes after Task-9


def _format(frames: Sequence[FrameType]) -> str:
    shown = [(one, one.f_lineno) for one in frames if not belongs_to_the_server(one.f_code.co_filename)]
    return "".join(traceback.StackSummary.extract(iter(shown)).format())


def _names(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"Task {names[0]!r} waits"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"Tasks {', '.join(map(repr, names[:_MOST_NAMES]))}{more} wait"
