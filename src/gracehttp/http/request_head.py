"""From what was parsed to what applications see."""

from __future__ import annotations

from gracehttp.http.exchange import RefusedHead, RequestHead
from gracehttp.http.request_parser import RequestParser
from gracehttp.http.request_target import split_target


def build_head(
    parser: RequestParser, scheme: str, client: tuple[str, int] | None, server: tuple[str, int | None] | None
) -> RequestHead:
    """The head that `parser` has completed. `scheme`, `client`, `server`: facts of the connection."""
    head = RequestHead()
    head.method = parser.method
    head.target = parser.target
    head.path, head.raw_path, head.query_string, authority = split_target(parser.target)
    head.http_version = parser.http_version
    head.scheme = scheme
    head.headers = parser.headers
    head.client = client
    head.server = server
    if authority is not None:
        # The authority of the target replaces Host, whatever that says (RFC 9112 section 3.2.2).
        others = [field for field in head.headers if field[0] != b"host"]
        head.headers = [(b"host", authority), *others]
    return head


def build_refused_head(parser: RequestParser, client: tuple[str, int] | None) -> RefusedHead:
    """What `parser` knows of the head that it has refused, or that has not come to its end."""
    method, target = parser.request_line()
    head = RefusedHead()
    head.method = method or "-"
    head.target = target or b"-"
    head.client = client
    return head
