"""The certificates of a worker's ports: loaded at its start, prepared and used when its supervisor says so."""

from __future__ import annotations

import datetime
import json
import os
import ssl

import pytest
import trustme
from tls_ends import shake_hands

from gracehttp.config import server_options
from gracehttp.errors import CertificateError
from gracehttp.worker.certificates import Certificates, read_contents

AUTHORITY = trustme.CA()
SECRET, NEXT_SECRET = bytes(32), bytes(range(32))


def put(path, name="localhost", **options):
    AUTHORITY.issue_cert(name, **options).private_key_and_cert_chain_pem.write_to_path(path)


@pytest.fixture
def pem(tmp_path):
    path = tmp_path / "server.pem"
    put(path)
    return path


def servers_of(pem, **options):
    """A port without TLS, and one with it."""
    plain = server_options("main:app", bind="http://127.0.0.1:1")
    return [*plain, *server_options("main:app", bind="https://127.0.0.1:2", certfile=str(pem), **options)]


def client():
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    context.check_hostname = False
    return context


def name_of(tls):
    """The name in the certificate that a client of the port gets."""
    end, _ = shake_hands(client(), tls.context)
    return end.getpeercert()["subjectAltName"][0][1]


def test_ports_have_what_was_loaded_and_those_without_tls_have_none(pem):
    plain, secure = Certificates(servers_of(pem)).ports
    assert plain is None
    assert name_of(secure) == "localhost"
    assert secure.key_log is None


def test_what_was_given_is_loaded_whatever_is_in_the_files(pem):
    memory = Certificates(servers_of(pem)).write_contents()
    put(pem, "other.test")
    _, secure = Certificates(servers_of(pem), read_contents(memory)).ports
    assert name_of(secure) == "localhost"


def test_what_is_prepared_is_used_on_order_only_and_told_once(pem):
    certificates = Certificates(servers_of(pem))
    told = []
    certificates.on_use = lambda: told.append([one and name_of(one) for one in certificates.ports])
    before = certificates.digest
    put(pem, "other.test")
    certificates.prepare()
    assert certificates.digest != before
    assert name_of(certificates.ports[1]) == "localhost"
    assert told == []
    certificates.use()
    certificates.use()
    assert told == [[None, "other.test"]]


def test_certificates_that_are_refused_leave_those_in_use(pem):
    certificates = Certificates(servers_of(pem))
    before = certificates.digest
    put(pem, not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    with pytest.raises(CertificateError, match="has expired"):
        certificates.prepare()
    certificates.on_use = lambda: pytest.fail("nothing is prepared")
    certificates.use()
    assert certificates.digest == before


def resumes(first, second):
    context = client()
    end, server = shake_hands(context, first.context)
    server.write(b"x")  # the client learns its ticket from what comes behind the handshake
    assert end.read(1) == b"x"
    again, _ = shake_hands(context, second.context, session=end.session)
    return again.session_reused


def test_tickets_of_workers_with_the_same_secret_are_taken_also_after_a_change(pem):
    one, other = (Certificates(servers_of(pem), ticket_secret=SECRET) for _ in range(2))
    assert resumes(one.ports[1], other.ports[1])
    one.use_ticket_secret(NEXT_SECRET)
    assert not resumes(one.ports[1], other.ports[1])
    put(pem)
    for certificates in (one, other):
        certificates.prepare()
    other.use_ticket_secret(NEXT_SECRET)  # what is prepared has it too
    for certificates in (one, other):
        certificates.use()
    assert resumes(one.ports[1], other.ports[1])


def test_the_key_log_of_a_port_goes_on_with_its_next_certificate(pem):
    pytest.importorskip("cryptography")
    certificates = Certificates(servers_of(pem, tls_handover=True))
    before = certificates.ports[1]
    put(pem, "other.test")
    certificates.prepare()
    certificates.use()
    after = certificates.ports[1]
    assert after.context is not before.context
    assert after.key_log is before.key_log
    after.key_log.take()
    shake_hands(client(), after.context)
    assert {label for label, _ in after.key_log.take()} >= {b"CLIENT_TRAFFIC_SECRET_0", b"SERVER_TRAFFIC_SECRET_0"}
    after.key_log.close()


def test_files_that_have_changed_since_are_not_written_for_others(pem):
    certificates = Certificates(servers_of(pem))
    memory = certificates.write_contents()
    assert json.loads(os.pread(memory, 1 << 16, 0)) == {str(pem): pem.read_text()}
    put(pem, "other.test")
    assert certificates.write_contents() is None
