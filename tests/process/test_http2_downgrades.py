"""Request smuggling by HTTP/2: what a proxy makes HTTP/1.1 of must be one request here, the one that was meant.

Each request of the table goes to this server, to nginx and to HAProxy, which have a connection of HTTP/1.1 to the
server. Behind each row comes a probe on the same connection: it must get its own response. (RFC 9113 section 10.3)
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import hpack
import pytest
from deadlines import DEADLINE_SECONDS
from journals import Journal, answered, reached, with_log
from server_harness import free_port

sys.path.append(str(Path(__file__).parents[1] / "unit" / "http"))
sys.path.append(str(Path(__file__).parents[1] / "unit" / "http" / "http2"))
from h2_client import DATA, END_STREAM, GOAWAY, HEADERS, PADDED, PREFACE, RST_STREAM, SETTINGS, frame, frames_of
from table_downgrades import RESET, TOPICS, Fields, Seen, headers

APPLICATION = """
    import json

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan")
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        seen = [scope["method"], target.decode(), body.decode(), [name.decode() for name, _ in scope["headers"]]]
        with open("seen.log", "a") as log:
            print(json.dumps(seen), target.decode(), file=log)
        size = b"%d" % len(target)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", size)]})
        await send({"type": "http.response.body", "body": target})
"""

NGINX = """
    log_format passed '$request_method app/$upstream_status $request_uri';
    keepalive_timeout 1s;
    client_body_timeout 1s;
    upstream app {{ server 127.0.0.1:{server}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port} http2;
        access_log passed.log passed;
        ignore_invalid_headers off;
        underscores_in_headers on;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
        }}
    }}
"""
"""It passes on as much as it can be told to: `ignore_invalid_headers off` is what makes rows of it dangerous."""

HAPROXY = """
frontend front
    bind 127.0.0.1:{port} proto h2
    timeout client 1s
    log global
    log-format "%HM %s/%ST %HU"
    default_backend app
backend app
    timeout server 3s
    http-reuse always
    server app 127.0.0.1:{server} pool-max-conn 1
"""

ROWS = {f"{topic}: {name}": row for topic, table in TOPICS.items() for name, row in table.items()}
KNOWN_VERSIONS = {"nginx": r"nginx/1\.22\.", "haproxy": r"HAProxy version 2\.6\."}
"""The table says what these pass on; others may refuse more or less. What must never be is the same for all."""


class Outcome(NamedTuple):
    """Of stream 1: a status and a body, or neither if it was reset."""

    status: int
    body: bytes

    @property
    def answer(self):
        return self.status or RESET


def exchange(port, frames):
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as client:
        client.sendall(PREFACE + frame(SETTINGS) + frames)
        received, decoder, status, body = client.makefile("rb"), hpack.Decoder(), 0, b""
        try:
            while start := received.read(9):
                kind, flags, payload = start[3], start[4], received.read(int.from_bytes(start[:3], "big"))
                if kind == RST_STREAM or (kind == GOAWAY and payload[4:8] != bytes(4)):
                    return Outcome(status, body)
                if kind == HEADERS and (code := int(dict(decoder.decode(payload))[":status"])) >= 200:
                    status = code
                if kind == DATA:
                    body += payload
                if kind in (HEADERS, DATA) and flags & END_STREAM:
                    break
        except ConnectionError:
            pass
    return Outcome(status, body)


def serve(start):
    server = start(
        "-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", "--h2c",
        "--access-log-file", "taken.log", "--access-log-format", "%(m)s %(s)s %(target)s",
        files={"application.py": APPLICATION},
    )  # fmt: skip
    server.wait_until_serving()
    return server


def seen_of(line):
    return json.JSONDecoder().raw_decode(line)[0]


def smuggled(seen):
    method, target, _, names = seen
    return method == "SMUGGLED" or target.startswith("/smuggled") or "smuggled" in names


def probe_of(name):
    return f"/probe-{name.replace(' ', '-').replace(':', '')}"


def sent_body(frames):
    body = b""
    for one in frames_of(frames):
        if one.kind == DATA:
            body += one.payload[1 : -one.payload[0]] if one.flags & PADDED else one.payload
    return body.decode()


def test_each_row_has_its_outcome_here(start, tmp_path):
    server = serve(start)
    seen_log, wrong = Journal(tmp_path / "seen.log"), []
    for name, row in ROWS.items():
        outcome = exchange(server.port, row.frames)
        path = probe_of(name)
        exchange(server.port, headers(1, Fields(path=path.encode()).listed()))
        seen = [Seen(*seen_of(line)[:3]) for line in seen_log.up_to(path)]
        expected = (200, [row.here]) if isinstance(row.here, Seen) else (row.here, [])
        if (outcome.answer, seen) != expected:
            wrong.append((name, outcome, seen))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_no_row_becomes_another_request_behind_a_proxy(start, tmp_path, proxy):
    server = serve(start)
    port, folder = free_port(), tmp_path / proxy
    configuration = {"nginx": NGINX, "haproxy": HAPROXY}[proxy].format(server=server.port, port=port)
    running, log = with_log(proxy, folder, port, configuration)
    wrong, statuses = [], {}
    with running:
        passed_log, taken_log = Journal(log), Journal(tmp_path / "taken.log")
        seen_log = Journal(tmp_path / "seen.log")
        for name, row in ROWS.items():
            outcome = exchange(port, row.frames)
            path = probe_of(name)
            answer = exchange(port, headers(1, Fields(path=path.encode()).listed()))
            passed = answered(line for line in passed_log.up_to(path) if reached(line))
            taken = answered(taken_log.up_to(path))
            seen = [seen_of(line) for line in seen_log.up_to(path)]
            statuses[name] = int(taken[0].split(" ")[1]) if taken else 0
            if (
                answer != (200, path.encode())
                or not len(passed) <= len(taken) <= 1
                or (outcome.status == 200 and [one[2] for one in seen] != [sent_body(row.frames)])
                or any(map(smuggled, seen))
                or (outcome.status == 200 and isinstance(row.here, Seen) and Seen(*seen[0][:3]) != row.here)
            ):
                wrong.append((name, outcome, answer, passed, taken, seen))
    assert not wrong, "\n".join(map(str, wrong))
    if re.search(KNOWN_VERSIONS[proxy], version_of(proxy)):
        assert statuses == {name: getattr(row, proxy) for name, row in ROWS.items()}


def version_of(program):
    found = shutil.which(program, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or program
    shown = subprocess.run([found, "-v"], capture_output=True, text=True, check=True)
    return shown.stdout + shown.stderr
