"""From the bytes of a head to what they say (RFC 9112 sections 2 to 5). Pure: no I/O, no clock.

A head is taken when it is whole. Before that, `check_beginning` refuses what can't become one. Both judge in the same
order, so that a malformed head has the same status however its bytes arrive.

Clients say the same lines again and again. So lines that were parsed lately are remembered with what they mean, and a
head made of such lines costs a look-up for each. Lines that are long, that differ from request to request, or that may
hold a secret are parsed each time: targets with a query, and all fields but those known to be harmless.

One client says the same fields in one request after the other. So a connection keeps all fields of its latest head, as
they were sent and as they were parsed (`LatestFields`), and a head that ends with the same bytes costs a comparison.

Clients of one kind say the same on each of their connections. So the first heads of connections are remembered as they
are, if all of their lines may be (`remember_first_head`), and one that comes again costs a look-up.
"""

from __future__ import annotations

import re
import sys
import threading
from collections import deque
from typing import Any, Final

from gracehttp.http.fields import TOKEN
from gracehttp.http.forwarded import may_tell_of_clients
from gracehttp.http.head import Header, KeptFields, RequestHead, RequestLine
from gracehttp.http.http1.checks import (
    FRAMING_FIELDS,
    METHODS,
    Framing,
    RequestError,
    check_scheme,
    check_target,
    read_framing,
    too_large,
)

END_OF_HEAD: Final = b"\r\n\r\n"

# Characters of a field value (RFC 9110 section 5.5): HTAB, SP, VCHAR, obs-text.
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!-~]+) HTTP/1\.([0-9])")
_METHOD = re.compile(TOKEN)
_EMPTY_LINES = re.compile(rb"(?:\r\n)*")
_WITHOUT_VERSION = re.compile(TOKEN + rb" (?:/[!-~]*|\*|[Hh][Tt][Tt][Pp][Ss]?://[!-~]*)")
_OTHER_VERSION = re.compile(TOKEN + rb" [!-~]+ HTTP/[0-9]\.[0-9]")
_LINE_SO_FAR = re.compile(TOKEN + rb"(?: [!-~]*(?: [!-~]*)?)?\r?")
_TARGET_SO_FAR = re.compile(TOKEN + rb" ([!-~]*)")
_FIELD = re.compile(rb"(" + TOKEN + rb"):(" + _VALUE + rb")")
_WHOLE_FIELDS = re.compile(rb"(?:" + TOKEN + rb":" + _VALUE + rb"\r\n)*+")
_LONGEST_METHOD = 256

# Lines that were parsed lately. Full, they are forgotten, so that a client that never repeats itself can't fill them
# for good; short lines only, so that each of the three kinds takes a megabyte at most.
_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 256
_REMEMBERED_FIELDS = frozenset(
    b"""
accept accept-charset accept-encoding accept-language cache-control connection content-encoding content-length
content-type dnt expect host keep-alive origin pragma priority proxy-connection purpose save-data
sec-ch-ua sec-ch-ua-arch sec-ch-ua-mobile sec-ch-ua-model sec-ch-ua-platform sec-fetch-dest sec-fetch-mode
sec-fetch-site sec-fetch-user sec-gpc sec-websocket-extensions sec-websocket-version te trailer transfer-encoding
upgrade upgrade-insecure-requests user-agent via x-forwarded-host x-forwarded-port x-forwarded-proto
x-forwarded-server x-requested-with x-scheme
""".split()
)
"""A list of those that are secrets would never be complete."""
_MOST_FRAMING_FIELDS: Final = 8

_MOST_LATEST: Final = 256
"""How many connections of a thread keep their latest fields at a time: memory, which an idle one doesn't need."""
_LONGEST_LATEST: Final = 2048
_MOST_FIRST: Final = 256
_LONGEST_FIRST: Final = 1024
"""Of the first heads of connections. Full, they are forgotten, as the lines are: some 500 KiB in all."""
_CR: Final = 13
_QUESTION_MARK = ord("?")  # not b"?": to look for bytes in bytes, Python raises and drops a TypeError first


class Http1Head(RequestHead):
    """A request head and how its body is framed."""

    __slots__ = ("framing", "unforwarded")

    framing: Framing
    unforwarded: bool  # type: ignore[misc]  # only of this kind of head it is known


class _RequestLines(dict[bytes, RequestLine]):
    """Request lines without their CRLF, and what they say; those that aren't remembered are parsed."""

    def __missing__(self, line: bytes) -> RequestLine:
        parsed = parse_request_line(line)
        if len(line) <= _LONGEST_REMEMBERED and _QUESTION_MARK not in line:
            _make_room(self)
            self[line] = parsed
        return parsed


class _FieldLines(dict[bytes, Header]):
    """Field lines without their CRLF, and what they say; those that aren't remembered are parsed."""

    def __missing__(self, line: bytes) -> Header:
        field = parse_field(line)
        if len(line) <= _LONGEST_REMEMBERED and field[0] in _REMEMBERED_FIELDS:
            _make_room(self)
            self[line] = field
        return field


class _Framings(dict[tuple[str, tuple[Header, ...]], Framing]):
    """What the version and the framing fields of a head say together."""

    def __missing__(self, key: tuple[str, tuple[Header, ...]]) -> Framing:
        framing = read_framing(*key)
        fields = key[1]
        if len(fields) <= _MOST_FRAMING_FIELDS and sum(len(value) for _, value in fields) <= _LONGEST_REMEMBERED:
            _make_room(self)
            self[key] = framing
        return framing


class LatestFields:
    """What stands behind the request line of a connection's latest head. Empty, until a head was kept."""

    __slots__ = ("block", "client", "examined", "framing", "headers", "kept", "line", "unforwarded", "whole")

    framing: Framing
    line: RequestLine

    def __init__(self) -> None:
        self.block = b""
        """From the end of the request line on, its CRLF and the empty line included."""
        self.whole = b""
        """The request line, and that."""
        self.headers: list[Header] = []
        self.examined = False
        self.unforwarded = False
        self.kept: KeptFields | None = None
        """Of `headers`: what is made of them doesn't outlive them here."""
        self.client: tuple[str, int] | None = None
        """The caller's to set."""

    def keep(self, block: bytes, head: Http1Head) -> None:
        """`head` is what was parsed of `block`, which is whole."""
        end = block.find(b"\r\n")
        if len(block) - end > _LONGEST_LATEST or head.line.authority is not None:
            self.forget()
            return
        if not self.block:
            keepers = _of_this_thread.keepers
            keepers.append(self)
            if len(keepers) > _MOST_LATEST:
                keepers.popleft().forget()
        self.whole, self.block = block, block[end:]
        self.hold(head)
        self.kept = KeptFields()
        head.kept = self.kept

    def hold(self, head: Http1Head) -> None:
        """Take over what `head` says."""
        self.line = head.line
        self.headers = head.headers.copy()  # applications may change theirs
        self.framing = head.framing
        self.examined = False

    def examine(self) -> None:
        """Find out whether they are `unforwarded`, when they come again: others would pay for nothing."""
        self.examined = True
        self.unforwarded = not may_tell_of_clients(self.headers)

    def again(self, scheme: str, line: RequestLine) -> Http1Head:
        """A head with them."""
        if not self.examined:
            self.examine()
        head = Http1Head.__new__(Http1Head)
        head.scheme = scheme
        head.line = line
        head.headers = self.headers[:]
        head.framing = self.framing
        head.unforwarded = self.unforwarded
        head.kept = self.kept
        return head

    def forget(self) -> None:
        self.block = self.whole = b""
        self.headers = []
        self.kept = None
        self.client = None


class _OfThisThread(threading.local):
    """`keepers` hold something, in the order in which they began; some of them may have forgotten it since. Each thread
    has its own: a server may run in each of several (`gracehttp.running`), and one that lets a connection of another
    forget would do that in the middle of its work."""

    def __init__(self) -> None:
        self.keepers: deque[LatestFields] = deque()


_of_this_thread = _OfThisThread()

_request_lines = _RequestLines()
_field_lines = _FieldLines()
_framings = _Framings()
_first_heads: dict[bytes, LatestFields] = {}
_read_field = _field_lines.__getitem__


def parse_known_head(block: bytes, scheme: str, latest: LatestFields) -> Http1Head | None:
    """What `parse_head` gives, if the fields are those that the connection keeps; None if they aren't, or if `block` is
    no whole head and nothing else. Raises `RequestError` for the request line."""
    if block == latest.whole:
        return latest.again(scheme, latest.line)  # the usual case
    size = len(block) - len(latest.block)
    if size <= 0 or not latest.block or not block.endswith(latest.block):
        return None
    first = block[:size]
    if _CR in first:
        return None  # there are more lines in front of those that are known
    line = _request_lines[first]
    if line.http_version != latest.line.http_version or line.authority is not None:
        return None
    return latest.again(scheme, line)


def find_first_head(block: bytes, scheme: str) -> Http1Head | None:
    """What `parse_head` gives, if the first request of a connection had the head `block` lately; None if none had, or
    if `block` is no whole head and nothing else."""
    if len(block) > _LONGEST_FIRST:
        return None  # a look-up hashes all of it, and a head that comes in single bytes would be hashed at each of them
    found = _first_heads.get(block)
    return None if found is None else found.again(scheme, found.line)


def remember_first_head(block: bytes, head: Http1Head) -> None:
    """`head` is what was parsed of `block`, which is whole, and the first one of its connection. It is remembered
    under the same conditions as its lines."""
    line = head.line
    if len(block) > _LONGEST_FIRST or line.authority is not None or _QUESTION_MARK in line.target:
        return
    for name, _value in head.headers:
        if name not in _REMEMBERED_FIELDS:
            return
    first = LatestFields()
    first.hold(head)
    _make_room(_first_heads, _MOST_FIRST)
    _first_heads[block] = first


def parse_head(block: bytes, scheme: str, latest: LatestFields | None = None) -> Http1Head:
    """What a head says: `block` is its bytes, from the request line to the empty line, both included.

    `scheme` is that of the port. `client` and `server` are the caller's to set. `latest` is what the connection keeps.
    Raises `RequestError` with 400, 417, 421, 501 or 505.
    """
    head = Http1Head()
    head.scheme = scheme
    head.unforwarded = False
    lines = block[:-4].split(b"\r\n")
    head.line = line = _request_lines[lines.pop(0)]
    head.headers = headers = list(map(_read_field, lines))
    watched = tuple([field for field in headers if field[0] in FRAMING_FIELDS])
    head.framing = _framings[line.http_version, watched]
    if line.authority is not None:
        check_scheme(line.target, scheme)
        # The authority of the target replaces Host, whatever that says (RFC 9112 section 3.2.2).
        others = [field for field in headers if field[0] != b"host"]
        head.headers = [(b"host", line.authority), *others]
    if latest is not None:
        latest.keep(block, head)
    return head


def skip_empty_lines(data: bytes, start: int) -> int:
    """Where the request begins behind the empty lines at `start`, which are ignored (RFC 9112 section 2.2)."""
    match = _EMPTY_LINES.match(data, start)
    return match.end() if match is not None else start


def parse_request_line(line: bytes) -> RequestLine:
    """`line` is without its CRLF. Raises `RequestError` with 400, 501 or 505."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _blame_request_line(line)
    method, target, minor = match.groups()
    if method not in METHODS:
        raise _blame_request_line(line)
    check_target(method, target)
    # A minor version above ours is served as ours (RFC 9110 section 2.5).
    return RequestLine(sys.intern(method.decode("ascii")), target, "1.0" if minor == b"0" else "1.1")


def parse_field(line: bytes) -> Header:
    """Name in lower case and value of a field line without its CRLF (RFC 9112 section 5).

    Raises `RequestError`, 400.
    """
    match = _FIELD.fullmatch(line)
    if match is None:
        raise RequestError(400, "malformed header field")
    return match[1].lower(), match[2].strip(b" \t")


def check_beginning(data: bytes, max_header_size: int) -> None:
    """Refuse `data`, the beginning of a head that is not whole, if it can't become one.

    Raises `RequestError` with 400, 414, 431, 501 or 505.
    """
    beginning = data[:max_header_size]
    line, found, rest = beginning.partition(b"\r\n")
    if found:
        if line not in _request_lines:
            parse_request_line(line)
        # A line ends with CRLF, and neither CR nor LF stands anywhere else (RFC 9112 section 2.2).
        ends = rest.count(b"\r\n")
        returns = rest.count(b"\r") - rest.endswith(b"\r")  # the LF of the last one may be on its way
        if rest.count(b"\n") != ends or returns != ends:
            raise RequestError(400, "a line ends with CRLF")
        if _WHOLE_FIELDS.fullmatch(rest, 0, rest.rfind(b"\n") + 1) is None:
            raise RequestError(400, "malformed header field")
    else:
        _check_line_so_far(beginning)
    if len(data) >= max_header_size:
        match = _TARGET_SO_FAR.match(beginning)
        raise too_large(len(match[1]) if match else 0, max_header_size)


def method_and_target(data: bytes) -> tuple[str, bytes]:
    """Both of them as far as they can be told of the beginning of a head that was refused; empty is unknown."""
    line, whole, _ = data.partition(b"\r\n")
    method, space, rest = line.partition(b" ")
    if not space or _METHOD.fullmatch(method) is None:
        return "", b""
    target, _, version = rest.partition(b" ")
    known = whole or version
    if method not in METHODS and not version.startswith(b"HTTP/"):
        known = b""
    return method.decode("ascii"), target if known and target.isascii() else b""


def _check_line_so_far(line: bytes) -> None:
    """Refuse the beginning of a request line as early as one can tell.

    Whether a method is unknown can't be told before the version: another protocol may have it.
    """
    match = _METHOD.match(line)
    if match is None or len(match[0]) > _LONGEST_METHOD or _LINE_SO_FAR.fullmatch(line) is None:
        raise _blame_request_line(line)


def _blame_request_line(line: bytes) -> RequestError:
    """Why a request line is refused. With a method that is unknown it is one of HTTP all the same: 501. Anything else,
    such as a TLS ClientHello or a request of RTSP, is no HTTP: 400."""
    match = _METHOD.match(line)
    if match is None or len(match[0]) > _LONGEST_METHOD or line[match.end() : match.end() + 1] != b" ":
        return RequestError(400, "this is not HTTP")
    other = _OTHER_VERSION.fullmatch(line) is not None
    if not other and _WITHOUT_VERSION.fullmatch(line) is None:
        return RequestError(400, "malformed request line")
    if match[0] == b"PRI":  # RFC 9113 section 3.4
        return RequestError(505, "HTTP/2 with prior knowledge is not spoken here; this is a connection for HTTP/1.1")
    if match[0] not in METHODS:
        return RequestError(501, "unknown method")
    return RequestError(505, "this server speaks HTTP/1.1 and HTTP/1.0")


def _make_room(known: dict[Any, Any], most: int = _MOST_REMEMBERED) -> None:
    if len(known) >= most:
        known.clear()
