"""What leaves the server has the same types in both builds: what applications get, what hooks and handlers of the log
are told, and what the commands print. Compiled, an attribute is what its `.pxd` declares. A flag that is a small number
there passes every `==`, and JSON has 1 for it and not true.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
from collections import defaultdict

import pytest
import trustme
import type_paths
from deadlines import DEADLINE_SECONDS
from http2_client import Http2Connection
from server_harness import free_port, read_response, wait_until
from tls_client import connect_tls, context_for
from websocket_client import TEXT, WebSocket, binary, text

BUILDS = ("auto", "off")
POST = b"POST /?a=b HTTP/1.1\r\nHost: test\r\n"
REQUESTS = {
    "get": b"GET /%20?a=b HTTP/1.1\r\nHost: test\r\n\r\n" * 2,
    "counted": POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\nab",
    "chunked": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n",
    "http10": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "head": b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n",
    "refused": b"GET / HTTP/1.1\r\n\r\n",
}
LISTENING = """
    import logging
    from type_paths import note

    class Handler(logging.Handler):
        def emit(self, record):
            own = {k: v for k, v in vars(record).items() if k not in vars(logging.makeLogRecord({}))}
            note("types.jsonl", "access", {"args": record.args, **own})

    logging.getLogger("gracehttp.access").addHandler(Handler())
"""
HOOK = """
    from type_paths import note

    def every(event):
        note("types.jsonl", type(event).__name__, event)
"""
ASGI = (
    LISTENING
    + """
    import http

    async def app(scope, receive, send):
        name = scope["type"] + scope.get("http_version", "") + scope.get("scheme", "")
        note("types.jsonl", name, {key: value for key, value in scope.items() if key != "state"})
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["type"] == "websocket":
            while True:
                message = await receive()
                note("types.jsonl", message["type"], message)
                if message["type"] == "websocket.disconnect":
                    return
                await send({"type": "websocket.accept"} if message["type"] == "websocket.connect" else
                           {"type": "websocket.send", "text": "back"})
        more = True
        while more:
            message = await receive()
            note("types.jsonl", name + message["type"], message)
            more = message["more_body"]
        await send({"type": "http.response.start", "status": http.HTTPStatus.OK, "headers": []})
        await send({"type": "http.response.body", "body": bytearray(b"ok")})
        message = await receive()
        note("types.jsonl", name + message["type"], message)
    """
)
WSGI = (
    LISTENING
    + """
    def app(environ, start_response):
        environ["wsgi.input"].read()
        note("types.jsonl", "environ", environ)
        start_response("200 OK", [])
        return [b"ok"]
    """
)


@pytest.fixture
def certificate(tmp_path):
    """The file of a certificate, and the authority that clients trust."""
    authority = trustme.CA()
    file = tmp_path / "cert.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(file)
    return file, authority


def ask(sock, requests):
    sock.settimeout(DEADLINE_SECONDS)
    with sock:
        sock.sendall(requests)
        assert read_response(sock)[0] in (200, 400) if b"HEAD" not in requests else sock.recv(1)


async def speak_http2(port, tls=None):
    connection = await Http2Connection.open(port, tls=tls)
    for arguments in [(), (), ("POST", "/a?b", b"ab")]:
        assert (await connection.request(*arguments))[0] == 200
    await connection.close()


async def speak_websocket(port):
    websocket = await WebSocket.connect(port)
    for message in (text("one"), binary(b"two")):
        websocket.writer.write(message)
        assert (await websocket.receive()).opcode == TEXT
    await websocket.close()


def types_of(start, folder, build, application, *options, talk):
    """What a server of `build` has let out while `talk` was at it and a restart came: of each place, which types."""
    files = {
        "application.py": application,
        "my_hooks.py": HOOK,
        "type_paths.py": inspect.getsource(type_paths),
        "gracehttp.toml": 'app = "application:app"\n[hooks]\nevent = "my_hooks:every"\n',
    }
    server = start(
        *("-m", "gracehttp", "serve", "-c", "gracehttp.toml", "--access-log", "--bind", "http://127.0.0.1:0", *options),
        folder=folder,
        files=files,
        environment={"GRACEHTTP_COMPILED": build},
    )
    server.wait_until_serving()
    talk(server.ports)
    found = defaultdict(set)
    with socket.create_connection(("127.0.0.1", server.port)):
        wait_until(lambda: any(one["open_connections"] for one in server.status()["listeners"]))
        for path, kind in type_paths.type_paths(server.status(), "status"):
            found[path].add(kind)
        server.restart(2)
        server.wait_until_gone(1)
        for path, kind in type_paths.type_paths(server.status(), "status"):
            found[path].add(kind)
    server.stop()
    for line in (folder / "types.jsonl").read_text().splitlines():
        path, kind = json.loads(line)
        found[path].add(kind)
    return {path: kinds - {"NoneType"} for path, kinds in found.items()}


def assert_same_types(types):
    compiled, interpreted = types
    places = [path for path in compiled if compiled[path] and interpreted.get(path)]
    assert {path: compiled[path] for path in places} == {path: interpreted[path] for path in places}
    return places


def test_an_asgi_application_and_all_that_is_told_of_it(start, tmp_path, certificate):
    file, authority = certificate

    def talk(ports):
        plain, secure = ports
        for requests in REQUESTS.values():
            ask(socket.create_connection(("127.0.0.1", plain)), requests)
        ask(connect_tls(secure, context_for(authority)), REQUESTS["get"])
        asyncio.run(asyncio.wait_for(speak_http2(plain), DEADLINE_SECONDS))
        tls = context_for(authority, alpn=("h2",))
        asyncio.run(asyncio.wait_for(speak_http2(secure, tls), DEADLINE_SECONDS))
        asyncio.run(asyncio.wait_for(speak_websocket(plain), DEADLINE_SECONDS))

    options = ("--h2c", "--bind", f"https://127.0.0.1:{free_port()}?certfile={file}")
    places = assert_same_types(
        [types_of(start, tmp_path / build, build, ASGI, *options, talk=talk) for build in BUILDS]
    )
    for expected in (
        *("http1.0http.client[1]", "http1.1http.raw_path", "http1.1https.extensions.tls.tls_version", "http2http.path"),
        *("http2https.headers[][1]", "http1.1httphttp.request.more_body", "websocket1.1ws.subprotocols"),
        *("websocket.receive.text", "websocket.receive.bytes", "access.status", "access.client"),
        *("status.listeners[].open_connections", "WorkerBecameReady.pid", "DrainFinished.seconds"),
    ):
        assert expected in places


@pytest.mark.parametrize("threads", ["1", "0"])
def test_a_wsgi_application(start, tmp_path, certificate, threads):
    def talk(ports):
        for requests in REQUESTS.values():
            ask(socket.create_connection(("127.0.0.1", ports[0])), requests)

    options = ("--threads", threads)
    places = assert_same_types(
        [types_of(start, tmp_path / build, build, WSGI, *options, talk=talk) for build in BUILDS]
    )
    for expected in ("environ.REMOTE_PORT", "environ.wsgi.multithread", "environ.CONTENT_LENGTH", "access.status"):
        assert expected in places


def test_a_type_that_differs_is_found():
    flag = [{"told.fresh": {kind}, "told.other": set()} for kind in ("int", "bool")]
    with pytest.raises(AssertionError):
        assert_same_types(flag)
    assert assert_same_types([{"a": {"int"}, "b": {"str"}}, {"a": {"int"}}]) == ["a"]
