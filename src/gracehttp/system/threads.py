"""The threads of this process, those included that Python doesn't know."""

from __future__ import annotations

import contextlib
import os
import threading


def thread_count() -> int:
    """How many there are (proc_pid_task(5)); where the system doesn't tell, how many Python knows."""
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/task"))
    return threading.active_count()
