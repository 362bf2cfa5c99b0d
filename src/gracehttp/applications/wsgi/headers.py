"""The checks of what an application gives to `start_response` (PEP 3333, "The start_response() Callable"). Pure.

They are made on the thread of the application, so that the error is raised where the application made the mistake. What
frames a message is left to the exchange, which checks it for ASGI too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Final

from gracehttp.http.exchange import Header, ResponseError
from gracehttp.http.fields import FIELD_NAME, REMEMBERED

_STATUS = re.compile(r"[1-9][0-9][0-9](?: [^\x00-\x1f\x7f]*)?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # all but the tab, which RFC 9110 section 5.5 allows
# Applications must not send these (PEP 3333, "Other HTTP Features"). Of the other fields for the next hop, which change
# nothing, `ResponseFields` takes what has a meaning and leaves out the rest.
_FORBIDDEN = {
    b"transfer-encoding": "frames the message, which is the server's: leave it out, and send the body as it is",
    b"trailer": "announces trailer fields, and WSGI has none",
    b"proxy-authenticate": "is for proxies",
    b"proxy-authorization": "is for proxies",
}

# Applications send the same statuses and fields again and again. Which fields are remembered, `http.fields` tells: none
# that differs in each response or is a secret, but for short lengths. Full, they are forgotten.
_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 256
_LONGEST_LENGTH: Final = 8
_known_codes: dict[str, int] = {}
_known_fields: dict[tuple[str, str], Header] = {}
_latest: tuple[list[tuple[str, str]], list[Header]] = ([], [])
"""The latest fields that were all known, and what they are as bytes. In one, since several threads may set it."""


def status_code(status: object) -> int:
    """The code in a status such as `200 OK`. Raises `ResponseError` if `status` has another form."""
    known = _known_codes
    if type(status) is str:
        code = known.get(status)
        if code is not None:
            return code
    if not isinstance(status, str):
        raise ResponseError(f"the status must be a str such as '200 OK', not {status!r}")
    code = _read_status(status)
    if len(status) <= _LONGEST_REMEMBERED:
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        known[status] = code
    return code


def _read_status(status: str) -> int:
    if _STATUS.fullmatch(status) is None:
        raise ResponseError(f"the status must be a code and a reason such as '200 OK', not {status!r}")
    code = int(status[:3])
    if code < 200:
        raise ResponseError(f"the status {status!r} is interim; WSGI has final responses only")
    return code


def wire_headers(headers: Iterable[tuple[str, str]]) -> list[Header]:
    """The fields as bytes, with names in lower case; not to be changed. Raises `ResponseError` for a field that can't
    be sent."""
    global _latest  # noqa: PLW0603  compiled, it is a variable in C
    latest = _latest
    # Many applications give the same each time. Then to compare them takes a tenth of what a look-up of each does.
    if type(headers) is list and headers == latest[0]:
        return latest[1]
    result: list[Header] = []
    known = _known_fields
    all_known = type(headers) is list
    for pair in headers:
        if type(pair) is tuple and len(pair) == 2 and type(pair[0]) is str and type(pair[1]) is str:
            field = known.get(pair)
            if field is None:
                all_known = False
                field = _wire_field(pair)
                if _is_remembered(field):
                    if len(known) >= _MOST_REMEMBERED:
                        known.clear()
                    known[pair] = field
            result.append(field)
        elif isinstance(headers, Mapping):
            raise ResponseError("the headers are a dict, and must be a list of tuples (name, value)")
        else:
            all_known = False
            result.append(_wire_field(pair))
    if all_known:
        _latest = (list(headers), result)  # applications may change theirs
    return result


def _wire_field(pair: tuple[str, str]) -> Header:
    try:
        name, value = pair
    except (TypeError, ValueError) as exc:
        raise ResponseError(f"a header must be a tuple (name, value), not {pair!r}") from exc
    if not isinstance(name, str) or not isinstance(value, str):
        raise ResponseError(f"name and value of a header must be str, not {pair!r}")
    if not value.isprintable() and _CONTROL.search(value) is not None:  # the first is a quick yes for most
        raise ResponseError(f"the header {name!r} has a control character in its value {value!r}")
    try:
        return _wire_name(name), value.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise ResponseError(f"the header {name!r} has a value beyond latin-1: {value!r}") from exc


def _is_remembered(field: Header) -> bool:
    name, value = field
    if name == b"content-length":
        return len(value) <= _LONGEST_LENGTH
    return name in REMEMBERED and len(value) <= _LONGEST_REMEMBERED


@functools.lru_cache(maxsize=256)  # names come from the application, so there are few
def _wire_name(name: str) -> bytes:
    wire = name.encode("utf-8", "replace").lower()  # beyond ASCII there is no field name, whatever the encoding
    if FIELD_NAME.fullmatch(wire) is None:
        raise ResponseError(f"{name!r} can't be the name of a header")
    if wire in _FORBIDDEN:
        raise ResponseError(f"the header {name!r} {_FORBIDDEN[wire]}")
    return wire
