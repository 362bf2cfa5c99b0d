"""Which protocol a connection speaks.

The choice is one look-up of what is known when it is made: the protocol that ALPN has chosen (RFC 7301), or the one
that the connection spoke in the process from which it comes. A protocol that the client asks for later, by a preface
(RFC 9113 section 3.3) or by Upgrade (RFC 9110 section 7.8), takes over with `Connection.switch`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

from gracehttp.http import unserved
from gracehttp.http.connection import NEW, Connection, MakeProtocol, ServerContext, WireProtocol
from gracehttp.http.exchange import Exchange
from gracehttp.http.fields import ResponseFields
from gracehttp.http.head import RequestHead, RequestLine
from gracehttp.http.http1.checks import RequestError
from gracehttp.http.http1.protocol import Http1Protocol
from gracehttp.http.http2 import library as http2
from gracehttp.http.settings import HttpSettings
from gracehttp.http.websocket import handshake
from gracehttp.wire.handover import HTTP1, Carried

HTTP2 = "h2"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_PLAIN_REQUEST = re.compile(rb"[A-Z]{3,}(?: |$)")
_SPEAK_TLS_TEXT = b"This port speaks HTTPS, and the request came in plain HTTP: write https:// in place of http://.\n"
_SPEAK_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_SPEAK_TLS_TEXT), _SPEAK_TLS_TEXT)
)
_HOP_FIELDS = frozenset((b"connection", b"upgrade", b"http2-settings"))


def _http2(connection: Connection, carried: Carried = NEW) -> WireProtocol:
    from gracehttp.http.http2.protocol import Http2Protocol  # it needs a library that may not be there

    return Http2Protocol(connection, carried)


PROTOCOLS: dict[str, MakeProtocol] = {HTTP1: Http1Protocol, HTTP2: _http2}
"""By their names in ALPN, under which connections also go from one process to another."""


def offers(settings: HttpSettings, *, secure: bool) -> Sequence[str]:
    """The protocols for ALPN, in our order of preference. Without TLS there are none, but what is asked for is prepared
    all the same. What is asked for and missing is told in the log."""
    if _may_speak_http2(settings, secure=secure):
        if http2.available():
            return (HTTP2, HTTP1)
        if settings.http2.alpn if secure else settings.http2.cleartext:
            http2.tell_missing()
    return (HTTP1,)


def prepare(settings: HttpSettings, *, secure: bool, websockets: bool) -> None:
    """Import what a client of a port with these settings may ask for, HTTP/2 and WebSockets, if their libraries are
    installed. What no client can get is left out, because it takes two megabytes each."""
    if _may_speak_http2(settings, secure=secure):
        http2.available()
    else:
        http2.installed()  # so that a client that asks for it is told of from memory
    if websockets:
        handshake.prepare()


def _may_speak_http2(settings: HttpSettings, *, secure: bool) -> bool:
    return (settings.http2.alpn if secure else settings.http2.cleartext) is not False


def begin(connection: Connection, alpn: str | None, carried: Carried = NEW) -> None:
    """Let `connection`, which has its stream, speak the protocol that fits, from the bytes on that came along.

    `alpn` is None without TLS, and if the client offered nothing. A connection whose protocol this release doesn't
    speak, or this process has not prepared for, is ended: another release has handed it over.
    """
    make = PROTOCOLS.get(alpn or carried.protocol)
    if make is None or (make is _http2 and not http2.prepared()):
        connection.stream.close(linger=True)
    else:
        connection.switch(make(connection, carried), carried.received)


def answer_plain(received: bytes) -> bytes:
    """What to say, in clear text, to a client whose first bytes on a port with TLS are `received`; no bytes if they are
    no request of HTTP."""
    return _SPEAK_TLS if _PLAIN_REQUEST.match(received) else b""


def by_preface(data: bytes, context: ServerContext, *, secure: bool) -> MakeProtocol | None:
    """What speaks with a client whose first bytes are `data`, which are no request of HTTP/1.1."""
    if secure or not _PREFACE.startswith(data[: len(_PREFACE)]):
        return None
    if not context.settings.http2.cleartext or not http2.available():
        unserved.tell_of_http2_in_clear_text(installed=http2.installed())
        return None
    return _http2


def upgrade(exchange: Exchange, context: ServerContext) -> bool:
    """Whether the request of `exchange`, which has the option `upgrade` in Connection and no body, asks for a protocol
    that takes over here: it has the exchange then. If not, it is an ordinary request (RFC 9110 section 7.8).

    Raises `RequestError` if the client breaks the rules of that protocol.
    """
    if context.settings.http2.cleartext and _upgrade_to_http2(exchange):
        return True
    if not handshake.is_asked_for(exchange.head):
        if _asks_for_http2(exchange.head) and not (context.settings.http2.cleartext and http2.available()):
            unserved.tell_of_http2_in_clear_text(installed=http2.installed())
        return False
    if context.application.handle_websocket is None:
        unserved.tell_of_websocket_for_wsgi()
        return False
    if not handshake.available():
        return False
    connect(exchange, context)
    return True


def connect(exchange: Exchange, context: ServerContext) -> None:
    """Let the application answer the request of `exchange`, which asks for a WebSocket, and can have one here.

    Raises `RequestError` if the client breaks the rules of the handshake.
    """
    from gracehttp.http.websocket.protocol import open_session  # it needs a library that may not be there

    handle = context.application.handle_websocket
    assert handle is not None, "otherwise it was not offered"
    try:
        session = open_session(exchange, context)
    except handshake.HandshakeError as error:
        raise RequestError(error.status, error.reason, error.lines) from error
    handle(session)


def _asks_for_http2(head: RequestHead) -> bool:
    """Whether Upgrade names HTTP/2 in clear text."""
    asked = (one.strip() for name, value in head.headers if name == b"upgrade" for one in value.lower().split(b","))
    return b"h2c" in asked


def _upgrade_to_http2(exchange: Exchange) -> bool:
    """RFC 7540 section 3.2, which RFC 9113 has left behind. A request that breaks its rules is an ordinary one."""
    head = exchange.head
    fields = head.headers
    if head.scheme != "http" or not http2.available():
        return False
    options = [one.strip() for name, value in fields if name == b"connection" for one in value.lower().split(b",")]
    payloads = [value for name, value in fields if name == b"http2-settings"]
    if not _asks_for_http2(head) or b"http2-settings" not in options or len(payloads) != 1:
        return False
    try:
        payload = base64.urlsafe_b64decode(payloads[0] + b"=" * (-len(payloads[0]) % 4))
    except binascii.Error:
        return False
    if not http2.takes_settings(payload):  # before 101 is written: then there is no way back
        return False
    request = RequestHead()
    line, asked_for = RequestLine(head.method, head.target, "2"), head.line
    request.line = line.under(asked_for.root_path, asked_for.raw_root_path) if asked_for.root_path else line
    request.client, request.server, request.tls = head.client, head.server, head.tls
    request.headers = [field for field in fields if field[0] not in _HOP_FIELDS]
    request.scheme = head.scheme

    def make(connection: Connection, carried: Carried) -> WireProtocol:
        from gracehttp.http.http2.protocol import Http2Protocol

        return Http2Protocol(connection, carried, (payload, request))

    exchange.upgrade(ResponseFields([(b"Upgrade", b"h2c")]), make)
    return True
