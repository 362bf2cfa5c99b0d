"""Logging: the standard `logging`, on the logger `gracehttp`."""

from __future__ import annotations

import logging
import sys

from gracehttp.errors import ConfigurationError
from gracehttp.events import Event, Severity
from gracehttp.observe.callbacks import attach_callbacks
from gracehttp.observe.formatters import JsonFormatter, TextFormatter
from gracehttp.observe.loggers import ACCESS_LOGGER, LEVELS, LOGGER, NOTICE, THRESHOLD, OwnHandler
from gracehttp.observe.stderr import NonBlockingWriter

_LEVEL_OF = {Severity.INFO: logging.INFO, Severity.NOTICE: NOTICE, Severity.ERROR: logging.ERROR}


class _PrintingHandler(OwnHandler):
    """Prints on standard error, without waiting for its reader."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = sys.stderr
        # A stream that the program has put there itself is written to as it is.
        own = self._stream is not None and self._stream is sys.__stderr__
        self._writer = NonBlockingWriter(self._stream.fileno()) if own else None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._print(record)
        except Exception:  # noqa: BLE001  the protocol of logging: handleError may report it
            self.handleError(record)

    def detach(self) -> None:
        """Stop writing to standard error. Not `close`: dictConfig closes handlers that stay in use."""
        if self._writer is not None:
            self._writer.close()

    def _print(self, record: logging.LogRecord) -> None:
        if self._writer is None:
            if self._stream is not None:
                self._stream.write(self.format(record) + "\n")
                self._stream.flush()
            return
        dropped = self._writer.claim_dropped()
        if dropped:
            sentence = "%d records are missing here: standard error was not read"
            notice = LOGGER.makeRecord(LOGGER.name, logging.ERROR, __file__, 0, sentence, (dropped,), None)
            self._writer.write(self._line(notice))
        self._writer.write(self._line(record))

    def _line(self, record: logging.LogRecord) -> bytes:
        return (self.format(record) + "\n").encode(self._stream.encoding, "backslashreplace")


def configure_logging(level: str, log_format: str, *, color: bool) -> None:
    """Print what gracehttp logs from `level` on, as "text" (with `color` or not) or "json", on standard error.

    If the user put handlers on the logger `gracehttp`, they stay and none is added. A level that the user gave this
    logger wins over `level`, except for callbacks. Without handlers of the user, records are printed here and don't
    reach the root logger, which would print them a second time. May be called again, also to undo what
    `logging.config.dictConfig` of an application does to loggers that it doesn't know.

    Raises `ConfigurationError` for an unknown level or format.
    """
    threshold = LEVELS.get(level.lower())
    if threshold is None:
        raise ConfigurationError(f"{level!r} is no log level.", hint=f"the levels are {', '.join(LEVELS)}")
    formatter = _formatter(log_format, color=color)
    LOGGER.disabled = ACCESS_LOGGER.disabled = False
    for handler in list(LOGGER.handlers):
        if isinstance(handler, _PrintingHandler):
            LOGGER.removeHandler(handler)
            handler.detach()
    if all(isinstance(handler, OwnHandler) for handler in LOGGER.handlers):
        printing = _PrintingHandler()
        printing.setLevel(threshold)
        printing.setFormatter(formatter)
        LOGGER.addHandler(printing)
        LOGGER.propagate = False
        if logging.lastResort is not None:
            # It prints records of loggers without a handler, such as asyncio's of a failed task. They go to the same
            # place, so a client's text must not act there either, nor pass for a record (CWE-117).
            logging.lastResort.setFormatter(formatter)
    elif THRESHOLD.of_the_user is not None:
        threshold = THRESHOLD.of_the_user
    attach_callbacks()
    THRESHOLD.print_from(threshold)


def log_event(event: Event) -> None:
    """Log one fact. Subscribes to `event_bus.EventBus`; the record has the event as `record.event`."""
    level = _LEVEL_OF[event.severity]
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", event, extra={"event": event})


def errors_are_logged() -> bool:
    """Whether events of severity ERROR reach standard error, a handler of the user, or a callback."""
    handlers = [*LOGGER.handlers, *(logging.getLogger().handlers if LOGGER.propagate else ())]
    return LOGGER.isEnabledFor(logging.ERROR) and any(map(_takes_errors, handlers))


def _takes_errors(handler: logging.Handler) -> bool:
    return handler.takes_errors if isinstance(handler, OwnHandler) else handler.level <= logging.ERROR


def _formatter(log_format: str, *, color: bool) -> logging.Formatter:
    match log_format:
        case "text":
            return TextFormatter(color=color)
        case "json":
            return JsonFormatter()
    raise ConfigurationError(f"{log_format!r} is no log format.", hint="the formats are text and json")
