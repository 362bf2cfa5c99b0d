"""The threads that run WSGI applications."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class ThreadPool:
    """At most `threads` jobs at a time, the others in the order of their arrival.

    concurrent.futures isn't used because the interpreter waits at its exit for those threads: an application
    that is stuck would keep a worker alive beyond the drain timeout. These are daemon threads and hold
    nothing up.
    """

    __slots__ = ("_jobs", "_size", "_started")

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError("a pool needs at least one thread")
        self._size = threads
        self._started = 0
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job` in a thread. Must be called from one thread only; `job` must not raise."""
        self._jobs.put(job)
        # Threads are started while all that exist may be busy. The queue's length is a moment's guess, and a
        # wrong guess starts a thread early, which does no harm.
        if self._started < self._size and self._jobs.qsize() > 0:
            threading.Thread(target=self._work, name=f"wsgi-{self._started}", daemon=True).start()
            self._started += 1

    def close(self) -> None:
        """Let each thread end after the jobs that were submitted. Doesn't wait for them."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
