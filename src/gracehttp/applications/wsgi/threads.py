"""The threads that run WSGI applications."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue


class ThreadPool:
    """Runs at most `threads` jobs at a time, the others afterwards in the order of their arrival.

    Its threads are daemons. The interpreter would wait at its exit for those of concurrent.futures, so an application
    that is stuck would keep a worker alive beyond the drain timeout.
    """

    __slots__ = ("_idle", "_jobs", "_size", "_started")

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError("a pool needs at least one thread")
        self._size = threads
        self._started = 0
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # One token for each thread that waits for a job, less one for each job submitted since. The count is exact
        # while there are threads to start; afterwards nothing reads it.
        self._idle: deque[None] = deque()

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job` in a thread. Must be called from one thread only; `job` must not raise.

        Raises `RuntimeError` if the system refuses the first thread. If it refuses more, those that exist do the work.
        """
        if self._started < self._size:
            if self._idle:
                self._idle.pop()
            else:
                self._start_thread()
        self._jobs.put(job)

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._work, name=f"wsgi-{self._started}", daemon=True).start()
        except RuntimeError:  # the limit of processes (RLIMIT_NPROC, pids.max)
            if not self._started:
                raise
        else:
            self._started += 1

    def close(self) -> None:
        """Let each thread end after the jobs that were submitted, without waiting for it."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            if self._started < self._size:
                self._idle.append(None)
