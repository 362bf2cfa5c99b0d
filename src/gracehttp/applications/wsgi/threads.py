"""The threads that run WSGI applications."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final

Job = list[Callable[[], None]]
"""The function to be called, once; the thread that takes it out has it. Empty: a thread has begun it, or it was taken
back."""

_END: Final[Job] = []
_MOST_EMPTY: Final = 64  # jobs that were taken back, beside as many as still wait


class ThreadPool:
    """Runs at most `threads` jobs at a time, the others afterwards in the order of their arrival. A job that no thread
    has begun can be taken back.

    A thread that finds no job waits for a lock of its own. To submit a job wakes one of them, the last one that began
    to wait; while it is on its way no other one is woken, since it looks for all jobs that are there by then, and wakes
    the next one if there are more. So a few jobs that are short cost one wake-up together, and of jobs that wait for
    something each has a thread.

    Its threads are daemons. The interpreter would wait at its exit for those of concurrent.futures, so an application
    that is stuck would keep a worker alive beyond the drain timeout.
    """

    __slots__ = (
        "_empty",
        "_jobs",
        "_parked",
        "_size",
        "_started",
        "_waking",
        "_when_free",
        "calls",
        "finished",
        "submitted",
    )

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError("a pool needs at least one thread")
        self._size = threads
        self._started = 0
        self._jobs: deque[Job] = deque()
        self._parked: deque[Lock] = deque()  # of the threads that wait
        self._waking = False  # a thread was woken, and has not looked for jobs since
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
        return max(0, len(self._jobs) - self._empty)

    @property
    def busy(self) -> int:
        """How many threads run a job."""
        return sum(call & 1 for call in self.calls)

    def submit(self, job: Job) -> None:
        """Run `job` in a thread. Must be called from one thread only; `job` must not raise.

        Raises `RuntimeError` if the system refuses the first thread. If it refuses more, those that exist do the work.
        """
        if self._started < self._size and len(self._jobs) >= len(self._parked) + self._waking:
            self._start_thread()
        self.submitted += 1
        self._jobs.append(job)
        self._wake()

    def _wake(self) -> None:
        """Have a thread look for jobs that are in the queue, if one waits. From any thread.

        The order matters: a job is in the queue before the flag is read, and a thread that was woken lowers the flag
        before it looks into the queue.
        """
        if not self._waking:
            try:
                lock = self._parked.pop()
            except IndexError:
                return  # each thread looks into the queue before it waits, and again when the others can see its lock
            self._waking = True
            lock.release()

    def take_back(self, job: Job) -> bool:
        """Don't run `job`, if no thread has begun it; tells whether that was so. From the thread that submits."""
        try:
            job.pop()
        except IndexError:
            return False
        self._empty += 1
        if self._empty > _MOST_EMPTY + len(self._jobs) // 2:
            self._remove_empty()
        self.job_ended()
        return True

    def take_all_back(self) -> list[Callable[[], None]]:
        """Run none of the jobs that no thread has begun; what each would have called. From the thread that submits."""
        taken = []
        for job in tuple(self._jobs):
            with contextlib.suppress(IndexError):  # a thread was quicker, or it was taken back before
                taken.append(job.pop())
        self._remove_empty()
        for _ in taken:
            self.job_ended()
        return taken

    def _remove_empty(self) -> None:
        """Take the jobs out of the queue that were taken back: all threads may be busy for long."""
        self._empty = 0
        waiting = []
        try:
            for _ in range(len(self._jobs)):
                job = self._jobs.popleft()
                if job or job is _END:
                    waiting.append(job)
        except IndexError:
            pass  # the threads were quicker
        if waiting:
            self._jobs.extend(waiting)
            self._wake()

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
            self._jobs.append(_END)
        self._wake()

    def _work(self, number: int) -> None:
        calls, jobs, parked = self.calls, self._jobs, self._parked
        lock = Lock()
        lock.acquire()
        while True:
            try:
                job = jobs.popleft()
            except IndexError:
                parked.append(lock)
                if jobs:  # one that came before the others could see the lock
                    try:
                        parked.remove(lock)
                        continue
                    except ValueError:
                        pass  # it was found, and will be released
                lock.acquire()
                self._waking = False
                continue
            if jobs:
                self._wake()
            if job is _END:
                return
            try:
                call = job.pop()
            except IndexError:
                continue
            calls[number] += 1
            call()
            calls[number] += 1
            del call  # the next one may come much later
