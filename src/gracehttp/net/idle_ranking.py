"""Which of the workers that share a port has the connection that has been idle longest.

When a full port makes room, the longest idle connection of all workers must go first, but each worker sees only its
own. So at every scan each worker publishes the idle-since time of its oldest connection, in one word of the port's
shared page. It acts at its next scan, when all others have published too. A word that was not written for a while
belongs to a worker that has no idle connection, or is gone.
"""

from __future__ import annotations

from typing import Protocol

SCAN_SECONDS = 0.1
"""How often workers scan while a port is full and new connections wait."""

_SCAN_MILLISECONDS = 90  # a little less: timers come early by a fraction
_STALE_MILLISECONDS = 300  # three scans: a worker that is busy for longer can't close anything either
_TIME_BITS = 24
_TIME_MASK = (1 << _TIME_BITS) - 1  # 4.6 hours; a word that old exactly is taken for fresh, which delays one scan


class IdleRanking(Protocol):
    """What a worker asks before it closes its longest idle connection. Times are seconds of CLOCK_MONOTONIC, which all
    processes share."""

    def publish(self, since: float | None, now: float) -> None:
        """This worker's oldest connection is idle since `since`; None: it has no idle connection.

        Call it at every scan, and when another connection has become the oldest.
        """

    def is_oldest(self, now: float) -> bool:
        """Whether the connection that was published has been idle longest of all workers'."""


class LocalRanking:
    """For a port that one process serves alone."""

    def publish(self, since: float | None, now: float) -> None:
        return

    def is_oldest(self, now: float) -> bool:
        return True


class SharedRanking:
    """Compares with the other workers that publish in `words`; the word at `slot` is this worker's."""

    def __init__(self, words: memoryview, slot: int) -> None:
        """`words` stays the caller's, one 64-bit word for each worker."""
        self._words = words
        self._slot = slot
        self._since = 0
        self._publishing_since = 0

    def publish(self, since: float | None, now: float) -> None:
        moment = int(now * 1000)
        if not _is_fresh(self._words[self._slot], moment):
            self._publishing_since = moment
        self._since = 0 if since is None else int(since * 1000)
        self._words[self._slot] = 0 if since is None else self._since << _TIME_BITS | moment & _TIME_MASK

    def is_oldest(self, now: float) -> bool:
        moment = int(now * 1000)
        if moment - self._publishing_since < _SCAN_MILLISECONDS:
            return False  # other workers may not have scanned yet
        # Two that have been idle for the same time: the worker with the lower slot is first.
        published = [(word >> _TIME_BITS, slot) for slot, word in enumerate(self._words) if _is_fresh(word, moment)]
        return bool(published) and min(published) == (self._since, self._slot)


def _is_fresh(word: int, moment: int) -> bool:
    """Whether `word` was written a short time before `moment`, in milliseconds."""
    return word != 0 and (moment - word) & _TIME_MASK < _STALE_MILLISECONDS
