"""Clients of all protocols on one port, through restarts under load: no request and no stream is lost, and each
WebSocket is closed by its application or with 1012."""

from __future__ import annotations

import pytest
import trustme
from deadlines import DEADLINE_SECONDS
from http2_client import Http2Load
from load_client import Load
from tls_client import context_for
from websocket_client import run
from websocket_load import EchoClient, through_restarts

APPLICATION = """
    import asyncio
    import os

    import gracehttp

    PID = str(os.getpid()).encode()

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            assert (await receive())["type"] == "websocket.connect"
            await send({"type": "websocket.accept", "headers": [(b"x-pid", PID)]})
            await {"/echo": echo, "/listens": listens}[scope["path"]](receive, send)
            return
        assert scope["type"] == "http"
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(PID)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": PID})

    async def echo(receive, send):
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})

    async def listens(receive, send):
        echoing = asyncio.create_task(echo(receive, send))
        drained = asyncio.create_task(gracehttp.drain_notice().wait())
        await asyncio.wait([echoing, drained], return_when=asyncio.FIRST_COMPLETED)
        await send({"type": "websocket.close", "code": 4012, "reason": "goodbye"})
"""
KEPT, HTTP2, STREAMS, WEBSOCKETS = 32, 8, 10, 50


def contexts(folder):
    """Write cert.pem with its key; returns what clients of HTTP/1.1 and of HTTP/2 need."""
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
    return context_for(authority), context_for(authority, alpn=("h2", "http/1.1"))


@pytest.mark.parametrize("restarts", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_nothing_is_lost_and_each_websocket_is_told(start, tmp_path, restarts):
    tls, tls_with_http2 = contexts(tmp_path)
    arguments = ("serve", "application:app", "--bind", "127.0.0.1:0", "--workers", "2", "--certfile", "cert.pem")
    server = start(
        *("-m", "gracehttp", *arguments, "--ws-goodbye", "300ms", "--drain-timeout", "20s"),
        files={"application.py": APPLICATION},
    )
    server.pids = server.wait_until_serving()
    websockets = [
        EchoClient(server.port, path, tls=tls) for path in ("/echo", "/listens") for _ in range(WEBSOCKETS // 2)
    ]
    with (
        Load(server.port, keep_alive=KEPT, tls=tls) as kept,
        Http2Load(server.port, clients=HTTP2, streams=STREAMS, tls=tls_with_http2) as streams,
    ):
        run(through_restarts(server, restarts, websockets), seconds=DEADLINE_SECONDS * restarts)
        kept.wait_for_answers_of(server.pids)
        streams.pids.clear()
        streams.wait_for_answers(2 * HTTP2 * STREAMS)
        assert {int(pid) for pid in streams.pids} <= set(server.pids)
    echoes = sum(one.echoes for one in websockets)
    answered = (kept.account.answered, streams.answered, echoes)
    print("{} restarts: {} answers of HTTP/1.1, {} of HTTP/2, {} echoes".format(restarts, *answered))
    assert kept.account.lost == []
    assert kept.account.refused == 0
    assert streams.lost == []
    assert [one.wrong for one in websockets] == [[]] * WEBSOCKETS
    for one in websockets:
        assert one.codes == [1012 if one.path == "/echo" else 4012] * restarts, one.path
        assert len(one.pids) == restarts + 1
        assert one.pids[-1] in server.pids, "who connects again is with the new generation"
        assert one.echoes
    assert "cut" not in server.log.replace("no request was cut", "")
