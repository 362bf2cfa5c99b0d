"""When a worker has had enough: of requests, of time, or of memory. Its supervisor then has it replaced.

Applications leak. A worker that is replaced now and then keeps a leak from becoming an outage, and because its
successor serves before it goes, nobody notices.
"""

from __future__ import annotations

import asyncio
import resource
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from gracehttp.config.units import format_duration
from gracehttp.http.connection import RequestFinished
from gracehttp.http.exchange import RequestHead

JITTER = 0.1
"""What part of a limit is added at most by chance, where nothing else is said."""
LOOK_SECONDS = 1.0
"""How long after a request the memory is looked at, which is also how often at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecyclingLimits:
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
    ) -> RecyclingLimits:
        """The limits of this worker, which are a little higher than what was configured, by chance.

        Workers that started together would have enough together otherwise. `draw(n)` is a random number below n.
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


class Wear:
    """Counts what a worker has served, and calls `on_tired` with the reason, once, when one of `limits` is reached.

    It is a `RequestFinished`, and passes on to `then` what it is told. `counts` is False if there is no need for that.
    """

    def __init__(
        self,
        limits: RecyclingLimits,
        loop: asyncio.AbstractEventLoop,
        then: RequestFinished | None = None,
        *,
        memory: Callable[[], int] | None = None,
    ) -> None:
        """`memory` tells the bytes that this process uses."""
        self.counts = bool(limits.requests or limits.memory_bytes)
        self.on_tired: Callable[[str], None] = lambda reason: None
        self._limits = limits
        self._loop = loop
        self._then = then
        self._memory = memory or resident_bytes
        self._requests = 0
        self._over = False
        self._age: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The worker serves from now on: its age counts from here. Said again, it changes nothing."""
        seconds = self._limits.age_seconds
        if seconds and not self._over and self._age is None:
            self._age = self._loop.call_later(seconds, self._tire, f"it has served for {_roughly(seconds)}")

    def end(self) -> None:
        """The worker goes already."""
        self._over = True
        for timer in (self._age, self._look):
            if timer is not None:
                timer.cancel()

    def __call__(self, head: RequestHead, status: int, body_bytes: int, seconds: float) -> None:
        if self._then is not None:
            self._then(head, status, body_bytes, seconds)
        self._requests += 1
        if self._requests == self._limits.requests:
            self._tire(f"it has served {self._requests} request{'s' if self._requests > 1 else ''}")
        elif self._look is None and self._limits.memory_bytes and not self._over:
            self._look = self._loop.call_later(LOOK_SECONDS, self._look_at_memory)

    def _look_at_memory(self) -> None:
        self._look = None
        used = self._memory()
        if used > self._limits.memory_bytes:
            self._tire(f"it uses {used / (1 << 20):.0f} MiB of memory")

    def _tire(self, reason: str) -> None:
        if not self._over:
            self.end()
            self.on_tired(reason)


def _roughly(seconds: float) -> str:
    """`2.2 s`, `1m30s`: nobody chose the milliseconds, chance did."""
    return f"{seconds:.1f} s" if seconds < 60 else format_duration(round(seconds))


def resident_bytes() -> int:
    """The memory of this process that is in RAM (proc_pid_statm(5)); 0 where nothing tells it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
