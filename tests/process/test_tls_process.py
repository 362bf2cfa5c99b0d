"""HTTPS with real processes: next to plain HTTP, against clients that speak something else, and through restarts."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import time
import warnings

import pytest
import trustme
from deadlines import DEADLINE_SECONDS
from load_client import ECHO_APPLICATION, Load
from server_harness import PID_APPLICATION, get, get_on, read_response
from tls_client import connect_tls, context_for

AUTHORITY = trustme.CA()
PLAIN_HOST = "127.0.0.2"  # two servers of one program can't both ask for port 0 of the same address

SCRIPT = """
    import gracehttp

    grace = gracehttp.GraceHTTP(workers=2)
    grace.add_server("application:app", bind="{plain_host}:0")
    grace.add_server(
        "application:app",
        bind="127.0.0.1:0",
        certfile="cert.pem",
        keyfile="key.pem",
        max_connections={limit},
        header_timeout={header_timeout},
    )
    grace.run()
"""


def issue(folder):
    """A new certificate and its key."""
    issued = AUTHORITY.issue_cert("localhost", "127.0.0.1")
    (folder / "cert.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


def begin(start, folder, *, application=PID_APPLICATION, limit=1000, header_timeout=60):
    """A program with a plain and a TLS port; `server.issued` is the certificate."""
    issued = issue(folder)
    script = SCRIPT.format(plain_host=PLAIN_HOST, limit=limit, header_timeout=header_timeout)
    server = start("script.py", files={"application.py": application, "script.py": script})
    server.first = server.wait_until_serving()
    server.issued = issued
    server.plain_port, server.tls_port = server.ports
    return server


def client_context():
    return context_for(AUTHORITY)


def connect(server, context=None):
    return connect_tls(server.tls_port, context or client_context())


def certificate_of(server):
    with connect(server) as sock:
        return sock.getpeercert(binary_form=True)


def test_http_and_https_in_one_program(start, tmp_path):
    server = begin(start, tmp_path)
    assert int(get(server.plain_port, host=PLAIN_HOST)[1]) in server.first
    with connect(server) as sock:
        assert int(get_on(sock)[1]) in server.first
        assert int(get_on(sock)[1]) in server.first, "on the same connection"
        assert sock.version() == "TLSv1.3"


def test_the_command_line_serves_both_as_well(start, tmp_path):
    issue(tmp_path)
    server = start(
        *("-m", "gracehttp", "serve", "application:app", "-b", f"http://{PLAIN_HOST}:0", "-b", "https://127.0.0.1:0"),
        *("--certfile", "cert.pem", "--keyfile", "key.pem"),
        files={"application.py": PID_APPLICATION},
    )
    server.wait_until_serving()
    server.plain_port, server.tls_port = server.ports
    assert get(server.plain_port, host=PLAIN_HOST)[0] == 200
    with connect(server) as sock:
        assert get_on(sock)[0] == 200


def test_an_application_that_changes_the_working_directory_changes_no_path_of_an_option(start, tmp_path):
    issue(tmp_path)
    server = start(
        *("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "--workers", "2"),
        *("--certfile", "cert.pem", "--keyfile", "key.pem", "--preload"),
        files={"application.py": PID_APPLICATION + "\n    os.chdir('/')\n"},
    )
    server.wait_until_serving()
    server.tls_port = server.port
    with connect(server) as sock:
        assert get_on(sock)[0] == 200
    server.restart(2)


# --- clients that speak something else ---


def test_tls_1_1_is_refused_and_1_2_is_not(start, tmp_path):
    server = begin(start, tmp_path)
    old = client_context()
    old.set_ciphers("ALL:@SECLEVEL=0")  # this client would, so it is the server that refuses
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):  # an end of file: the event loops don't send the alert that OpenSSL has made
        connect(server, old)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(server, old) as sock:
        assert sock.version() == "TLSv1.2"
        assert get_on(sock)[0] == 200


def test_a_client_that_speaks_plain_http_to_the_tls_port_is_let_go_and_costs_no_place(start, tmp_path):
    server = begin(start, tmp_path, limit=1)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.tls_port), timeout=DEADLINE_SECONDS) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert b"HTTP/1.1 200" not in read_to_end(sock)
    with connect(server) as sock:
        assert get_on(sock)[0] == 200
    assert "Traceback" not in server.log


def test_a_client_that_speaks_tls_to_the_plain_port_gets_400(start, tmp_path):
    server = begin(start, tmp_path)
    hello = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        client_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
    with socket.create_connection((PLAIN_HOST, server.plain_port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(hello.read())
        assert read_response(sock)[0] == 400
    assert get(server.plain_port, host=PLAIN_HOST)[0] == 200


def test_handshakes_that_take_too_long_are_cut_and_their_places_are_free_again(start, tmp_path):
    server = begin(start, tmp_path, limit=2, header_timeout=2)
    address = ("127.0.0.1", server.tls_port)
    with (
        socket.create_connection(address, timeout=DEADLINE_SECONDS) as silent,
        socket.create_connection(address, timeout=DEADLINE_SECONDS) as slow,
    ):
        slow.sendall(b"\x16\x03\x01\x02\x00\x01")
        read_to_end(silent)
        read_to_end(slow)
    with connect(server) as one, connect(server) as other:
        assert get_on(one)[0] == 200
        assert get_on(other)[0] == 200
    assert "Traceback" not in server.log


def read_to_end(sock):
    """All until the server closes; that it resets is as good."""
    received = b""
    try:
        while piece := sock.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


# --- restarts ---


def test_restarts_under_load_lose_no_request_over_tls(start, tmp_path):
    server = begin(start, tmp_path, application=ECHO_APPLICATION)
    with Load(server.tls_port, keep_alive=3, reconnecting=1, tls=client_context()) as load:
        for generation in range(2, 5):
            load.wait_for_answers_of(server.restart(generation))
    assert load.account.lost == []
    assert load.account.refused == 0


LARGE_APPLICATION = """
    BODY = bytes(range(256)) * 32768

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": BODY})
"""


def test_a_slow_reader_gets_its_whole_response_over_tls_from_code_that_drains(start, tmp_path):
    server = begin(start, tmp_path, application=LARGE_APPLICATION)
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        plain.settimeout(DEADLINE_SECONDS)
        plain.connect(("127.0.0.1", server.tls_port))
        with client_context().wrap_socket(plain, server_hostname="localhost") as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n")
            server.restart(2)
            sock.sendall(b"\r\n")
            received = bytearray()
            slow_until = time.monotonic() + 2.5  # longer than the server lingers when all was taken
            while piece := sock.recv(65536):
                received += piece
                if time.monotonic() < slow_until:
                    time.sleep(0.012)
        head, _, body = bytes(received).partition(b"\r\n\r\n")
        assert b"\r\nConnection: close" in head
        assert body == bytes(range(256)) * 32768
    server.wait_until_gone(1)
    assert "were cut" not in server.log


class TlsRecords:
    """A client that sends its TLS records itself, so that it can send a part of one."""

    def __init__(self, server):
        self.sock = socket.create_connection(("127.0.0.1", server.tls_port), timeout=DEADLINE_SECONDS)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client_context().wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._when_readable(self._tls.do_handshake)

    def _when_readable(self, call):
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                self.sock.sendall(self._outgoing.read())
                received = self.sock.recv(65536)
                if not received:
                    return b""
                self._incoming.write(received)
            else:
                self.sock.sendall(self._outgoing.read())
                return result

    def record(self, data):
        self._tls.write(data)
        return self._outgoing.read()

    def read(self):
        return self._when_readable(lambda: self._tls.read(65536))


def test_a_request_of_which_half_a_tls_record_has_come_is_answered_at_a_stop(start, tmp_path):
    server = begin(start, tmp_path)
    client = TlsRecords(server)
    with client.sock, connect(server) as idle:
        request = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
        client.sock.sendall(client.record(request))
        assert b"200 OK" in client.read()
        time.sleep(0.1)  # so that it is idle for longer than clocks differ
        record = client.record(request)
        client.sock.sendall(record[:20])
        assert get_on(idle)[0] == 200
        server.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b"", "it is closed after a second, and so would the other one be"
        client.sock.sendall(record[20:])
        answer = client.read()
        assert b"200 OK" in answer
        assert b"Connection: close" in answer
    assert server.wait() == 0


def test_a_new_certificate_is_used_after_a_restart(start, tmp_path):
    server = begin(start, tmp_path)
    assert certificate_of(server) == server.issued
    renewed = issue(tmp_path)
    assert certificate_of(server) == server.issued, "not before"
    server.restart(2)
    assert certificate_of(server) == renewed != server.issued


def test_a_broken_certificate_is_no_end_of_service(start, tmp_path):
    server = begin(start, tmp_path)
    shutil.copy(tmp_path / "cert.pem", tmp_path / "whole.pem")
    (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")
    outcome = server.command("restart")
    assert outcome.returncode == 1
    assert "cert.pem is damaged" in outcome.stdout + outcome.stderr
    assert certificate_of(server) == server.issued
    assert int(get(server.plain_port, host=PLAIN_HOST)[1]) in server.first

    shutil.copy(tmp_path / "whole.pem", tmp_path / "cert.pem")
    assert server.command("restart").returncode == 0
    assert certificate_of(server) == server.issued
