"""How long the turns are that the scheduler gives a worker that serves.

Of two processes that want a core, the one with the shorter time slice interrupts the other one as soon as it wakes
(Linux 6.12, EEVDF). Otherwise it may wait until the other one's slice is over, and then for the next tick, up to 4 ms.
At a restart those others are workers that start and interpreters that end. A slice is no priority: each gets as much of
the core as before.
"""

from __future__ import annotations

from typing import Final

from gracehttp.net import system_calls

SHORTEST_NANOSECONDS: Final = 100_000
"""The least that the kernel takes."""
USUAL: Final = 0
"""That of processes that ask for none."""


def take_short_turns() -> bool:
    """For the thread that calls, and threads and processes that it starts from now on. Returns whether the kernel has
    taken it."""
    return system_calls.take_time_slice(SHORTEST_NANOSECONDS)


def take_usual_turns() -> bool:
    """The opposite of `take_short_turns`."""
    return system_calls.take_time_slice(USUAL)
