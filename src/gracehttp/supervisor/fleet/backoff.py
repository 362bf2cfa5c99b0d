"""How long to wait before a worker is started in place of one that died. Pure."""

from __future__ import annotations

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 30.0
FORGIVEN_AFTER_SECONDS = 10.0
"""A worker that served for this long starts the count of deaths in a row anew."""


def wait_before_restart(deaths_in_a_row: int) -> float:
    """Seconds to wait after the given number of deaths in a row (1 or more): 0.1, 0.2, 0.4 and so on, at most 30."""
    return float(min(FIRST_SECONDS * 2 ** min(deaths_in_a_row - 1, 16), LONGEST_SECONDS))
