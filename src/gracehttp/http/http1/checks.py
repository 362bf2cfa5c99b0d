"""What makes a request unacceptable, and the status that says so. Pure.

The parser (llhttp) is strict about syntax; here is what it leaves to the server: RFC 9112 sections 2.3 (version),
3.2 (Host), 6.1 and 6.3 (framing), RFC 9110 sections 10.1.1 (Expect) and 15.6.2 (methods).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gracehttp.http.fields import TOKEN
from gracehttp.http.head import Header, split_target

FRAMING_FIELDS = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding", b"expect"))
"""The names, in lower case, of the fields that `read_framing` has to see."""

_METHOD_LINE = re.compile(rb"(" + TOKEN + rb")( ?)")
# uri-host [ ":" port ] of RFC 3986 section 3.2; the inside of an IP literal is left to whoever uses it.
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.%_~!$&'()*+,;=-]+\]|[0-9A-Za-z._~%!$&'()*+,;=-]*)(?::[0-9]*)?")
_LONGEST_METHOD = 256
_LONGEST_CONTENT_LENGTH = 20  # digits, of 2**64 - 1, above which the parser refuses

# The parser tells its errors apart by their text only. All others are malformed requests: 400.
_PARSER_STATUS = {
    "Invalid HTTP version": 505,
    "Request has invalid `Transfer-Encoding`": 501,
    "Invalid method for HTTP/x.x request": 501,
    "Expected SOURCE method for ICE/x.x request": 501,
}

_HTTP2_PREFACE = "Pause on PRI/Upgrade"  # RFC 9113 section 3.4


class RequestError(Exception):
    """The client's fault: it gets `status`, with `reason` as a sentence for the person who debugs it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


class Framing:
    """What the framing fields of one head say.

    `content_length` is -1 when there is none. `host` is None without one. `keep_alive` is what the client wants.
    """

    __slots__ = ("chunked", "content_length", "expects_continue", "host", "keep_alive", "says_close")

    def __init__(self, keep_alive: bool) -> None:
        self.host: bytes | None = None
        self.keep_alive = keep_alive
        self.says_close = False
        self.content_length = -1
        self.chunked = False
        self.expects_continue = False


def read_framing(method: str, http_version: str, fields: Iterable[Header]) -> Framing:
    """Judge a head by those of its fields whose names are in `FRAMING_FIELDS`.

    Raises `RequestError` with 400, 417, 501 or 505.
    """
    if http_version not in ("1.1", "1.0"):
        raise RequestError(505, "this server speaks HTTP/1.1 and HTTP/1.0")
    framing = Framing(http_version == "1.1")
    for name, value in fields:
        if name == b"host":
            if framing.host is not None:
                raise RequestError(400, "more than one Host field")
            framing.host = value
        elif name == b"connection":
            _read_connection(framing, value)
        elif name == b"content-length":
            framing.content_length = _read_content_length(value)
        elif name == b"transfer-encoding":
            _read_transfer_encoding(framing, value, http_version)
        elif http_version == "1.1":  # HTTP/1.0 knows no Expect; RFC 9110 10.1.1 says to ignore it there
            _read_expect(framing, value)
    if framing.host is None and http_version == "1.1":
        raise RequestError(400, "no Host field")
    if method == "CONNECT":
        raise RequestError(501, "this server is no proxy")
    return framing


def _read_connection(framing: Framing, value: bytes) -> None:
    options = [option.strip() for option in value.lower().split(b",")]
    if b"close" in options:
        framing.says_close = True
        framing.keep_alive = False
    elif b"keep-alive" in options:
        # Close wins over keep-alive, wherever they stand (RFC 9112 section 9.3).
        framing.keep_alive = not framing.says_close


def _read_content_length(value: bytes) -> int:
    """The parser has let nothing but digits pass, of which int(), ours or the application's, takes 4300 at most.

    Only zeros in front make more of them than a number has (RFC 9110 section 8.6 asks for care).
    """
    if len(value) > _LONGEST_CONTENT_LENGTH:
        raise RequestError(400, "Content-Length has more digits than any length")
    return int(value)


def _read_transfer_encoding(framing: Framing, value: bytes, http_version: str) -> None:
    if http_version == "1.0":
        # RFC 9112 section 6.1: to be treated as faulty framing, because a proxy in between may see no encoding here.
        raise RequestError(400, "Transfer-Encoding in HTTP/1.0")
    if framing.chunked or value.lower() != b"chunked":
        raise RequestError(501, "this server knows no transfer coding but chunked")
    framing.chunked = True


def _read_expect(framing: Framing, value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise RequestError(417, "this server knows no expectation but 100-continue")
    framing.expects_continue = True


def is_valid_host(host: bytes) -> bool:
    """Whether `host` may stand in a Host field (RFC 9110 section 7.2); empty may."""
    return _HOST.fullmatch(host) is not None


def check_target(method: str, target: bytes) -> None:
    """Judge a target that doesn't begin with a slash (RFC 9112 sections 3.2.2 and 3.2.4).

    The parser takes anything that begins with `*`, and authorities of the right characters in any order. Raises
    `RequestError` with 400.
    """
    if target.startswith(b"*"):
        if target != b"*" or method != "OPTIONS":
            raise RequestError(400, "the target * stands alone, and is for OPTIONS")
        return
    authority = split_target(target)[3] or b""
    # It replaces Host, and is held against the same rules; an empty host is invalid here (RFC 9110 section 4.2.1).
    if not authority.partition(b":")[0] or not is_valid_host(authority):
        raise RequestError(400, "the target names no valid host")


def parser_refusal(reason: str) -> RequestError:
    """What an error of the parser, known by its text, means to the client."""
    if reason == _HTTP2_PREFACE:
        return RequestError(505, "HTTP/2 with prior knowledge is not spoken here; this is a connection for HTTP/1.1")
    return RequestError(_PARSER_STATUS.get(reason, 400), f"malformed request: {reason}")


def method_status(line: bytes) -> int | None:
    """The status for a request line whose method the parser does not know; None if more of it is needed.

    A token is an unknown method: 501. Anything else, such as a TLS ClientHello, is no HTTP: 400.
    """
    match = _METHOD_LINE.match(line)
    if match is None:
        return 400
    if len(match[1]) > _LONGEST_METHOD:
        return 400
    if match[2]:
        return 501
    if match.end() < len(line):
        return 400
    return None


def read_bad_line(line: bytes) -> tuple[str, bytes]:
    """Method and target of a request line whose method the parser does not know, as far as they can be told."""
    match = _METHOD_LINE.match(line)
    if match is None or not match[2]:
        return "", b""
    target, _, version = line[match.end() :].partition(b"\r\n")[0].partition(b" ")
    return match[1].decode("ascii"), target if version.startswith(b"HTTP/") else b""


def too_large_status(target_size: int, max_header_size: int) -> int:
    """The status when the head doesn't fit: the target is to blame if it takes more than half of the room."""
    return 414 if target_size * 2 > max_header_size else 431
