"""From the field list of a request to the head that applications see. Pure.

RFC 9113 sections 8.2 (fields) and 8.3.1 (pseudo-header fields). The library has refused what makes a request malformed
there: names that aren't in lower case, fields about the connection, TE other than `trailers`, pseudo-header fields
that are unknown, missing, given twice or behind others, and bodies of another size than Content-Length says. Here are
the rules of every version of HTTP, the same as in HTTP/1.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gracehttp.http.head import Header, RequestHead, RequestLine
from gracehttp.http.hosts import is_valid_host
from gracehttp.http.http1.checks import METHODS, RequestError, check_target, too_large

_FIELD_OVERHEAD_BYTES: Final = 32  # RFC 9113 section 6.5.2
_TARGET = re.compile(rb"[!-~]+")
_SPECIAL = frozenset((b"host", b"cookie", b"content-length", b"expect"))
_SCHEMES = {b"http": "http", b"https": "https"}
_COLON: Final = 58
_QUESTION_MARK: Final = 63

# As in HTTP/1.1: request lines that came lately are remembered, if they are short and have no query.
_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 256
_known_lines: dict[tuple[bytes, bytes], RequestLine] = {}
_known_hosts: set[bytes] = set()


class Http2Head(RequestHead):
    """A request head and what it says of its body: `content_length` is -1 if it doesn't tell."""

    __slots__ = ("connects", "content_length", "expects_continue", "has_priority")

    connects: bool
    """It asks for a WebSocket by extended CONNECT (RFC 8441)."""
    content_length: int
    expects_continue: bool
    has_priority: bool


def read_head(fields: Sequence[Header], secure: bool, max_size: int, max_body_size: int) -> Http2Head:
    """What a request says. `secure`: it came over TLS. `max_body_size` 0 is no limit. `client` and `server` are the
    caller's to set.

    Raises `RequestError`.
    """
    pseudo: dict[bytes, bytes] = {}
    headers: list[Header] = []
    hosts: list[bytes] = []
    cookies: list[bytes] = []
    head = Http2Head()
    head.content_length = -1
    head.expects_continue = head.has_priority = False
    size = 0
    for field in fields:
        name, value = field
        size += len(name) + len(value) + _FIELD_OVERHEAD_BYTES
        if name[0] == _COLON:
            pseudo[name] = value
        elif name not in _SPECIAL:
            if name == b"priority":
                head.has_priority = True
            headers.append(field)
        elif name == b"host":
            hosts.append(value)
        elif name == b"cookie":
            cookies.append(value)
        else:
            headers.append(field)
            if name == b"content-length":
                head.content_length = int(value)
            elif value.lower() == b"100-continue":
                head.expects_continue = True
            else:
                raise RequestError(417, "this server knows no expectation but 100-continue")
    path = pseudo.get(b":path", b"")
    if size > max_size:
        raise too_large(len(path), max_size)
    # The library lets `:protocol` pass only if we have offered it, and with CONNECT.
    protocol = pseudo.get(b":protocol")
    head.connects = protocol is not None
    head.line = _line(pseudo[b":method"], path) if protocol is None else _line_of_tunnel(protocol, path)
    if 0 < max_body_size < head.content_length:
        raise RequestError(413, f"the body has more than {max_body_size} bytes")
    _check_scheme(pseudo.get(b":scheme", b""), secure)
    if cookies:  # RFC 9113 section 8.2.3
        headers.append((b"cookie", cookies[0] if len(cookies) == 1 else b"; ".join(cookies)))
    headers.insert(0, (b"host", _authority(pseudo.get(b":authority"), hosts)))
    head.headers = headers
    head.scheme = "https" if secure else "http"
    return head


def method_and_target(fields: Sequence[Header]) -> tuple[str, bytes]:
    """Both as far as they can be shown of a request that is refused; empty is unknown."""
    found = dict(fields)
    target = found.get(b":path", b"")
    return found.get(b":method", b"").decode("latin-1"), target if target.isascii() else b""


def _line(method: bytes, path: bytes) -> RequestLine:
    line = _known_lines.get((method, path))
    if line is None:
        if method not in METHODS:
            raise RequestError(501, "unknown method")
        if method != b"CONNECT" and (path[:1] not in (b"/", b"*") or _TARGET.fullmatch(path) is None):
            raise RequestError(400, ":path is neither a path nor *")
        check_target(method, path)
        line = RequestLine(method.decode("ascii"), path, "2")
        if len(path) <= _LONGEST_REMEMBERED and _QUESTION_MARK not in path:
            if len(_known_lines) >= _MOST_REMEMBERED:
                _known_lines.clear()
            _known_lines[method, path] = line
    return line


def _line_of_tunnel(protocol: bytes, path: bytes) -> RequestLine:
    if protocol.lower() != b"websocket":
        raise RequestError(501, "this server knows no protocol for a tunnel but websocket")
    if path[:1] != b"/" or _TARGET.fullmatch(path) is None:
        raise RequestError(400, ":path is no path")
    check_target(b"GET", path)
    return RequestLine("CONNECT", path, "2")


def check_tunnel(*, input_open: bool) -> None:
    """Judge an extended CONNECT (RFC 8441 section 4), whose stream is the tunnel. Raises `RequestError`."""
    if not input_open:
        raise RequestError(400, "a CONNECT that ends its stream leaves nothing to tunnel")


def _check_scheme(scheme: bytes, secure: bool) -> None:
    """In clear text a proxy that ends TLS may pass on `https`; what applications hear is what this port speaks."""
    named = _SCHEMES.get(scheme) or _SCHEMES.get(scheme.lower())
    if named is None:
        raise RequestError(400, ":scheme is neither http nor https")
    if secure and named != "https":
        raise RequestError(421, "this port speaks https")  # RFC 9110 section 7.4


def _authority(authority: bytes | None, hosts: Sequence[bytes]) -> bytes:
    """The value of Host, which an application looks for. Both may be there if they agree (RFC 9113 section 8.3.1)."""
    if len(hosts) > 1:
        raise RequestError(400, "more than one Host field")
    if authority is None:
        if not hosts:
            raise RequestError(400, "neither :authority nor Host")
        authority = hosts[0]
    elif hosts and hosts[0].lower() != authority.lower():
        raise RequestError(400, ":authority and Host differ")
    if authority not in _known_hosts:
        if not authority.partition(b":")[0] or not is_valid_host(authority):
            raise RequestError(400, ":authority or Host names no valid host")
        if len(authority) <= _LONGEST_REMEMBERED:
            if len(_known_hosts) >= _MOST_REMEMBERED:
                _known_hosts.clear()
            _known_hosts.add(authority)
    return authority
