"""What each request asks of the interpreter, through the standard library.

Compiled modules call the functions of the same names in `interpreter_calls.pxd` instead, which ask by its C API.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context
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


def call_by(call: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Gives what `call` returns, which must not change or keep `keywords`: in C they are not copied for it."""
    return call(*arguments, **keywords)
