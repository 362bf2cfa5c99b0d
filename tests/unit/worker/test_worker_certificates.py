"""What a worker takes of the files of its certificates, and what it reports of them."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gracehttp.config import server_options
from gracehttp.errors import CertificateError
from gracehttp.worker.certificates import Certificates

AUTHORITY = trustme.CA()
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def put(path: Path, days: float) -> None:
    """A certificate that ends in so many days, with its key."""
    issued = AUTHORITY.issue_cert("localhost", not_before=NOW - 90 * DAY, not_after=NOW + days * DAY)
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))


def put_list(path: Path, days: float) -> None:
    """A list of revoked certificates that ends in so many days."""
    key = serialization.load_pem_private_key(AUTHORITY.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(AUTHORITY.cert_pem.bytes()).subject
    made = x509.CertificateRevocationListBuilder(issuer, NOW - 9 * DAY, NOW + days * DAY).sign(key, hashes.SHA256())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def certificates(folder: Path, **options: str) -> Certificates:
    servers = server_options("main:app", bind="127.0.0.1:1", certfile=str(folder / "a.pem"), **options)
    return Certificates(servers)


def test_an_expired_certificate_that_is_in_use_is_not_refused_as_a_new_one_but_another_one_is(tmp_path):
    put(tmp_path / "a.pem", -1)
    worker = certificates(tmp_path)
    worker.prepare()  # the supervisor has every worker look, soon after its start
    put(tmp_path / "a.pem", -2)
    with pytest.raises(CertificateError, match="has expired"):
        worker.prepare()


def test_a_list_of_revoked_certificates_is_reported_with_its_end_and_a_new_one_that_has_expired_is_refused(tmp_path):
    put(tmp_path / "a.pem", 90)
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.cert_pem.bytes())
    put_list(tmp_path / "crl.pem", 3)
    worker = certificates(tmp_path, ssl_ca=str(tmp_path / "ca.pem"), ssl_crl=str(tmp_path / "crl.pem"))
    certificate, crl = worker.facts
    assert (certificate.is_crl, certificate.names) == (False, ("localhost",))
    assert (crl.is_crl, crl.path) == (True, str(tmp_path / "crl.pem"))
    assert crl.not_after == int((NOW + 3 * DAY).timestamp())
    put_list(tmp_path / "crl.pem", -1)
    with pytest.raises(CertificateError, match=r"the list of revoked certificates \S+crl.pem has expired"):
        worker.prepare()


def test_an_expired_list_that_is_in_use_keeps_no_new_certificate_away_nor_the_other_way_round(tmp_path):
    put(tmp_path / "a.pem", 3)
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.cert_pem.bytes())
    put_list(tmp_path / "crl.pem", -1)
    worker = certificates(tmp_path, ssl_ca=str(tmp_path / "ca.pem"), ssl_crl=str(tmp_path / "crl.pem"))
    put(tmp_path / "a.pem", 90)
    worker.prepare()
    assert worker.facts[0].not_after == int((NOW + 90 * DAY).timestamp())

    put(tmp_path / "a.pem", -1)
    worker = certificates(tmp_path, ssl_ca=str(tmp_path / "ca.pem"), ssl_crl=str(tmp_path / "crl.pem"))
    put_list(tmp_path / "crl.pem", 7)
    worker.prepare()
    assert worker.facts[1].not_after == int((NOW + 7 * DAY).timestamp())
