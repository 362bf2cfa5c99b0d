"""Logging: the standard `logging`, on the logger `gracehttp`."""

from __future__ import annotations

import logging
import sys

from gracehttp.config.types import STANDARD_OUTPUT
from gracehttp.errors import ConfigurationError
from gracehttp.events import Event, Severity
from gracehttp.observe.callbacks import attach_callbacks
from gracehttp.observe.formatters import JsonFormatter, TextFormatter
from gracehttp.observe.local_time import offsets
from gracehttp.observe.log_files import FileHandler
from gracehttp.observe.loggers import ACCESS_LOGGER, LEVELS, LOGGER, NOTICE, THRESHOLD, OwnHandler
from gracehttp.observe.stderr import NonBlockingWriter
from gracehttp.system.credentials import Credentials

_LEVEL_OF = {
    Severity.DEBUG: logging.DEBUG,
    Severity.INFO: logging.INFO,
    Severity.NOTICE: NOTICE,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}


class _PrintingHandler(OwnHandler):
    """Prints on standard error or standard output, without waiting for its reader."""

    def __init__(self, *, on_stdout: bool = False) -> None:
        super().__init__()
        self._on_stdout = on_stdout
        self._stream = sys.stdout if on_stdout else sys.stderr
        # A stream that the program has put there itself is written to as it is.
        self.is_own = self._stream is not None and self._stream is (sys.__stdout__ if on_stdout else sys.__stderr__)
        self._writer = NonBlockingWriter(self._stream.fileno()) if self.is_own else None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._print(record)
        except Exception:  # noqa: BLE001  the protocol of logging: handleError may report it
            self.handleError(record)

    @property
    def in_place(self) -> bool:
        """Whether the program has not put another stream into the place of this one since."""
        return self._stream is (sys.stdout if self._on_stdout else sys.stderr)

    def detach(self) -> int:
        """Stop writing to standard error. Returns how many records could not be written. Not `close`: dictConfig closes
        handlers that stay in use."""
        return self._writer.close() if self._writer is not None else 0

    def drop(self, records: int) -> None:
        """So many records are missing before the next one, which tells it."""
        if self._writer is not None:
            self._writer.drop(records)

    def _print(self, record: logging.LogRecord) -> None:
        if self._writer is None:
            if self._stream is not None:
                self._stream.write(self.format(record) + "\n")
                self._stream.flush()
            return
        dropped = self._writer.claim_dropped()
        if dropped:
            sentence = "%d records are missing here: standard %s was not read"
            facts = dropped, "output" if self._on_stdout else "error"
            notice = LOGGER.makeRecord(LOGGER.name, logging.ERROR, __file__, 0, sentence, facts, None)
            self._writer.write(self._line(notice), dropped)
        self._writer.write(self._line(record))

    def _line(self, record: logging.LogRecord) -> bytes:
        return (self.format(record) + "\n").encode(self._stream.encoding, "backslashreplace")


class _LastResort(logging.Handler):
    """Prints the records of loggers without a handler, such as asyncio's of a failed task: in the place of
    `logging.lastResort`, which waits for the reader of standard error."""

    def __init__(self, before: logging.Handler, printing: _PrintingHandler | FileHandler) -> None:
        super().__init__(before.level)
        self._before = before
        self._printing = printing

    def handle(self, record: logging.LogRecord) -> bool:
        return (self._printing if self._printing.in_place else self._before).handle(record)


_LAST_RESORT = logging.lastResort


def configure_logging(
    level: str,
    log_format: str,
    *,
    color: bool,
    links: bool = False,
    log_file: str | None = None,
    access_log_file: str | None = None,
    owner: Credentials | None = None,
    falls_back: bool = False,
) -> None:
    """Print what gracehttp logs from `level` on, as "text" or "json", on standard error.

    Text has colors with `color`, and links with `links`.

    With `log_file` it goes to that file instead (`-`: standard output). With `access_log_file` the access log goes
    there, and nowhere else, whatever `level` is. Files are opened with the rights of `owner`; None: of this user.

    If the user put handlers on the logger `gracehttp`, they stay and none is added. A level that the user gave this
    logger wins over `level`, except for callbacks. Without handlers of the user, records are printed here and don't
    reach the root logger, which would print them a second time. May be called again, also to undo what
    `logging.config.dictConfig` of an application does to loggers that it doesn't know.

    Raises `ConfigurationError` for an unknown level or format, and for a file that can't be opened. In a process that
    `falls_back`, standard error takes what such a file can't: a service needs its workers more than that file.
    """
    threshold = LEVELS.get(level.lower())
    if threshold is None:
        raise ConfigurationError(f"{level!r} is no log level.", hint=f"the levels are {', '.join(LEVELS)}")
    formatter = _formatter(log_format, color=color and log_file is None, links=links and log_file is None)
    offsets()  # noted now: later the zone may be the application's
    LOGGER.disabled = ACCESS_LOGGER.disabled = False
    dropped, missing = 0, ""
    for logger in (LOGGER, ACCESS_LOGGER):
        for handler in list(logger.handlers):
            if isinstance(handler, (_PrintingHandler, FileHandler)):
                logger.removeHandler(handler)
                dropped += handler.detach()
                logger.propagate = True  # ours alone made it false
    if all(isinstance(handler, OwnHandler) for handler in LOGGER.handlers):
        printing, missing = _handler_for(log_file, threshold, formatter, owner, falls_back=falls_back)
        printing.drop(dropped)
        LOGGER.addHandler(printing)
        LOGGER.propagate = False
        _take_over_last_resort(printing, formatter)
    elif THRESHOLD.of_the_user is not None:
        threshold = THRESHOLD.of_the_user
    attach_callbacks()
    THRESHOLD.print_from(threshold)
    if access_log_file is not None:
        form = _formatter(log_format, color=False)
        apart, apart_missing = _handler_for(access_log_file, logging.INFO, form, owner, falls_back=falls_back)
        ACCESS_LOGGER.addHandler(apart)
        ACCESS_LOGGER.setLevel(logging.INFO)
        ACCESS_LOGGER.propagate = False
        missing = missing or apart_missing
    if missing:
        LOGGER.error("%s Standard error takes its lines.", missing)


def _handler_for(
    file: str | None, level: int, formatter: logging.Formatter, owner: Credentials | None, *, falls_back: bool
) -> tuple[_PrintingHandler | FileHandler, str]:
    """The handler, and the sentence that tells why it isn't one for that file; "" if it is."""
    handler: _PrintingHandler | FileHandler
    missing = ""
    if file is None or file == STANDARD_OUTPUT:
        handler = _PrintingHandler(on_stdout=file == STANDARD_OUTPUT)
    else:
        try:
            handler = FileHandler(file, owner)
        except ConfigurationError as exc:
            if not falls_back:
                raise
            handler, missing = _PrintingHandler(), exc.message
    handler.setLevel(level)
    handler.setFormatter(formatter)
    return handler, missing


def _take_over_last_resort(printing: _PrintingHandler | FileHandler, formatter: logging.Formatter) -> None:
    """What `logging.lastResort` prints goes to the same place, so a client's text must not act there either, nor pass
    for a record (CWE-117), nor may its reader stop us."""
    if _LAST_RESORT is None or not (logging.lastResort is _LAST_RESORT or isinstance(logging.lastResort, _LastResort)):
        return  # the user's
    _LAST_RESORT.setFormatter(formatter)
    logging.lastResort = _LastResort(_LAST_RESORT, printing) if printing.is_own else _LAST_RESORT


def records_are_missing(records: int) -> None:
    """Have the next record that is printed tell that so many `records` were dropped before this program began."""
    for handler in LOGGER.handlers:
        if isinstance(handler, (_PrintingHandler, FileHandler)):
            handler.drop(records)


def log_event(event: Event) -> None:
    """Log one fact. Subscribes to `events.bus.EventBus`; the record has the event as `record.event`."""
    level = _LEVEL_OF[event.severity]
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", event, extra={"event": event})


def errors_are_logged() -> bool:
    """Whether events of severity ERROR reach standard error, a handler of the user, or a callback."""
    handlers = [*LOGGER.handlers, *(logging.getLogger().handlers if LOGGER.propagate else ())]
    return LOGGER.isEnabledFor(logging.ERROR) and any(map(_takes_errors, handlers))


def _takes_errors(handler: logging.Handler) -> bool:
    return handler.takes_errors if isinstance(handler, OwnHandler) else handler.level <= logging.ERROR


def _formatter(log_format: str, *, color: bool, links: bool = False) -> logging.Formatter:
    match log_format:
        case "text":
            return TextFormatter(color=color, links=links)
        case "json":
            return JsonFormatter()
    raise ConfigurationError(f"{log_format!r} is no log format.", hint="the formats are text and json")
