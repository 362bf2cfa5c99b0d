"""Three callbacks for log records, instead of the standard `logging` or beside it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from gracehttp.observe.formatters import lines_of
from gracehttp.observe.loggers import ACCESS_LOGGER, LOGGER, NOTICE, THRESHOLD, OwnHandler

LogCallback = Callable[[str], object]
"""Gets one record as text, with its traceback if there is one. May be called from any thread."""


def set_info_log_callback(callback: LogCallback | None) -> None:
    """Call `callback` with each record of level INFO, whatever `--log-level` prints. None takes it back.

    A script runs in the supervisor and in each worker, so each of them calls back with its own records. Records of the
    access log are left out. Raises `TypeError` if `callback` can't be called.
    """
    _HANDLER.set("info", callback)


def set_notice_log_callback(callback: LogCallback | None) -> None:
    """As `set_info_log_callback`, for records of level NOTICE and WARNING."""
    _HANDLER.set("notice", callback)


def set_error_log_callback(callback: LogCallback | None) -> None:
    """As `set_info_log_callback`, for records of level ERROR and above."""
    _HANDLER.set("error", callback)


def attach_callbacks() -> None:
    """Put the callbacks, if there are any, on the logger again: `logging.config.dictConfig` removes all handlers."""
    _HANDLER.attach()


class _CallbackHandler(OwnHandler):
    """Hands records to the callbacks. An exception of a callback is reported once, and goes no further."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._callbacks: dict[str, LogCallback] = {}
        self._reported: set[str] = set()
        self._busy = threading.local()

    @property
    def takes_errors(self) -> bool:
        return "error" in self._callbacks

    def set(self, kind: str, callback: LogCallback | None) -> None:
        if callback is not None and not callable(callback):
            raise TypeError(f"the {kind} log callback must be callable or None, not {callback!r}")
        self._reported.discard(kind)
        self._callbacks.pop(kind, None)
        if callback is not None:
            self._callbacks[kind] = callback
        self.attach()
        if self._callbacks:
            THRESHOLD.call_from(logging.INFO)
        else:
            LOGGER.removeHandler(self)
            THRESHOLD.call_from(None)

    def attach(self) -> None:
        if self._callbacks:
            LOGGER.addHandler(self)

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the lock of logging.Handler: a callback that waits for another thread would wait for ever if that
        # thread logs.
        if record.name == ACCESS_LOGGER.name or not self.filter(record):
            return False
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        kind = _kind_of(record.levelno)
        callback = self._callbacks.get(kind)
        # A callback that logs to gracehttp itself would be called by what it logs.
        if callback is None or getattr(self._busy, "value", False):
            return
        self._busy.value = True
        try:
            callback("\n".join(lines_of(record)))
        except Exception as exc:  # noqa: BLE001  foreign code, and serving must go on
            self._report(kind, exc)
        finally:
            self._busy.value = False

    def _report(self, kind: str, error: Exception) -> None:
        if kind not in self._reported:
            self._reported.add(kind)
            LOGGER.error(
                "the %s log callback raised %r; it is called again, and not reported again", kind, error, exc_info=error
            )


def _kind_of(level: int) -> str:
    if level >= logging.ERROR:
        return "error"
    return "notice" if level >= NOTICE else "info"


_HANDLER = _CallbackHandler()
