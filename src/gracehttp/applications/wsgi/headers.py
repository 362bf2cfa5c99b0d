"""What an application may say with `start_response` (PEP 3333, "The start_response() Callable"). Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from gracehttp.http.exchange import Header, ResponseError

_STATUS = re.compile(r"[1-9][0-9][0-9](?: [^\x00-\x1f\x7f]*)?")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # all but the tab, which RFC 9110 5.5 allows
# PEP 3333, "Other HTTP Features": these belong to the connection, hence to the server.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def status_code(status: object) -> int:
    """The code of a status line such as `200 OK`. Raises `ResponseError`."""
    if not isinstance(status, str):
        raise ResponseError(f"the status must be a str such as '200 OK', not {status!r}")
    return _status_code(status)


@functools.lru_cache(maxsize=256)  # statuses come from the application, so there are few
def _status_code(status: str) -> int:
    if _STATUS.fullmatch(status) is None:
        raise ResponseError(f"the status must be a code and a reason such as '200 OK', not {status!r}")
    code = int(status[:3])
    if code < 200:
        raise ResponseError(f"the status {status!r} is interim; WSGI has final responses only")
    return code


def wire_headers(headers: Iterable[tuple[str, str]]) -> list[Header]:
    """Header fields as bytes, names in lower case. Raises `ResponseError` for what can't be sent."""
    result = []
    for pair in headers:
        try:
            name, value = pair
        except (TypeError, ValueError) as exc:
            raise ResponseError(f"a header must be a tuple (name, value), not {pair!r}") from exc
        if not isinstance(name, str) or not isinstance(value, str):
            raise ResponseError(f"name and value of a header must be str, not {pair!r}")
        if _CONTROL.search(value) is not None:
            raise ResponseError(f"the header {name!r} has a control character in its value {value!r}")
        try:
            result.append((_wire_name(name), value.encode("latin-1")))
        except UnicodeEncodeError as exc:
            raise ResponseError(f"the header {name!r} has a value beyond latin-1: {value!r}") from exc
    return result


@functools.lru_cache(maxsize=256)  # names come from the application, so there are few
def _wire_name(name: str) -> bytes:
    if _TOKEN.fullmatch(name) is None:
        raise ResponseError(f"{name!r} can't be the name of a header")
    lower = name.lower()
    if lower in _HOP_BY_HOP:
        raise ResponseError(f"the header {name!r} belongs to the connection; an application can't set it")
    return lower.encode("ascii")
