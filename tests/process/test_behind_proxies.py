"""Behind real nginx and HAProxy: who the client is, and restarts under load."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme
from deadlines import DEADLINE_SECONDS
from load_client import ECHO_APPLICATION, Load, post
from proxies import haproxy, nginx
from server_harness import free_port, get_on, read_response

CLIENT = "127.0.0.2"
"""Another address than that of the proxy, so that it is not trusted."""
RESTARTS = 4

APPLICATION = """
    import json

    async def asgi(scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "headers": [(b"x-facts", facts(scope))]})
            await send({"type": "websocket.close"})
            return
        body = facts(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})

    def facts(scope):
        names = ("scheme", "client", "server", "root_path", "path")
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        told = {**{name: scope[name] for name in names}, "headers": headers, "extensions": scope["extensions"]}
        return json.dumps(told).encode()

    def wsgi(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        told = {name: value for name, value in environ.items() if isinstance(value, (str, dict))}
        return [json.dumps(told).encode()]
"""
SCRIPT = """
    import gracehttp

    grace = gracehttp.GraceHTTP(workers=1, access_log=True)
    for app, bind, options in {servers!r}:
        grace.add_server(app, bind=bind, **options)
    grace.run()
"""


def serve(start, *servers):
    """One server for each application and options; returns it, and their ports."""
    ports = [free_port() for _ in servers]
    described = [(app, f"127.0.0.1:{port}", options) for port, (app, options) in zip(ports, servers, strict=True)]
    files = {
        "application.py": APPLICATION,
        "echo.py": ECHO_APPLICATION,
        "script.py": SCRIPT.format(servers=described),
    }
    server = start("script.py", files=files)
    server.wait_until_serving()
    return server, ports


def ask(port, *lines, target="/x", context=None):
    """One request from `CLIENT`; returns what the application says of it, and the port that the client had."""
    with contextlib.ExitStack() as opened:
        address = ("127.0.0.1", port)
        sock = opened.enter_context(
            socket.create_connection(address, timeout=DEADLINE_SECONDS, source_address=(CLIENT, 0))
        )
        own = sock.getsockname()[1]
        if context is not None:
            sock = opened.enter_context(context.wrap_socket(sock, server_hostname="localhost"))
        head = "\r\n".join((f"GET {target} HTTP/1.1", "Host: example.org", "Connection: close", *lines, "", ""))
        sock.sendall(head.encode())
        status, _headers, body = read_response(sock)
        assert status == 200, body
        return json.loads(body), own


def shake_hands(port, context, has=b""):
    """Open a WebSocket from `CLIENT` over TLS; returns what the application says of it. The answer `has` this line."""
    lines = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
    with (
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS, source_address=(CLIENT, 0)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall("\r\n".join(("GET /ws HTTP/1.1", "Host: example.org", *lines, "", "")).encode())
        received = b""
        while b"\r\n\r\n" not in received:
            piece = sock.recv(65536)
            assert piece, received
            received += piece
    assert received.startswith(b"HTTP/1.1 101 "), received
    assert b"\r\n" + has in received
    headers = dict(line.split(b": ", 1) for line in received.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:])
    return json.loads({name.lower(): value for name, value in headers.items()}[b"x-facts"])


@pytest.fixture
def certificate(tmp_path):
    """A file with certificate and key for the proxy, and the context of clients that trust it."""
    authority = trustme.CA()
    authority.issue_cert("localhost", "example.org").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "proxy.pem"
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return tmp_path / "proxy.pem", context


NGINX_SITE = """
    upstream app_{listen} {{ server 127.0.0.1:{port}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{listen} {tls};
        {certificate}
        location / {{
            proxy_pass http://app_{listen};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $up_{listen};
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            {more}
        }}
    }}
    map $http_upgrade $up_{listen} {{ default upgrade; "" ""; }}
"""


def site(listen, port, certificate=None, more=""):
    lines = f"ssl_certificate {certificate}; ssl_certificate_key {certificate};" if certificate else ""
    tls = "ssl" if certificate else ""
    return NGINX_SITE.format(listen=listen, port=port, tls=tls, certificate=lines, more=more)


def test_the_application_behind_nginx_sees_the_client_and_not_the_proxy(start, tmp_path, certificate):
    path, context = certificate
    whole = {
        "forwarded_fields": "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-forwarded-prefix"
    }
    only_1 = {"forwarded_allow_ips": "127.0.0.1"}
    server, ports = serve(
        start,
        ("application:asgi", {**only_1, "header": ["X-Own: yes"]}),
        ("application:wsgi", only_1),
        ("application:wsgi", {**only_1, **whole}),
        ("application:asgi", {"forwarded_allow_ips": "192.0.2.1"}),
        ("application:asgi", {**only_1, "forwarded_fields": "forwarded"}),
    )
    listens = [free_port() for _ in ports]
    more = (
        "proxy_set_header X-Forwarded-Host shop.example.org; proxy_set_header X-Forwarded-Port 8443;"
        "proxy_set_header X-Forwarded-Prefix /shop;"
    )
    forwarded = 'proxy_set_header Forwarded "$http_forwarded, for=$remote_addr;proto=https;host=$host";'
    sites = [
        site(listens[0], ports[0], path),
        site(listens[1], ports[1], path),
        site(listens[2], ports[2], path, more),
        site(listens[3], ports[3]),
        site(listens[4], ports[4], None, forwarded),
    ]
    spoofed = "X-Forwarded-For: 203.0.113.7"
    with nginx(tmp_path / "nginx", listens, "\n".join(sites)):
        scope, _ = ask(listens[0], spoofed, context=context)
        assert (scope["scheme"], scope["client"]) == ("https", [CLIENT, 0])
        assert (scope["headers"]["host"], scope["path"], scope["root_path"]) == ("example.org", "/x", "")
        assert scope["headers"]["x-forwarded-for"] == f"203.0.113.7, {CLIENT}"
        server.wait_for(rf"GET /x 200 .* {CLIENT} ")

        facts = shake_hands(listens[0], context, has=b"X-Own: yes")
        assert (facts["scheme"], facts["client"]) == ("wss", [CLIENT, 0])

        environ, _ = ask(listens[1], spoofed, context=context)
        assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTPS"]) == (CLIENT, "https", "on")
        assert environ["HTTP_HOST"] == "example.org"
        assert "REMOTE_PORT" not in environ

        environ, _ = ask(listens[2], context=context)
        assert (environ["HTTP_HOST"], environ["SERVER_NAME"], environ["SERVER_PORT"]) == (
            "shop.example.org:8443", "shop.example.org", "8443",
        )  # fmt: skip
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/shop", "/x")

        scope, _ = ask(listens[3], spoofed)
        assert (scope["scheme"], scope["client"][0]) == ("http", "127.0.0.1")
        assert not [name for name in scope["headers"] if "forwarded" in name]
        server.wait_for(r"127\.0\.0\.1 sends x-forwarded-for, and is no trusted proxy")

        scope, _ = ask(listens[4], "Forwarded: for=203.0.113.7")
        assert (scope["scheme"], scope["client"]) == ("https", [CLIENT, 0])
        assert (scope["server"], scope["headers"]["host"]) == (["example.org", 443], "example.org")


FRONTEND = """
frontend in_{listen}
    mode {mode}
    bind 127.0.0.1:{listen} {tls}
    {frontend}
    default_backend out_{listen}
backend out_{listen}
    mode {mode}
    {backend}
    server app 127.0.0.1:{port} {server}
"""


def section(listen, port, mode, *, tls="", frontend="", backend="", server=""):
    return FRONTEND.format(
        listen=listen, port=port, mode=mode, tls=tls, frontend=frontend, backend=backend, server=server
    )


def test_the_application_behind_haproxy_sees_the_client_and_not_the_proxy(start, tmp_path, certificate):
    path, context = certificate
    only_1 = {"forwarded_allow_ips": "127.0.0.1"}
    proxied = {**only_1, "proxy": True}
    server, ports = serve(
        start,
        ("application:asgi", proxied),
        ("application:asgi", proxied),
        ("application:wsgi", {**proxied, "certfile": str(path)}),
        ("application:asgi", only_1),
        ("application:asgi", {"forwarded_allow_ips": "192.0.2.1", "proxy": True}),
    )
    listens = [free_port() for _ in ports]
    checked = "send-proxy-v2 check inter 100ms"
    sections = [
        section(listens[0], ports[0], "tcp", server="send-proxy"),
        section(listens[1], ports[1], "tcp", tls=f"ssl crt {path}", server="send-proxy-v2-ssl-cn"),
        section(listens[2], ports[2], "tcp", server=checked),
        section(
            listens[3], ports[3], "http", tls=f"ssl crt {path}", frontend="option forwardfor",
            backend="http-request set-header X-Forwarded-Proto https",
        ),
        section(listens[4], ports[4], "tcp", server="send-proxy"),
    ]  # fmt: skip
    spoofed = "X-Forwarded-For: 203.0.113.7"
    with haproxy(tmp_path / "haproxy", listens, "\n".join(sections)):
        scope, port = ask(listens[0], spoofed)
        assert (scope["scheme"], scope["client"], scope["server"]) == (
            "http", [CLIENT, port], ["127.0.0.1", listens[0]],
        )  # fmt: skip
        assert "x-forwarded-for" not in scope["headers"]
        server.wait_for(rf"GET /x 200 .* {CLIENT}:{port} ")

        scope, port = ask(listens[1], context=context)
        assert (scope["scheme"], scope["client"]) == ("https", [CLIENT, port])
        assert shake_hands(listens[1], context)["scheme"] == "wss"

        environ, port = ask(listens[2], context=context)
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (CLIENT, str(port))
        assert (environ["SERVER_PORT"], environ["wsgi.url_scheme"]) == (str(listens[2]), "https")

        scope, _ = ask(listens[3], spoofed, context=context)
        assert (scope["scheme"], scope["client"]) == ("https", [CLIENT, 0])

        assert f":{ports[2]}: closed" not in server.log  # the checks are connections of the proxy's own
        with pytest.raises(ConnectionError):
            ask(listens[4])
        server.wait_for(r"closed a connection from 127\.0\.0\.1, because it is no trusted proxy")


def test_the_application_behind_haproxy_finds_what_it_says_of_the_client_s_tls(start, tmp_path):
    """Beside its own extension, and through a restart; a client without a certificate has no name."""
    authority, clients = trustme.CA(), trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "proxy.pem")
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    server, ports = serve(start, ("application:asgi", {"proxy": True}), ("application:wsgi", {"proxy": True}))
    listens = [free_port() for _ in ports]
    tls = f"ssl crt {tmp_path / 'proxy.pem'} ca-file {tmp_path / 'clients.pem'} verify optional"
    sections = [
        section(listen, port, "tcp", tls=tls, server="send-proxy-v2-ssl-cn proxy-v2-options ssl-cipher")
        for listen, port in zip(listens, ports, strict=True)
    ]
    nameless, named = ssl.create_default_context(), ssl.create_default_context()
    for context in (nameless, named):
        authority.configure_trust(context)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    clients.issue_cert("client.example", common_name="J\u00f6rg").configure_cert(named)
    with haproxy(tmp_path / "haproxy", listens, "\n".join(sections)):
        for context, name in ((nameless, None), (named, "J\u00f6rg")):
            facts = {"version": "TLSv1.2", "client_name": name, "client_verified": name is not None}
            for listen in listens:
                told, _ = ask(listen, context=context)
                told = told.get("extensions", told)
                assert "tls" not in told
                assert "SSL_CLIENT_VERIFY" not in told
                found = told["gracehttp.proxy_tls"]
                assert found.pop("cipher")
                assert found == facts
        address = ("127.0.0.1", listens[0])
        with (
            socket.create_connection(address, timeout=20, source_address=(CLIENT, 0)) as plain,
            named.wrap_socket(plain, server_hostname="localhost") as sock,
        ):
            first = json.loads(get_on(sock)[1])
            server.restart(2)
            server.wait_until_gone(1)
            assert json.loads(get_on(sock)[1])["extensions"] == first["extensions"]
            assert first["extensions"]["gracehttp.proxy_tls"]["client_name"] == "J\u00f6rg"


def test_restarts_under_load_behind_nginx_are_no_502(start, tmp_path):
    server, (port,) = serve(start, ("echo:app", {}))
    listen = free_port()
    with nginx(tmp_path / "nginx", [listen], site(listen, port)):
        restart_under_load(
            server,
            [Load(listen, keep_alive=8, reconnecting=4), Load(listen, keep_alive=4, request=post(4096, pieces=4))],
        )


def test_restarts_under_load_behind_haproxy_are_no_502(start, tmp_path):
    server, ports = serve(start, ("echo:app", {}), ("echo:app", {"proxy": True}))
    listens = [free_port() for _ in ports]
    sections = [
        section(listens[0], ports[0], "http", backend="http-reuse always"),
        section(listens[1], ports[1], "tcp", server="send-proxy-v2"),
    ]
    with haproxy(tmp_path / "haproxy", listens, "\n".join(sections)):
        loads = [Load(listens[0], keep_alive=8, reconnecting=4, request=post(4096, pieces=2))]
        loads += [Load(listens[1], keep_alive=8, reconnecting=4)]
        restart_under_load(server, loads)


PAGE = Path(__file__).parents[2] / "docs" / "proxies.md"


def samples(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_samples_of_the_page_work(start, tmp_path):
    _server, ports = serve(start, ("application:asgi", {}), ("application:asgi", {"proxy": True}))
    (with_nginx,), (with_fields, with_header) = samples("nginx"), samples("haproxy")

    def fitted(sample, listen, port):
        """`sample` on ports of the test."""
        sample = re.sub(r"(listen |bind :)80\b", lambda match: f"{match[1].rstrip(':')}127.0.0.1:{listen}", sample)
        return sample.replace("127.0.0.1:8000", f"127.0.0.1:{port}")

    listens = [free_port() for _ in range(3)]
    with nginx(tmp_path / "nginx", listens[:1], fitted(with_nginx, listens[0], ports[0])):
        scope, _ = ask(listens[0])
        assert (scope["client"], scope["scheme"], scope["headers"]["host"]) == ([CLIENT, 0], "http", "example.org")
    with haproxy(tmp_path / "fields", listens[1:2], fitted(with_fields, listens[1], ports[0])):
        scope, _ = ask(listens[1])
        assert (scope["client"], scope["scheme"], scope["headers"]["host"]) == ([CLIENT, 0], "http", "example.org")
    with haproxy(tmp_path / "header", listens[2:], fitted(with_header, listens[2], ports[1])):
        scope, port = ask(listens[2])
        assert (scope["client"], scope["server"]) == ([CLIENT, port], ["127.0.0.1", listens[2]])


def test_the_sample_for_caddy_is_one(tmp_path):
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed")
    (sample,) = samples("caddy")
    (tmp_path / "Caddyfile").write_text(sample)
    subprocess.run([program, "adapt", "--config", "Caddyfile"], cwd=tmp_path, check=True, timeout=DEADLINE_SECONDS)


def test_a_restart_keeps_a_connection_and_knows_its_client_still(start, tmp_path):
    server, (port,) = serve(start, ("application:asgi", {"proxy": True}))
    listen = free_port()
    sections = section(listen, port, "tcp", server="send-proxy")
    address = ("127.0.0.1", listen)
    with (
        haproxy(tmp_path / "haproxy", [listen], sections),
        socket.create_connection(address, timeout=DEADLINE_SECONDS, source_address=(CLIENT, 0)) as sock,
    ):
        own = list(sock.getsockname())
        for generation in (2, 3, 4):
            status, body = get_on(sock)
            assert (status, json.loads(body)["client"]) == (200, own)
            server.restart(generation)
            server.wait_until_gone(generation - 1)
        assert json.loads(get_on(sock)[1])["client"] == own


def restart_under_load(server, loads):
    for load in loads:
        load.__enter__()
    try:
        for generation in range(2, RESTARTS + 2):
            newest = server.restart(generation)
        for load in loads:
            load.wait_for_answers_of(newest)
    finally:
        for load in loads:
            load.finish()
    for load in loads:
        assert load.account.lost == []
        assert load.account.refused == 0
        assert len(load.account.pids) > 1
