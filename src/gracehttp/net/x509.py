"""What a certificate says of itself (RFC 5280), read from its DER: names, serial number, validity; and for how long a
list of revoked certificates holds. Pure.

Python's `ssl` tells that only of a peer's certificate, and only if it was verified. Nothing is verified here.
"""

from __future__ import annotations

import datetime
import ipaddress
import math
from collections.abc import Iterator
from typing import Final, NamedTuple

_INTEGER: Final = 0x02
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_DNS_NAME: Final = 0x82
_IP_ADDRESS: Final = 0x87
_SUBJECT_ALT_NAME: Final = bytes.fromhex("0603551d11")
_COMMON_NAME: Final = "2.5.4.3"
_ATTRIBUTES: Final = {  # RFC 4514 section 3
    _COMMON_NAME: "CN",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.6": "C",
    "2.5.4.9": "STREET",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}


class UnreadableCertificate(ValueError):
    """The bytes are no certificate."""


class Certificate(NamedTuple):
    """`subject` and `issuer` are as RFC 4514 writes them. `not_before` and `not_after` are seconds since 1970.

    `names` are those of the server, in lower case: DNS names, which may begin with `*.`, and addresses; the common name
    where there are no others.
    """

    subject: str
    issuer: str
    serial: int
    not_before: float
    not_after: float
    names: tuple[str, ...]


class RevocationList(NamedTuple):
    """`issuer` is the DER of its name, without the head. The rest are seconds since 1970; `not_after` is infinite if no
    end is named."""

    issuer: bytes
    not_before: float
    not_after: float


class _Element(NamedTuple):
    tag: int
    content: bytes
    whole: bytes


def read_certificate(der: bytes) -> Certificate:
    """What stands in the certificate `der`. Raises `UnreadableCertificate`."""
    try:
        (certificate,) = _elements(der)
        signed = next(_elements(certificate.content))
        parts = [one for one in _elements(signed.content) if one.tag != _VERSION]
        serial, _, issuer, validity, subject = parts[:5]
        not_before, not_after = map(_time, _elements(validity.content))
        subject_parts = _name(subject.content)
        names = tuple(name for one in parts if one.tag == _EXTENSIONS for name in _alternative_names(one.content))
        if not names:
            names = tuple(text.lower() for rdn in subject_parts for kind, text, _ in rdn if kind == _COMMON_NAME)
        return Certificate(
            subject=_write_name(subject_parts),
            issuer=_write_name(_name(issuer.content)),
            serial=int.from_bytes(serial.content, "big"),
            not_before=not_before,
            not_after=not_after,
            names=names,
        )
    except (ValueError, IndexError, StopIteration) as exc:
        raise UnreadableCertificate(f"it can't be read ({exc})") from exc


def read_revocation_list(der: bytes) -> RevocationList:
    """Whose the list of revoked certificates `der` is, and from when to when it holds (RFC 5280 section 5.1). Raises
    `UnreadableCertificate`."""
    try:
        (whole,) = _elements(der)
        signed = next(_elements(whole.content))
        parts = [one for one in _elements(signed.content) if one.tag != _INTEGER]  # there may be a version
        issuer, begin, end = parts[1], parts[2], parts[3] if len(parts) > 3 else None
        ends = end is not None and end.tag in (_UTC_TIME, _GENERALIZED_TIME)
        return RevocationList(issuer.content, _time(begin), _time(end) if ends and end is not None else math.inf)
    except (ValueError, IndexError, StopIteration) as exc:
        raise UnreadableCertificate(f"it can't be read ({exc})") from exc


def _elements(data: bytes) -> Iterator[_Element]:
    """The elements of DER that stand in `data` one behind the other (X.690 section 8.1)."""
    at = 0
    while at < len(data):
        begin = at
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("it is cut short")
        yield _Element(tag, data[at : at + length], data[begin : at + length])
        at += length


def _time(element: _Element) -> float:
    text = element.content.decode("ascii")
    if element.tag == _UTC_TIME:  # RFC 5280 section 4.1.2.5.1
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.UTC).timestamp()


_Rdn = list[tuple[str, str, bytes]]
"""Kind (as numbers with dots), text and DER of each attribute."""


def _name(content: bytes) -> list[_Rdn]:
    return [[_attribute(one.content) for one in _elements(rdn.content)] for rdn in _elements(content)]


def _attribute(content: bytes) -> tuple[str, str, bytes]:
    kind, value = _elements(content)
    return _object_identifier(kind.content), _text(value), value.whole


def _text(value: _Element) -> str:
    match value.tag:
        case 0x1E:  # BMPString
            return value.content.decode("utf-16-be", "replace")
        case 0x1C:  # UniversalString
            return value.content.decode("utf-32-be", "replace")
        case 0x14:  # TeletexString, as it is used
            return value.content.decode("latin-1")
    return value.content.decode("utf-8", "replace")


def _object_identifier(content: bytes) -> str:
    """X.690 section 8.19."""
    numbers = [min(content[0] // 40, 2)]
    numbers.append(content[0] - 40 * numbers[0])
    number = 0
    for byte in content[1:]:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(number)
            number = 0
    return ".".join(map(str, numbers))


def _write_name(rdns: list[_Rdn]) -> str:
    """RFC 4514 section 2: the last part comes first."""
    return ",".join("+".join(_write_attribute(*one) for one in rdn) for rdn in reversed(rdns))


def _write_attribute(kind: str, text: str, der: bytes) -> str:
    name = _ATTRIBUTES.get(kind)
    return f"{name}={_escape(text)}" if name is not None else f"{kind}=#{der.hex()}"


def _escape(text: str) -> str:
    escaped = "".join(f"\\{one}" if one in '"+,;<>\\' else "\\00" if one == "\0" else one for one in text)
    if escaped[:1] in (" ", "#"):
        escaped = f"\\{escaped}"
    return f"{escaped[:-1]}\\ " if escaped.endswith(" ") and len(text) > 1 else escaped


def _alternative_names(extensions: bytes) -> Iterator[str]:
    """Those of the server in subjectAltName (RFC 5280 section 4.2.1.6)."""
    (sequence,) = _elements(extensions)
    for extension in _elements(sequence.content):
        parts = list(_elements(extension.content))
        if parts[0].whole != _SUBJECT_ALT_NAME:
            continue
        (names,) = _elements(parts[-1].content)
        for name in _elements(names.content):
            if name.tag == _DNS_NAME:
                yield name.content.decode("ascii").lower()
            elif name.tag == _IP_ADDRESS:
                yield str(ipaddress.ip_address(name.content))
