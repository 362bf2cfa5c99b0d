"""When a change restarts. Pure.

Rules:

1. What changes while no restart is under way restarts at once.
2. What changes during a restart may be in the new code or not, so it leads to one more restart afterwards.
3. A file that has changed after `MOST_IN_A_ROW` restarts, one right after the other, is written by the application.
   That is told, and the file causes no further one, until it changes at another time.
"""

from __future__ import annotations

from collections.abc import Iterable

from gracehttp.values import Value

MOST_IN_A_ROW = 5
SOON_SECONDS = 2.0
"""What changes this soon after a restart is taken for its consequence."""


class Verdict(Value):
    """Restart if `restart_for` has files. `written_at_each_start` are those that don't count any more, told once."""

    restart_for: tuple[str, ...] = ()
    written_at_each_start: tuple[str, ...] = ()


class Changes:
    """What has changed, and how often in a row."""

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._in_a_row: dict[str, int] = {}
        self._restarting = False
        self._settled_at: float | None = None

    def restart_began(self) -> None:
        """A restart is under way, for whatever reason."""
        self._restarting = True

    def restart_ended(self, now: float) -> Verdict:
        """It is over: the new generation serves, or was given up."""
        self._restarting = False
        self._settled_at = now
        waiting, self._waiting = list(self._waiting), {}
        return self._judge(waiting, is_consequence=True) if waiting else Verdict()

    def noticed(self, files: Iterable[str], now: float) -> Verdict:
        """These files have changed."""
        if self._restarting:
            self._waiting.update(dict.fromkeys(files))
            return Verdict()
        soon = self._settled_at is not None and now - self._settled_at < SOON_SECONDS
        return self._judge(files, is_consequence=soon)

    def _judge(self, files: Iterable[str], *, is_consequence: bool) -> Verdict:
        before = self._in_a_row if is_consequence else {}
        self._in_a_row = {file: before.get(file, 0) + 1 for file in files}
        return Verdict(
            tuple(file for file, times in self._in_a_row.items() if times <= MOST_IN_A_ROW),
            tuple(file for file, times in self._in_a_row.items() if times == MOST_IN_A_ROW + 1),
        )
