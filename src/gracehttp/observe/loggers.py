"""The loggers of gracehttp, the level NOTICE, and the level from which records are made at all."""

from __future__ import annotations

import logging

NOTICE = 25
logging.addLevelName(NOTICE, "NOTICE")

LOGGER = logging.getLogger("gracehttp")
ACCESS_LOGGER = logging.getLogger("gracehttp.access")

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": NOTICE,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


class OwnHandler(logging.Handler):
    """A handler that gracehttp itself put on its logger, not the user."""

    @property
    def takes_errors(self) -> bool:
        return self.level <= logging.ERROR


class Threshold:
    """The level of the logger: the lower one of two.

    Printing and callbacks each have a level. Handlers filter by their own, and the logger makes the records that at
    least one of the two wants.
    """

    def __init__(self, logger: logging.Logger, access_logger: logging.Logger) -> None:
        self._logger = logger
        self._access_logger = access_logger
        self._printed: int | None = None
        self._called: int | None = None
        self._applied = logging.NOTSET

    @property
    def of_the_user(self) -> int | None:
        """The level that the user gave the logger; None if it still has ours."""
        level = self._logger.level
        return level if level not in (logging.NOTSET, self._applied) else None

    def print_from(self, level: int) -> None:
        """Records from `level` on are printed."""
        self._printed = level
        # An access logger with handlers belongs to the user, and so does its level. Otherwise its level avoids making
        # access records only to drop them: callbacks don't get them.
        if not self._access_logger.handlers:
            self._access_logger.setLevel(level)
        self._apply()

    def call_from(self, level: int | None) -> None:
        """Records from `level` on go to callbacks; None: there are no callbacks."""
        self._called = level
        self._apply()

    def _apply(self) -> None:
        wanted = [level for level in (self._printed, self._called) if level is not None]
        self._applied = min(wanted, default=logging.NOTSET)
        self._logger.setLevel(self._applied)


THRESHOLD = Threshold(LOGGER, ACCESS_LOGGER)
