"""`wsgi.input` of a request whose body is still arriving: a thread reads what the loop has received."""

from __future__ import annotations

import asyncio
import io
from queue import SimpleQueue
from typing import TYPE_CHECKING

from gracehttp.applications.wsgi.loop_calls import LoopCalls
from gracehttp.http.exchange import ClientDisconnected, Exchange

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 65536


def streaming_input(exchange: Exchange, calls: LoopCalls, received: bytes) -> io.BufferedReader:
    """The body of `exchange` as a blocking file for one thread. It begins with `received`.

    It holds at most two buffers at a time. Reads raise `ClientDisconnected` if the client leaves before the end of the
    body.
    """
    return io.BufferedReader(_Body(exchange, calls, received), _BUFFER_BYTES)


class _Body(io.RawIOBase):
    """Fetches the pieces that have arrived, on demand. BufferedReader cuts them into lines and sizes."""

    def __init__(self, exchange: Exchange, calls: LoopCalls, received: bytes) -> None:
        super().__init__()
        self._exchange = exchange
        self._calls = calls
        self._piece = memoryview(received)
        self._more = True
        self._arrived: SimpleQueue[tuple[bytes, bool] | None] = SimpleQueue()
        self._waiter: asyncio.Task[None] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while not self._piece:
            if not self._more:
                return 0
            self._fetch()
        with memoryview(buffer).cast("B") as room:
            size = min(len(room), len(self._piece))
            room[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size

    def _fetch(self) -> None:
        """Ask the loop for the next piece, and wait for it. On the thread of the application."""
        try:
            self._calls.post(self._answer)
        except RuntimeError as exc:
            raise ClientDisconnected("the server has stopped") from exc
        answer = self._arrived.get()
        if answer is None:
            raise ClientDisconnected("the client disconnected before the whole request body was received")
        data, self._more = answer
        self._piece = memoryview(data)

    def _answer(self) -> None:
        """On the loop."""
        try:
            taken = self._exchange.take_body()
            if taken is None:
                self._waiter = asyncio.get_running_loop().create_task(self._answer_later())
            else:
                self._arrived.put(taken)
        except BaseException:
            self._arrived.put(None)  # a thread waits for an answer, and must get one
            raise

    async def _answer_later(self) -> None:
        answer = None
        try:
            await self._exchange.wait_for_input()
            answer = self._exchange.take_body()  # None after a wait: the client is gone
        finally:
            self._arrived.put(answer)
