"""The loggers of gracehttp, the level NOTICE, and which records are made at all."""

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
    """The lowest level at which anybody wants records.

    What is printed and what callbacks are told are two things: handlers have their own levels, and the logger makes
    what the more curious of the two wants.
    """

    def __init__(self, logger: logging.Logger, access_logger: logging.Logger) -> None:
        self._logger = logger
        self._access_logger = access_logger
        self._printed: int | None = None
        self._told: int | None = None
        self._applied = logging.NOTSET

    @property
    def of_the_user(self) -> int | None:
        """The level that the user has given the logger since we did; None if there is no such."""
        level = self._logger.level
        return level if level not in (logging.NOTSET, self._applied) else None

    def print_from(self, level: int) -> None:
        """Records from `level` on are printed."""
        self._printed = level
        # An access logger with handlers of its own is the user's, its level too. Otherwise the level keeps access
        # records, of which callbacks know nothing, from being made only to be dropped.
        if not self._access_logger.handlers:
            self._access_logger.setLevel(level)
        self._apply()

    def tell_from(self, level: int | None) -> None:
        """Records from `level` on are told to callbacks; None: there are no callbacks."""
        self._told = level
        self._apply()

    def _apply(self) -> None:
        wanted = [level for level in (self._printed, self._told) if level is not None]
        self._applied = min(wanted, default=logging.NOTSET)
        self._logger.setLevel(self._applied)


THRESHOLD = Threshold(LOGGER, ACCESS_LOGGER)
