"""Whose connection has been idle longest, among the workers that share a port.

When a full port makes room, each worker looks at its own connections only, now and then and at moments of its own. So
that the longest idle of all goes first, each writes down at every look since when the longest idle of its own is idle,
in one 64-bit word of the port's ledger (`net.permits`), and acts at its next look, when all others have looked
too. A word that was not written again for a while is that of a worker that has nothing to offer, or is gone.
"""

from __future__ import annotations

from typing import Protocol

LOOK_SECONDS = 0.1
"""How often workers look while a port is full and newcomers wait."""

_LOOK_MILLISECONDS = 90  # a little less: timers come early by a fraction
_STALE_MILLISECONDS = 300  # three looks: a worker that is busy for longer can't close anything either
_TIME_BITS = 24
_TIME_MASK = (1 << _TIME_BITS) - 1  # 4.6 hours; who is mistaken for fresh after exactly that delays others by one look


class Seniority(Protocol):
    """What a worker needs to know before it closes its longest idle connection. Times are of CLOCK_MONOTONIC, which all
    processes share, in seconds."""

    def say(self, since: float | None, now: float) -> None:
        """Ours is idle `since` then; None: we have none. To be said at every look, and when it is another one."""

    def comes_first(self, now: float) -> bool:
        """Whether ours, as was said, has been idle longest of all."""


class Alone:
    """There are no others: for a limit that one process keeps for itself."""

    def say(self, since: float | None, now: float) -> None:
        return

    def comes_first(self, now: float) -> bool:
        return True


class SharedSeniority:
    """Compares with the others that write into `words`; ours is the one at `slot`."""

    def __init__(self, words: memoryview, slot: int) -> None:
        """`words` stays the caller's, one 64-bit word for each worker."""
        self._words = words
        self._slot = slot
        self._since = 0
        self._saying_since = 0

    def say(self, since: float | None, now: float) -> None:
        moment = int(now * 1000)
        if not _is_fresh(self._words[self._slot], moment):
            self._saying_since = moment
        self._since = 0 if since is None else int(since * 1000)
        self._words[self._slot] = 0 if since is None else self._since << _TIME_BITS | moment & _TIME_MASK

    def comes_first(self, now: float) -> bool:
        moment = int(now * 1000)
        if moment - self._saying_since < _LOOK_MILLISECONDS:
            return False  # others may not have looked yet
        # Of two that have been idle for the same time, that of the worker with the lower number.
        said = [(word >> _TIME_BITS, slot) for slot, word in enumerate(self._words) if _is_fresh(word, moment)]
        return bool(said) and min(said) == (self._since, self._slot)


def _is_fresh(word: int, moment: int) -> bool:
    """Whether `word` was written a short time before `moment`, in milliseconds."""
    return word != 0 and (moment - word) & _TIME_MASK < _STALE_MILLISECONDS
