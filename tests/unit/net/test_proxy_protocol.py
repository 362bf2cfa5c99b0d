"""The header of the PROXY protocol, as bytes."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gracehttp.net.proxy_protocol import (
    LONGEST_V2_BYTES,
    SIGNATURE,
    ProxyHeader,
    ProxyProtocolError,
    TlsFacts,
    crc32c,
    parse,
)

UNTOLD = ProxyHeader(False)
TCP4 = ProxyHeader(True, ("192.0.2.1", 56324), ("192.0.2.9", 443))
TCP6 = ProxyHeader(True, ("2001:db8::1", 56324), ("2001:db8::9", 443))
ENDS4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.9") + struct.pack("!HH", 56324, 443)
ENDS6 = b"".join(socket.inet_pton(socket.AF_INET6, one) for one in ("2001:db8::1", "2001:db8::9"))
ENDS6 += struct.pack("!HH", 56324, 443)
ENDS_UNIX = struct.pack("108s108s", b"", b"/run/proxy.sock")


def v2(content=b"", *, command=0x21, family=0x11, length=None):
    return SIGNATURE + struct.pack("!BBH", command, family, len(content) if length is None else length) + content


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def ssl(flags, verify, *fields):
    return tlv(0x20, struct.pack("!BI", flags, verify) + b"".join(fields))


def checked(content):
    """`content` with a right checksum behind it."""
    header = v2(content + tlv(3, bytes(4)))
    return header[:-4] + struct.pack("!I", crc32c(header))


TLS = ssl(7, 0, tlv(0x21, b"TLSv1.3"), tlv(0x22, b"someone"), tlv(0x23, b"TLS_AES_128_GCM_SHA256"))
GOOD = {
    "TCP4": (b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n", TCP4),
    "TCP6": (b"PROXY TCP6 2001:db8::1 2001:DB8:0:0::9 56324 443\r\n", TCP6),
    "the longest TCP6": (
        b"PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".replace(
            b"ffff:f...f:ffff", b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        ),
        ProxyHeader(True, *[("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535)] * 2),
    ),
    "an IPv4 address in TCP6": (
        b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.9 56324 443\r\n",
        TCP4,
    ),
    "ports of zero": (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", ProxyHeader(True, ("0.0.0.0", 0), ("0.0.0.0", 0))),
    "UNKNOWN": (b"PROXY UNKNOWN\r\n", UNTOLD),
    "UNKNOWN with more": (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", UNTOLD),
    "the longest UNKNOWN": (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", UNTOLD),
    "v2 TCP4": (v2(ENDS4), TCP4),
    "v2 TCP6": (v2(ENDS6, family=0x21), TCP6),
    "v2 UNIX": (v2(ENDS_UNIX, family=0x31), ProxyHeader(True, None, ("/run/proxy.sock", None))),
    "v2 UNIX without a name": (v2(bytes(216), family=0x31), ProxyHeader(True, None, None)),
    "v2 UNIX with an abstract name": (
        v2(bytes(108) + b"\0abstract".ljust(108, b"\0"), family=0x31),
        ProxyHeader(True, None, None),
    ),
    "v2 UNIX with a name that fills its place": (
        v2(bytes(108) + b"/" * 108, family=0x31),
        ProxyHeader(True, None, ("/" * 108, None)),
    ),
    "v2 LOCAL": (v2(command=0x20, family=0), UNTOLD),
    "v2 LOCAL with addresses": (v2(ENDS4, command=0x20), UNTOLD),
    "v2 LOCAL with anything": (v2(b"anything", command=0x20, family=0x21), UNTOLD),
    "v2 UNSPEC": (v2(family=0), UNTOLD),
    "v2 UNSPEC with more": (v2(b"anything", family=0), UNTOLD),
    "v2 an unspecified protocol": (v2(ENDS4, family=0x10), UNTOLD),
    "v2 with fields that mean nothing": (v2(ENDS4 + tlv(4, bytes(9)) + tlv(0xE0, b"x") + tlv(1, b"h2")), TCP4),
    "v2 with an empty field": (v2(ENDS4 + tlv(0xEE, b"")), TCP4),
    "v2 with TLS": (
        v2(ENDS4 + TLS),
        TCP4._replace(tls=TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", "someone", True)),
    ),
    "v2 with TLS and a certificate that is no good": (
        v2(ENDS4 + ssl(3, 18, tlv(0x22, b"someone"))),
        TCP4._replace(tls=TlsFacts(client_name="someone")),
    ),
    "v2 with TLS without certificate": (
        v2(ENDS4 + ssl(1, 0, tlv(0x21, b"TLSv1.2"))),
        TCP4._replace(tls=TlsFacts("TLSv1.2")),
    ),
    "v2 with TLS and a name in another alphabet": (
        v2(ENDS4 + ssl(7, 0, tlv(0x22, "J\u00f6rg \u738b".encode()))),
        TCP4._replace(tls=TlsFacts(client_name="J\u00f6rg \u738b", verified=True)),
    ),
    "v2 with TLS and a certificate without a name": (
        v2(ENDS4 + ssl(7, 0)),
        TCP4._replace(tls=TlsFacts(client_name="", verified=True)),
    ),
    "v2 with TLS and the longest name": (
        v2(ENDS4 + ssl(7, 0, tlv(0x22, b"n" * 256))),
        TCP4._replace(tls=TlsFacts(client_name="n" * 256, verified=True)),
    ),
    **{
        f"v2 with TLS and a name that is {what}": (
            v2(ENDS4 + ssl(7, 0, tlv(0x21, b"TLSv1.3") + tlv(0x22, name))),
            TCP4._replace(tls=TlsFacts("TLSv1.3", client_name="", verified=True)),
        )
        for what, name in {
            "no UTF-8": b"J\xf6rg",
            "longer than any": b"n" * 257,
            "of several lines": b"someone\nroot",
            "cut by a zero": b"root\0.example.org",
        }.items()
    },
    "v2 with TLS of a version and a cipher suite that are none": (
        v2(ENDS4 + ssl(1, 0, tlv(0x21, b"\xff") + tlv(0x23, b"A" * 65))),
        TCP4._replace(tls=TlsFacts()),
    ),
    "v2 without TLS": (v2(ENDS4 + ssl(0, 1)), TCP4),
    "v2 with a checksum": (checked(ENDS4), TCP4),
    "v2 with fields and a checksum": (checked(ENDS6[:0] + ENDS4 + tlv(4, b"x")), TCP4),
    "v2 as long as it may be": (v2(ENDS4 + tlv(4, bytes(LONGEST_V2_BYTES - 31))), TCP4),
}


@pytest.mark.parametrize(("data", "header"), GOOD.values(), ids=GOOD)
def test_a_header_says_who_the_client_is_and_ends_where_it_says(data, header):
    assert parse(data) == (header, len(data))
    assert parse(data + b"\x16\x03\x01 GET / HTTP/1.1\r\n") == (header, len(data))


@pytest.mark.parametrize("data", [data for data, _ in GOOD.values() if len(data) < 1000])
def test_a_header_that_is_cut_at_any_byte_is_waited_for(data):
    for end in range(len(data)):
        assert parse(data[:end]) is None


BAD = {
    "HTTP": b"GET / HTTP/1.1\r\n",
    "HTTP with a method that begins alike": b"PUT / HTTP/1.1\r\n",
    "TLS": b"\x16\x03\x01\x02\x00",
    "lower case": b"proxy TCP4 192.0.2.1 192.0.2.9 1 2\r\n",
    "two spaces": b"PROXY  TCP4 192.0.2.1 192.0.2.9 1 2\r\n",
    "two spaces later": b"PROXY TCP4 192.0.2.1  192.0.2.9 1 2\r\n",
    "a tab": b"PROXY TCP4\t192.0.2.1 192.0.2.9 1 2\r\n",
    "a space at the end": b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2 \r\n",
    "no server": b"PROXY TCP4 192.0.2.1 1 2\r\n",
    "nothing": b"PROXY \r\n",
    "another protocol": b"PROXY UDP4 192.0.2.1 192.0.2.9 1 2\r\n",
    "lower case protocol": b"PROXY tcp4 192.0.2.1 192.0.2.9 1 2\r\n",
    "UNKNOWN with a letter more": b"PROXY UNKNOWNS\r\n",
    "the other family": b"PROXY TCP4 2001:db8::1 2001:db8::9 1 2\r\n",
    "the other family too": b"PROXY TCP6 192.0.2.1 192.0.2.9 1 2\r\n",
    "zeros in front": b"PROXY TCP4 192.0.2.01 192.0.2.9 1 2\r\n",
    "zeros in front of a port": b"PROXY TCP4 192.0.2.1 192.0.2.9 01 2\r\n",
    "a port too high": b"PROXY TCP4 192.0.2.1 192.0.2.9 65536 2\r\n",
    "another port too high": b"PROXY TCP4 192.0.2.1 192.0.2.9 1 99999\r\n",
    "a port below zero": b"PROXY TCP4 192.0.2.1 192.0.2.9 -1 2\r\n",
    "a signed port": b"PROXY TCP4 192.0.2.1 192.0.2.9 +1 2\r\n",
    "no port": b"PROXY TCP4 192.0.2.1 192.0.2.9 1\r\n",
    "a name": b"PROXY TCP4 localhost 192.0.2.9 1 2\r\n",
    "a short address": b"PROXY TCP4 192.0.2 192.0.2.9 1 2\r\n",
    "an address out of range": b"PROXY TCP4 192.0.2.256 192.0.2.9 1 2\r\n",
    "a zone": b"PROXY TCP6 fe80::1%1 fe80::2 1 2\r\n",
    "brackets": b"PROXY TCP6 [::1] ::2 1 2\r\n",
    "a bare LF": b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\n",
    "a bare CR": b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\rx",
    "a NUL": b"PROXY TCP4 192.0.2.1\0 192.0.2.9 1 2\r\n",
    "no end": b"PROXY UNKNOWN " + b"x" * 93,
    "an end too late": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "another signature": SIGNATURE[:-1] + b"\r",
    "version 1 in version 2": v2(ENDS4, command=0x11),
    "version 3": v2(ENDS4, command=0x31),
    "another command": v2(ENDS4, command=0x22),
    "another family": v2(ENDS4, family=0x41),
    "another protocol of v2": v2(ENDS4, family=0x13),
    "datagrams": v2(ENDS4, family=0x12),
    "datagrams of IPv6": v2(ENDS6, family=0x22),
    "datagrams of UNIX": v2(ENDS_UNIX, family=0x32),
    "TCP4 too short": v2(ENDS4[:-1]),
    "TCP6 too short": v2(ENDS4, family=0x21),
    "UNIX too short": v2(ENDS_UNIX[:-1], family=0x31),
    "no addresses": v2(),
    "too long": v2(length=65535),
    "a field cut in its length": v2(ENDS4 + b"\x04\x00"),
    "a field of one byte": v2(ENDS4 + b"\x04"),
    "a field longer than the header": v2(ENDS4 + b"\x04\x00\x02x"),
    "TLS that is cut": v2(ENDS4 + tlv(0x20, bytes(4))),
    "TLS with a field that is cut": v2(ENDS4 + ssl(1, 0, b"\x21\x00\x09TLS")),
    "a checksum that is wrong": v2(ENDS4 + tlv(3, b"\1\2\3\4")),
    "a checksum of another length": v2(ENDS4 + tlv(3, b"\1\2\3")),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_header_is_refused(data):
    with pytest.raises(ProxyProtocolError) as raised:
        parse(data)
    assert str(raised.value).startswith("it begins with no") or str(raised.value).startswith("its PROXY header")
    for end in range(len(data)):  # nothing that is wrong becomes right when more comes
        try:
            assert parse(data[:end]) is None
        except ProxyProtocolError:
            break


def test_what_begins_otherwise_is_refused_at_its_first_byte():
    for byte in set(range(256)) - set(b"P\r"):
        with pytest.raises(ProxyProtocolError):
            parse(bytes([byte]))


def test_the_checksum_is_that_of_rfc_3309():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720 B.4


@given(
    st.binary(max_size=120)
    | st.builds(lambda rest: b"PROXY " + rest, st.binary(max_size=110))
    | st.builds(
        lambda command, family, length, rest: SIGNATURE + struct.pack("!BBH", command, family, length) + rest,
        st.sampled_from([0x20, 0x21, 0x11]), st.integers(0, 255), st.integers(0, 300), st.binary(max_size=300),
    )
)  # fmt: skip
def test_whatever_comes_is_a_header_or_refused_or_waited_for(data):
    try:
        found = parse(data)
    except ProxyProtocolError:
        return
    if found is None:
        assert len(data) < LONGEST_V2_BYTES
    else:
        header, end = found
        assert 0 < end <= len(data)
        assert header.told or header == UNTOLD
