"""Load for the demo: keep-alive connections, each of which sends its next request after a response.

Nothing is retried, so each request that the server loses is counted (`accounting`).
"""

from __future__ import annotations

import asyncio
import time

from gracehttp.demo.accounting import Account, Ending, take_response

CONNECTIONS = 32
ANSWER_TIMEOUT_SECONDS = 10.0
_READ_BYTES = 65536


class Load:
    """Requests `/ping` at `host` and `port` from `start` until `finish`. `account` holds the sums."""

    def __init__(self, host: str, port: int, *, connections: int = CONNECTIONS) -> None:
        self.account = Account()
        self._address = (host, port)
        self._request = f"GET /ping HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
        self._connections = connections
        self._clients: list[asyncio.Task[None]] = []
        self._finishing = False
        self._progress = asyncio.Event()

    def start(self) -> None:
        """Open the connections and begin to send."""
        self._clients = [asyncio.create_task(self._client()) for _ in range(self._connections)]

    async def wait_for_requests(self, count: int) -> None:
        """Wait until `count` more requests have ended, or every client has given up."""
        wanted = self.account.requests + count
        while self.account.requests < wanted and not all(client.done() for client in self._clients):
            self._progress.clear()
            await self._progress.wait()

    async def finish(self) -> None:
        """Send no more requests, and wait for the pending responses."""
        self._finishing = True
        await asyncio.gather(*self._clients)

    async def _client(self) -> None:
        """One client: a connection, and after each announced close the next one."""
        try:
            while not self._finishing and await self._connection() is not Ending.LOST:
                pass
        finally:
            self._progress.set()

    async def _connection(self) -> Ending:
        """Send requests on one connection until it ends. A client whose request was lost stops there."""
        try:
            reader, writer = await asyncio.open_connection(*self._address)
        except OSError as exc:
            return self.account.loss(f"connect() failed: {exc}")
        ending = Ending.ANSWERED
        try:
            while ending is Ending.ANSWERED and not self._finishing:
                ending = await self._exchange(reader, writer)
                self._progress.set()
        finally:
            writer.close()
        return ending

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Ending:
        started = time.perf_counter()
        data = b""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                writer.write(self._request)
                while (taken := take_response(data)) is None:
                    piece = await reader.read(_READ_BYTES)
                    if not piece:
                        return self.account.loss(f"end of file after {len(data)} bytes of the response")
                    data += piece
        except TimeoutError:
            return self.account.loss(f"no answer in {ANSWER_TIMEOUT_SECONDS:g} s")
        except (OSError, ValueError) as exc:
            return self.account.loss(str(exc) or type(exc).__name__)
        response, rest = taken
        if rest:
            return self.account.loss(f"{len(rest)} bytes after the response")
        return self.account.response(response, time.perf_counter() - started)
