"""The children of the supervisor: each one that has ended is reaped, and its owner told.

A child that isn't reaped stays a zombie, and its PID stays taken (waitpid(2)). So there is one place that reaps:
workers, fork servers, the process of the hooks, trials and the watcher of `--reload` are all watched here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator

from gracehttp.supervisor.guard import guarded
from gracehttp.supervisor.signals import hear


class Children:
    """Reaps at each SIGCHLD, from its construction on."""

    def __init__(self, adopted: Iterable[int] = ()) -> None:
        """`adopted` are PIDs of children of which nothing more is known: they are reaped too."""
        self._loop = asyncio.get_running_loop()
        self._watched: dict[int, Callable[[int], None]] = dict.fromkeys(adopted, _ignore)
        self.may_reap_orphans: Callable[[], bool] = lambda: False
        """Whether a child that is not watched here is an orphan of the application. Otherwise the user's script may
        have started it, and reaps it."""
        hear(self._loop, signal.SIGCHLD, self.reap)

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(self._watched)

    def watch(self, pid: int, on_end: Callable[[int], None]) -> None:
        """Reap `pid` when it has ended, and call `on_end` with its wait status (waitpid(2))."""
        self._watched[pid] = on_end
        self._loop.call_soon(self.reap)  # it may have ended before it was known

    def reap(self) -> None:
        """Reap all children that have ended. SIGCHLD doesn't tell how many (signal(7)), so this looks at each."""
        for pid, status in ended_children(self._watched, orphans=self.may_reap_orphans):
            guarded("act on the end of pid {0}", self._reaped, pid, status)

    def _reaped(self, pid: int, status: int) -> None:
        self._watched.pop(pid, _ignore)(status)


def ended_children(pids: Iterable[int], *, orphans: Callable[[], bool]) -> Iterator[tuple[int, int]]:
    """Reap the children that have ended, and yield each with its wait status (waitpid(2)).

    Each is reaped after the caller has dealt with the one before, and keeps its PID until then. While `orphans()`,
    children that aren't in `pids` are reaped too: a process that adopts orphans must allow that now and then.
    """
    targets = sorted(set(pids))
    with contextlib.suppress(ChildProcessError):
        while orphans() and (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found
    for target in targets:
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(target, os.WNOHANG))[0]:
                yield found


def _ignore(_status: int) -> None:
    return
