"""When a worker is due for recycling: after so many requests, so long, or at so much memory.

Applications leak. Replacing workers regularly keeps a leak from becoming an outage, and clients notice nothing, because
the supervisor starts the successor before the worker drains.
"""

from __future__ import annotations

import asyncio
import resource
import secrets
from collections.abc import Callable

from gracehttp.config.units import format_duration
from gracehttp.http.exchange import RequestHead
from gracehttp.values import Value

JITTER = 0.1
"""The part of a limit that is added at most, at random, unless the options say how much."""
MEMORY_CHECK_SECONDS = 1.0
"""How long after a request the memory is checked, which is also how often at most."""


class UsageLimits(Value):
    """What one worker may serve; 0 is no limit."""

    requests: int = 0
    age_seconds: float = 0.0
    memory_bytes: int = 0

    @classmethod
    def drawn(
        cls,
        *,
        requests: int,
        requests_jitter: int | None,
        age_seconds: float,
        memory_bytes: int,
        draw: Callable[[int], int] = secrets.randbelow,
    ) -> UsageLimits:
        """The limits of this worker: a little higher than configured, at random.

        Otherwise workers that started together would be due together. `draw(n)` returns a random number below n.
        Memory needs no jitter: no two workers grow alike.
        """
        if requests:
            jitter = int(requests * JITTER) if requests_jitter is None else requests_jitter
            requests += draw(jitter + 1)
        return cls(
            requests=requests,
            age_seconds=age_seconds * (1 + JITTER * draw(1001) / 1000),
            memory_bytes=memory_bytes,
        )


class Usage:
    """Calls `on_due_for_recycling` with the reason, once, when the worker has reached one of `limits`.

    It is a `RequestFinished`; `counts_requests` is False if it needs to hear of no requests.
    """

    def __init__(
        self,
        limits: UsageLimits,
        loop: asyncio.AbstractEventLoop,
        *,
        memory: Callable[[], int] | None = None,
    ) -> None:
        """`memory` returns the bytes that this process uses."""
        self.counts_requests = bool(limits.requests or limits.memory_bytes)
        self.on_due_for_recycling: Callable[[str], None] = lambda reason: None
        self._limits = limits
        self._loop = loop
        self._memory = memory or resident_bytes
        self._requests = 0
        self._over = False
        self._age_timer: asyncio.TimerHandle | None = None
        self._memory_timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The worker serves from now on: its age counts from here. A second call changes nothing."""
        seconds = self._limits.age_seconds
        if seconds and not self._over and self._age_timer is None:
            self._age_timer = self._loop.call_later(seconds, self._due, f"it has served for {_roughly(seconds)}")

    def end(self) -> None:
        """The worker ends already: report nothing any more."""
        self._over = True
        for timer in (self._age_timer, self._memory_timer):
            if timer is not None:
                timer.cancel()

    def __call__(self, head: RequestHead, status: int, body_bytes: int, seconds: float) -> None:
        self._requests += 1
        if self._requests == self._limits.requests:
            self._due(f"it has served {self._requests} request{'s' if self._requests > 1 else ''}")
        elif self._memory_timer is None and self._limits.memory_bytes and not self._over:
            self._memory_timer = self._loop.call_later(MEMORY_CHECK_SECONDS, self._check_memory)

    def _check_memory(self) -> None:
        self._memory_timer = None
        used = self._memory()
        if used > self._limits.memory_bytes:
            self._due(f"it uses {used / (1 << 20):.0f} MiB of memory")

    def _due(self, reason: str) -> None:
        if not self._over:
            self.end()
            self.on_due_for_recycling(reason)


def _roughly(seconds: float) -> str:
    """`2.2 s`, `1m30s`: without the digits that are only jitter."""
    return f"{seconds:.1f} s" if seconds < 60 else format_duration(round(seconds))


def resident_bytes() -> int:
    """The memory of this process that is in RAM (proc_pid_statm(5)); 0 where the system doesn't tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
