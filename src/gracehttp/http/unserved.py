"""What clients ask for and this program doesn't serve: said once by each process, with what to do about it."""

from __future__ import annotations

import functools
import logging

_log = logging.getLogger("gracehttp")


@functools.cache
def tell_of_websocket_for_wsgi() -> None:
    """A client asks for a WebSocket, and the application is WSGI."""
    _log.warning(
        "a client asks for a WebSocket, and a WSGI application can't serve one: the request is answered as an ordinary "
        "one, and so are all that follow. An ASGI application serves WebSockets"
    )


@functools.cache
def tell_of_http2_in_clear_text(*, installed: bool) -> None:
    """A client asks for HTTP/2 without TLS, by Upgrade or by its first bytes, and that is off or not installed."""
    what = "give --h2c" if installed else "pip install 'gracehttp[h2]', and give --h2c"
    _log.warning(
        "a client asks for HTTP/2 without TLS, which is not served, now and whenever one does: it has to use HTTP/1.1. "
        f"To serve it: {what}"
    )
