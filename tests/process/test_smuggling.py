"""Request smuggling: what a proxy passes on as a number of requests must be the same requests here.

Each request of the table of the parser's tests goes to nginx and to HAProxy, which keep few connections to the server.
The proxy logs what it has passed on, the server what it took from that for requests. Behind each row comes a probe on
the same connections: it must get its own response. (CWE-444, RFC 9112 section 11.2)
"""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS
from journals import Journal, reached, same, with_log
from server_harness import free_port

sys.path.append(str(Path(__file__).parents[1] / "unit" / "http" / "http1"))
from table_requests import TOPICS, Row, head

APPLICATION = """
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan")
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        body = scope["path"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
"""

NGINX = """
    log_format passed '$request_method app/$upstream_status $request_uri';
    client_header_timeout 1s;
    keepalive_timeout 1s;
    client_body_timeout 1s;
    large_client_header_buffers 4 64k;
    client_max_body_size 0;
    upstream app {{ server 127.0.0.1:{server}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port};
        access_log passed.log passed;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
        }}
    }}
"""
"""`proxy_request_buffering off`: the body is passed on as it comes, with the framing that it has."""

HAPROXY = """
frontend front
    bind 127.0.0.1:{port}
    timeout client 1s
    timeout http-request 1s
    timeout http-keep-alive 1s
    log global
    log-format "%HM %s/%ST %HP"
    default_backend app
    timeout tunnel 1s
    timeout server 3s
backend app
    timeout tunnel 1s
    timeout server 3s
    http-reuse always
    server app 127.0.0.1:{server} pool-max-conn 1
"""

SURROUNDED = (
    # Both lengths, in all the forms in which one of two may look away (RFC 9112 section 6.3).
    [
        head(b"POST /a HTTP/1.1", b"Host: a", b"Content-Length: 6", coding) + b"0\r\n\r\nG"
        for coding in (
            b"Transfer-Encoding: chunked", b"Transfer-Encoding : chunked", b" Transfer-Encoding: chunked",
            b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: \x00chunked", b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Transfer_Encoding: chunked",
            b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: chunked;a=b", b"transfer-encoding:chunked",
            b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b"Transfer-Encoding\n: chunked",
            b"Transfer-Encoding:\r\n chunked", b"TRANSFER-ENCODING: CHUNKED", b"Transfer-Encoding: ,chunked",
            b"Content-Length: 0", b"Content-Length: 6, 6", b"Content-Length: +6", b"Content-Length: 0x6",
            b"Content-Length : 0", b" Content-Length: 0", b"Content_Length: 0", b"Content-Length: 06",
        )
    ]
    + [
        head(b"POST /a HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked") + body
        for body in (
            b"0\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n", b"0\n\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
            b"0 \r\n\r\n", b"0;\r\n\r\n", b"0;a=\"\r\n\r\n", b"0\r\nX\r\n\r\n", b"00\r\n\r\n", b"0x0\r\n\r\n",
            b"1\r\nabc\r\n0\r\n\r\n", b"1\ra\r\n0\r\n\r\n", b"2\r\na\r\n0\r\n\r\n", b"1;\n\r\na\r\n0\r\n\r\n",
            b"100000000000000000\r\n\r\n", b"-1\r\n\r\n", b"\r\n0\r\n\r\n", b"1\r\nZ\r\nQ\r\n0\r\n\r\n",
        )
    ]
)  # fmt: skip


def rows():
    for topic, table in TOPICS.items():
        if topic != "limits":  # the proxies have others
            for number, row in enumerate(table):
                yield f"{topic}-{number}", row
    for number, data in enumerate(SURROUNDED):
        yield f"surrounded-{number}", Row("11.2", data, 0)


def through(port, data):
    """Send `data`, and behind it a request that ends the connection; wait for that end."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as client,
        contextlib.suppress(ConnectionError),
    ):
        client.sendall(data + b"GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        while client.recv(65536):
            pass


def probe(port, path):
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        while data := client.recv(65536):
            received += data
    return received


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_no_row_of_the_table_is_another_number_of_requests_than_the_proxy_has_passed_on(start, tmp_path, proxy):
    server = start(
        "-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", "--access-log-file", "taken.log",
        "--access-log-format", "%(m)s %(s)s %(target)s", files={"application.py": APPLICATION},
    )  # fmt: skip
    server.wait_until_serving()
    port, folder = free_port(), tmp_path / proxy
    configuration = {"nginx": NGINX, "haproxy": HAPROXY}[proxy].format(server=server.port, port=port)
    running, log = with_log(proxy, folder, port, configuration)
    wrong, passed_on = [], 0
    with running:
        journal, taken_log = Journal(log), Journal(tmp_path / "taken.log")
        for name, row in rows():
            through(port, row.data)
            path = f"/probe-{name.replace(' ', '-')}"
            answer = probe(port, path)
            passed = [line for line in journal.up_to(path) if reached(line)]
            taken = taken_log.up_to(path)
            passed_on += len(passed)
            if not answer.endswith(b"\r\n\r\n" + path.encode()):
                wrong.append((name, row.data, answer))
            elif not same(passed, taken):
                wrong.append((name, row.data, passed, taken))
    assert not wrong, "\n".join(map(str, wrong))
    assert passed_on > 100
