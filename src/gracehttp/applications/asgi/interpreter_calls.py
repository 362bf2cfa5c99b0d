"""What each request asks of the interpreter, through the standard library.

Compiled modules call the functions of the same names in `interpreter_calls.pxd` instead, which ask by its C API.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context
from typing import TypeVar
from weakref import ref

Kind = TypeVar("Kind")


def thread() -> int:
    """The identifier of the thread that runs this (`threading.get_ident`)."""
    return threading.get_ident()


def copied(context: Context) -> Context:
    """A copy of `context`."""
    return context.copy()


def run_in(context: Context, step: Callable[[], object]) -> None:
    """Call `step` in `context`, which must not be entered already."""
    context.run(step)


def reference(to: Kind, gone: Callable[[ref[Kind]], None]) -> ref[Kind]:
    """A weak one, with which `gone` is called when the object is no more."""
    return ref(to, gone)
