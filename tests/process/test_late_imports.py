"""A worker that is ready has all of its own code: the folder of its release may go, or be replaced, while it serves."""

from __future__ import annotations

import socket
import ssl

import pytest
import trustme
from deadlines import DEADLINE_SECONDS
from server_harness import get_on, read_response
from websocket_client import WebSocket, run, text

ASGI = """
    import sys

    def loaded():
        return "\\n".join(name for name in sys.modules if name.partition(".")[0] in ("gracehttp", "websockets", "ngh2"))

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})
            return
        while (message := await receive()).get("more_body"):
            pass
        if scope["path"] == "/fails":
            raise RuntimeError("the application fails")
        if scope["path"] == "/file":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.pathsend", "path": __file__})
            return
        body = loaded().encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
"""
WSGI = """
    import sys

    def app(environ, start_response):
        environ["wsgi.input"].read()
        if environ["PATH_INFO"] == "/fails":
            raise RuntimeError("the application fails")
        if environ["PATH_INFO"] == "/file":
            start_response("200 OK", [])
            return environ["wsgi.file_wrapper"](open(__file__, "rb"))
        body = "\\n".join(name for name in sys.modules if name.partition(".")[0] in ("gracehttp", "websockets", "ngh2"))
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body.encode()]
"""
POST = (
    b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    b"3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
)


def everything(port, tls):
    """All that a client can ask for with HTTP/1.1, and what it can do wrong."""
    for path in ("/fails", "/file"):
        with connected(port, tls) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
            while sock.recv(65536):
                pass
    with connected(port, tls) as sock:
        sock.sendall(POST[0])
        assert sock.recv(65536).startswith(b"HTTP/1.1 100 ")
        sock.sendall(POST[1])
        assert read_response(sock)[0] == 200
    for broken in (
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
    ):
        with connected(port, tls) as sock:
            sock.sendall(broken)
            sock.recv(65536)


def connected(port, tls):
    sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
    return sock if tls is None else tls.wrap_socket(sock, server_hostname="localhost")


def with_certificate(tmp_path):
    """Options of a server that speaks TLS, and the context of its clients."""
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    return ["--certfile", str(tmp_path / "cert.pem"), "--tls-handover"], tls


async def talk(port, tls):
    websocket = await WebSocket.connect(port, "/", tls=tls, Sec_WebSocket_Extensions="permessage-deflate")
    websocket.writer.write(text("hello"))
    assert (await websocket.receive()).payload
    assert await websocket.close() == (1000, "")


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("interface", ["asgi", "wsgi", "wsgi, no threads"])
def test_a_worker_that_is_ready_imports_nothing_of_its_own(start, tmp_path, interface, secure):
    options = ["--ws-deflate", "on", "--h2c", "--spare", "off"]
    if interface == "wsgi, no threads":
        options += ["--threads", "0"]
    tls = None
    if secure:
        more, tls = with_certificate(tmp_path)
        options += more
    code = ASGI if interface == "asgi" else WSGI
    arguments = ("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", *options)
    server = start(*arguments, files={"application.py": code})
    server.wait_until_serving()

    def loaded():
        with connected(server.port, tls) as sock:
            status, names = get_on(sock)
        assert status == 200
        return set(names.splitlines())

    before = loaded()
    everything(server.port, tls)
    if interface == "asgi":
        run(talk(server.port, tls))
    assert loaded() - before == set()
    assert server.stop() == 0


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_a_worker_that_takes_a_connection_over_imports_nothing_of_its_own(start, tmp_path, secure):
    options, tls = ["--spare", "off"], None
    if secure:
        more, tls = with_certificate(tmp_path)
        options += more
    arguments = ("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", *options)
    server = start(*arguments, files={"application.py": ASGI})
    server.wait_until_serving()
    with connected(server.port, tls) as kept:
        kept.sendall(POST[0])
        assert kept.recv(65536).startswith(b"HTTP/1.1 100 ")
        server.restart(2)
        with connected(server.port, tls) as new:
            before = get_on(new)[1]  # of the new worker, before it has taken anything over
        kept.sendall(POST[1])
        assert read_response(kept)[0] == 200
        server.wait_until_gone(1)
        after = get_on(kept)[1]
    assert set(after.splitlines()) - set(before.splitlines()) == set()
    assert server.stop() == 0


@pytest.mark.parametrize(("interface", "absent"), [("asgi", {"ngh2"}), ("wsgi", {"ngh2", "websockets"})])
def test_a_worker_has_no_code_for_what_no_client_can_get(start, interface, absent):
    code = ASGI if interface == "asgi" else WSGI
    arguments = ("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", "--spare", "off")
    server = start(*arguments, files={"application.py": code})
    server.wait_until_serving()
    everything(server.port, None)
    with connected(server.port, None) as sock:
        status, names = get_on(sock)
    assert status == 200
    assert absent.isdisjoint(name.partition(".")[0] for name in names.splitlines())
    assert server.stop() == 0


HOOKS = """
    import sys

    OURS = ("gracehttp", "websockets", "ngh2")
    had = set()

    def forked(event):
        had.update(name for name in sys.modules if name.partition(".")[0] in OURS)
"""
OPTIONS = """
    app = "application:app"
    bind = "127.0.0.1:0"
    preload = true
    workers = 2
    ws_deflate = "on"
    h2c = true
    threads = {threads}

    [hooks]
    worker_forked = "my_hooks:forked"
"""


@pytest.mark.parametrize(("interface", "threads"), [("asgi", 1), ("wsgi", 1), ("wsgi", 0)])
def test_a_worker_that_a_template_has_forked_imports_nothing_of_its_own(start, interface, threads):
    code = (ASGI if interface == "asgi" else WSGI).replace("import sys", "import sys\n    import my_hooks", 1)
    of_all = 'in ("gracehttp", "websockets", "ngh2")'
    assert code.count(of_all) == 1
    code = code.replace(of_all, f"{of_all} and name not in my_hooks.had")
    files = {"application.py": code, "my_hooks.py": HOOKS, "gracehttp.toml": OPTIONS.format(threads=threads)}
    server = start("-m", "gracehttp", "serve", "-c", "gracehttp.toml", files=files)
    server.wait_until_serving()

    def loaded():
        with connected(server.port, None) as sock:
            return get_on(sock)

    everything(server.port, None)
    assert loaded() == (200, "")
    if interface == "asgi":
        run(talk(server.port, None))
    assert [loaded() for _ in range(4)] == [(200, "")] * 4
    assert server.stop() == 0
