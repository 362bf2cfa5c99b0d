"""TLS as its options ask for it: certificates, of clients too, versions, groups, sessions; and the edges."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import shutil
import socket
import ssl
import stat
import subprocess

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from deadlines import DEADLINE_SECONDS
from server_harness import get_on, read_response, wait_until
from tls_client import connect_tls, context_for, der
from websocket_client import WebSocket, run

AUTHORITY = trustme.CA()
CLIENTS = trustme.CA()
TLS_APPLICATION = """
    import json, os

    async def app(scope, receive, send):
        told = json.dumps({"pid": os.getpid(), "tls": scope["extensions"].get("tls")})
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": told})
            await send({"type": "websocket.close"})
            return
        body = told.encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def wsgi(environ, start_response):
        body = json.dumps({key: value for key, value in environ.items() if key.startswith("SSL_")}).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
"""


def put(folder, issued, name):
    (folder / f"{name}.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    (folder / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
    return issued


def begin(start, folder, *options, application="application:app", environment=None):
    server_certificate = put(folder, AUTHORITY.issue_cert("localhost", "127.0.0.1"), "server")
    server = start(
        *("-m", "gracehttp", "serve", application, "--bind", "127.0.0.1:0"),
        *("--ssl-certfile", "server.pem", "--ssl-keyfile", "server.key", *options),
        files={"application.py": TLS_APPLICATION},
        environment=environment,
    )
    server.wait_until_serving()
    server.issued = server_certificate
    return server


def client_context(certificate=None):
    return context_for(AUTHORITY, certificate=certificate)


def connect(server, context=None, name="localhost"):
    return connect_tls(server.port, context or client_context(), name)


def ask(server, context=None):
    """What the application tells of its TLS."""
    with connect(server, context) as sock:
        return json.loads(get_on(sock)[1])


def read_to_end(sock):
    received = b""
    while piece := sock.recv(65536):
        received += piece
    return received


# --- several certificates ---


def test_each_name_gets_its_own_certificate_and_an_unknown_one_the_first(start, tmp_path):
    exact = put(tmp_path, AUTHORITY.issue_cert("api.example.org"), "api")
    wildcard = put(tmp_path, AUTHORITY.issue_cert("*.example.org", "example.org"), "all")
    more = [("--certfile", f"{name}.pem", "--keyfile", f"{name}.key") for name in ("api", "all")]
    server = begin(start, tmp_path, *more[0], *more[1])
    unchecked = client_context()
    unchecked.check_hostname = False

    def certificate(name):
        with connect(server, unchecked, name) as sock:
            assert get_on(sock)[0] == 200
            return sock.getpeercert(binary_form=True)

    assert certificate("api.example.org") == der(exact)
    assert certificate("www.EXAMPLE.org") == der(wildcard)
    assert certificate("example.org") == der(wildcard)
    assert certificate("a.b.example.org") == der(server.issued), "a wildcard stands for one label"
    assert certificate("elsewhere.net") == der(server.issued)
    assert certificate(None) == der(server.issued)

    with connect(server, client_context(), "api.example.org") as sock:
        told = json.loads(get_on(sock)[1])["tls"]["server_cert"]
    assert ssl.PEM_cert_to_DER_cert(told) == der(exact)

    exact = put(tmp_path, AUTHORITY.issue_cert("api.example.org"), "api")
    server.wait_for("changed to the new certificate")
    assert certificate("api.example.org") == der(exact)


# --- client certificates ---


@pytest.fixture
def authority(tmp_path):
    CLIENTS.cert_pem.write_to_path(tmp_path / "clients.pem")
    return ("--ssl-ca-certs", "clients.pem")


def client(name="alice"):
    return CLIENTS.issue_cert(f"{name}@example.org", common_name=name, organization_name="Example, Inc.")


def test_without_a_certificate_that_is_required_there_is_no_connection(start, tmp_path, authority):
    server = begin(start, tmp_path, *authority)
    with pytest.raises((ssl.SSLError, ConnectionResetError)), connect(server) as sock:
        get_on(sock)
    stranger = trustme.CA().issue_cert("mallory@example.org", common_name="mallory")
    with pytest.raises((ssl.SSLError, ConnectionResetError)), connect(server, client_context(stranger)) as sock:
        get_on(sock)
    alice = client()
    told = ask(server, client_context(alice))["tls"]
    (pem,) = told["client_cert_chain"][:1]
    assert ssl.PEM_cert_to_DER_cert(pem) == der(alice)
    assert told["client_cert_name"] == x509.load_der_x509_certificate(der(alice)).subject.rfc4514_string()
    assert told["client_cert_error"] is None
    assert "Traceback" not in server.log


def test_the_extension_tells_versions_and_cipher_suites_by_their_numbers(start, tmp_path):
    server = begin(start, tmp_path)
    told = ask(server)["tls"]
    assert told["tls_version"] == 0x0304
    assert told["cipher_suite"] in (0x1301, 0x1302, 0x1303)
    assert ssl.PEM_cert_to_DER_cert(told["server_cert"]) == der(server.issued)
    assert (list(told["client_cert_chain"]), told["client_cert_name"], told["client_cert_error"]) == ([], None, None)
    old = client_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    told = ask(server, old)["tls"]
    assert (told["tls_version"], told["cipher_suite"]) == (0x0303, 0xC02B)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_extension_is_there_with_http_2_too(start, tmp_path, authority):
    pytest.importorskip("ngh2")
    server = begin(start, tmp_path, *authority)
    alice = put(tmp_path, client(), "alice")
    AUTHORITY.cert_pem.write_to_path(tmp_path / "authority.pem")
    finished = subprocess.run(
        [
            *("curl", "--silent", "--http2", "--cacert", "authority.pem", "--cert", "alice.pem", "--key", "alice.key"),
            *("--write-out", "%{http_version}", f"https://127.0.0.1:{server.port}/"),
        ],
        cwd=tmp_path,
        capture_output=True,
        timeout=DEADLINE_SECONDS,
    )
    told, version = finished.stdout.decode().rsplit("}", 1)
    assert version == "2"
    told = json.loads(f"{told}}}")["tls"]
    assert told["client_cert_name"] == x509.load_der_x509_certificate(der(alice)).subject.rfc4514_string()


def test_the_extension_is_there_for_a_websocket_too(start, tmp_path, authority):
    server = begin(start, tmp_path, *authority)
    alice = client()
    told = {}

    async def scenario():
        websocket = await WebSocket.connect(server.port, tls=client_context(alice))
        told.update(json.loads((await websocket.receive()).payload)["tls"])

    run(scenario())
    assert told["client_cert_name"] == x509.load_der_x509_certificate(der(alice)).subject.rfc4514_string()
    assert ssl.PEM_cert_to_DER_cert(told["client_cert_chain"][0]) == der(alice)
    assert ssl.PEM_cert_to_DER_cert(told["server_cert"]) == der(server.issued)
    assert told["tls_version"] == 0x0304


def test_wsgi_finds_the_client_in_its_environ(start, tmp_path, authority):
    server = begin(start, tmp_path, *authority, "--ssl-verify", "optional", application="application:wsgi")
    assert ask(server)["SSL_CLIENT_VERIFY"] == "NONE"
    alice = client()
    told = ask(server, client_context(alice))
    certificate = x509.load_der_x509_certificate(der(alice))
    assert told["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert told["SSL_PROTOCOL"] == "TLSv1.3"
    assert told["SSL_CLIENT_S_DN"] == certificate.subject.rfc4514_string()
    assert told["SSL_CLIENT_I_DN"] == certificate.issuer.rfc4514_string()
    assert int(told["SSL_CLIENT_M_SERIAL"], 16) == certificate.serial_number
    assert told["SSL_CLIENT_V_END"].endswith(" GMT")
    assert ssl.PEM_cert_to_DER_cert(told["SSL_CLIENT_CERT"]) == der(alice)


def test_a_certificate_that_was_revoked_is_refused_as_soon_as_the_list_says_so(start, tmp_path, authority):
    alice, bob = client(), client("bob")
    write_list(tmp_path / "revoked.pem", [])
    server = begin(start, tmp_path, *authority, "--ssl-crl", "revoked.pem")
    assert ask(server, client_context(alice))["tls"]["client_cert_name"]
    write_list(tmp_path / "revoked.pem", [alice])
    server.wait_for("changed to the new certificate")
    with pytest.raises((ssl.SSLError, ConnectionResetError)), connect(server, client_context(alice)) as sock:
        get_on(sock)
    assert ask(server, client_context(bob))["tls"]["client_cert_name"]


def write_list(path, revoked):
    now = datetime.datetime.now(datetime.UTC)
    authority = x509.load_pem_x509_certificate(CLIENTS.cert_pem.bytes())
    key = serialization.load_pem_private_key(CLIENTS.private_key_pem.bytes(), None)
    builder = x509.CertificateRevocationListBuilder(
        authority.subject, now - datetime.timedelta(days=1), now + datetime.timedelta(days=1)
    )
    for one in revoked:
        number = x509.load_der_x509_certificate(der(one)).serial_number
        entry = x509.RevokedCertificateBuilder(number, now - datetime.timedelta(hours=1)).build()
        builder = builder.add_revoked_certificate(entry)
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


# --- versions, ciphers, groups ---


def test_the_oldest_version_can_be_1_3(start, tmp_path):
    server = begin(start, tmp_path, "--ssl-min-version", "1.3")
    old = client_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        connect(server, old)
    assert ask(server)["tls"]["tls_version"] == 0x0304


def test_ciphers_and_groups_are_those_that_are_asked_for(start, tmp_path):
    server = begin(start, tmp_path, "--ssl-ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384", "--ssl-groups", "P-384")
    old = client_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert ask(server, old)["tls"]["cipher_suite"] == 0xC02C
    old.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError):
        connect(server, old)
    agreed = s_client(server, "-groups", "X25519:P-384")
    assert "Server Temp Key: ECDH, secp384r1" in agreed or "Server Temp Key: ECDH, P-384" in agreed


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--ssl-ciphers", "NONESUCH"), "OpenSSL knows no cipher suites by 'NONESUCH'"),
        (("--ssl-groups", "P-1"), "OpenSSL knows no groups by 'P-1'"),
        (("--ssl-verify", "required"), "ssl_verify required has no effect without ssl_ca"),
        (("--ssl-version", "1.1"), "ssl_min_version must be 1.2 or 1.3, not '1.1'"),
    ],
)
def test_what_can_not_be_had_is_told(start, tmp_path, options, sentence):
    put(tmp_path, AUTHORITY.issue_cert("localhost"), "server")
    server = start(
        *("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0"),
        *("--certfile", "server.pem", "--keyfile", "server.key", *options),
        files={"application.py": TLS_APPLICATION},
    )
    server.wait_for(sentence)
    assert server.wait() in (2, 3)
    assert "Traceback" not in server.log


# --- sessions ---


def s_client(server, *options, request="GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
    """What `openssl s_client` prints, the response included."""
    finished = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-ign_eof", *options],
        input=request.encode(),
        capture_output=True,
        timeout=DEADLINE_SECONDS,
    )
    return finished.stdout.decode("latin-1")


def pid_in(output):
    return json.loads(output[output.index('{"pid"') : output.index("}}") + 2])["pid"]


openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_is_resumed_by_another_worker_after_a_restart_and_by_a_new_supervisor(start, tmp_path, version):
    server = begin(start, tmp_path, "--workers", "2")
    session = str(tmp_path / "session")

    first = s_client(server, version, "-sess_out", session)
    assert "New, TLSv1" in first
    pids = {pid_in(first)}

    def resumed_by_another():
        again = s_client(server, version, "-sess_in", session)
        assert "Reused, TLSv1" in again
        pids.add(pid_in(again))
        return len(pids) == 2

    wait_until(resumed_by_another, what="a connection to the other worker")
    server.restart(2)
    assert "Reused, TLSv1" in s_client(server, version, "-sess_in", session)
    assert server.command("restart", "--supervisor").returncode == 0
    assert "Reused, TLSv1" in s_client(server, version, "-sess_in", session)


@openssl
def test_a_session_that_was_made_without_a_certificate_is_not_resumed_where_one_is_required(start, tmp_path, authority):
    """As CVE-2025-23419 of nginx: two ports with one key of tickets."""
    put(tmp_path, AUTHORITY.issue_cert("localhost"), "server")
    script = """
        import gracehttp

        grace = gracehttp.GraceHTTP()
        tls = {"certfile": "server.pem", "keyfile": "server.key"}
        grace.add_server("application:app", bind="127.0.0.1:0", **tls)
        grace.add_server("application:app", bind="127.0.0.2:0", ssl_ca="clients.pem", **tls)
        grace.run()
    """
    server = start("script.py", files={"application.py": TLS_APPLICATION, "script.py": script})
    server.wait_until_serving()
    session = str(tmp_path / "session")
    assert "New, TLSv1" in s_client(server, "-sess_out", session)
    options = ["-connect", f"127.0.0.2:{server.ports[1]}", "-sess_in", session]
    told = s_client(server, *options)
    assert "Reused" not in told
    assert '"pid"' not in told


# --- the edges ---


def test_plain_http_on_a_port_with_tls_is_answered_with_a_sentence_and_told_in_one_line(start, tmp_path):
    server = begin(start, tmp_path)
    for sent in (b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", b"PATCH /thing HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as sock:
            sock.sendall(sent[:1])
            sock.sendall(sent[1:])
            status, headers, body = read_response(sock)
            assert (status, headers["connection"]) == (400, "close")
            assert b"write https://" in body
    told = server.wait_for(
        rf"https://127\.0\.0\.1:{server.port}: answered 400 to 127\.0\.0\.1, because it speaks plain"
    )
    assert told
    assert server.log.count("it speaks plain HTTP") <= 2, "the others are told together, a second later"
    assert ask(server)["tls"]


@pytest.mark.parametrize("sent", [b"SSH-2.0-client\r\n", b"\x00" * 20, b"\x80\x2e\x01\x00\x02", b"hello\n"])
def test_what_is_neither_tls_nor_http_gets_no_answer_in_clear_text(start, tmp_path, sent):
    server = begin(start, tmp_path, "--header-timeout", "2s")
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in read_to_end(sock)
    assert "plain HTTP" not in server.log


def test_the_keys_of_connections_are_written_only_where_the_variable_says_and_that_is_told(start, tmp_path):
    log = tmp_path / "keys.log"
    server = begin(start, tmp_path, environment={"SSLKEYLOGFILE": str(log)})
    server.wait_for(rf"the secrets of all TLS connections are written to {log}")
    assert ask(server)["tls"]
    assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.skipif(shutil.which("sslscan") is None, reason="sslscan is not installed")
def test_sslscan_finds_nothing_old(start, tmp_path):
    server = begin(start, tmp_path)
    finished = subprocess.run(
        ["sslscan", "--no-colour", "--xml=-", f"127.0.0.1:{server.port}"], capture_output=True, timeout=DEADLINE_SECONDS
    )
    found = finished.stdout.decode()
    enabled = {
        (kind, version)
        for kind in ("ssl", "tls")
        for version in ("2", "3", "1.0", "1.1", "1.2", "1.3")
        if f'<protocol type="{kind}" version="{version}" enabled="1"' in found
    }
    assert enabled == {("tls", "1.2"), ("tls", "1.3")}
    assert '<renegotiation supported="0"' in found
    assert 'vulnerable="1"' not in found
    ciphers = re.findall(r'<cipher .* sslversion="TLSv1\.2" .* cipher="([^"]*)"', found)
    assert ciphers
    assert all(one.startswith(("ECDHE-", "DHE-")) for one in ciphers), "forward secrecy"
    assert all("GCM" in one or "CHACHA20" in one for one in ciphers), "encryption that is authenticated"
    assert "Traceback" not in server.log


def test_check_tells_until_when_certificates_are_valid(tmp_path, monkeypatch):
    import sys

    monkeypatch.chdir(tmp_path)
    (tmp_path / "application.py").write_text("async def app(scope, receive, send): ...\n")
    now = datetime.datetime.now(datetime.UTC)

    def check(days):
        put(tmp_path, AUTHORITY.issue_cert("localhost", not_after=now + datetime.timedelta(days=days)), "server")
        options = ("application:app", "--certfile", "server.pem", "--keyfile", "server.key")
        return subprocess.run(
            [sys.executable, "-m", "gracehttp", "check", *options],
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )

    good, bad = check(20.5), check(-1)
    assert "certificate server.pem (expires in 20 days)" in good.stdout
    assert good.returncode == 0
    assert "the certificate server.pem has expired" in bad.stderr
    assert bad.returncode != 0
