"""Files as bodies of responses, sent by the kernel where the client sees their bytes as they are: PEP 3333's
file_wrapper, ASGI's pathsend and zerocopysend; through a restart, over TLS, over HTTP/2, for clients that are gone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
import struct
import subprocess
from pathlib import Path

import pytest
import trustme
from deadlines import DEADLINE_SECONDS
from server_harness import get_on, read_response, wait_until

SIZE = 5 * 1024 * 1024 + 123
"""More than the kernel takes for a client that reads nothing."""

APPLICATION = """
    import os

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan")
        path, query = os.path.abspath("file"), scope["query_string"].decode()
        headers = []
        if scope["path"] == "/counted":
            headers = [(b"content-length", str(os.path.getsize(path)).encode())]
        if scope["path"] == "/pid":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            return await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
        if query != "missing":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        if query == "two":
            with open(path, "rb", buffering=0) as file:
                file.seek(7)
                await send({"type": "http.response.zerocopysend", "file": file, "count": 100_000, "more_body": True})
                await send({"type": "http.response.body", "body": b"between", "more_body": True})
                await send({"type": "http.response.zerocopysend", "file": file.fileno(), "more_body": True})
                assert file.tell() == os.path.getsize(path)
                await send({"type": "http.response.zerocopysend", "file": file, "offset": 3, "count": 0})
        elif query == "missing":
            try:
                await send({"type": "http.response.pathsend", "path": path + ".missing"})
            except FileNotFoundError:
                await send({"type": "http.response.start", "status": 404, "headers": headers})
                await send({"type": "http.response.body", "body": b"no such file"})
        else:
            await send({"type": "http.response.pathsend", "path": path})
"""

WSGI_APPLICATION = """
    import os, threading

    def app(environ, start_response):
        file = open("file", "rb")
        file.read(10)
        size = os.path.getsize("file") - 10
        headers = []
        if environ["PATH_INFO"] == "/counted":
            headers = [("Content-Length", str(size))]
        if environ["PATH_INFO"] == "/range":
            headers = [("Content-Length", "70000")]
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](file)
"""


@pytest.fixture(scope="module")
def content():
    return os.urandom(SIZE)


def write_certificate(folder):
    issued = trustme.CA().issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return folder / "certificate.pem", folder / "key.pem"


def begin(start, content, application=APPLICATION, *options):
    server = start(
        "-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", *options,
        files={"application.py": application},
    )  # fmt: skip
    (server.folder / "file").write_bytes(content)
    server.first = server.wait_until_serving()
    return server


def connect(server, **options):
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS, **options)


def curl(server, path, *options, scheme="http"):
    """The status, the protocol, and the SHA-256 of the body."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--insecure", "--write-out", "%{stderr}%{http_code} %{http_version}",
         *options, f"{scheme}://127.0.0.1:{server.port}{path}"],
        capture_output=True, timeout=DEADLINE_SECONDS, check=True,
    )  # fmt: skip
    status, version = done.stderr.decode().split()
    return int(status), version, hashlib.sha256(done.stdout).hexdigest()


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(params=["http", "https", "h2", "1.0"])
def way(request, tmp_path):
    """Options of the server, the scheme, options of curl."""
    if request.param in ("http", "1.0"):
        return (), "http", ["--http1.0"] if request.param == "1.0" else []
    certificate, key = write_certificate(tmp_path)
    tls = ("--certfile", certificate, "--keyfile", key)
    return tls, "https", ["--http2" if request.param == "h2" else "--http1.1"]


def test_a_path_and_parts_of_open_files_arrive_whole_over_each_protocol(start, content, way):
    tls, scheme, options = way
    server = begin(start, content, APPLICATION, *tls)
    for path, expected in {
        "/": content,
        "/counted": content,
        "/?two": content[7:100_007] + b"between" + content[100_007:],
        "/?missing": b"no such file",
    }.items():
        status, _version, received = curl(server, path, *options, scheme=scheme)
        assert (status, received) == (404 if "missing" in path else 200, digest(expected)), path
    assert "Traceback" not in server.log


def test_a_kept_connection_serves_on_behind_a_file(start, content):
    server = begin(start, content)
    with connect(server) as client:
        for _ in range(3):
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\nGET /pid HTTP/1.1\r\nHost: test\r\n\r\n")
            reader = client.makefile("rb")
            for expected in (content, str(server.first[0]).encode()):
                head = b"".join(iter(reader.readline, b"\r\n"))
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                assert reader.read(length) == expected


def test_head_tells_the_length_that_get_has(start, content):
    server = begin(start, content)
    with connect(server) as client:
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
        head = client.recv(4096).lower()
        assert b"content-length: %d\r\n" % SIZE in head
        assert get_on(client, "/pid")[0] == 200


def test_a_restart_waits_for_a_client_that_takes_a_file_slowly(start, content):
    server = begin(start, content)
    with connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        head = client.recv(1000)
        server.restart(2)
        received = head.partition(b"\r\n\r\n")[2]
        pieces = [received]
        while sum(map(len, pieces)) < SIZE:
            piece = client.recv(65536)
            assert piece
            pieces.append(piece)
        assert b"".join(pieces) == content
    server.wait_until_gone(1)


def descriptors_of(pid, name):
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += [link] * os.readlink(link).endswith(name)
    return found


@pytest.mark.parametrize("application", [APPLICATION, WSGI_APPLICATION], ids=["asgi", "wsgi"])
def test_who_goes_away_in_the_middle_leaves_no_descriptor(start, content, application):
    server = begin(start, content, application)
    with connect(server) as client:
        client.sendall(b"GET /counted HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        wait_until(lambda: descriptors_of(server.first[0], "/file"))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: not descriptors_of(server.first[0], "/file"))
    assert "Traceback" not in server.log


def test_a_file_that_becomes_shorter_is_told_to_client_and_log(start, content):
    server = begin(start, content)
    with connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        os.truncate(server.folder / "file", 1000)
        with pytest.raises(ConnectionResetError):
            b"".join(iter(lambda: client.recv(65536), b""))
    server.wait_for("a file can't be sent to its end")


@pytest.mark.parametrize("threads", ["8", "0"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_file_wrapper_sends_what_is_left_of_the_file(start, content, tls, threads, tmp_path):
    options = ("--threads", threads)
    if tls:
        certificate, key = write_certificate(tmp_path)
        options = (*options, "--certfile", certificate, "--keyfile", key)
    server = begin(start, content, WSGI_APPLICATION, *options)
    for path, expected in {"/": content[10:], "/counted": content[10:], "/range": content[10:70_010]}.items():
        received = curl(server, path, "--http1.1", scheme="https" if tls else "http")
        assert received == (200, "1.1", digest(expected)), path
    with contextlib.ExitStack() as exits:
        client = exits.enter_context(connect(server))
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client = exits.enter_context(context.wrap_socket(client))
        client.sendall(b"HEAD /counted HTTP/1.1\r\nHost: test\r\n\r\nGET /range HTTP/1.1\r\nHost: test\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        assert b"%d" % (SIZE - 10) in head
        assert read_response(client)[2] == content[10:70_010]


@pytest.mark.parametrize("threads", ["1", "0"])
def test_a_slow_download_holds_no_thread(start, content, threads):
    """With one thread or none, and a client that reads nothing, another one is served."""
    server = begin(start, content, WSGI_APPLICATION, "--threads", threads)
    with connect(server) as slow, connect(server) as other:
        slow.sendall(b"GET /counted HTTP/1.1\r\nHost: test\r\n\r\n")
        assert slow.recv(1000).startswith(b"HTTP/1.1 200")
        other.sendall(b"GET /range HTTP/1.1\r\nHost: test\r\n\r\n")
        assert len(read_response(other)[2]) == 70_000
