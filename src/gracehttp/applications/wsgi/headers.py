"""The checks of what an application gives to `start_response` (PEP 3333, "The start_response() Callable"). Pure.

They are made on the thread of the application, so that the error is raised where the application made the mistake. What
frames a message is left to the exchange, which checks it for ASGI too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

from gracehttp.http.exchange import Header, ResponseError
from gracehttp.http.fields import FIELD_NAME

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


def status_code(status: object) -> int:
    """The code in a status such as `200 OK`. Raises `ResponseError` if `status` has another form."""
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
    """The fields as bytes, with names in lower case. Raises `ResponseError` for a field that can't be sent."""
    result = []
    for pair in headers:
        try:
            name, value = pair
        except (TypeError, ValueError) as exc:
            if isinstance(headers, Mapping):
                raise ResponseError("the headers are a dict, and must be a list of tuples (name, value)") from exc
            raise ResponseError(f"a header must be a tuple (name, value), not {pair!r}") from exc
        if not isinstance(name, str) or not isinstance(value, str):
            raise ResponseError(f"name and value of a header must be str, not {pair!r}")
        if not value.isprintable() and _CONTROL.search(value) is not None:  # the first is a quick yes for most
            raise ResponseError(f"the header {name!r} has a control character in its value {value!r}")
        try:
            result.append((_wire_name(name), value.encode("latin-1")))
        except UnicodeEncodeError as exc:
            raise ResponseError(f"the header {name!r} has a value beyond latin-1: {value!r}") from exc
    return result


@functools.lru_cache(maxsize=256)  # names come from the application, so there are few
def _wire_name(name: str) -> bytes:
    wire = name.encode("utf-8", "replace").lower()  # beyond ASCII there is no field name, whatever the encoding
    if FIELD_NAME.fullmatch(wire) is None:
        raise ResponseError(f"{name!r} can't be the name of a header")
    if wire in _FORBIDDEN:
        raise ResponseError(f"the header {name!r} {_FORBIDDEN[wire]}")
    return wire
