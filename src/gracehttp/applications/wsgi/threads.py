"""The threads that run WSGI applications."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from queue import Empty, SimpleQueue


class ThreadPool:
    """Runs at most `threads` jobs at a time, the others afterwards in the order of their arrival. A job that no thread
    has begun can be taken back, and costs nothing any more.

    Its threads are daemons. The interpreter would wait at its exit for those of concurrent.futures, so an application
    that is stuck would keep a worker alive beyond the drain timeout.
    """

    __slots__ = ("_idle", "_size", "_started", "_tickets", "_waiting")

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError("a pool needs at least one thread")
        self._size = threads
        self._started = 0
        # Each call of these two is one step for other threads. Every job that waits has a ticket, and a thread that has
        # drawn one takes the first job, if it was not taken back meanwhile. A false ticket ends a thread.
        self._waiting: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()
        self._tickets: SimpleQueue[bool] = SimpleQueue()
        # One token for each thread that waits for a job, less one for each job submitted since. The count is exact
        # while there are threads to start; afterwards nothing reads it.
        self._idle: deque[None] = deque()

    def submit(self, key: Hashable, job: Callable[[], None]) -> None:
        """Run `job` in a thread. Must be called from one thread only; `job` must not raise. `key` is for `take_back`.

        Raises `RuntimeError` if the system refuses the first thread. If it refuses more, those that exist do the work.
        """
        if self._started < self._size:
            if self._idle:
                self._idle.pop()
            else:
                self._start_thread()
        self._waiting[key] = job
        self._tickets.put(True)

    def take_back(self, key: Hashable) -> bool:
        """Don't run the job of `key`, if no thread has begun it: tells whether that was so. From the thread that
        submits."""
        if self._waiting.pop(key, None) is None:
            return False
        try:
            for_a_job = self._tickets.get_nowait()
        except Empty:
            return True  # a thread has drawn it, and finds nothing
        if not for_a_job:
            self._tickets.put(for_a_job)
        elif self._started < self._size:
            self._idle.append(None)
        return True

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
            self._tickets.put(False)

    def _work(self) -> None:
        while self._tickets.get():
            try:
                _key, job = self._waiting.popitem(last=False)
            except KeyError:
                pass
            else:
                job()
                del job, _key  # the thread may wait long for the next
            if self._started < self._size:
                self._idle.append(None)
