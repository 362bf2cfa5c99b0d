"""WebSocket clients that echo through restarts, and account for each end. The application tells its PID by `x-pid`."""

from __future__ import annotations

import asyncio
import re

from websocket_client import CLOSE, WebSocket, close, closing, text


def pid_of(websocket):
    return int(re.search(rb"x-pid: (\d+)", websocket.head)[1])


class EchoClient:
    """Echoes, and connects again whenever it is closed. All that isn't as promised stands in `wrong`."""

    def __init__(self, port, path, *, tls=None):
        self.path = path
        self._port = port
        self._tls = tls
        self.pids = []
        self.codes = []
        self.echoes = 0
        self.wrong = []
        self.stopping = False

    async def run(self):
        while not self.stopping:
            try:
                websocket = await WebSocket.connect(self._port, self.path, tls=self._tls)
                if websocket.status != 101:
                    raise ConnectionError(websocket.head)
                self.pids.append(pid_of(websocket))
                await self._echo(websocket)
            except (OSError, EOFError, AssertionError) as error:
                self.wrong.append(repr(error))
                return

    async def _echo(self, websocket):
        while True:
            if self.stopping:
                await websocket.close()
                return
            message = f"{self.echoes}"
            websocket.writer.write(text(message))
            received = await websocket.receive()
            if received.opcode == CLOSE:
                self.codes.append(closing(received)[0])
                websocket.writer.write(close(self.codes[-1]))
                if await websocket.reader.read():
                    raise AssertionError("bytes behind the close frame")
                websocket.writer.close()
                return
            assert received.payload == message.encode()
            self.echoes += 1
            await asyncio.sleep(0.005)


async def through_restarts(server, restarts, clients):
    """The clients are at work meanwhile; each generation is gone before the next one comes. Leaves the PIDs of the last
    one in `server.pids`."""
    running = [asyncio.create_task(one.run()) for one in clients]
    for generation in range(2, restarts + 2):
        await asyncio.sleep(0.3)
        server.pids = await asyncio.to_thread(server.restart, generation)
        await asyncio.to_thread(server.wait_until_gone, generation - 1)
    for one in clients:
        one.stopping = True
    await asyncio.gather(*running)
