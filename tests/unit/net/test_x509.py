"""What a certificate says of itself, compared with what the package `cryptography` reads in it."""

from __future__ import annotations

import datetime
import math
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from gracehttp.net.x509 import UnreadableCertificate, read_certificate, read_revocation_list

KEY = ec.generate_private_key(ec.SECP256R1())
DER = serialization.Encoding.DER
BEGIN = datetime.datetime(2026, 1, 5, 12, 30, tzinfo=datetime.UTC)
ISSUED = ssl.PEM_cert_to_DER_cert(trustme.CA().issue_cert("localhost").cert_chain_pems[0].bytes().decode())


def certificate(subject, *, end=BEGIN + datetime.timedelta(days=90), names=(), serial=0x7F00AB):
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An Authority")]),
        subject_name=subject,
        public_key=KEY.public_key(),
        serial_number=serial,
        not_valid_before=BEGIN,
        not_valid_after=end,
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256())


def name(*parts):
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])


def test_names_number_and_validity():
    import ipaddress

    made = certificate(
        name((NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Ex, Inc."), (NameOID.COMMON_NAME, "Grüße")),
        names=[
            x509.DNSName("Example.org"),
            x509.DNSName("*.example.org"),
            x509.RFC822Name("not.a.server@example.org"),
            x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
            x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
        ],
    )
    read = read_certificate(made.public_bytes(DER))
    assert read.subject == made.subject.rfc4514_string() == "CN=Grüße,O=Ex\\, Inc.,C=DE"
    assert read.issuer == "CN=An Authority"
    assert read.serial == 0x7F00AB
    assert (read.not_before, read.not_after) == (BEGIN.timestamp(), (BEGIN + datetime.timedelta(days=90)).timestamp())
    assert read.names == ("example.org", "*.example.org", "192.0.2.1", "2001:db8::1")


def test_the_common_name_stands_for_names_that_are_missing():
    assert read_certificate(certificate(name((NameOID.COMMON_NAME, "Old.Example"))).public_bytes(DER)).names == (
        "old.example",
    )


def test_a_time_beyond_2049_is_written_in_another_form():
    end = datetime.datetime(2051, 2, 3, tzinfo=datetime.UTC)
    made = certificate(name((NameOID.COMMON_NAME, "x")), end=end)
    assert read_certificate(made.public_bytes(DER)).not_after == end.timestamp()


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20))
def test_any_text_in_a_name_is_written_as_the_other_reader_writes_it(text):
    made = certificate(name((NameOID.ORGANIZATION_NAME, text)))
    assert read_certificate(made.public_bytes(DER)).subject == made.subject.rfc4514_string()


def test_a_kind_of_name_that_has_no_short_word_is_written_by_its_number():
    made = certificate(name((NameOID.EMAIL_ADDRESS, "a@b.c")))
    read = read_certificate(made.public_bytes(DER)).subject
    assert read == "1.2.840.113549.1.9.1=#1605" + b"a@b.c".hex()


def test_a_certificate_that_is_cut_is_unreadable():
    for length in range(len(ISSUED)):
        with pytest.raises(UnreadableCertificate):
            read_certificate(ISSUED[:length])


@given(st.integers(0, len(ISSUED) - 1), st.integers(0, 255))
def test_a_certificate_with_another_byte_is_read_or_unreadable_and_nothing_else(at, byte):
    try:
        read_certificate(ISSUED[:at] + bytes([byte]) + ISSUED[at + 1 :])
    except UnreadableCertificate:
        return


@pytest.mark.parametrize(
    "end", [BEGIN + datetime.timedelta(days=7), datetime.datetime(2060, 1, 1, tzinfo=datetime.UTC)]
)
@pytest.mark.parametrize("revoked", [(), (0x7F00AB,)])
def test_from_when_to_when_a_list_of_revoked_certificates_holds(end, revoked):
    builder = x509.CertificateRevocationListBuilder(name((NameOID.COMMON_NAME, "An Authority")), BEGIN, end)
    for serial in revoked:
        one = x509.RevokedCertificateBuilder(serial, BEGIN).build()
        builder = builder.add_revoked_certificate(one)
    made = builder.sign(KEY, hashes.SHA256()).public_bytes(DER)
    read = read_revocation_list(made)
    assert read[1:] == (BEGIN.timestamp(), end.timestamp())
    assert b"An Authority" in read.issuer
    with pytest.raises(UnreadableCertificate):
        read_revocation_list(made[:-1])


def test_a_list_of_revoked_certificates_without_an_end_holds_for_ever():
    def element(tag, content):
        return bytes([tag, len(content)]) + content

    algorithm, issuer = element(0x30, b""), element(0x30, b"")
    begin = element(0x17, b"260105123000Z")
    for signed in (algorithm + issuer + begin, algorithm + issuer + begin + element(0x30, b"")):
        made = element(0x30, element(0x30, signed) + algorithm)
        assert read_revocation_list(made) == (b"", BEGIN.timestamp(), math.inf)


@given(st.binary(max_size=200))
def test_what_is_no_list_of_revoked_certificates_is_an_error(data):
    with pytest.raises(UnreadableCertificate):
        read_revocation_list(data)
