"""TLS 1.3 connections that live through a restart (--tls-handover), with clients that know nothing of it."""

from __future__ import annotations

import contextlib
import hashlib
import queue
import re
import shutil
import ssl
import subprocess
import threading
import time

import pytest
import trustme
from load_client import ECHO_APPLICATION, Load
from proxies import nginx
from server_harness import DEADLINE_SECONDS, PID_APPLICATION, free_port, get, get_on, read_response, wait_until
from tls_client import connect_tls, context_for

pytest.importorskip("cryptography")

AUTHORITY = trustme.CA()
SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def begin(start, folder, *options, application=PID_APPLICATION, tls_handover=True, **others):
    issued = AUTHORITY.issue_cert("localhost", "127.0.0.1")
    (folder / "cert.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(folder / "key.pem")
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    server = start(
        *("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "--config", "options.toml", *options),
        files={"application.py": application, "options.toml": options_file(tls_handover)},
        **others,
    )
    server.first = server.wait_until_serving()
    return server


def options_file(tls_handover):
    return f'certfile = "cert.pem"\nkeyfile = "key.pem"\ntls_handover = {str(tls_handover).lower()}\n'


def client_context():
    return context_for(AUTHORITY)


def connect(server, context=None):
    return connect_tls(server.port, context or client_context())


def exchange_on(sock):
    """One request; returns the PID that has answered, and whether it has said that the answer was the last."""
    sock.sendall(REQUEST)
    status, fields, body = read_response(sock)
    assert status == 200
    return int(body), fields.get("connection") == "close"


# --- clients in Python ---


def test_a_connection_goes_on_through_restarts_without_a_new_handshake(start, tmp_path):
    server = begin(start, tmp_path)
    with connect(server) as sock:
        assert exchange_on(sock) == (server.first[0], False)
        for generation in range(2, 6):
            (pid,) = server.restart(generation)
            assert exchange_on(sock) == (pid, False)
            assert exchange_on(sock) == (pid, False)
        assert sock.version() == "TLSv1.3"
        with contextlib.suppress(ssl.SSLEOFError):
            sock.unwrap().close()
    assert "lost" not in server.log


def test_a_connection_on_which_no_request_came_yet_goes_on_too(start, tmp_path):
    server = begin(start, tmp_path)
    with connect(server) as sock:
        (pid,) = server.restart(2)
        server.wait_until_gone(1)
        assert exchange_on(sock) == (pid, False)


def test_a_request_that_is_in_flight_at_the_restart_is_answered_and_the_next_one_by_the_new_code(start, tmp_path):
    server = begin(start, tmp_path, application=ECHO_APPLICATION)
    with connect(server) as sock:
        sock.sendall(b"GET /300ms HTTP/1.1\r\nHost: test\r\n\r\n")
        (pid,) = server.restart(2)
        _, fields, body = read_response(sock)
        assert "connection" not in fields
        assert int(body.split()[0]) == server.first[0]
        server.wait_until_gone(1)
        assert int(get_on(sock)[1].split()[0]) == pid


def test_pipelined_requests_are_answered_once_each_whoever_answers(start, tmp_path):
    server = begin(start, tmp_path, application=ECHO_APPLICATION)
    with connect(server) as sock:
        sock.sendall(b"GET /300ms HTTP/1.1\r\nHost: test\r\n\r\n" + 5 * REQUEST)
        server.restart(2)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 6 or not re.search(rb"\r\n\r\n\d+ 0$", received):
            received += sock.recv(65536)
        assert received.count(b"HTTP/1.1 200 OK") == 6
        assert b"Connection: close" not in received


LARGE_APPLICATION = """
    import hashlib, os

    BODY = bytes(range(256)) * 4096

    async def app(scope, receive, send):
        digest = hashlib.sha256()
        more = True
        while more:
            message = await receive()
            digest.update(message.get("body", b""))
            more = message.get("more_body", False)
        headers = [(b"x-digest", digest.hexdigest().encode()), (b"x-pid", str(os.getpid()).encode())]
        headers.append((b"content-length", str(len(BODY)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})
"""


def test_large_requests_and_responses_pass_before_and_after(start, tmp_path):
    server = begin(start, tmp_path, application=LARGE_APPLICATION)
    body = bytes(range(255, -1, -1)) * 3000
    request = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with connect(server) as sock:
        for generation in range(1, 4):
            (pid,) = server.first if generation == 1 else server.restart(generation)
            if generation > 1:
                server.wait_until_gone(generation - 1)
            for _ in range(2):
                sock.sendall(request)
                _, fields, received = read_response(sock)
                assert fields["x-digest"] == hashlib.sha256(body).hexdigest()
                assert received == bytes(range(256)) * 4096
                assert int(fields["x-pid"]) == pid


def test_clients_under_load_lose_nothing_and_never_reconnect(start, tmp_path):
    server = begin(start, tmp_path, "--workers", "2", application=ECHO_APPLICATION)
    with Load(server.port, keep_alive=32, tls=client_context()) as load:
        for generation in range(2, 7):
            load.wait_for_answers_of(server.restart(generation))
    assert load.account.lost == []
    assert load.account.refused == 0
    assert load.account.closed_after_notice == 0
    assert load.account.connections == 32


@pytest.mark.soak
def test_clients_under_load_lose_nothing_through_twenty_restarts(start, tmp_path):
    server = begin(start, tmp_path, "--workers", "2", application=ECHO_APPLICATION)
    with Load(server.port, keep_alive=32, tls=client_context()) as load:
        for generation in range(2, 22):
            load.wait_for_answers_of(server.restart(generation))
    print(f"20 restarts: {load.account.answered} answers on {load.account.connections} connections")
    assert load.account.lost == []
    assert (load.account.refused, load.account.closed_after_notice, load.account.connections) == (0, 0, 32)


FAILING_APPLICATION = """
    import os

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def test_a_connection_comes_back_when_the_new_code_fails_on_probation(start, tmp_path):
    server = begin(start, tmp_path, "--probation", "60s", "--probation-max-errors", "5%")
    with connect(server) as sock:
        exchange_on(sock)
        server.write("application.py", FAILING_APPLICATION)
        (second,) = server.restart(2)
        for _ in range(30):
            status, pid = get_on(sock)
            if status == 500:
                assert int(pid) == second
        server.wait_for("generation 2 was rolled back")
        wait_until(lambda: get_on(sock) == (200, str(server.first[0])), what="the way back")
        assert exchange_on(sock) == (server.first[0], False)
    assert "lost" not in server.log


# --- what stays, and is told so ---


def test_tls_1_2_stays_with_the_old_worker(start, tmp_path):
    server = begin(start, tmp_path)
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(server, context) as sock:
        exchange_on(sock)
        server.restart(2)
        assert exchange_on(sock) == (server.first[0], True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_client_that_wants_short_records_stays_with_the_old_worker(start, tmp_path):
    server = begin(start, tmp_path)
    with SClient(server, "-crlf", "-maxfraglen", "512") as client:
        assert client.get() == (server.first[0], False)
        server.restart(2)
        assert client.get() == (server.first[0], True)


@pytest.mark.parametrize("on_first", [True, False], ids=["before", "after"])
def test_it_takes_both_generations(start, tmp_path, on_first):
    server = begin(start, tmp_path, tls_handover=on_first)
    with connect(server) as sock:
        exchange_on(sock)
        server.write("options.toml", options_file(not on_first))
        (pid,) = server.restart(2)
        assert exchange_on(sock) == (server.first[0], True)
    with connect(server) as sock:
        assert exchange_on(sock) == (pid, False)
    assert "lost" not in server.log


def test_switched_off_after_a_handover_it_ends_with_the_next_restart(start, tmp_path):
    server = begin(start, tmp_path)
    with connect(server) as sock:
        (second,) = server.restart(2)
        assert exchange_on(sock) == (second, False)
        server.write("options.toml", options_file(False))
        server.restart(3)
        assert exchange_on(sock) == (second, True)
    assert "lost" not in server.log


def test_without_the_library_the_option_is_refused_with_what_to_install(start, tmp_path):
    blocker = "import sys\nsys.modules['cryptography'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(blocker)
    issued = AUTHORITY.issue_cert("localhost")
    (tmp_path / "cert.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    server = start(
        *("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "--tls-handover"),
        *("--certfile", "cert.pem", "--keyfile", "key.pem"),
        files={"application.py": PID_APPLICATION},
        environment={"PYTHONPATH": str(tmp_path)},
    )
    assert server.wait() == 3
    assert "the package cryptography is not installed" in server.log
    assert "pip install 'gracehttp[tls-handover]'" in server.log
    assert "Traceback" not in server.log


def test_no_secret_is_in_the_log(start, tmp_path):
    server = begin(start, tmp_path, "--log-level", "debug")
    keys = tmp_path / "client-keys"
    context = client_context()
    context.keylog_filename = str(keys)
    with connect(server, context) as sock:
        exchange_on(sock)
        server.restart(2)
        exchange_on(sock)
    server.wait_until_gone(1)
    secrets = re.findall(r"^(?:CLIENT|SERVER)_TRAFFIC_SECRET_0 \w+ (\w+)$", keys.read_text(), re.MULTILINE)
    assert len(secrets) == 2
    assert not any(secret in server.log for secret in secrets)


# --- openssl s_client, with KeyUpdate ---


class SClient:
    """`openssl s_client` with its commands: k updates its own key, K both."""

    def __init__(self, server, *options):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=server.folder,
        )
        self.said = b""
        self._pieces = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while piece := self.process.stdout.read1(65536):
            self._pieces.put(piece)
        self._pieces.put(b"")

    def wait_for(self, pattern):
        """Wait for output that matches behind what was waited for before."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (found := re.search(pattern, self.said, re.DOTALL)):
            piece = self._pieces.get(timeout=max(0.0, deadline - time.monotonic()))
            assert piece, f"it ended without {pattern!r}: {self.said!r}"
            self.said += piece
        self.said = self.said[found.end() :]
        return found

    def say(self, line):
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def get(self):
        """One request; returns the PID, and whether it was the last."""
        self.say(b"GET / HTTP/1.1\nHost: test\n\n")
        found = self.wait_for(rb"HTTP/1.1 200 OK(.*?)\r\n\r\n(\d+)")
        return int(found[2]), b"Connection: close" in found[1]

    def __enter__(self):
        self.wait_for(rb"(?i)read R BLOCK|Verify return code.*?---\n")
        return self

    def __exit__(self, *exc_info):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@needs_openssl
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("command", [b"k\n", b"K\n"], ids=["its own key", "both keys"])
def test_keys_that_the_client_updates_after_a_handover_are_followed(start, tmp_path, suite, command):
    server = begin(start, tmp_path)
    with SClient(server, "-crlf", "-ciphersuites", suite) as client:
        assert client.get() == (server.first[0], False)
        (second,) = server.restart(2)
        assert client.get() == (second, False)
        for _ in range(3):
            client.say(command)
            client.wait_for(rb"KEYUPDATE")
            assert client.get() == (second, False)
        (third,) = server.restart(3)
        assert client.get() == (third, False), "it can go on with the keys that it has by then"
        client.say(command)
        client.wait_for(rb"KEYUPDATE")
        assert client.get() == (third, False)


@needs_openssl
@pytest.mark.parametrize("command", [b"k\n", b"K\n"], ids=["its own key", "both keys"])
@pytest.mark.parametrize("silent", [True, False], ids=["and nothing after it", "and a request after it"])
def test_a_key_that_was_updated_before_is_found_out_and_the_client_is_told(start, tmp_path, command, silent):
    server = begin(start, tmp_path)
    with SClient(server, "-crlf") as client:
        assert client.get() == (server.first[0], False)
        client.say(command)
        client.wait_for(rb"KEYUPDATE")
        if not silent:
            assert client.get() == (server.first[0], False)
        else:
            time.sleep(0.2)  # nothing tells when it has come
        server.restart(2)
        time.sleep(0.2)  # nothing tells when it was found out
        assert client.get() == (server.first[0], True)


# --- other clients ---


def test_curl_keeps_its_connection(start, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    line = PID_APPLICATION.replace("str(os.getpid()).encode()", 'b"%d\\n" % os.getpid()')
    server = begin(start, tmp_path, application=line)
    url = f"https://localhost:{server.port}/"
    # The rate gives the time for a restart between two requests of one connection.
    command = ["curl", "--silent", "--show-error", "--verbose", "--http1.1", "--cacert", "ca.pem", "--rate", "15/m"]
    command += ["--resolve", f"localhost:{server.port}:127.0.0.1", "--no-buffer", url, url, url]
    with (tmp_path / "curl.log").open("w") as log:
        curl = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True)
    with curl:
        assert curl.stdout.readline() == f"{server.first[0]}\n"
        (second,) = server.restart(2)
        assert curl.stdout.read().split() == [str(second), str(second)]
    said = (tmp_path / "curl.log").read_text()
    assert said.count("SSL connection using TLSv1.3") == 1
    assert said.count("Re-using existing connection") == 2


def test_nginx_keeps_its_connection_to_this_server(start, tmp_path):
    server = begin(start, tmp_path)
    port = free_port()
    http = f"""
    upstream application {{
        server 127.0.0.1:{server.port};
        keepalive 4;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass https://application;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Upstream-Connection $connection;
            proxy_ssl_protocols TLSv1.3;
            add_header X-Upstream-Address $upstream_addr;
        }}
    }}
"""
    with nginx(tmp_path / "nginx", [port], http):
        assert get(port) == (200, str(server.first[0]))
        clients = established(server.port)
        for generation in range(2, 5):
            (pid,) = server.restart(generation)
            assert get(port) == (200, str(pid))
            assert get(port) == (200, str(pid))
        assert established(server.port) == clients, "it is the same connection"
        assert len(clients) == 1


def established(port):
    """The client ports of the connections to `port` (proc(5))."""
    found = set()
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if fields[3] == "01" and fields[1].endswith(f":{port:04X}"):
                found.add(fields[2])
    return found


# --- a browser ---


BROWSER_APPLICATION = """
    import os

    PAGE = b'''<!doctype html><script>
    const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
    (async () => {
        for (let number = 0; ; number++) {
            const answer = await fetch(`/count/${number}`).catch(() => null);
            if (answer === null) { await fetch(`/lost/${number}`); return; }
            await answer.text();
            await wait(20);
        }
    })();
    </script>'''

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        path = scope["path"]
        if path.startswith("/count/") or path.startswith("/lost/"):
            tls, http = scope["extensions"]["tls"]["tls_version"], scope["http_version"]
            seen = [path[1:].replace("/", " "), os.getpid(), scope["client"][1], f"{tls:04x}", http]
            os.write(2, (" ".join(map(str, seen)) + "\\n").encode())
        body, kind = (PAGE, b"text/html") if path == "/" else (b"", b"text/plain")
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""


SETTLED = 5
"""Chromium opens two connections for a page, and may change from one to the other before it keeps to one."""


@pytest.mark.browser
def test_chromium_stays_on_one_connection_through_restarts(start, browse, tmp_path):
    server = begin(start, tmp_path, "--h2", "off", application=BROWSER_APPLICATION)
    browse(f"https://127.0.0.1:{server.port}/")
    pids = list(server.first)
    server.wait_for(rf"^count \d+ {pids[0]} ", count=SETTLED)
    for generation in range(2, 6):
        (pid,) = server.restart(generation)
        server.wait_for(rf"^count \d+ {pid} ", count=5)
        pids.append(pid)
    seen = re.findall(r"^count (\d+) (\d+) (\d+) (\w+) (\S+)$", server.log, re.M)
    assert [int(number) for number, *_ in seen] == list(range(len(seen)))
    assert list(dict.fromkeys(int(pid) for _, pid, *_ in seen)) == pids
    assert len({port for _, _, port, *_ in seen[SETTLED - 1 :]}) == 1
    assert {(version, http) for *_, version, http in seen} == {("0304", "1.1")}
    assert "lost" not in server.log
