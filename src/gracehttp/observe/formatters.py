"""Log records as text for people and as JSON for machines.

What a client sent must not act on the terminal or the file that shows it (CWE-117, CWE-150), so it is escaped. Pure.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
from typing import Any

from gracehttp.events import Event, ListenerOpened
from gracehttp.observe.local_time import local_time
from gracehttp.observe.terminals import link

_INDENT = "    "
_RESET = "\x1b[0m"
_COLORS = {
    "DEBUG": "\x1b[2m",
    "INFO": "\x1b[32m",
    "NOTICE": "\x1b[36m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}
_FORMATTER = logging.Formatter()


def escaped(text: str) -> str:
    """`text` on one line, with each character that can't be printed as a Python escape (`\\n`, `\\x1b`, `\\u202e`).

    That covers control characters, line and paragraph separators, direction overrides and lone surrogates.
    To escape twice changes nothing: a backslash stays one.
    """
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text])


def escaped_lines(text: str) -> list[str]:
    """The lines of `text`, where it is meant to have several, each escaped. Tabs become four spaces."""
    text = text.rstrip()
    if text.isprintable():  # then it has neither line breaks nor tabs
        return [text]
    return [escaped(line.expandtabs(4)) for line in text.split("\n")]


def lines_of(record: logging.LogRecord) -> list[str]:
    """The message of `record`, and the traceback if it has one, as lines without control characters."""
    lines = escaped_lines(record.getMessage())
    exception = exception_text(record)
    return lines + escaped_lines(exception) if exception else lines


def exception_text(record: logging.LogRecord) -> str:
    """The traceback that belongs to `record`; empty if there is none."""
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return _FORMATTER.formatException(record.exc_info)


def is_whole_line(record: logging.LogRecord) -> bool:
    """Whether its message has all that a line of the log needs: the access log has a format of its own."""
    return getattr(record, "whole_line", False)


class TextFormatter(logging.Formatter):
    """`2026-01-31 12:00:00.123 NOTICE  [4711] message` in local time (`observe.local_time`).

    Further lines are indented, so that no text of a client or an application can pass for a record of its own.
    """

    def __init__(self, *, color: bool, links: bool = False) -> None:
        super().__init__()
        self._color = color
        self._links = links

    def format(self, record: logging.LogRecord) -> str:
        if is_whole_line(record):
            return escaped(record.getMessage())
        created = record.created
        milliseconds = int(created % 1 * 1000)
        level = f"{record.levelname:<7}"
        if self._color:
            level = f"{_COLORS.get(record.levelname, '')}{level}{_RESET}"
        first, *rest = lines_of(record)
        if self._links and isinstance(event := getattr(record, "event", None), ListenerOpened) and event.url:
            first = first.replace(event.url, link(event.url), 1)
        head = f"{local_time(int(created))}.{milliseconds:03d} {level} [{_pid(record)}] {first}"
        return "\n".join([head, *(_INDENT + line for line in rest)]) if rest else head


class JsonFormatter(logging.Formatter):
    """One object per line (RFC 8259), in ASCII.

    `time` (RFC 3339, UTC, milliseconds), `level`, `logger`, `message` and `pid` of the logging process come first, then
    the fields of the event or request, then `exception` with the traceback. A field of an event whose name is taken
    gets the prefix `event_`: `event_pid` is the worker that the event is about.
    """

    def format(self, record: logging.LogRecord) -> str:
        if is_whole_line(record):
            return escaped(record.getMessage())
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        entry: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _sentence_of(record),
            "pid": _pid(record),
        }
        for name, value in _fields_of(record).items():
            entry[f"event_{name}" if name in entry else name] = value
        exception = exception_text(record)
        if exception:
            entry["exception"] = exception
        return json.dumps(entry, default=str)


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    event = getattr(record, "event", None)
    if isinstance(event, Event):
        values = {name: _rounded(value) for name, value in event.fields().items()}
        return {"event": type(event).__name__, **values}
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


def _sentence_of(record: logging.LogRecord) -> str:
    """The message; of an event only the first line, since its fields have the rest."""
    message = record.getMessage()
    return message.partition("\n")[0] if isinstance(getattr(record, "event", None), Event) else message


def _rounded(value: Any) -> Any:
    """Durations to the microsecond, as in the access log."""
    return round(value, 6) if isinstance(value, float) else value


def _pid(record: logging.LogRecord) -> int:
    return record.process or os.getpid()  # None when the program switched logging.logProcesses off
