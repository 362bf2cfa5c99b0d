"""A program that ends with connections open: the interpreter takes them down in whatever order, and nothing breaks."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trustme
from deadlines import DEADLINE_SECONDS

PROGRAM = """
import asyncio, faulthandler, gc, socket, ssl, struct, sys, threading
import gracehttp
from gracehttp.worker.loops import loop_factory

faulthandler.enable()
how, loop_name, certificate, key = sys.argv[1:]
CALLED = []

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
    elif scope["path"] == "/begun":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": bytes(40_000_000), "more_body": True})  # it takes none
    CALLED.append(scope["path"])
    try:
        while True:
            await receive()
    finally:
        CALLED.append("cancelled")

def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload

def get(path, *fields):
    return "\\r\\n".join([f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()

WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")

def http2(scheme):
    # :method GET, :scheme, :path /, :authority a; of the static table but the last
    block = bytes((0x82, 0x87 if scheme == "https" else 0x86, 0x84, 0x41, 1)) + b"a"
    return b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, block)

def connect(port, data, alpn=None):
    sock = socket.create_connection(("127.0.0.1", port))
    if alpn:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([alpn])
        sock = context.wrap_socket(sock)
    sock.sendall(data)
    return sock

async def main():
    options = {"lifespan": "off", "drain_timeout": 1}
    plain = gracehttp.serving(app, h2c=True, **options)
    secure = gracehttp.serving(app, certfile=certificate, keyfile=key, **options)
    one, two = await plain.__aenter__(), await secure.__aenter__()
    def clients():
        return [
            connect(one.port, b""), connect(one.port, b"GET / HT"), connect(one.port, get("/")),
            connect(one.port, get("/begun")), connect(one.port, get("/", *WEBSOCKET)), connect(one.port, http2("http")),
            connect(two.port, b"", "http/1.1"), connect(two.port, b"GET / HT", "http/1.1"),
            connect(two.port, get("/"), "http/1.1"), connect(two.port, get("/begun"), "http/1.1"),
            connect(two.port, get("/", *WEBSOCKET), "http/1.1"), connect(two.port, http2("https"), "h2"),
        ]
    kept = await asyncio.to_thread(clients)
    while len(CALLED) < 6:
        await asyncio.sleep(0.01)
    return plain, secure, kept

def report():
    print("open:", len(CALLED), flush=True)

loop = loop_factory(loop_name)()
if how == "thread":
    begun = threading.Event()
    def run():
        try:
            kept = loop.run_until_complete(main())
        finally:
            begun.set()
        loop.run_forever()
    threading.Thread(target=run, daemon=True).start()
    begun.wait()
elif how == "run":
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        kept = runner.run(main())
        report()
        sys.exit(7)
else:
    kept = loop.run_until_complete(main())
    if how == "cycle":
        cycle = [kept, loop]
        cycle.append(cycle)
        del kept, loop, cycle
report()
sys.exit(7)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("how", ["left", "cycle", "thread", "run"])
def test_a_program_that_ends_with_connections_open_ends_as_it_says(how, loop, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, how, loop, str(certificate), str(key)],
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE_SECONDS,
        check=False,
    )
    said = ended.stderr
    assert ended.returncode == 7, (ended.returncode, ended.stdout, said)
    assert ended.stdout == "open: 6\n"
    assert "Fatal" not in said, said
    assert "Exception ignored" not in said, said
