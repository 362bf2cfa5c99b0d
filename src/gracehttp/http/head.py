"""The head of a request as applications see it, whatever the protocol (RFC 9110 section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote

if TYPE_CHECKING:
    from gracehttp.net.tls_session import TlsSession

Header = tuple[bytes, bytes]
"""Name and value of a field (RFC 9110 section 5)."""

_NUMBER_SIGN = ord("#")  # not b"#": to look for bytes in bytes, Python raises and drops a TypeError first


class RequestLine:
    """What a request asks for: method, target and version. Not to be changed, since requests share it.

    `target` is the request target as it was sent (RFC 9112 section 3.2), for logs; a protocol without one composes it.
    `raw_path` and `query_string` are its bytes before and after the first `?`; `path` is `raw_path` percent-decoded
    (UTF-8, undecodable bytes replaced). `authority` is that of a target in absolute-form, else None.
    `http10`: whether the version is HTTP/1.0.
    `derived` and `environ` are for the interfaces of applications (ASGI, WSGI), to keep what they make of the line.
    `root_path` is the part of `path` at its beginning that names the application, and not a thing of it (ASGI);
    `raw_root_path` is the same part of `raw_path`.
    """

    __slots__ = (
        "authority",
        "derived",
        "environ",
        "http10",
        "http_version",
        "method",
        "path",
        "query_string",
        "raw_path",
        "raw_root_path",
        "root_path",
        "target",
    )

    def __init__(self, method: str, target: bytes, http_version: str) -> None:
        """`target` is as `split_target` takes it."""
        self.method = method
        self.target = target
        self.http_version = http_version
        self.http10 = http_version == "1.0"
        self.path, self.raw_path, self.query_string, self.authority = split_target(target)
        self.root_path = ""
        self.raw_root_path = b""
        self.derived: dict[str, Any] | None = None
        self.environ: dict[str, Any] | None = None

    def under(self, root_path: str, raw_root_path: bytes) -> RequestLine:
        """The same line, of an application whose `root_path` a proxy has cut off the path. `*` is no path."""
        if self.raw_path == b"*":
            return self
        line = RequestLine.__new__(RequestLine)
        line.method = self.method
        line.target = self.target
        line.http_version = self.http_version
        line.http10 = self.http10
        line.query_string = self.query_string
        line.authority = self.authority
        line.path = root_path + self.path
        line.raw_path = raw_root_path + self.raw_path
        line.root_path = root_path
        line.raw_root_path = raw_root_path
        line.derived = None
        line.environ = None
        return line


class KeptFields:
    """The fields that a client says in one request after the other on a connection.

    `derived` and `environ` are for the interfaces of applications (ASGI, WSGI): a request line, and what they make of
    it together with the fields and the addresses of the connection. Most clients that keep a connection ask for the
    same again. A request with another line is not kept instead: for one that never asks for the same, to do so would
    take more than it saves.
    """

    __slots__ = ("derived", "environ")

    def __init__(self) -> None:
        self.derived: tuple[RequestLine, dict[str, Any]] | None = None
        self.environ: tuple[RequestLine, dict[str, Any]] | None = None


class RequestHead:
    """The head of a request, decoded as far as every application interface needs it.

    `headers` are in the order received, names in lower case. `scheme` is `http` or `https`. `client` and `server` are
    `(host, port)`, or `(path, None)` / None for Unix sockets, as ASGI says. `kept` is the same for all requests of a
    connection with the same fields, so that everything but `line` is the same too; None if they aren't kept.
    """

    refused: ClassVar[bool] = False
    """Whether it is of a request that the server answered itself, because no application may see it."""

    unforwarded: ClassVar[bool] = False
    """Whether it is known to have none of the fields in which proxies tell of their clients (`http.forwarded`)."""

    __slots__ = ("_cut", "client", "echoed", "headers", "kept", "line", "scheme", "server", "tls")

    _cut: bool

    line: RequestLine
    headers: list[Header]
    scheme: str
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    tls: TlsSession | None
    """Of the connection, if it came over TLS to us."""
    echoed: Header | None
    """A field of the request that the response has, too."""
    kept: KeptFields | None
    """See above; None also when a field was added that only this request has."""

    def __init__(self) -> None:
        self.echoed = None
        self.kept = None

    @property
    def cut(self) -> bool:
        """Only a part of the response was sent."""
        return getattr(self, "_cut", False)  # never set in most: requests aren't made slower for it

    def mark_cut(self) -> None:
        """Of the response, the client gets no more than it has."""
        self._cut = True

    @property
    def close_code(self) -> int | None:
        """With what a WebSocket ended that the request asked for."""
        return None

    @property
    def method(self) -> str:
        return self.line.method

    @property
    def target(self) -> bytes:
        return self.line.target

    @property
    def path(self) -> str:
        return self.line.path

    @property
    def raw_path(self) -> bytes:
        return self.line.raw_path

    @property
    def query_string(self) -> bytes:
        return self.line.query_string

    @property
    def http_version(self) -> str:
        return self.line.http_version


class RefusedHead(RequestHead):
    """As much as is known of a head that is malformed, too large or not whole: `method`, `target` and `client`.

    What is not known of the first two is `-`. No application sees it; it is for the log.
    """

    __slots__ = ("_method", "_target")

    refused = True

    def __init__(self, method: str, target: bytes, client: tuple[str, int] | None) -> None:
        """Empty is unknown."""
        self._method = method or "-"
        self._target = target or b"-"
        self.client = client
        self.echoed = None
        self.kept = None

    @property
    def method(self) -> str:
        return self._method

    @property
    def target(self) -> bytes:
        return self._target


def split_target(target: bytes) -> tuple[str, bytes, bytes, bytes | None]:
    """Path (decoded), raw path, query string, and the authority if the target has one (absolute-form).

    `target` is ASCII, and has one of the forms `/path?query`, `scheme://authority/path?query` and `*`. A fragment,
    which has no place in a target, is cut off.
    """
    authority = None
    if target[:1] != b"/" and target != b"*":
        authority, target = _split_absolute(target)
    raw_path, _, query = target.partition(b"?")
    if _NUMBER_SIGN in target:
        raw_path, fragment, _ = raw_path.partition(b"#")
        query = b"" if fragment else query.partition(b"#")[0]
    path = raw_path.decode("ascii")
    if "%" in path:
        path = unquote(path)
    return path, raw_path, query, authority


def _split_absolute(target: bytes) -> tuple[bytes, bytes]:
    rest = target.partition(b"://")[2]
    end = min((at for at in (rest.find(b"/"), rest.find(b"?"), rest.find(b"#")) if at >= 0), default=len(rest))
    authority = rest[:end]
    path = rest[end:]
    return authority, path if path.startswith(b"/") else b"/" + path
