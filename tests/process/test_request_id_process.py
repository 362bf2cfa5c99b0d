"""X-Request-ID from client to application, access log and response, for each protocol and interface."""

from __future__ import annotations

import asyncio
import json
import re
import socket

import pytest
from deadlines import DEADLINE_SECONDS
from http2_client import Http2Connection
from server_harness import free_port, read_response
from websocket_client import handshake

APPLICATION = """
    async def asgi(scope, receive, send):
        ids = [value for name, value in scope["headers"] if name == b"x-request-id"]
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "headers": [(b"x-seen", b",".join(ids))]})
            await send({"type": "websocket.close"})
            return
        own = [(b"x-request-id", b"mine")] if scope["path"] == "/own" else []
        body = b",".join(ids)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*own, length]})
        await send({"type": "http.response.body", "body": body})

    def wsgi(environ, start_response):
        body = environ.get("HTTP_X_REQUEST_ID", "").encode()
        start_response("200 OK", [("content-length", str(len(body)))])
        return [body]
"""
SCRIPT = """
    import gracehttp

    grace = gracehttp.GraceHTTP(workers=1, access_log_format="json:target,request_id", access_log_file="access.log")
    for app, bind, options in {servers!r}:
        grace.add_server(app, bind=bind, **options)
    grace.run()
"""
NEW = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def serve(start, tmp_path):
    """Starts a server of two applications with these options; returns it, and their ports."""

    def started(**options):
        ports = [free_port(), free_port()]
        bound = zip(("asgi", "wsgi"), ports, strict=True)
        servers = [(f"application:{app}", f"127.0.0.1:{port}", options) for app, port in bound]
        server = start("script.py", files={"application.py": APPLICATION, "script.py": SCRIPT.format(servers=servers)})
        server.wait_until_serving()
        return server, ports

    return started


def ask(port, path, *lines):
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall("\r\n".join((f"GET {path} HTTP/1.1", "Host: a", "Connection: close", *lines, "", "")).encode())
        status, headers, body = read_response(sock)
    assert status == 200
    return headers.get("x-request-id"), body.decode()


def logged(server):
    lines = (server.folder / "access.log").read_text().splitlines()
    return {entry["target"]: entry.get("request_id") for entry in map(json.loads, lines)}


@pytest.mark.parametrize("interface", [0, 1], ids=["asgi", "wsgi"])
def test_given_taken_and_logged(serve, interface):
    server, ports = serve(request_id="on")
    port = ports[interface]
    given = ask(port, "/given")
    taken = ask(port, "/taken", "X-Request-ID: from-a-proxy")
    unfit = ask(port, "/unfit", "X-Request-ID: two words")
    server.stop()
    assert taken == (None, "from-a-proxy")
    assert NEW.fullmatch(given[1])
    assert NEW.fullmatch(unfit[1])
    assert logged(server) == {"/given": given[1], "/taken": "from-a-proxy", "/unfit": unfit[1]}


def test_echoed(serve):
    _, (asgi, wsgi) = serve(request_id="echo")
    for port in (asgi, wsgi):
        in_response, seen = ask(port, "/")
        assert in_response == seen
        assert NEW.fullmatch(seen)
    assert ask(asgi, "/own", "X-Request-ID: abc") == ("mine", "abc")


def test_each_request_of_a_connection_has_its_own(serve):
    """Though its other fields are the same, so that what was made of them before is used again."""
    _, ports = serve(request_id="echo")
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as sock:
            seen = []
            for _ in range(4):
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _, headers, body = read_response(sock)
                assert headers["x-request-id"] == body.decode()
                seen.append(body)
        assert len(set(seen)) == 4


def test_off_by_default(serve):
    _, (asgi, wsgi) = serve()
    assert ask(asgi, "/") == ask(wsgi, "/") == (None, "")
    assert ask(asgi, "/", "X-Request-ID: two words") == (None, "two words")


def test_a_websocket_has_one(serve):
    _, (asgi, _) = serve(request_id="echo")
    with socket.create_connection(("127.0.0.1", asgi), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(handshake())
        received = b""
        while b"\r\n\r\n" not in received:
            received += sock.recv(65536)
    head = received.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0].startswith("HTTP/1.1 101 ")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:])}
    assert fields["x-request-id"] == fields["x-seen"]
    assert NEW.fullmatch(fields["x-seen"])


def test_http2_has_them(serve):
    _, (asgi, _) = serve(request_id="echo", h2c=True)

    async def scenario():
        connection = await Http2Connection.open(asgi)
        taken = await connection.answer(connection.begin(fields=[("x-request-id", "abc")]))
        number = connection.begin()
        head = await connection.streams[number].get()
        given = await connection.answer(number)
        await connection.close()
        return taken[1].decode(), dict(head.headers)["x-request-id"], given[1].decode()

    taken, echoed, given = asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
    assert taken == "abc"
    assert echoed == given
    assert NEW.fullmatch(given)
