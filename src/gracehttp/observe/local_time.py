"""Local time in the log, whatever the application does to the time zone of its process.

An application may set TZ and call `time.tzset()` (Django does, for its setting TIME_ZONE), and so may a callback in the
supervisor. Then lines of one log would have several zones. So the process that starts the service notes once how its
zone is ahead of UTC, the changes of the next years included (daylight saving time), and tells its workers.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from functools import lru_cache

Offsets = tuple[tuple[int, int], ...]
"""From which second since the epoch on local time is how many seconds ahead of UTC. Sorted; before the first pair, what
that one says holds too."""

_YEARS = 10
_STEP_SECONDS = 7 * 86400
"""Shorter than any stay of a zone at one offset: Morocco's pause of its summer time in Ramadan, a month, is a short
one."""

_offsets: Offsets = ()


def offsets() -> Offsets:
    """Those that `local_time` uses. The first call notes them, if `use_offsets` was not called before."""
    if not _offsets:
        use_offsets(offsets_from(int(time.time())))
    return _offsets


def use_offsets(noted: Offsets) -> None:
    """Use those that another process has noted."""
    global _offsets  # noqa: PLW0603  one zone for all that the process logs
    _offsets = noted
    local_time.cache_clear()


@lru_cache(maxsize=2)
def local_time(second: int) -> str:
    """`2026-01-31 12:00:00`. Cached for a second: it takes longer than the rest of a line of the access log."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second + seconds_ahead(second)))


def seconds_ahead(second: int) -> int:
    """How far local time is ahead of UTC at that moment."""
    known = offsets()
    return known[max(bisect_right(known, second, key=_begin) - 1, 0)][1]


def offsets_from(second: int, years: int = _YEARS) -> Offsets:
    """Those of the zone that this process has now, from `second` on."""
    found = [(0, _ahead(second))]
    for earlier in range(second, second + years * 366 * 86400, _STEP_SECONDS):
        before, after = earlier, earlier + _STEP_SECONDS
        ahead = _ahead(after)
        if ahead != found[-1][1]:
            while after - before > 1:
                middle = (before + after) // 2
                before, after = (before, middle) if _ahead(middle) == ahead else (middle, after)
            found.append((after, ahead))
    return tuple(found)


def _begin(noted: tuple[int, int]) -> int:
    return noted[0]


def _ahead(second: int) -> int:
    return time.localtime(second).tm_gmtoff
