"""How long to wait before a worker is started in place of one that died. Pure."""

from __future__ import annotations

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 30.0
LONGEST_BETWEEN_HANGS_SECONDS = 600.0
FORGIVEN_AFTER_SECONDS = 10.0
"""A worker that served for this long starts the count of deaths in a row anew."""


def wait_before_restart(deaths_in_a_row: int) -> float:
    """Seconds to wait after the given number of deaths in a row (1 or more): 0.1, 0.2, 0.4 and so on, at most 30."""
    return float(min(FIRST_SECONDS * 2 ** min(deaths_in_a_row - 1, 16), LONGEST_SECONDS))


def wait_between_hangs(hangs_in_a_row: int, hang_timeout_seconds: float) -> float:
    """Seconds until another worker that hangs may be replaced, after the given number (1 or more) in a row: the hang
    timeout, twice that, and so on, at most ten minutes. What all workers wait for, such as a database that is gone, a
    new worker would wait for too."""
    longest = max(LONGEST_BETWEEN_HANGS_SECONDS, hang_timeout_seconds)
    return float(min(hang_timeout_seconds * 2 ** min(hangs_in_a_row - 1, 16), longest))
