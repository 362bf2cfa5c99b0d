"""The examples run, as their first lines say."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from deadlines import DEADLINE_SECONDS
from server_harness import get, get_on

EXAMPLES = Path(__file__).parents[2] / "examples"

# Two servers can't both ask for "any port" of one address, so those with TLS get an address of their own.
ANY_PORT = {
    "127.0.0.1:8000": "127.0.0.1:0",
    "127.0.0.1:9090": "127.0.0.1:0",
    "127.0.0.1:8443": "127.0.0.2:0",
    "127.0.0.1:9443": "127.0.0.2:0",
}


@pytest.fixture
def folder(tmp_path):
    """A copy of the examples that listens on any free ports, with a certificate."""
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("two_servers.py", "gracehttp.toml"):
        text = (tmp_path / name).read_text()
        for fixed, free in ANY_PORT.items():
            text = text.replace(fixed, free)
        (tmp_path / name).write_text(text)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.2")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return tmp_path


def get_by_tls(folder, port):
    context = ssl.create_default_context(cafile=folder / "authority.pem")
    with (
        socket.create_connection(("127.0.0.2", port), timeout=DEADLINE_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.2") as sock,
    ):
        return get_on(sock, close=True)


def serve(start, *arguments):
    server = start("-m", "gracehttp", "serve", *arguments)
    server.wait_until_serving()
    return server


@pytest.mark.parametrize("name", ["hello_asgi", "hello_wsgi"])
def test_hello(start, folder, name):
    server = serve(start, f"{name}:app", "--workers", "2", "--bind", "127.0.0.1:0")
    status, body = get(server.port)
    assert (status, body[:19]) == (200, "Hello from process ")
    assert server.stop() == 0


def test_two_servers(start, folder):
    server = start("two_servers.py")
    server.wait_for(r"^NOTICE generation 1 serves")
    plain, secure = server.ports
    assert get(plain)[0] == 200
    assert get_by_tls(folder, secure)[0] == 200
    assert server.log.count("at most 1000 connections") == 2
    assert server.command("restart").returncode == 0
    assert get(plain)[0] == 200
    assert server.stop() == 0


@pytest.mark.parametrize("name", ["sse_goodbye", "stream_wsgi"])
def test_a_stream_says_goodbye_at_a_restart(start, folder, name):
    server = serve(start, f"{name}:app", "--bind", "127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        received = b""
        while b"still here" not in received:
            received += sock.recv(65536)
        assert server.command("restart").returncode == 0
        while not received.endswith(b"\r\n0\r\n\r\n"):
            received += sock.recv(65536)
    assert b"retry: " in received
    server.wait_for("drained in .* no request was cut")


def test_the_file_of_options(start, folder):
    checked = subprocess.run(
        [sys.executable, "-m", "gracehttp", "check", "-c", "gracehttp.toml"],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    assert b"hello_wsgi:app" in checked.stdout
    server = serve(start, "-c", "gracehttp.toml")
    plain, secure = server.ports
    assert get(plain)[0] == 200
    assert get_by_tls(folder, secure)[0] == 200
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(folder / "hello.sock"))
        assert get_on(sock)[0] == 200
    assert server.pid == json.loads((folder / "gracehttp.pid").read_text())
    assert server.stop() == 0
    assert not (folder / "hello.sock").exists()


def test_embedded(folder):
    done = subprocess.run(
        [sys.executable, "embedded.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=True,
    )
    assert "listening on http://127.0.0.1:" in done.stdout
    assert "Hello from process" in done.stdout
