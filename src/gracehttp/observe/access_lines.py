"""The lines of the access log: what is known of a request as text for people, as JSON, or by a format. Pure."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from gracehttp.config.access_format import AccessFormat
from gracehttp.observe.formatters import escaped
from gracehttp.observe.local_time import local_time, seconds_ahead

NO_STATUS: Final = 499
"""What atoms say of a client that left before there was a status, as nginx does: programs that read such lines want a
number."""

Facts = Mapping[str, Any]
"""The fields of `config.access_format.FIELDS`, those that are known, and under `headers` the fields of the request."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def line_maker(form: AccessFormat) -> Callable[[Facts, float], str] | None:
    """Makes a line of the facts of a request and the time at which it ended; None for the form `log`."""
    if form.kind == "log":
        return None
    if form.kind == "json":
        return _JsonLines(form.chosen).line
    return _TextLines(form.pieces).line


class _JsonLines:
    """One object for each request: `time` (RFC 3339), and the fields that are known of those that were chosen."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self._fields = fields

    def line(self, facts: Facts, ended: float) -> str:
        moment = datetime.datetime.fromtimestamp(ended, datetime.UTC).isoformat(timespec="milliseconds")
        entry = {"time": moment.replace("+00:00", "Z")}
        entry.update((name, facts[name]) for name in self._fields if name in facts)
        return json.dumps(entry)


class _TextLines:
    """A format string, cut into pieces once."""

    def __init__(self, pieces: tuple[str, ...]) -> None:
        self._pieces = pieces

    def line(self, facts: Facts, ended: float) -> str:
        parts = list(self._pieces)
        for at in range(1, len(parts), 2):
            parts[at] = _quotable(_value(parts[at], facts, ended))
        return "".join(parts)


def _value(name: str, facts: Facts, ended: float) -> object:
    atom = _ATOM_VALUES.get(name)
    if atom is not None:
        return atom(facts)
    if name == "t":
        return _moment(int(ended))
    if name.startswith("{"):
        return facts["headers"].get(name[1:-2], "-")
    return facts.get(name, "-")


def _quotable(value: object) -> str:
    """As text that can't leave its place between quotation marks, nor its line."""
    text = "-" if value is None or value == "" else str(value)
    return escaped(text).replace('"', '\\"')


@lru_cache(maxsize=2)
def _moment(second: int) -> str:
    """`[31/Jan/2026:12:00:00 +0100]`, local time; English, whatever the locale."""
    day, _, clock = local_time(second).partition(" ")
    year, month, date = day.split("-")
    ahead = seconds_ahead(second)
    hours, rest = divmod(abs(ahead), 3600)
    zone = f"{'-' if ahead < 0 else '+'}{hours:02d}{rest // 60:02d}"
    return f"[{date}/{_MONTHS[int(month) - 1]}/{year}:{clock} {zone}]"


def _user(facts: Facts) -> str:
    """The name that Basic authentication has sent (RFC 7617), whether it was right or not."""
    scheme, _, credentials = facts["headers"].get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "-"
    try:
        return base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")[0]
    except (binascii.Error, ValueError):
        return "-"


def _request_line(facts: Facts) -> str:
    version = facts.get("http_version")
    line = f"{facts['method']} {facts['target']}"
    return f"{line} HTTP/{version}" if version else line


_ATOM_VALUES: Final[Mapping[str, Callable[[Facts], object]]] = {
    "h": lambda facts: facts["address"],
    "l": lambda facts: "-",
    "u": _user,
    "r": _request_line,
    "m": lambda facts: facts["method"],
    "U": lambda facts: quote(facts.get("path", "-"), safe="/!$&'()*+,;=:@~"),
    "q": lambda facts: facts.get("query", ""),
    "H": lambda facts: f"HTTP/{facts['http_version']}" if "http_version" in facts else "-",
    "s": lambda facts: facts["status"] or NO_STATUS,
    "B": lambda facts: facts["body_bytes"],
    "b": lambda facts: facts["body_bytes"] or "-",
    "f": lambda facts: facts.get("referer", "-"),
    "a": lambda facts: facts.get("user_agent", "-"),
    "T": lambda facts: int(facts["seconds"]),
    "M": lambda facts: int(facts["seconds"] * 1e3),
    "D": lambda facts: int(facts["seconds"] * 1e6),
    "L": lambda facts: f"{facts['seconds']:.6f}",
    "p": lambda facts: f"<{os.getpid()}>",
}
"""https://docs.gunicorn.org/en/stable/settings.html#access-log-format"""
