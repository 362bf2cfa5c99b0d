"""Which protocol a connection speaks.

The choice is one match over what is known when it is made: the protocol that ALPN has chosen (RFC 7301), None without
TLS. A protocol that the client asks for later, by a preface (RFC 9113 section 3.3) or by Upgrade (RFC 9110 section
7.8), takes over with `Connection.switch`.
"""

from __future__ import annotations

from gracehttp.http.connection import NEW, Connection, WireProtocol
from gracehttp.http.http1.protocol import Http1Protocol
from gracehttp.wire.handover import Carried


def begin(connection: Connection, alpn: str | None, carried: Carried = NEW) -> None:
    """Let `connection`, which has its stream, speak the protocol that fits, from the bytes on that came along."""
    connection.switch(_choose(connection, alpn, carried), carried.received)


def _choose(connection: Connection, alpn: str | None, carried: Carried) -> WireProtocol:
    match alpn:
        case _:  # "http/1.1", or a client that offers nothing: there is no other protocol yet
            return Http1Protocol(connection, carried)
