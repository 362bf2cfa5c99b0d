"""What a trusted proxy says of a request: who its client is, and for which scheme, host and path it asked.

Two forms are known, and a server believes one of them (`ProxySettings.fields`): `Forwarded` (RFC 7239), or
X-Forwarded-For, -Proto, -Host, -Port and -Prefix, with Script-Name for the last. To believe both would let a client win
against a proxy that sets the one and passes the other on.

Each proxy adds an entry on the right. So a list is read from there: as long as an entry is a trusted proxy, the one
before it counts; or as many entries as there are proxies (`ProxySettings.hops`). What stands further left is whatever
the client has sent, and is never looked at.

An entry that counts and can't be read refuses the request: a guess would be the client's. What a peer says that isn't
trusted is removed, so that no application believes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, unquote

from gracehttp.http.head import Header, RequestHead
from gracehttp.http.hosts import is_valid_host
from gracehttp.http.settings import ProxySettings
from gracehttp.net.endpoints import client_of
from gracehttp.net.trusted_peers import TrustedPeers

Adjust = Callable[[RequestHead], None]
"""Changes the head of a request before anything else sees it. Raises `ForwardedError`."""

FORWARDING_FIELDS: Final = frozenset(
    b"""
forwarded script-name x-forwarded-by x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port
x-forwarded-prefix x-forwarded-proto x-forwarded-protocol x-forwarded-scheme x-forwarded-server x-forwarded-ssl
x-real-ip x-script-name
""".split()
)
"""Fields in which proxies tell of their clients. They are removed from requests of peers that aren't trusted."""

_MOST_HOPS: Final = 32
_LONGEST_NODE: Final = 80
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_PORTS: Final = {"http": 80, "https": 443}

_IPV4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_PORT = r"[0-9]{1,5}"
# RFC 7239 section 6: an address with or without port, `unknown`, or an identifier that hides the address.
_NODE = re.compile(
    rf"(?:({_IPV4})|\[([0-9A-Fa-f:.]+)\]|unknown|_[0-9A-Za-z._-]+)(?::(?:({_PORT})|_[0-9A-Za-z._-]+))?", re.I
)
_BARE_IPV6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")  # in X-Forwarded-For

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PAIR = re.compile(rf'({_NAME})=(?:({_NAME})|"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+)")')
_ESCAPED = re.compile(r"\\(.)")
_SPACE = re.compile(r"[\t ]*+")
_PREFIX = re.compile(r"(?:/(?:[0-9A-Za-z._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*+/?")
_PORT_NUMBER = re.compile(r"[1-9][0-9]{0,4}")


class ForwardedError(ValueError):
    """A trusted proxy says what can't be understood. To be answered with 400."""


class Forwarding:
    """What is believed on one port. `removed` is told of a field that a peer was not trusted with."""

    def __init__(
        self, settings: ProxySettings, root_path: str, removed: Callable[[tuple[str, int] | None, str], None]
    ) -> None:
        peers = TrustedPeers(settings.trusted)
        self._peers = peers
        self._trusted: Adjust | None = None
        self._untrusted: Adjust | None = None
        if settings.reads_fields:
            form = _Forwarded if b"forwarded" in _names(settings) else _XForwarded
            self._trusted = form(settings, peers, root_path).adjust if settings.fields else None
            self._untrusted = _Untrusted(root_path, removed).adjust
        if root_path:
            only_root = _RootPath(root_path).adjust
            self._trusted, self._untrusted = self._trusted or only_root, self._untrusted or only_root

    def of(self, peer: tuple[str, int] | None) -> Adjust | None:
        """What the requests of this peer go through; None if they stay as they are. None is one on a Unix socket."""
        return self._trusted if self._peers.trusts(peer) else self._untrusted


class _RootPath:
    """Puts the path at which the application is before that of a request."""

    __slots__ = ("_raw_root_path", "_root_path")

    def __init__(self, root_path: str) -> None:
        self._root_path = root_path
        self._raw_root_path = quote(root_path).encode("ascii")

    def adjust(self, head: RequestHead) -> None:
        if self._root_path:
            head.line = head.line.under(self._root_path, self._raw_root_path)


def _tells_of_clients(name: bytes) -> bool:
    """Some frameworks take `_` in a name for `-`, as CGI does (RFC 3875 section 4.1.18)."""
    return (name.replace(b"_", b"-") if b"_" in name else name) in FORWARDING_FIELDS


def may_tell_of_clients(headers: Iterable[Header]) -> bool:
    """Whether one of the fields is one of those, or may be."""
    return any(name in FORWARDING_FIELDS or b"_" in name for name, _ in headers)


class _Untrusted(_RootPath):
    __slots__ = ("_removed",)

    def __init__(self, root_path: str, removed: Callable[[tuple[str, int] | None, str], None]) -> None:
        super().__init__(root_path)
        self._removed = removed

    def adjust(self, head: RequestHead) -> None:
        if not head.unforwarded:
            headers = head.headers
            kept = [field for field in headers if not _tells_of_clients(field[0])]
            if len(kept) != len(headers):
                removed = next(name for name, _ in headers if _tells_of_clients(name))
                head.headers = kept
                self._removed(head.client, removed.decode("ascii"))
        if self._root_path:
            super().adjust(head)


class _Trusted(_RootPath):
    """What the two forms have in common."""

    __slots__ = ("_believed", "_hops", "_peers")

    def __init__(self, settings: ProxySettings, peers: TrustedPeers, root_path: str) -> None:
        super().__init__(root_path)
        self._believed = _names(settings)
        self._peers = peers
        # An operator who trusts every peer trusts the one that has connected, not what stands in a list, or a client
        # could choose its address: it would be what it has put on the left itself.
        self._hops = settings.hops or (1 if peers.any else 0)

    def adjust(self, head: RequestHead) -> None:
        if not head.unforwarded:
            believed = self._believed
            found = [field for field in head.headers if field[0] in believed]
            if found:
                self._believe(head, found)
                return
        if self._root_path:
            super().adjust(head)

    def _believe(self, head: RequestHead, found: list[Header]) -> None:
        raise NotImplementedError

    def _find_client(self, head: RequestHead, nodes: list[str | None], *, bare_ipv6: bool) -> int:
        """Set the client of `head`; tell which of the entries has named it, counted from the right, from 1 on.

        `nodes` are what each proxy says of its own client; None: nothing.
        """
        most = min(self._hops or _MOST_HOPS, len(nodes))
        for depth in range(1, most + 1):
            node = nodes[-depth]
            if depth < self._hops and depth < most:
                continue  # a proxy that is counted, whatever it is called
            if node is None:
                return depth  # the proxy doesn't say: what it was told by the one before doesn't matter
            head.client = _client(node, bare_ipv6)
            if self._hops or head.client is None or not self._peers.names(head.client[0]):
                return depth
        if most < len(nodes):
            raise ForwardedError(f"the list of proxies has more than {_MOST_HOPS} that are trusted")
        return max(1, most)

    def _set_scheme(self, head: RequestHead, text: str) -> None:
        scheme = _SCHEMES.get(text.lower())
        if scheme is None:
            raise ForwardedError("the proxy names a scheme that is neither http nor https")
        head.scheme = scheme

    def _set_host(self, head: RequestHead, host: str | None, port: str | None) -> None:
        """What the proxy says of the host and port that the client asked; None: nothing."""
        if port is not None and (_PORT_NUMBER.fullmatch(port) is None or int(port) > 65535):
            raise ForwardedError("the proxy names a port that is none")
        if host is None:
            host = next((value.decode("latin-1") for name, value in head.headers if name == b"host"), "")
        elif not _split_host(host)[0] or not is_valid_host(host.encode("latin-1")):
            raise ForwardedError("the proxy names a host that is none")
        name, own_port = _split_host(host)
        own_port = own_port.lstrip("0")
        if port is None and own_port and (_PORT_NUMBER.fullmatch(own_port) is None or int(own_port) > 65535):
            raise ForwardedError("the host has a port that is none")
        usual = _PORTS[head.scheme]
        number = int(port or own_port or usual)
        if port is not None:
            host = name if number == usual else f"{name}:{number}"
        bare = name.strip("[]")
        head.server = (bare, number) if bare else (head.server[0] if head.server else "", number)
        if name:
            # The list may be shared with what was parsed, but a new one is as quick.
            head.headers = [(b"host", host.encode("latin-1")), *[one for one in head.headers if one[0] != b"host"]]


class _XForwarded(_Trusted):
    __slots__ = ()

    def _believe(self, head: RequestHead, found: list[Header]) -> None:
        lists: dict[bytes, list[str]] = {}
        for name, value in found:
            lists.setdefault(name, []).extend(_items(value))
        depth = self._find_client(head, [*lists.get(b"x-forwarded-for", ())], bare_ipv6=True)

        def at_depth(name: bytes) -> str | None:
            """The entry of the proxy that has named the client. A shorter list was begun by a later one."""
            items = lists.get(name)
            return items[-min(depth, len(items))] if items else None

        scheme = at_depth(b"x-forwarded-proto")
        if scheme is not None:
            self._set_scheme(head, scheme)
        host, port = at_depth(b"x-forwarded-host"), at_depth(b"x-forwarded-port")
        if host is not None or port is not None:
            self._set_host(head, host, port)
        prefix = at_depth(b"x-forwarded-prefix")
        if prefix is None:
            prefix = at_depth(b"script-name")
        elif (other := at_depth(b"script-name")) is not None and other != prefix:
            raise ForwardedError("the proxy names two paths of the application that differ")
        if prefix is not None:
            root_path, raw_root_path = _root_path(prefix)
            if root_path:
                head.line = head.line.under(root_path, raw_root_path)
        elif self._root_path:
            _RootPath.adjust(self, head)


class _Forwarded(_Trusted):
    __slots__ = ()

    def _believe(self, head: RequestHead, found: list[Header]) -> None:
        elements = [one for _, value in found for one in parse_forwarded(value)]
        if elements:
            depth = self._find_client(head, [one.get("for") for one in elements], bare_ipv6=False)
            element = elements[-depth]
            scheme = element.get("proto")
            if scheme is not None:
                self._set_scheme(head, scheme)
            host = element.get("host")
            if host is not None:
                self._set_host(head, host, None)
        if self._root_path:
            _RootPath.adjust(self, head)


def parse_forwarded(value: bytes) -> list[dict[str, str]]:
    """The elements of a Forwarded field (RFC 7239 section 4): parameters by their names in lower case.

    Empty elements are passed over (RFC 9110 section 5.6.1.2). Raises `ForwardedError`.
    """
    text = value.decode("latin-1")
    elements: list[dict[str, str]] = []
    current: dict[str, str] = {}
    at = 0
    while True:
        at = _after_space(text, at)
        match = _PAIR.match(text, at)
        if match is not None:
            name, token, quoted = match.groups()
            name = name.lower()
            if name in current:
                raise ForwardedError(f"Forwarded has {name} twice in one element")
            current[name] = token if token is not None else _ESCAPED.sub(r"\1", quoted)
            at = _after_space(text, match.end())
        if at == len(text) or text[at] == ",":
            if current:
                elements.append(current)
                current = {}
            if at == len(text):
                return elements
        elif text[at] != ";":
            raise ForwardedError("Forwarded is malformed")
        at += 1


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match is not None else at


def _names(settings: ProxySettings) -> frozenset[bytes]:
    return frozenset(name.encode("ascii") for name in settings.fields)


def _items(value: bytes) -> list[str]:
    """The entries of a list; empty ones are none (RFC 9110 section 5.6.1.2)."""
    return [item for part in value.decode("latin-1").split(",") if (item := part.strip(" \t"))]


@lru_cache(maxsize=4096)
def _client(node: str, bare_ipv6: bool) -> tuple[str, int] | None:
    """Address and port of a client, port 0 if it isn't told; None if the proxy hides who it is. `bare_ipv6`: without
    brackets too. Raises `ForwardedError`."""
    match = _NODE.fullmatch(node) if len(node) <= _LONGEST_NODE else None
    if match is not None:
        host, port = match[1] or match[2], int(match[3] or 0)
    elif bare_ipv6 and len(node) <= _LONGEST_NODE and _BARE_IPV6.fullmatch(node):
        host, port = node, 0
    else:
        raise ForwardedError("the proxy names a client that is no address")
    if host is None:
        return None
    try:
        address = ip_address(host)
    except ValueError:
        raise ForwardedError("the proxy names a client that is no address") from None
    if port > 65535 or (match is not None and match[2] and address.version == 4):
        raise ForwardedError("the proxy names a client that is no address")
    mapped = address.ipv4_mapped if address.version == 6 else None
    return client_of((str(mapped or address), port))


def _split_host(host: str) -> tuple[str, str]:
    """Name, with the brackets of an IPv6 address, and port, which may be empty."""
    name, colon, port = host.rpartition(":")
    if colon and "]" not in port:
        return name, port
    return host, ""


@lru_cache(maxsize=256)
def _root_path(prefix: str) -> tuple[str, bytes]:
    """The path that a proxy has cut off, decoded and as it was. Raises `ForwardedError`.

    Two slashes in a row would begin a link to another host, and dots would leave the path.
    """
    if _PREFIX.fullmatch(prefix) is None or not prefix.startswith("/"):
        raise ForwardedError("the proxy names a path of the application that is none")
    raw = prefix.rstrip("/")
    root_path = unquote(raw)
    if any(part in (".", "..") or "/" in part for part in map(unquote, raw.split("/"))) or not root_path.isprintable():
        raise ForwardedError("the proxy names a path of the application that is none")
    return root_path, raw.encode("ascii")
