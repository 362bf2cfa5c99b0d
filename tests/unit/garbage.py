"""What only the garbage collector would find."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def garbage_of_ours() -> Iterator[list[object]]:
    """The objects of gracehttp that only the garbage collector has found; known at the end of the block."""
    found: list[object] = []
    for _ in range(3):  # what other tests left may leave garbage of its own
        gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += [one for one in gc.garbage if type(one).__module__.startswith(("gracehttp.", "httptools"))]
    finally:
        gc.set_debug(0)
        gc.enable()
        gc.garbage.clear()
