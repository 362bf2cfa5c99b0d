"""Which protocol a connection speaks.

The choice is one look-up of what is known when it is made: the protocol that ALPN has chosen (RFC 7301), or the one
that the connection spoke in the process from which it comes. A protocol that the client asks for later, by a preface
(RFC 9113 section 3.3) or by Upgrade (RFC 9110 section 7.8), takes over with `Connection.switch`.
"""

from __future__ import annotations

from gracehttp.http.connection import NEW, Connection, MakeProtocol, ServerContext
from gracehttp.http.exchange import Exchange
from gracehttp.http.http1.checks import RequestError
from gracehttp.http.http1.protocol import Http1Protocol
from gracehttp.http.websocket import handshake
from gracehttp.wire.handover import HTTP1, Carried

PROTOCOLS: dict[str, MakeProtocol] = {HTTP1: Http1Protocol}
"""By their names in ALPN, under which connections also go from one process to another."""


def begin(connection: Connection, alpn: str | None, carried: Carried = NEW) -> None:
    """Let `connection`, which has its stream, speak the protocol that fits, from the bytes on that came along.

    `alpn` is None without TLS, and if the client offered nothing. A connection whose protocol this release doesn't
    speak is ended: another release has handed it over.
    """
    make = PROTOCOLS.get(alpn or carried.protocol)
    if make is None:
        connection.stream.close(linger=True)
    else:
        connection.switch(make(connection, carried), carried.received)


def upgrade(exchange: Exchange, context: ServerContext) -> bool:
    """Whether the request of `exchange`, which has the option `upgrade` in Connection and no body, asks for a protocol
    that takes over here: it has the exchange then. If not, it is an ordinary request (RFC 9110 section 7.8).

    Raises `RequestError` if the client breaks the rules of that protocol.
    """
    handle = context.application.handle_websocket
    if handle is None or not handshake.is_asked_for(exchange.head) or not handshake.available():
        return False
    from gracehttp.http.websocket.protocol import open_session  # it needs the library that `available` has found

    try:
        session = open_session(exchange, context)
    except handshake.HandshakeError as error:
        raise RequestError(error.status, error.reason, error.lines) from error
    handle(session)
    return True
