"""What each request asks of the interpreter, through the standard library.

Compiled modules call the functions of the same names in `interpreter_calls.pxd` instead, which ask by its C API.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context
from types import MethodType
from typing import Any, Final
from weakref import ref

thread: Final = threading.get_ident
"""The identifier of the thread that runs this."""
copied: Final = Context.copy
"""Takes a context, gives a copy of it."""
run_in: Final = Context.run
"""Takes a context, which must not be entered already, and what to call in it without arguments."""
call_in: Final = Context.run
"""Takes a context, which must not be entered already, what to call in it, and two arguments for that; gives what it
returns."""
reference: Final = ref
"""Takes an object and what to call with the reference when the object is no more; gives a weak reference to it."""

IN_C: Final = False
"""Whether these are the functions in C, for what would take longer by functions of Python than what it saves."""
bound: Final = MethodType
"""Takes a function of a class and an object of it, gives the method. To look it up takes longer, in C."""


def is_free_copy(made: dict[str, Any], of: dict[str, Any]) -> bool:
    """Whether `made`, which the caller has in an attribute and in a local variable, is known to nobody else, and still
    has the items of `of`, as `of.copy()` has them. Only where it is `IN_C`; False elsewhere."""
    return False


def is_free_of_dicts(made: dict[str, dict[str, Any]], names: tuple[str, ...]) -> bool:
    """As `is_free_copy`, of one that has an empty dictionary for each of `names`, which nobody else knows either."""
    return False


def made_in(context: Context, make: Callable[..., Any], of: object, keywords: dict[str, Any]) -> Any:
    """Takes a context, which must not be entered already, and what makes a task of an object by some `keywords`, which
    it must not change or keep. Gives the task, in the context; in C, in a copy of it: a task that is given no context
    copies the one that it is made in, and the keywords, which aren't copied for it, stay as they are."""
    keywords["context"] = context  # to give it beside `**keywords` would take 600 instructions more
    try:
        return make(of, **keywords)
    finally:
        keywords["context"] = None
