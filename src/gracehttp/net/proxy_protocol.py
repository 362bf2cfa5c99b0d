"""The PROXY protocol, versions 1 and 2: the header in which a proxy introduces its client. Pure.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, 2020/03/05. The header stands before all other bytes of a
connection, before TLS too. What isn't exactly one is refused at the first byte that shows it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Final, NamedTuple

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_V1_BYTES: Final = 107
LONGEST_V2_BYTES: Final = 16384
"""The length field would allow 65,551. What proxies send takes some hundred."""

_PREFIX_V1: Final = b"PROXY "
_FIXED_BYTES: Final = 16  # of version 2: signature, version and command, family and protocol, length
_LOCAL: Final = 0
_PROXY: Final = 1
_UNSPECIFIED: Final = 0
_STREAM: Final = 1
_UNIX: Final = 3
_UNIX_BYTES: Final = 108
_FAMILIES: Final = {1: (socket.AF_INET, 4), 2: (socket.AF_INET6, 16)}
_CRC32C: Final = 0x03
_SSL: Final = 0x20
_SSL_VERSION: Final = 0x21
_SSL_CN: Final = 0x22
_SSL_CIPHER: Final = 0x23
_LONGEST_WORD_BYTES: Final = 64  # of a version or a cipher suite
_LONGEST_NAME_BYTES: Final = 256  # RFC 5280 appendix A.1, ub-common-name: 64 characters
_CLIENT_SSL: Final = 0x01
_CLIENT_CERT: Final = 0x06  # in this connection, or in the session that it goes on with

# Numbers have no zeros in front, and there is one space between parts (section 2.1).
_V1 = re.compile(
    rb"PROXY (?:UNKNOWN(?: [\x20-\x7e]*)?|(TCP[46]) ([0-9A-Fa-f:.]{2,39}) ([0-9A-Fa-f:.]{2,39})"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
)

Address = tuple[str, int]


class ProxyProtocolError(ValueError):
    """The connection doesn't begin with a header, or with one that breaks the rules. Says how."""


class TlsFacts(NamedTuple):
    """What the proxy knows of the client's TLS. `version` and `cipher` are OpenSSL's names, empty if they aren't told.

    `client_name` is the common name in the client's certificate, None without a certificate, and empty if the name
    isn't told, or is none that two readers would read alike. `verified`: the proxy trusts the certificate.
    """

    version: str = ""
    cipher: str = ""
    client_name: str | None = None
    verified: bool = False


class ProxyHeader(NamedTuple):
    """Both ends of the client's connection to the proxy.

    `told` is False if the proxy speaks for itself, such as in a check of its own, or tells no addresses: the connection
    then has the ends that the kernel knows. With it, `client` is None and `server` is `(path, None)` for a Unix socket.
    `tls` is None if the client has none.
    """

    told: bool
    client: Address | None = None
    server: tuple[str, int | None] | None = None
    tls: TlsFacts | None = None


def parse(data: bytes) -> tuple[ProxyHeader, int] | None:
    """The header at the beginning of `data` and its length; None if it isn't whole yet. Raises `ProxyProtocolError`."""
    if data[:1] == b"P":
        return _parse_v1(data)
    return _parse_v2(data)


def _parse_v1(data: bytes) -> tuple[ProxyHeader, int] | None:
    if not data.startswith(_PREFIX_V1[: len(data)]):
        raise ProxyProtocolError("it begins with no PROXY header")
    end = data.find(b"\r\n", 0, LONGEST_V1_BYTES)
    if end < 0:
        beginning = data[:LONGEST_V1_BYTES]
        if len(data) >= LONGEST_V1_BYTES or b"\n" in beginning or b"\r" in beginning[:-1]:
            raise ProxyProtocolError("its PROXY header of version 1 has no end")
        return None
    match = _V1.fullmatch(data, 0, end + 2)
    if match is None:
        raise ProxyProtocolError("its PROXY header of version 1 is malformed")
    kind, *rest = match.groups()
    if kind is None:
        return ProxyHeader(False), end + 2
    family = socket.AF_INET if kind == b"TCP4" else socket.AF_INET6
    client, server, client_port, server_port = (part.decode("ascii") for part in rest)
    if max(int(client_port), int(server_port)) > 65535:
        raise ProxyProtocolError("its PROXY header of version 1 has a port above 65535")
    client_end = _canonical(family, client), int(client_port)
    return ProxyHeader(True, client_end, (_canonical(family, server), int(server_port))), end + 2


def _canonical(family: socket.AddressFamily, text: str) -> str:
    try:
        return _host(family, socket.inet_pton(family, text))
    except OSError:
        raise ProxyProtocolError("its PROXY header of version 1 has no address of its family") from None


def _host(family: socket.AddressFamily, packed: bytes) -> str:
    if family == socket.AF_INET6 and packed.startswith(b"\0" * 10 + b"\xff\xff"):  # as `net.endpoints` has it
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(family, packed)


def _parse_v2(data: bytes) -> tuple[ProxyHeader, int] | None:
    if not data.startswith(SIGNATURE[: len(data)]):
        raise ProxyProtocolError("it begins with no PROXY header")
    if len(data) > 12 and (data[12] >> 4 != 2 or data[12] & 15 > _PROXY):
        raise ProxyProtocolError("its PROXY header has another version or command")
    if len(data) < _FIXED_BYTES:
        return None
    end = _FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if end > LONGEST_V2_BYTES:
        raise ProxyProtocolError(f"its PROXY header is longer than {LONGEST_V2_BYTES} bytes")
    if len(data) < end:
        return None
    family, transport = data[13] >> 4, data[13] & 15
    if family > _UNIX or transport > 2:
        raise ProxyProtocolError("its PROXY header has an unknown family or protocol")
    if data[12] & 15 == _LOCAL:
        return ProxyHeader(False), end
    content = data[_FIXED_BYTES:end]
    if _UNSPECIFIED in (family, transport):
        return ProxyHeader(False), end
    if transport != _STREAM:
        raise ProxyProtocolError("its PROXY header is of datagrams")
    client: Address | None = None
    server: tuple[str, int | None] | None
    if family == _UNIX:
        at = 2 * _UNIX_BYTES
        server = _unix_server(content[_UNIX_BYTES:at])
    else:
        kind, size = _FAMILIES[family]
        at = 2 * size + 4
        if len(content) >= at:
            client = _host(kind, content[:size]), int.from_bytes(content[2 * size : 2 * size + 2], "big")
            server = _host(kind, content[size : 2 * size]), int.from_bytes(content[2 * size + 2 : at], "big")
    if len(content) < at:
        raise ProxyProtocolError("its PROXY header is too short for its addresses")
    return ProxyHeader(True, client, server, _tls_of(data[:end], at)), end


def _unix_server(packed: bytes) -> tuple[str, int | None] | None:
    """The path of a Unix socket; None without one, or if it is no printable ASCII: an abstract name begins with NUL."""
    path = packed.partition(b"\0")[0].decode("latin-1")
    return (path, None) if path and path.isascii() and path.isprintable() else None


def _tls_of(header: bytes, at: int) -> TlsFacts | None:
    """What the TLVs of a whole header say of TLS, None if the client has none. `at` is how long the addresses are."""
    found = None
    for kind, start, value in _tlvs(header, _FIXED_BYTES + at):
        if kind == _CRC32C:
            zeroed = header[:start] + bytes(len(value)) + header[start + len(value) :]
            if len(value) != 4 or int.from_bytes(value, "big") != crc32c(zeroed):
                raise ProxyProtocolError("its PROXY header has another checksum")
        elif kind == _SSL:
            found = _read_ssl(value)
    return found


def _tlvs(data: bytes, at: int) -> Iterator[tuple[int, int, bytes]]:
    """Type, place and value of each TLV from `at` on."""
    while at < len(data):
        end = at + 3 + int.from_bytes(data[at + 1 : at + 3], "big")
        if at + 3 > len(data) or end > len(data):
            raise ProxyProtocolError("its PROXY header has a field that is cut")
        yield data[at], at + 3, data[at + 3 : end]
        at = end


def _read_ssl(value: bytes) -> TlsFacts | None:
    if len(value) < 5:
        raise ProxyProtocolError("its PROXY header has a field of TLS that is cut")
    flags, verify = value[0], int.from_bytes(value[1:5], "big")
    facts = {kind: text for kind, _, text in _tlvs(value, 5)}
    if not flags & _CLIENT_SSL:
        return None
    has_certificate = bool(flags & _CLIENT_CERT)
    return TlsFacts(
        _text(facts.get(_SSL_VERSION, b""), "ascii", _LONGEST_WORD_BYTES),
        _text(facts.get(_SSL_CIPHER, b""), "ascii", _LONGEST_WORD_BYTES),
        _text(facts.get(_SSL_CN, b""), "utf-8", _LONGEST_NAME_BYTES) if has_certificate else None,
        has_certificate and verify == 0,
    )


def _text(value: bytes, encoding: str, most: int) -> str:
    """Empty for what is too long, or can't be shown as it is: a part of a name would be another name."""
    try:
        text = value.decode(encoding) if len(value) <= most else ""
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() else ""


def _make_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
        table.append(rest)
    return tuple(table)


_crc_table: tuple[int, ...] = ()


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3309 (Castagnoli), which section 2.2.3 asks for."""
    global _crc_table  # noqa: PLW0603  few proxies send one, and no other process needs the table
    _crc_table = _crc_table or _make_table()
    rest = 0xFFFFFFFF
    for byte in data:
        rest = rest >> 8 ^ _crc_table[(rest ^ byte) & 255]
    return rest ^ 0xFFFFFFFF
