"""Writes docs/top.svg: the screen of `gracehttp top`, of a service that was started for it, with some requests.

    python docs/make_top_picture.py

Needs gracehttp[top].
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from functools import partial
from pathlib import Path

from gracehttp.cli.control_client import ControlAddress
from gracehttp.cli.live.screen import Top
from gracehttp.cli.live.source import look

PAGE = Path(__file__).parent / "top.svg"
SIZE = (112, 36)
LOOKS = 12
APPLICATION = """
    import asyncio, random

    async def app(scope, receive, send):
        await asyncio.sleep(random.expovariate(120))
        status = 500 if random.random() < 0.01 else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"500")]})
        await send({"type": "http.response.body", "body": b"x" * 500})
"""


async def client(port: int) -> None:
    """Requests on one connection, until it is cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        while True:
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(found[1]) if found else 0)


async def picture(server: subprocess.Popen[str], port: int) -> str:
    """The screen after some looks and a restart, as SVG."""
    clients = [asyncio.create_task(client(port)) for _ in range(40)]
    app = Top(partial(look, ControlAddress(pid=server.pid)), seconds=0.5)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(2.0)
        server.send_signal(signal.SIGHUP)
        await pilot.pause(0.5 * LOOKS)
        svg = app.export_screenshot(title="gracehttp top --pidfile app.pid")
    for one in clients:
        one.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return svg


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "main.py").write_text(textwrap.dedent(APPLICATION))
        options = ("--bind", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--workers", "2", "--no-access-log")
        command = [sys.executable, "-m", "gracehttp", "serve", "main:app", *options]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            port = 0
            for line in server.stderr:
                if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", line):
                    port = int(found[1])
                if "generation 1 serves" in line:
                    break
            svg = asyncio.run(picture(server, port))
            server.terminate()
            server.stderr.read()
    PAGE.write_text(svg)
    print(f"{PAGE} is written.")


if __name__ == "__main__":
    main()
