"""`breakpoint()` in a worker."""

from __future__ import annotations

import os
import sys
from typing import Any


def leave_ctrl_c_to_the_supervisor() -> None:
    """From now on, pdb doesn't take Ctrl+C when the program continues, as it does by default.

    It would stop in the worker again just when the supervisor, which gets the same signal, wants it to end. A debugger
    that has its own hook, or that PYTHONBREAKPOINT names, stays.
    """
    if sys.breakpointhook is sys.__breakpointhook__ and not os.environ.get("PYTHONBREAKPOINT"):
        sys.breakpointhook = _break


def _break(*, header: str | None = None, **_: Any) -> None:
    import pdb

    debugger = pdb.Pdb(nosigint=True)
    if header is not None:
        debugger.message(header)
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("gracehttp.worker."):
        frame = frame.f_back  # the heartbeat notes that a person stops this worker, and calls this hook
    debugger.set_trace(frame)
