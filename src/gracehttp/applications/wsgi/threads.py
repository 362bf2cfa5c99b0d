"""The threads that run WSGI applications."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

Job = list[Callable[[], None]]
"""The function to be called, once; the thread that takes it out has it. Empty: a thread has begun it, or it was taken
back."""

_END: Final[Job] = []
_MOST_EMPTY: Final = 64  # jobs that were taken back, beside as many as still wait


class ThreadPool:
    """Runs at most `threads` jobs at a time, the others afterwards in the order of their arrival. A job that no thread
    has begun can be taken back.

    Its threads are daemons. The interpreter would wait at its exit for those of concurrent.futures, so an application
    that is stuck would keep a worker alive beyond the drain timeout.
    """

    __slots__ = ("_empty", "_idle", "_jobs", "_size", "_started", "calls")

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError("a pool needs at least one thread")
        self._size = threads
        self._started = 0
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        # One token for each thread that waits for a job, less one for each job submitted since. The count is exact
        # while there are threads to start; afterwards nothing reads it.
        self._idle: deque[None] = deque()
        self._empty = 0  # how many jobs were taken back since the last look for them
        self.calls = [0] * threads
        """One number for each thread, which it alone writes: odd while it runs a job, and another one for each job."""

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return max(0, self._jobs.qsize() - self._empty)

    @property
    def busy(self) -> int:
        """How many threads run a job."""
        return sum(call & 1 for call in self.calls)

    def submit(self, job: Job) -> None:
        """Run `job` in a thread. Must be called from one thread only; `job` must not raise.

        Raises `RuntimeError` if the system refuses the first thread. If it refuses more, those that exist do the work.
        """
        if self._started < self._size:
            if self._idle:
                self._idle.pop()
            else:
                self._start_thread()
        self._jobs.put(job)

    def take_back(self, job: Job) -> bool:
        """Don't run `job`, if no thread has begun it; tells whether that was so. From the thread that submits."""
        try:
            job.pop()
        except IndexError:
            return False
        self._empty += 1
        if self._empty > _MOST_EMPTY + self._jobs.qsize() // 2:
            self._remove_empty()
        return True

    def _remove_empty(self) -> None:
        """Take the jobs out of the queue that were taken back: all threads may be busy for long."""
        self._empty = 0
        waiting = []
        try:
            for _ in range(self._jobs.qsize()):
                job = self._jobs.get_nowait()
                if job or job is _END:
                    waiting.append(job)
                elif self._started < self._size:
                    self._idle.append(None)
        except Empty:
            pass  # the threads were quicker
        for job in waiting:
            self._jobs.put(job)

    def _start_thread(self) -> None:
        try:
            threading.Thread(
                target=self._work, args=(self._started,), name=f"wsgi-{self._started}", daemon=True
            ).start()
        except RuntimeError:  # the limit of processes (RLIMIT_NPROC, pids.max)
            if not self._started:
                raise
        else:
            self._started += 1

    def close(self) -> None:
        """Let each thread end after the jobs that were submitted, without waiting for it."""
        for _ in range(self._started):
            self._jobs.put(_END)

    def _work(self, number: int) -> None:
        calls = self.calls
        while (job := self._jobs.get()) is not _END:
            try:
                call = job.pop()
            except IndexError:
                pass
            else:
                calls[number] += 1
                call()
                calls[number] += 1
                del call  # the next one may come much later
            if self._started < self._size:
                self._idle.append(None)
