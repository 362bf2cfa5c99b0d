"""The context that serves TLS, and what is said of each mistake in certificate and key."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tls_ends import context_of, shake_hands

from gracehttp.errors import CertificateError

AUTHORITY = trustme.CA()
ISSUED = AUTHORITY.issue_cert("localhost")
RSA_ISSUED = AUTHORITY.issue_cert("localhost", key_type=trustme.KeyType.RSA)
PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL  # PKCS#1 for RSA, SEC 1 for EC
NO_PASSWORD = serialization.NoEncryption()

Write = Callable[[str, bytes], str]


def certificate(issued: trustme.LeafCert = ISSUED) -> bytes:
    return b"".join(part.bytes() for part in issued.cert_chain_pems)


def key(
    form: serialization.PrivateFormat = PKCS8, password: bytes | None = None, issued: trustme.LeafCert = ISSUED
) -> bytes:
    loaded = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    encryption = NO_PASSWORD if password is None else serialization.BestAvailableEncryption(password)
    return loaded.private_bytes(PEM, form, encryption)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return write


def failure(certfile: str, keyfile: str | None = None, password: str | None = None) -> CertificateError:
    with pytest.raises(CertificateError) as caught:
        context_of(certfile, keyfile, password)
    return caught.value


def client_after_handshake(context: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    AUTHORITY.configure_trust(client)
    return shake_hands(client, context)[0]


def test_handshake_with_the_newest_protocol_and_http_1_1(write):
    client = ssl.create_default_context()
    client.set_alpn_protocols(["h2", "http/1.1"])
    end = client_after_handshake(context_of(write("c", certificate()), write("k", key())), client)
    assert end.version() == "TLSv1.3"
    assert end.selected_alpn_protocol() == "http/1.1"
    assert end.compression() is None


def test_alpn_prefers_what_the_server_names_first(write):
    client = ssl.create_default_context()
    client.set_alpn_protocols(["http/1.1", "h2"])
    context = context_of(write("c", certificate()), write("k", key()), alpn=("h2", "http/1.1"))
    assert client_after_handshake(context, client).selected_alpn_protocol() == "h2"


def test_no_alpn_at_all(write):
    client = ssl.create_default_context()
    client.set_alpn_protocols(["http/1.1"])
    context = context_of(write("c", certificate()), write("k", key()), alpn=())
    assert client_after_handshake(context, client).selected_alpn_protocol() is None


def test_nothing_older_than_tls_1_2_and_no_renegotiation(write):
    context = context_of(write("c", certificate()), write("k", key()))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize("issued", [ISSUED, RSA_ISSUED], ids=["EC", "RSA"])
@pytest.mark.parametrize("form", [PKCS8, TRADITIONAL], ids=["PKCS8", "traditional"])
@pytest.mark.parametrize("password", [None, "pässword"], ids=["plain", "encrypted"])
def test_all_forms_of_keys(write, issued, form, password):
    encoded = None if password is None else password.encode()
    keyfile = write("k", key(form, encoded, issued))
    context = context_of(write("c", certificate(issued)), keyfile, password)
    assert client_after_handshake(context, ssl.create_default_context()).version() == "TLSv1.3"


def test_key_in_the_certificate_file(write):
    context_of(write("both", key() + certificate()), None)


def test_a_password_that_is_not_needed_does_no_harm(write):
    context_of(write("c", certificate()), write("k", key()), "unneeded")


def test_missing_certificate_file(tmp_path):
    assert failure(str(tmp_path / "no.pem")).message == f"the certfile {tmp_path}/no.pem does not exist."


def test_missing_key_file(write, tmp_path):
    error = failure(write("c", certificate()), str(tmp_path / "no.pem"))
    assert (error.message, error.hint) == (f"the keyfile {tmp_path}/no.pem does not exist.", "see --keyfile")


def test_unreadable_file(write, monkeypatch):
    path = write("c", certificate())

    def denied(*args: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    # root may read everything, so that the mode of a file would prove nothing here
    monkeypatch.setattr("builtins.open", denied)
    assert failure(path).message == f"the certfile {path} can't be read: permission denied."


def test_directory_instead_of_a_file(tmp_path):
    assert failure(str(tmp_path)).message == f"the certfile {tmp_path} can't be read: Is a directory."


def test_null_character_in_a_path():
    assert "can't be read" in failure("a\0b").message


def test_certificate_that_is_not_pem(write):
    path = write("c.der", b"\x30\x82\x01\x0a")
    assert failure(path).message == f"the certfile {path} is not in PEM format."


def test_key_that_is_not_pem(write):
    path = write("k.der", b"\x30\x82\x01\x0a")
    assert failure(write("c", certificate()), path).message == f"the keyfile {path} is not in PEM format."


def test_certificate_and_key_mixed_up(write):
    error = failure(write("k", key()), write("c", certificate()))
    assert "there is no certificate in" in error.message
    assert "mixed up" in error.hint


def test_certificate_alone_has_no_key(write):
    path = write("c", certificate())
    error = failure(path)
    assert (error.message, error.hint) == (
        f"there is no private key in {path}.",
        "--keyfile names the file with the private key",
    )


@pytest.mark.parametrize(
    "other",
    [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)],
    ids=["same type", "another type"],
)
def test_key_of_another_certificate(write, other):
    keyfile = write("k", other.private_bytes(PEM, PKCS8, NO_PASSWORD))
    certfile = write("c", certificate())
    expected = f"the private key {keyfile} does not belong to the certificate {certfile}."
    assert failure(certfile, keyfile).message == expected


@pytest.mark.parametrize("form", [PKCS8, TRADITIONAL], ids=["PKCS8", "traditional"])
@pytest.mark.parametrize("password", ["wrong", ""])
def test_wrong_password(write, form, password):
    keyfile = write("k", key(form, b"right"))
    error = failure(write("c", certificate()), keyfile, password)
    assert error.message == f"the password of the private key {keyfile} is wrong."


@pytest.mark.parametrize("form", [PKCS8, TRADITIONAL], ids=["PKCS8", "traditional"])
def test_missing_password_is_an_error_and_no_question_on_the_terminal(write, form, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    keyfile = write("k", key(form, b"right"))
    error = failure(write("c", certificate()), keyfile)
    assert error.message == f"the private key {keyfile} is encrypted, and there is no password for it."
    assert "GRACEHTTP_KEYFILE_PASSWORD" in error.hint


def test_password_that_openssl_does_not_take(write):
    error = failure(write("c", certificate()), write("k", key(password=b"right")), "x" * 2000)
    assert "password" in error.message


def test_damaged_files_are_told_apart(write):
    good_certificate, good_key = certificate(), key()
    cut_certificate = write("c", good_certificate[:200])
    cut_key = write("k", good_key[:80])
    assert failure(cut_certificate, write("k2", good_key)).message.startswith(f"{cut_certificate} is damaged")
    assert f"openssl x509 -in {cut_certificate} -noout" in failure(cut_certificate, write("k2", good_key)).hint
    assert f"openssl pkey -in {cut_key} -noout" in failure(write("c2", good_certificate), cut_key).hint
    assert failure(write("c2", good_certificate), cut_key).message.startswith(f"{cut_key} is damaged")


def test_relative_paths(write, tmp_path, monkeypatch):
    write("c", certificate())
    write("k", key())
    monkeypatch.chdir(tmp_path)
    context_of("c", "k", None)
