"""The names in `scope["extensions"]`. A request or WebSocket that came over TLS has `tls` beside them, one of which a
proxy says so `gracehttp.proxy_tls` (`net.tls_session`).

https://asgi.readthedocs.io/en/latest/extensions.html. `docs/make_reference.py` puts them into docs/applications.md.
"""

from __future__ import annotations

from typing import Final

OF_HTTP10: Final = (
    "gracehttp.drain",
    "http.response.pathsend",
    "http.response.zerocopysend",
)
"""HTTP/1.0 has neither interim responses nor trailers (RFC 9110 section 15.2, RFC 9112 section 7.1.2)."""

OF_HTTP: Final = (
    *OF_HTTP10,
    "http.response.early_hint",
    "http.response.trailers",
)

OF_WEBSOCKETS: Final = ("gracehttp.drain", "websocket.http.response")
