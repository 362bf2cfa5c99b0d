"""What makes the head of a request unacceptable, and the status that says so. Pure.

RFC 9112 sections 2.3 (version), 3.2 (target and Host), 6.1 and 6.3 (framing), RFC 9110 sections 10.1.1 (Expect) and
15.6.2 (methods).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gracehttp.http.head import Header, split_target
from gracehttp.http.hosts import is_valid_host

FRAMING_FIELDS: Final = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding", b"expect"))
"""The names, in lower case, of the fields that `read_framing` must see."""

METHODS: Final = frozenset((
    b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"CONNECT", b"QUERY",
    b"COPY", b"LOCK", b"MKCOL", b"MOVE", b"PROPFIND", b"PROPPATCH", b"UNLOCK", b"SEARCH",  # RFC 4918, 5323
    b"BIND", b"REBIND", b"UNBIND", b"ACL", b"REPORT", b"MKACTIVITY", b"CHECKOUT", b"MERGE",  # RFC 5842, 3744, 3253
    b"MKCALENDAR", b"LINK", b"UNLINK", b"M-SEARCH", b"NOTIFY", b"SUBSCRIBE", b"UNSUBSCRIBE", b"PURGE",
))  # fmt: skip
"""Those that are passed to applications; any other one is answered with 501."""

# Not b"#" and b"@": to look for bytes in bytes, Python raises and drops a TypeError first.
_NUMBER_SIGN = ord("#")
_AT_SIGN = ord("@")
_ABSOLUTE = re.compile(rb"https?://", re.IGNORECASE)
_LONGEST_CONTENT_LENGTH = 20  # digits, of 2**64 - 1
_LARGEST_CONTENT_LENGTH = 2**64 - 1


class RequestError(Exception):
    """The client's fault: it gets `status`, with `reason` as a sentence for the person who debugs it.

    `lines` are the lines of fields that go along.
    """

    def __init__(self, status: int, reason: str, lines: bytes = b"") -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason
        self.lines = lines


class Framing:
    """What the framing fields of one head say. Not to be changed: heads with the same fields share it.

    `content_length` is -1 when there is none. `host` is None without one. `keep_alive` is what the client wants.
    `upgrades`: Connection names Upgrade, and the request has no body (RFC 9110 section 7.8).
    """

    __slots__ = (
        "chunked",
        "content_length",
        "expects_continue",
        "has_body",
        "host",
        "keep_alive",
        "says_close",
        "upgrades",
    )

    def __init__(self, keep_alive: bool) -> None:
        self.host: bytes | None = None
        self.keep_alive = keep_alive
        self.says_close = False
        self.content_length = -1
        self.chunked = False
        self.expects_continue = False
        self.has_body = False
        self.upgrades = False


def read_framing(http_version: str, fields: Iterable[Header]) -> Framing:
    """Judge a head by those of its fields whose names are in `FRAMING_FIELDS`.

    Raises `RequestError` with 400, 417 or 501.
    """
    http11 = http_version == "1.1"
    framing = Framing(http11)
    codings: list[bytes] = []
    expectations: list[bytes] = []
    for name, value in fields:
        if name == b"host":
            if framing.host is not None:
                raise RequestError(400, "more than one Host field")
            framing.host = value
        elif name == b"connection":
            _read_connection(framing, value, http11)
        elif name == b"content-length":
            _read_content_length(framing, value)
        elif name == b"transfer-encoding":
            codings += [coding.strip(b" \t") for coding in value.lower().split(b",")]
        elif http11:  # HTTP/1.0 knows no Expect; RFC 9110 10.1.1 says to ignore it there
            expectations += [expectation.strip(b" \t") for expectation in value.lower().split(b",")]
    # What is malformed is told first: 400. Then come the things that this server doesn't do.
    if framing.host is None:
        if http11:
            raise RequestError(400, "no Host field")
    elif not is_valid_host(framing.host):
        raise RequestError(400, "Host names no valid host")
    if codings:
        if framing.content_length >= 0:
            # RFC 9112 section 6.3: it ought to be handled as an error, for it may be an attempt at request smuggling.
            raise RequestError(400, "both Content-Length and Transfer-Encoding")
        _check_transfer_codings(codings, http11)
        framing.chunked = True
    if expectations:
        _read_expectations(framing, expectations)
    framing.has_body = framing.chunked or framing.content_length > 0
    framing.upgrades = framing.upgrades and not framing.has_body
    framing.expects_continue = framing.expects_continue and framing.has_body
    return framing


def _read_connection(framing: Framing, value: bytes, http11: bool) -> None:
    options = [option.strip() for option in value.lower().split(b",")]
    if b"upgrade" in options and http11:  # in HTTP/1.0 it must be ignored (RFC 9110 section 7.8)
        framing.upgrades = True
    if b"close" in options:
        framing.says_close = True
        framing.keep_alive = False
    elif b"keep-alive" in options:
        # Close wins over keep-alive, wherever they stand (RFC 9112 section 9.3).
        framing.keep_alive = not framing.says_close


def _read_content_length(framing: Framing, value: bytes) -> None:
    if framing.content_length >= 0:
        raise RequestError(400, "more than one Content-Length field")
    if not value.isdigit():
        raise RequestError(400, "Content-Length is no number")
    # Only zeros in front make more digits than a number has (RFC 9110 section 8.6 asks for care).
    if len(value) > _LONGEST_CONTENT_LENGTH or int(value) > _LARGEST_CONTENT_LENGTH:
        raise RequestError(400, "Content-Length has more digits than any length")
    framing.content_length = int(value)


def _check_transfer_codings(codings: list[bytes], http11: bool) -> None:
    """Refuse all but chunked alone. `codings` are those of all Transfer-Encoding fields, in order."""
    if not http11:
        # RFC 9112 section 6.1: to be treated as faulty framing, because a proxy in between may see no encoding here.
        raise RequestError(400, "Transfer-Encoding in HTTP/1.0")
    if codings[-1] != b"chunked" or b"chunked" in codings[:-1]:
        raise RequestError(400, "chunked is not the last transfer coding")  # RFC 9112 section 6.3
    if b"" in codings:
        # RFC 9110 section 5.6.1.2 would ignore it. But recipients differ, and each would see another end of the body.
        raise RequestError(400, "an empty transfer coding")
    if len(codings) > 1:
        raise RequestError(501, "this server knows no transfer coding but chunked")


def _read_expectations(framing: Framing, expectations: list[bytes]) -> None:
    """`expectations` are the elements of all Expect fields; empty ones mean nothing (RFC 9110 section 5.6.1.2)."""
    for expectation in expectations:
        if expectation == b"100-continue":
            framing.expects_continue = True
        elif expectation:
            raise RequestError(417, "this server knows no expectation but 100-continue")


def check_target(method: bytes, target: bytes) -> None:
    """Judge a request target (RFC 9112 section 3.2). Raises `RequestError` with 400 or 501."""
    if method == b"CONNECT":
        raise RequestError(501, "this server is no proxy")
    if _NUMBER_SIGN in target:
        raise RequestError(400, "the target has a fragment")
    if target.startswith(b"/"):
        return
    if target.startswith(b"*"):
        if target != b"*" or method != b"OPTIONS":
            raise RequestError(400, "the target * stands alone, and is for OPTIONS")
        return
    if not _ABSOLUTE.match(target):
        raise RequestError(400, "the target is neither a path nor an http URI")
    authority = split_target(target)[3] or b""
    if _AT_SIGN in authority:
        raise RequestError(400, "the target has user information")  # RFC 9110 section 4.2.4
    # It replaces Host, and is held against the same rules; an empty host is invalid here (RFC 9110 section 4.2.1).
    if not authority.partition(b":")[0] or not is_valid_host(authority):
        raise RequestError(400, "the target names no valid host")


def check_scheme(target: bytes, scheme: str) -> None:
    """Judge a target in absolute-form by the scheme of the port that it has reached (RFC 9110 section 7.4).

    Raises `RequestError` with 421.
    """
    if target.partition(b":")[0].lower() != scheme.encode("ascii"):
        raise RequestError(421, f"the target has another scheme than {scheme}, which is spoken on this port")


def too_large(target_size: int, max_header_size: int) -> RequestError:
    """When the head doesn't fit: the target is to blame if it takes more than half of the room."""
    status = 414 if target_size * 2 > max_header_size else 431
    return RequestError(status, f"the head has more than {max_header_size} bytes")
