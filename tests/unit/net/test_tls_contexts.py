"""The contexts of a port: which client gets which certificate, from file or memory, and which sessions are resumed."""

from __future__ import annotations

import datetime
import os
import ssl
import time

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tls_ends import shake_hands

from gracehttp.errors import CertificateError
from gracehttp.net import openssl
from gracehttp.net.certificates import TlsSettings, check_validity, contents_of, load
from gracehttp.net.tls_session import session_of

AUTHORITY = trustme.CA()
CLIENTS = trustme.CA()
SECRET = bytes(range(32))


def put(folder, name, *names, **options):
    """A certificate and its key in one file."""
    path = folder / name
    AUTHORITY.issue_cert(*names, **options).private_key_and_cert_chain_pem.write_to_path(path)
    return str(path), str(path)


@pytest.fixture
def pair(tmp_path):
    return put(tmp_path, "server.pem", "localhost")


def connected(loaded, name="localhost", *, session=None, context=None, most=ssl.TLSVersion.TLSv1_3):
    """Both ends after a handshake in memory, the server's last."""
    if context is None:
        context = ssl.create_default_context()
        AUTHORITY.configure_trust(context)
        context.check_hostname = False
        context.maximum_version = most
    client, server = shake_hands(context, loaded.default, name, session)
    server.write(b"x")  # the client learns its ticket from what comes behind the handshake
    assert client.read(1) == b"x"
    return client, server


def resumes(first, second, version):
    """Whether a session that `first` has made is resumed with `second`."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    context.maximum_version = version
    client, _ = connected(first, context=context)
    again, _ = connected(second, context=context, session=client.session)
    return again.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_by_whoever_has_the_same_secret_for_the_same_port(pair, version):
    def loaded(secret=SECRET, **settings):
        made = load(TlsSettings((pair,), name="127.0.0.1:8443")._replace(**settings))
        assert secret is None or made.use_ticket_secret(secret)
        return made

    assert resumes(loaded(), loaded(), version)
    assert not resumes(loaded(None), loaded(None), version), "each context has its own keys"
    assert not resumes(loaded(), loaded(b"another" * 5), version)
    assert not resumes(loaded(), loaded(name="127.0.0.2:8443"), version)


def test_a_session_is_not_resumed_when_other_clients_are_accepted_now(pair, tmp_path):
    authorities = tmp_path / "clients.pem"
    CLIENTS.cert_pem.write_to_path(authorities)
    settings = TlsSettings((pair,), ca=str(authorities), verify="optional")
    version = ssl.TLSVersion.TLSv1_3
    before, same = load(settings), load(settings)
    trustme.CA().cert_pem.write_to_path(authorities)
    after = load(settings)
    asks_for_none = load(TlsSettings((pair,)))
    for one in (before, same, after, asks_for_none):  # the keys are those of what was loaded, not of what is there now
        assert one.use_ticket_secret(SECRET)
    assert resumes(before, same, version)
    assert not resumes(before, after, version)
    assert not resumes(asks_for_none, before, version)


def test_where_openssl_can_not_be_reached_sessions_are_of_one_process_and_all_else_works(pair, monkeypatch):
    monkeypatch.setattr(openssl, "available", lambda: False)
    loaded = load(TlsSettings((pair,), groups="prime256v1"))
    assert not loaded.use_ticket_secret(SECRET)
    assert connected(loaded)[0].version() == "TLSv1.3"
    with pytest.raises(CertificateError, match="knows no groups"):
        load(TlsSettings((pair,), groups="X25519:P-256"))


def test_the_first_certificate_with_a_name_wins_and_a_wildcard_comes_after_the_name(tmp_path):
    first = put(tmp_path, "1", "first.org")
    wildcard = put(tmp_path, "2", "*.b.org")
    exact = put(tmp_path, "3", "a.b.org")
    twice = put(tmp_path, "4", "a.b.org")
    loaded = load(TlsSettings((first, wildcard, exact, twice)))
    certificates = [one.certificate for one in loaded.contexts]

    def chosen(name):
        return certificates.index(session_of(connected(loaded, name)[1]).facts.server_cert)

    assert [chosen(name) for name in ("first.org", "x.b.org", "A.b.org", "b.org", "x.y.b.org", "z.org", None)] == [
        *(0, 1, 2),
        *(0, 0, 0, 0),
    ]


def test_what_was_loaded_can_be_loaded_again_when_the_files_are_gone(pair, tmp_path):
    settings = TlsSettings((pair,))
    loaded = load(settings)
    contents = contents_of(loaded)
    os.unlink(pair[0])
    with pytest.raises(CertificateError):
        load(settings)
    again = load(settings, contents)
    assert (again.digest, again.settings) == (loaded.digest, settings)
    assert session_of(connected(again)[1]).facts.server_cert == loaded.default.certificate
    put(tmp_path, "server.pem", "localhost")
    assert contents_of(loaded) == {}, "that is something else"


def test_files_that_change_while_they_are_read_are_read_again(pair, tmp_path, monkeypatch):
    from gracehttp.net import certificates

    real, reads = certificates._context, []

    def meanwhile(*arguments):
        made = real(*arguments)
        reads.append(made)
        if len(reads) == 1:
            put(tmp_path, "server.pem", "localhost")
        return made

    monkeypatch.setattr(certificates, "_context", meanwhile)
    loaded = load(TlsSettings((pair,)))
    assert loaded.default is reads[1]
    reads.clear()
    monkeypatch.setattr(certificates, "_context", lambda *arguments: put(tmp_path, "server.pem", "localhost"))
    with pytest.raises(CertificateError, match="change all the time"):
        load(TlsSettings((pair,)))


def test_an_end_and_a_beginning_are_looked_at(pair):
    loaded = load(TlsSettings((pair,)))
    facts = loaded.default.facts
    check_validity(loaded, time.time())
    with pytest.raises(CertificateError, match="has expired"):
        check_validity(loaded, facts.not_after + 1)
    with pytest.raises(CertificateError, match="not valid yet"):
        check_validity(loaded, facts.not_before - 1)


@pytest.mark.parametrize(("option", "of"), [("ca", "ssl_ca"), ("crl", "ssl_crl")])
@pytest.mark.parametrize("content", [None, "no PEM", "-----BEGIN X509 CRL-----\n-----BEGIN CERTIFICATE-----\nbroken\n"])
def test_authorities_that_can_not_be_used(pair, tmp_path, option, of, content):
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    CLIENTS.cert_pem.write_to_path(good)
    if content is not None:
        bad.write_text(content)
    settings = TlsSettings((pair,), ca=str(good), verify="required")._replace(**{option: str(bad)})
    with pytest.raises(CertificateError) as caught:
        load(settings)
    assert str(bad) in caught.value.message
    assert of in caught.value.message or "is damaged" in caught.value.message


def crl(path, *lists):
    """Lists of revoked certificates at `path`, each of an authority, and with the days until it ends."""
    now = datetime.datetime.now(datetime.UTC)
    content = b""
    for authority, left in lists:
        key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
        issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject
        begin, end = now - datetime.timedelta(days=10), now + datetime.timedelta(days=left)
        made = x509.CertificateRevocationListBuilder(issuer, begin, end).sign(key, hashes.SHA256())
        content += made.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(content)
    return str(path)


def settings_with_lists(pair, folder, *lists):
    authority = folder / "ca.pem"
    CLIENTS.cert_pem.write_to_path(authority)
    return TlsSettings((pair,), ca=str(authority), verify="required", crl=crl(folder / "crl.pem", *lists))


def test_a_list_of_revoked_certificates_that_has_expired_is_not_valid_and_of_several_authorities_the_first_end_counts(
    pair, tmp_path
):
    loaded = load(settings_with_lists(pair, tmp_path, (CLIENTS, 9), (AUTHORITY, 5)))
    now = time.time()
    check_validity(loaded, now + 4.9 * 86400)
    with pytest.raises(
        CertificateError, match=r"crl.pem has expired, so each client of its authority would be refused"
    ):
        check_validity(loaded, now + 5.1 * 86400)


@pytest.mark.parametrize("days", [(-1, 9), (9, -1)])
def test_the_old_list_of_an_authority_beside_its_new_one_refuses_no_client(pair, tmp_path, days):
    settings = settings_with_lists(pair, tmp_path, *((CLIENTS, one) for one in days))
    loaded = load(settings)
    check_validity(loaded, time.time())
    assert loaded.crl_validity[1] == pytest.approx(time.time() + 9 * 86400, abs=60)
    CLIENTS.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.load_cert_chain(tmp_path / "client.pem")
    shake_hands(client, loaded.default)


def test_of_an_authority_it_is_told_which_option_names_its_file(pair, tmp_path):
    wrong = tmp_path / "wrong.pem"
    CLIENTS.private_key_pem.write_to_path(wrong)
    with pytest.raises(CertificateError) as caught:
        load(TlsSettings((pair,), ca=str(wrong), verify="required"))
    assert caught.value.hint.startswith("--ssl-ca names the certificates of the authorities")


@pytest.mark.parametrize(("suites", "told"), [("TLS_AES_128_GCM_SHA256", True), ("NOPE", False)])
def test_that_cipher_suites_of_tls_1_3_can_not_be_chosen_is_told_to_who_tries(pair, suites, told):
    with pytest.raises(CertificateError) as caught:
        load(TlsSettings((pair,), ciphers=suites))
    assert ("those of TLS 1.3 are OpenSSL's" in caught.value.hint) == told
