"""The formats of the access log: names, choices of fields, and format strings with the atoms of gunicorn. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gracehttp.config.readers import UnreadableError
from gracehttp.config.types import Kind
from gracehttp.values import Value

FIELDS: Final = (
    "method", "target", "path", "query", "scheme", "http_version", "host", "status", "body_bytes", "seconds",
    "client", "user_agent", "referer", "request_id", "cut", "close_code", "worker", "generation", "pid",
)  # fmt: skip
"""What is known of a request, by the names that JSON has."""

ATOMS: Final = "hlutrmUqHsBbfaTMDLp"
"""See docs/logs.md."""

PATTERNS: Final = {
    "common": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s',
    "combined": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
}
"""https://httpd.apache.org/docs/2.4/logs.html#accesslog"""

_PLACE = re.compile(r"%(?:\(([^)]*)\)s|(%)|(.?))", re.DOTALL)
_REQUEST_FIELD = re.compile(r"\{([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\}i")


class AccessFormat(Value):
    """`kind` is `log` (as the other lines of the log), `json` (with the `chosen` fields, in order) or `text`.

    `pieces` are literal text, an atom or a field, literal text, and so on."""

    kind: str
    chosen: tuple[str, ...] = ()
    pieces: tuple[str, ...] = ()


def read_access_format(text: str) -> AccessFormat:
    """`log`, `common`, `combined`, `json`, `json:FIELD,FIELD` or a format string. Raises `UnreadableError`."""
    if text == "log":
        return AccessFormat("log")
    if text == "json":
        return AccessFormat("json", FIELDS)
    if text.startswith("json:"):
        chosen = tuple(name.strip() for name in text.removeprefix("json:").split(",") if name.strip())
        unknown = [name for name in chosen if name not in FIELDS]
        if unknown or not chosen:
            raise UnreadableError(f"a choice of {', '.join(FIELDS)}", hint=_hint_at(unknown))
        return AccessFormat("json", chosen)
    pattern = PATTERNS.get(text, text)
    if "%" not in pattern:
        raise UnreadableError(
            "log, common, combined, json, json:FIELD,FIELD or a format string such as '%(h)s %(m)s %(U)s %(s)s'"
        )
    return AccessFormat("text", pieces=_pieces(pattern))


def _hint_at(unknown: Sequence[str]) -> str:
    """Which of the fields that were asked for there aren't, and which is there anyway."""
    others = " and ".join(name for name in unknown if name != "time")
    told = [f"there is no field {others}"] if others else []
    return "; ".join([*told, *(["leave time out: each object has it"] if "time" in unknown else [])])


def _pieces(pattern: str) -> tuple[str, ...]:
    pieces = [""]
    end = 0
    for match in _PLACE.finditer(pattern):
        pieces[-1] += pattern[end : match.start()]
        end = match.end()
        name, percent, other = match.groups()
        if percent:
            pieces[-1] += "%"
        elif other is not None:
            raise UnreadableError("a format string: write %% for a percent sign, and %(NAME)s for a value")
        else:
            pieces += [_known(name), ""]
    pieces[-1] += pattern[end:]
    return tuple(pieces)


def _known(name: str) -> str:
    if name in FIELDS or (len(name) == 1 and name in ATOMS):
        return name
    match = _REQUEST_FIELD.fullmatch(name)
    if match is not None:
        return f"{{{match[1].lower()}}}i"
    if name.endswith(("}o", "}e")):
        raise UnreadableError("a format string without %({...}o)s and %({...}e)s: those aren't known here")
    raise UnreadableError(
        f"a format string: %({name})s isn't known; known are {' '.join(ATOMS)}, {{NAME}}i and {', '.join(FIELDS)}"
    )


def _read(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise UnreadableError("text")
    read_access_format(value)
    return value


ACCESS_FORMAT: Final = Kind(_read, metavar="FORMAT")
"""The text of an `AccessFormat`."""
