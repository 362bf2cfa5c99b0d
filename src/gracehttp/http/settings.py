"""The limits of a server that protocols need, out of its options."""

from __future__ import annotations

from typing import NamedTuple

from gracehttp.config import ServerOptions
from gracehttp.http.head import Header


class WebSocketSettings(NamedTuple):
    """What WebSockets need.

    - `max_size_bytes`: of a message, as it is after inflating; 0 is no limit.
    - `deflate`: whether permessage-deflate (RFC 7692) is agreed on where clients offer it, with at most
      `deflate_window_bits` in either direction, and `deflate_memory_level` for what is sent (see `zlib.compressobj`).
    - `ping_interval_seconds`: from an answered ping to the next one; 0: none is sent.
    - `ping_timeout_seconds`: the longest wait for its pong; 0 is for ever.
    - `goodbye_seconds`: how long applications that have heard of a drain may go on before the server closes.
    """

    max_size_bytes: int = 16 * 1024 * 1024
    deflate: bool = False
    deflate_window_bits: int = 12
    deflate_memory_level: int = 5
    ping_interval_seconds: float = 20.0
    ping_timeout_seconds: float = 20.0
    goodbye_seconds: float = 5.0


class ProxySettings(NamedTuple):
    """What is believed of proxies.

    - `reads_fields`: whether the fields in which proxies tell of their clients mean something to the server.
    - `trusted`: whose, as `net.trusted_peers.TrustedPeers` takes it.
    - `fields`: which of them, in lower case: see `http.forwarded`.
    - `hops`: how many proxies the last ones of a list stand for; 0: as many as are `trusted`.
    - `introduced`: whether each connection begins with a header of the PROXY protocol.
    """

    reads_fields: bool = False
    trusted: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    hops: int = 0
    introduced: bool = False


class Http2Settings(NamedTuple):
    """What HTTP/2 needs.

    - `alpn`: whether it is offered over TLS; None: if its library is installed.
    - `cleartext`: whether it is spoken without TLS too, by prior knowledge and by Upgrade.
    - `max_concurrent_streams`: on one connection.
    """

    alpn: bool | None = None
    cleartext: bool = False
    max_concurrent_streams: int = 100


class HttpSettings(NamedTuple):
    """The limits that the hot path needs.

    - `keep_alive_timeout_seconds`: longest pause between a response and the next request.
    - `header_timeout_seconds`: longest time from the first byte of a head to its end; on a new connection it runs
      from the start.
    - `body_timeout_seconds`: longest wait for the next piece of a request body, and longest time in which a client
      takes nothing of a response that waits for it.
    - `max_header_size_bytes`: request line and header fields together. When the limit is reached and the target
      makes up more than half of it, the answer is 414, otherwise 431. Trailer fields and chunk extensions have the
      same limit.
    - `max_body_size_bytes`: of a request; 0 is no limit.
    - `root_path`: where the application is, under the root of the site; empty, or `/` and a name.
    - `server_header`, `date_header`: whether responses have these fields. `response_fields` are added to each.
    - `request_id`: `off`; `on`: each request has an id; `echo`: its response has the id too.
    """

    keep_alive_timeout_seconds: float = 75.0
    header_timeout_seconds: float = 10.0
    body_timeout_seconds: float = 30.0
    max_header_size_bytes: int = 65536
    max_body_size_bytes: int = 0
    websocket: WebSocketSettings = WebSocketSettings()
    root_path: str = ""
    proxies: ProxySettings = ProxySettings()
    server_header: bool = True
    date_header: bool = True
    response_fields: tuple[Header, ...] = ()
    request_id: str = "off"
    http2: Http2Settings = Http2Settings()


def settings_of(server: ServerOptions) -> HttpSettings:
    """What the options of `server` say."""
    return HttpSettings(
        keep_alive_timeout_seconds=server.keep_alive_timeout,
        header_timeout_seconds=server.header_timeout,
        body_timeout_seconds=server.body_timeout,
        max_header_size_bytes=server.max_header_size,
        max_body_size_bytes=server.max_body_size,
        websocket=WebSocketSettings(
            max_size_bytes=server.ws_max_size,
            deflate=server.ws_deflate == "on",
            deflate_window_bits=server.ws_deflate_window_bits,
            deflate_memory_level=server.ws_deflate_memory_level,
            ping_interval_seconds=server.ws_ping_interval,
            ping_timeout_seconds=server.ws_ping_timeout,
            goodbye_seconds=server.ws_goodbye,
        ),
        root_path=server.root_path,
        proxies=ProxySettings(
            reads_fields=server.proxy_headers,
            trusted=server.forwarded_allow_ips,
            fields=server.forwarded_fields,
            hops=server.forwarded_hops,
            introduced=server.proxy,
        ),
        server_header=server.server_header,
        date_header=server.date_header,
        response_fields=tuple(map(_as_field, server.header)),
        request_id=server.request_id,
        http2=Http2Settings(
            alpn=None if server.h2 == "auto" else server.h2 == "on",
            cleartext=server.h2c,
            max_concurrent_streams=server.h2_max_concurrent_streams,
        ),
    )


def _as_field(line: str) -> Header:
    name, _, value = line.partition(":")
    return name.encode("ascii"), value.strip().encode("latin-1")
