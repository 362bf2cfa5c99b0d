"""The threads that run WSGI applications."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

Job = list[Callable[[], None]]
"""The function to be called, once; who takes it out has it. Empty: a thread has begun it, or it was taken back."""

_END: Final[Job] = []
_MOST_EMPTY: Final = 64  # jobs that were taken back, beside as many as still wait


class ThreadPool:
    """Runs at most `threads` jobs at a time, the others afterwards in the order of their arrival. A job that no thread
    has begun can be taken back.

    Its threads are daemons. The interpreter would wait at its exit for those of concurrent.futures, so an application
    that is stuck would keep a worker alive beyond the drain timeout.
    """

    __slots__ = ("_empty", "_idle", "_jobs", "_size", "_started", "_when_free", "calls", "finished", "submitted")

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
        # What the thread that submits knows. See `Room`.
        self.submitted = 0
        self.finished = 0
        self._when_free: list[Callable[[], None]] = []

    @property
    def free(self) -> int:
        """How many threads have nothing to do; less than 0 if jobs wait."""
        return self._size - (self.submitted - self.finished)

    def when_free(self, call: Callable[[], None]) -> None:
        """Make `call` once, on the thread that submits, when a thread is free."""
        if call not in self._when_free:
            self._when_free.append(call)

    def job_ended(self) -> None:
        """To be called for each job that was submitted when it is done, on the thread that submits."""
        self.finished += 1
        if self._when_free and self.submitted - self.finished < self._size:
            calls, self._when_free = self._when_free, []
            for call in calls:
                call()

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
        self.submitted += 1
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
        self.job_ended()
        return True

    def take_all_back(self) -> list[Callable[[], None]]:
        """Run none of the jobs that no thread has begun; what each would have called. From the thread that submits."""
        jobs, taken = [], []
        try:
            while True:
                jobs.append(self._jobs.get_nowait())
        except Empty:
            pass
        for job in jobs:
            if job is _END:
                self._jobs.put(job)
            elif job:
                taken.append(job.pop())
        self._empty = 0
        for _ in taken:
            self.job_ended()
        return taken

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
