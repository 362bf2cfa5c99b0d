"""What users of other servers have reported of WebSockets, tried on ours with real processes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from websocket_client import WebSocket, run, text

APPLICATION = """
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
"""
KIB = 1024
WAVE, MESSAGES = 100, 20
OFFER = (("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),)


@pytest.mark.parametrize(("deflate", "most"), [("on", 100 * KIB), ("off", 20 * KIB)])
def test_connections_and_messages_leave_no_memory_behind(start, deflate, most):
    """uvicorn 1862: compression took 4 GB for some thousands of connections. websockets 896: what it took was not given
    back. channels 1703 and 2094: each new connection, and each message, took memory for ever."""
    arguments = ("serve", "application:app", "--bind", "127.0.0.1:0", "--ws-deflate", deflate, "--no-access-log")
    server = start("-m", "gracehttp", *arguments, files={"application.py": APPLICATION})
    (pid,) = server.wait_until_serving()

    def memory():
        return KIB * int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])

    async def wave():
        opened = [await WebSocket.connect(server.port, headers=OFFER) for _ in range(WAVE)]
        assert all((b"permessage-deflate" in one.head) is (deflate == "on") for one in opened)
        for one in opened:
            for number in range(MESSAGES):
                one.writer.write(text(f"message {number} of " + "many " * 200))
                await one.receive()
        taken = memory()
        for one in opened:
            await one.close()
        return taken

    async def waves():
        before = memory()
        first = await wave()
        assert first - before < WAVE * most, f"{(first - before) // WAVE} bytes for each connection"
        await wave()
        second = memory()
        for _ in range(4):
            await wave()
        assert memory() - second < WAVE * 4 * 3 * KIB, "three KiB of each would be seen"

    run(waves())
