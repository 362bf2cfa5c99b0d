"""The opening handshake: whether a request asks for a WebSocket, what it offers, and what is agreed on.

RFC 6455 sections 4.2 and 4.4, RFC 7692 section 7.1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from gracehttp.http.fields import FIELD_NAME, ResponseError
from gracehttp.http.head import Header, RequestHead
from gracehttp.http.settings import WebSocketSettings

if TYPE_CHECKING:
    from websockets.extensions.permessage_deflate import PerMessageDeflate

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = b"13"
_SERVERS_OWN = frozenset((b"upgrade", b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-version"))
"""Fields of the answer that the server alone can set: with others the client would refuse it, or misread frames."""


class HandshakeError(Exception):
    """The client's fault: it gets `status`, with `reason` as a sentence. `lines`: more fields."""

    def __init__(self, status: int, reason: str, lines: bytes = b"") -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason
        self.lines = lines


class Handshake(NamedTuple):
    """What a client offers, and what of it we take. `accept` is the answer that shows that we have understood it."""

    accept: bytes
    subprotocols: list[str]
    extensions: bytes | None
    """The value of Sec-WebSocket-Extensions in the answer."""
    deflate: PerMessageDeflate | None


class _Library:
    """Whether the library `websockets` is there, which carries out the framing."""

    def __init__(self) -> None:
        self._found: bool | None = None
        self._missed = False

    def find(self) -> bool:
        if self._found is None:
            try:
                import websockets.extensions.permessage_deflate
                import websockets.headers
                import websockets.protocol  # noqa: F401  from here on they are imported
            except ImportError:
                self._found = False
            else:
                self._found = True
        return self._found

    def miss(self) -> None:
        """A client asks for a WebSocket, and there is no library: say so, once."""
        if not self._missed:
            self._missed = True
            logging.getLogger("gracehttp").warning(
                "a client asks for a WebSocket, and the package websockets is not installed: the request is answered "
                "as an ordinary one, and so are all that follow. To serve WebSockets: pip install websockets"
            )


_library = _Library()


def prepare() -> None:
    """Import what WebSockets need, if it is installed: a worker must be able to serve them when the folder of its
    release is gone, or has another release in it."""
    if _library.find():
        import gracehttp.http.websocket.protocol  # noqa: F401  from here on it is imported


def available() -> bool:
    """Whether WebSockets can be served. If not, the log says once what to install."""
    if _library.find():
        return True
    _library.miss()
    return False


def installed() -> bool:
    """As `available`, and the log says nothing."""
    return _library.find()


def is_asked_for(head: RequestHead) -> bool:
    """Whether the request, which has the option `upgrade` in Connection and no body, asks for a WebSocket.

    If not, it is an ordinary request: a server may ignore Upgrade (RFC 9110 section 7.8).
    """
    if head.method != "GET":
        return False
    return any(
        protocol.strip(b" \t") == b"websocket"
        for name, value in head.headers
        if name == b"upgrade"
        for protocol in value.lower().split(b",")
    )


def read_handshake(head: RequestHead, settings: WebSocketSettings) -> Handshake:
    """What the client offers. Raises `HandshakeError` with 400 or 426.

    With HTTP/2 there is no key (RFC 8441 section 5): that the server has understood is clear.
    """
    keys, versions, protocols, extensions = [], [], [], []
    for name, value in head.headers:
        if name == b"sec-websocket-key":
            keys.append(value)
        elif name == b"sec-websocket-version":
            versions.append(value)
        elif name == b"sec-websocket-protocol":
            protocols.append(value)
        elif name == b"sec-websocket-extensions":
            extensions.append(value)
    if versions != [_VERSION]:
        # RFC 6455 sections 4.2.2 and 4.4; RFC 9110 section 15.5.22 asks for Upgrade in a 426.
        raise HandshakeError(
            426,
            f"this server speaks version {_VERSION.decode()} of WebSocket",
            b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: %b\r\n" % _VERSION,
        )
    if head.http_version == "2":
        return Handshake(b"", _tokens(protocols), *_agree_on_deflate(extensions, settings))
    if len(keys) != 1:
        raise HandshakeError(400, "a WebSocket handshake has one Sec-WebSocket-Key")
    if not _is_key(keys[0]):
        raise HandshakeError(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    digest = hashlib.sha1(keys[0] + _GUID, usedforsecurity=False).digest()
    return Handshake(base64.b64encode(digest), _tokens(protocols), *_agree_on_deflate(extensions, settings))


def _is_key(key: bytes) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _tokens(values: Iterable[bytes]) -> list[str]:
    """The subprotocols, in the client's order of preference (RFC 6455 section 11.3.4)."""
    tokens = [token for value in values for part in value.split(b",") if (token := part.strip(b" \t"))]
    if any(FIELD_NAME.fullmatch(token) is None for token in tokens):
        raise HandshakeError(400, "Sec-WebSocket-Protocol names what is no token")
    return [token.decode("ascii") for token in tokens]


def _agree_on_deflate(
    offers: Iterable[bytes], settings: WebSocketSettings
) -> tuple[bytes | None, PerMessageDeflate | None]:
    """Of the extensions that the client offers, the first permessage-deflate that we can take: the value of
    Sec-WebSocket-Extensions that says so, and the extension. None and None without.

    Raises `HandshakeError`, 400, if the offers can't be read (RFC 6455 section 9.1).
    """
    if not settings.deflate or not offers:
        return None, None
    from websockets.exceptions import InvalidHeader, NegotiationError
    from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
    from websockets.headers import build_extension, parse_extension

    factory = ServerPerMessageDeflateFactory(
        server_max_window_bits=settings.deflate_window_bits,
        client_max_window_bits=settings.deflate_window_bits,
        compress_settings={"memLevel": settings.deflate_memory_level},
    )
    try:
        offered = [offer for value in offers for offer in parse_extension(value.decode("latin-1"))]
    except InvalidHeader as error:
        raise HandshakeError(400, "malformed Sec-WebSocket-Extensions") from error
    for name, parameters in offered:
        if name != factory.name:
            continue
        try:
            agreed, deflate = factory.process_request_params(parameters, [])
        except (NegotiationError, ValueError):  # up to 17.0 the library lets zlib refuse a window of 8 bits
            continue  # of several offers of one extension the next one may do (RFC 7692 section 5)
        return build_extension([(factory.name, agreed)]).encode("ascii"), deflate
    return None, None


def answer_fields(handshake: Handshake, subprotocol: str | None, headers: Iterable[Header]) -> list[Header]:
    """The fields of the 101 (RFC 6455 section 4.2.2): ours, then the application's `headers`.

    Raises `ResponseError` for a subprotocol that is no token, and for headers that are the server's to send. A
    subprotocol that the client has not offered is passed on: the client will refuse it, and says so to its developer.
    """
    fields: list[Header] = [(b"Upgrade", b"websocket"), (b"Sec-WebSocket-Accept", handshake.accept)]
    if subprotocol:
        token = str(subprotocol).encode("ascii", "replace")
        if FIELD_NAME.fullmatch(token) is None:
            raise ResponseError(f"{subprotocol!r} is no name of a subprotocol")
        fields.append((b"Sec-WebSocket-Protocol", token))
    if handshake.extensions is not None:
        fields.append((b"Sec-WebSocket-Extensions", handshake.extensions))
    for name, value in headers:
        lower = bytes(name).lower()
        if lower in _SERVERS_OWN:
            raise ResponseError(f"{lower.decode('latin-1')} is the server's to send in the answer to a handshake")
        if lower == b"sec-websocket-protocol":
            if subprotocol:
                raise ResponseError("the subprotocol is given twice: as subprotocol and in headers")
            subprotocol = "given"
        fields.append((name, value))
    return fields
