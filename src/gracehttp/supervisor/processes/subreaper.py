"""Becoming the parent of orphans (PR_SET_CHILD_SUBREAPER(2const), Linux).

A fork server forks twice, and the process in between ends. The kernel gives the worker, an orphan then, to its nearest
ancestor that is a *subreaper*: the supervisor.
"""

from __future__ import annotations

import ctypes  # a megabyte; a restart may come to need it when the interpreter's folder is gone
import os
import sys

_PR_SET_CHILD_SUBREAPER = 36


def adopts_orphans_anyway() -> bool:
    """Whether this is the process 1 of a container, which inherits all orphans there."""
    return os.getpid() == 1


def adopt_orphans() -> bool:
    """Adopt the orphans of our descendants from now on, for the life of this process. False where that can't be had."""
    if sys.platform != "linux":
        return False
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):  # a C library without it
        return False
    return bool(prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
