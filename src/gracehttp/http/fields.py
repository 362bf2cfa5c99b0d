"""The header fields of a response, checked, and what they mean for the server. Pure, and the same for every protocol.

RFC 9110 sections 5.5 and 5.6.2 (names and values), 6.5.1 (trailers), 6.6.1 (Date), 8.6 (Content-Length).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from gracehttp.http.head import Header

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""What a field name and a method are made of (RFC 9110 section 5.6.2), as a regular expression."""

# What a field name means to the server. Names that were found valid are remembered, so that a field costs one look-up.
_PLAIN: Final = 0
_CONTENT_LENGTH: Final = 1
_TRANSFER_ENCODING: Final = 2
_CONNECTION: Final = 3
_DATE: Final = 4
_SERVER: Final = 5
_UPGRADE: Final = 6
_HOP_BY_HOP: Final = 7
_MEANINGS = {
    b"content-length": _CONTENT_LENGTH,
    b"transfer-encoding": _TRANSFER_ENCODING,
    b"connection": _CONNECTION,
    b"date": _DATE,
    b"server": _SERVER,
    b"upgrade": _UPGRADE,
    b"keep-alive": _HOP_BY_HOP,
    b"proxy-connection": _HOP_BY_HOP,
    b"te": _HOP_BY_HOP,
}
_known_names: dict[bytes, int] = dict(_MEANINGS)
FIELD_NAME = re.compile(TOKEN)
_FORBIDDEN_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # all controls but the tab

# Applications send the same fields again and again. Those that mean nothing to the server, are the same in many
# responses and hold no secret are remembered as lines. Full, they are forgotten; short ones only.
_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 256
REMEMBERED = frozenset(
    b"""
accept-ch accept-patch accept-post accept-ranges access-control-allow-credentials access-control-allow-headers
access-control-allow-methods access-control-allow-origin access-control-expose-headers access-control-max-age allow
alt-svc cache-control content-encoding content-language content-type cross-origin-embedder-policy
cross-origin-opener-policy cross-origin-resource-policy origin-agent-cluster permissions-policy pragma referrer-policy
strict-transport-security timing-allow-origin vary via x-accel-buffering x-content-type-options x-dns-prefetch-control
x-download-options x-frame-options x-permitted-cross-domain-policies x-powered-by x-robots-tag x-ua-compatible
x-xss-protection
""".split()
)
"""A list of those that differ or are secret would never be complete."""
_known_lines: dict[Header, bytes] = {}
_LONGEST_KNOWN_LENGTH: Final = 8
_LARGEST_LENGTH: Final = 2**63 - 1
"""Of a body that is sent: no file and no memory has more, and compiled code counts so far."""
_known_lengths: dict[bytes, int] = {}

_MOST_FIELDS_REMEMBERED: Final = 8
_known_fields: dict[tuple[Header, ...], ResponseFields] = {}
"""Of whole responses, if each of their fields is remembered."""

_OUR_OPTIONS = frozenset((b"close", b"keep-alive", b"upgrade"))
"""What Connection may say that the response says then, one way or another. Applications with server-sent events say
keep-alive, which is so anyway."""

_NOT_IN_TRAILERS = frozenset((
    b"content-length", b"transfer-encoding", b"connection", b"host", b"trailer", b"te", b"expect", b"upgrade",
    b"authorization", b"set-cookie", b"content-type", b"content-encoding", b"content-range", b"cache-control",
))  # fmt: skip
"""They change how the message is framed, routed, authorized or understood (RFC 9110 section 6.5.1)."""


class ResponseError(RuntimeError):
    """The application broke the rules of a response. It is the application's fault, and raised into it."""


class ResponseFields:
    """The fields of one response.

    `block` is those that are passed on, as lines of HTTP/1.1. `pairs` gives the same ones to other protocols.
    `content_length` is -1 when there is none. `closes`: the application wants the connection to be closed. `upgrade` is
    the value of Upgrade, which only HTTP/1.1 has, empty without one. `has_date` and `has_server`: the application's own
    stand instead of ours. `dropped` is the last field that is left out because it is about the connection, not the
    response (RFC 9110 section 7.6.1), and that changes nothing.

    `shared`: other responses may have the same object (`response_fields`), in other threads, too. Then the protocol may
    keep in `latest_head` the head of the latest response that had these fields: its status, the lines that the server
    has added, and all of it; in `latest_last_head` that of one that was the last of its connection. `given` is what
    they were made of.
    """

    __slots__ = (
        "block",
        "closes",
        "content_length",
        "dropped",
        "given",
        "has_date",
        "has_server",
        "latest_head",
        "latest_last_head",
        "shared",
        "upgrade",
    )

    def __init__(self, headers: Iterable[Header]) -> None:
        """Take over all fields but those which frame the message or are about the connection.

        Raises `ResponseError` when a name is no token, or a value has a control character other than the tab (RFC 9110
        section 5.5); when one of both is not bytes; when Content-Length is no number, or there are two that differ.
        """
        self.content_length = -1
        self.closes = self.has_date = self.has_server = False
        self.upgrade = b""
        self.dropped: Header | None = None
        self.shared = False
        self.given: list[Header] | None = None
        self.latest_head: tuple[int, bytes, bytes] | None = None
        self.latest_last_head: tuple[int, bytes, bytes] | None = None
        try:
            self.block = self._take(headers)
        except (TypeError, ValueError, AttributeError) as error:
            raise ResponseError(f"headers must be pairs of bytes: {error}") from error

    def _take(self, headers: Iterable[Header]) -> bytes:
        """The lines of those that are passed on."""
        known_lines, known_lengths = _known_lines, _known_lengths
        lines: list[bytes] = []
        shared = True
        for pair in headers:
            if type(pair) is tuple:
                # The pair of the application itself is looked up: to make another one costs as much.
                line = known_lines.get(pair)
                if line is not None:
                    lines.append(line)
                    continue
            name, value = pair
            if name == b"content-length" and self.content_length < 0 and type(value) is bytes:
                # The usual case of what `_note` does.
                length = known_lengths.get(value)
                if length is None and len(value) <= _LONGEST_KNOWN_LENGTH and value.isdigit():
                    length = int(value)
                    if len(known_lengths) >= _MOST_REMEMBERED:
                        known_lengths.clear()
                    known_lengths[value] = length
                if length is not None:
                    self.content_length = length
                    continue
            shared = False
            lines.append(self._read(name, value))
        self.shared = shared and len(lines) < _MOST_FIELDS_REMEMBERED
        return b"".join(lines)

    @property
    def pairs(self) -> Iterator[Header]:
        """Name and value of the fields that are passed on, in order."""
        for line in self.block.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b": ")
            yield name, value

    def add(self, field: Header) -> None:
        """Add a field that is valid, unless the application has given one of that name itself. Not for fields that
        `response_fields` has made: other responses may have them."""
        name, _value = field
        if b"\r\n%b:" % name.lower() not in b"\r\n" + self.block.lower():
            self.block += b"%b: %b\r\n" % field

    def _read(self, name: bytes, value: bytes) -> bytes:
        """The line of a field, empty if it isn't passed on; acts upon one that means something to the server."""
        meaning = _known_names.get(name)
        if meaning is None:
            meaning = _examine_name(name)
        if meaning:
            if not self._note(meaning, name, value):
                return b""
        elif _FORBIDDEN_IN_VALUE.search(value):
            raise ResponseError(f"the value of {name.decode('ascii')} has a control character: {value!r}")
        line = b"%b: %b\r\n" % (name, value)
        if not meaning and len(line) <= _LONGEST_REMEMBERED and name.lower() in REMEMBERED:
            if len(_known_lines) >= _MOST_REMEMBERED:
                _known_lines.clear()
            _known_lines[name, value] = line
        return line

    def _note(self, meaning: int, name: bytes, value: bytes) -> bool:
        """Act upon a field that means something to the server; tell whether it is passed on as it is."""
        if meaning == _CONTENT_LENGTH:
            length = _parse_content_length(value)
            if self.content_length not in (-1, length):
                raise ResponseError("two Content-Length fields that differ")
            self.content_length = length
            return False
        if _FORBIDDEN_IN_VALUE.search(value):
            raise ResponseError(f"the value of {name.decode('ascii')} has a control character: {value!r}")
        if meaning == _CONNECTION:
            options = {option.strip() for option in value.lower().split(b",")}
            if b"close" in options:
                self.closes = True
            if options - _OUR_OPTIONS:
                self.dropped = (name, value)
            return False
        if meaning == _TRANSFER_ENCODING:
            return False  # the server's business; ASGI says that it must be ignored
        if meaning == _UPGRADE:
            self.upgrade = b"%b, %b" % (self.upgrade, value) if self.upgrade else value
            return False
        if meaning == _HOP_BY_HOP:
            self.dropped = (name, value)
            return False
        if meaning == _DATE:
            self.has_date = True
        else:
            self.has_server = True
        return True


_latest = ResponseFields(())
"""The latest ones that were given again."""


def response_fields(headers: Iterable[Header]) -> ResponseFields:
    """As `ResponseFields`, and made once for those that applications give again and again."""
    global _latest  # noqa: PLW0603  compiled, it is a variable in C
    if type(headers) is not list:
        return ResponseFields(headers)
    latest = _latest
    # Many applications give the same pairs each time. Then to compare them takes a fifth of what a look-up does.
    if headers == latest.given:
        return latest
    given = tuple(headers)
    known_fields = _known_fields
    try:
        known = known_fields.get(given)
    except TypeError:  # pairs that are lists have no hash
        return ResponseFields(headers)
    if known is None:
        known = ResponseFields(headers)
        if not known.shared:
            return known
        known.given = headers.copy()  # applications may change theirs
        if len(known_fields) >= _MOST_REMEMBERED:
            known_fields.clear()
        known_fields[given] = known
    _latest = known
    return known


def trailer_fields(headers: Iterable[Header]) -> ResponseFields:
    """The trailer fields of a response. Raises `ResponseError` as `ResponseFields` does, and for a field that can't be
    in a trailer."""
    fields = list(headers)
    checked = ResponseFields(fields)
    for name, _value in fields:
        if name.lower() in _NOT_IN_TRAILERS:
            raise ResponseError(f"{name.decode('ascii')} can't be a trailer field")
    return checked


def _examine_name(name: bytes) -> int:
    if not isinstance(name, bytes) or FIELD_NAME.fullmatch(name) is None:
        raise ResponseError(f"{name!r} is no name of a header")
    meaning = _MEANINGS.get(name.lower(), _PLAIN)
    if len(_known_names) < _MOST_REMEMBERED:
        _known_names[name] = meaning
    return meaning


def _parse_content_length(value: bytes) -> int:
    if type(value) is not bytes or not (value.isdigit() or value.strip().isdigit()):
        raise ResponseError(f"{value!r} is no Content-Length")
    length = int(value)
    if length > _LARGEST_LENGTH:
        raise ResponseError(f"Content-Length {length} is more than any body has")
    return length
