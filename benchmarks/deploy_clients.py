"""Clients that live through restarts, retry nothing, and note what became of each request.

Some keep their connection and open another one only when the server has ended it, some open one for each request. All
ask at even intervals. What is measured from is the moment at which a request was due: one that comes late, because the
answer before it did, was late for its user as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Literal

from .session import BenchmarkFailed

Outcome = Literal["answered", "error", "lost", "reset", "refused", "silent"]
ANSWER_SECONDS = 15.0
RECENT_SECONDS = 0.5
Fields = tuple[bool, float, float, float, Outcome, int, bool]
"""Of `Asked`, as they cross the pipe."""
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
GET_AND_CLOSE = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; all times by time.monotonic.

    `answered`: whole, with status 200; `code` is the version of the application that gave it. `error`: whole, with
    another status. `lost`: sent, and the connection ended without a whole answer. `reset`: lost by a reset. `refused`:
    no connection could be made. `silent`: no answer within 15 s. `reconnected`: the server had ended the connection
    of a client that keeps it, so it made another one for this request.
    """

    keeps: bool
    due: float
    sent: float
    ended: float
    outcome: Outcome
    code: int = 0
    reconnected: bool = False

    @property
    def seconds(self) -> float:
        return self.ended - self.due


class DeployClients:
    """A process of clients; a context manager. They ask from the beginning until `stop`."""

    def __init__(self, port: int, *, keeping: int, new: int, interval_seconds: float, core: int) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(theirs, port, keeping, new, interval_seconds, core), daemon=True
        )
        self._process.start()
        theirs.close()
        self._hear("start")

    def __enter__(self) -> DeployClients:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()

    def codes(self) -> set[int]:
        """The versions of the application that have answered within the last half second."""
        self._pipe.send("codes")
        return set(self._hear("tell codes"))

    def stop(self) -> list[Asked]:
        """Waits until the last answers are there; returns all requests, in the order in which they ended."""
        self._pipe.send("stop")
        return [Asked(*one) for one in self._hear("stop")]

    def _hear(self, command: str) -> Any:
        try:
            if not self._pipe.poll(2 * ANSWER_SECONDS):
                raise BenchmarkFailed(f"The clients did not {command}.")
            return self._pipe.recv()
        except (EOFError, ConnectionError):
            raise BenchmarkFailed("The process of the clients has ended.") from None


# --- in the process of the clients ---


def _run(pipe: Connection, port: int, keeping: int, new: int, interval: float, core: int) -> None:
    os.sched_setaffinity(0, {core})
    gc.disable()
    with contextlib.suppress(EOFError, ConnectionError, KeyboardInterrupt), _real_time():
        pipe.send([])
        asyncio.run(_clients(pipe, port, keeping, new, interval))


@contextlib.contextmanager
def _real_time() -> Iterator[None]:
    """Run before all that isn't, where that is allowed: what clients note is their own delay as well."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    yield


async def _clients(pipe: Connection, port: int, keeping: int, new: int, interval: float) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    asked: list[Fields] = []

    def on_command() -> None:
        if pipe.recv() == "codes":
            since = time.monotonic() - RECENT_SECONDS
            recent = itertools.takewhile(lambda one: one[3] > since, reversed(asked))
            pipe.send({code for *_, outcome, code, _ in recent if outcome == "answered"})
        else:
            stop.set()

    loop.add_reader(pipe.fileno(), on_command)
    count = keeping + new
    began = time.monotonic()
    await asyncio.gather(
        *(
            _Client(port, number < keeping, asked).ask_until(stop, began + interval * number / count, interval)
            for number in range(count)
        )
    )
    loop.remove_reader(pipe.fileno())
    pipe.send(asked)


class _Client:
    def __init__(self, port: int, keeps: bool, asked: list[Fields]) -> None:
        self._port = port
        self._keeps = keeps
        self._asked = asked
        self._sock: socket.socket | None = None
        self._connected_before = False

    async def ask_until(self, stop: asyncio.Event, due: float, interval: float) -> None:
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            reconnected = self._is_over() and self._keeps and self._connected_before
            sent = time.monotonic()
            code, outcome = await self._ask()
            self._asked.append((self._keeps, due, sent, time.monotonic(), outcome, code, reconnected))
            if outcome not in ("answered", "error") or not self._keeps:
                self._close()
            due = max(due + interval, time.monotonic())  # one request at a time
        self._close()

    def _is_over(self) -> bool:
        """Whether there is no connection, or the server has ended it while it was idle."""
        if self._sock is None:
            return True
        try:
            if self._sock.recv(1, socket.MSG_PEEK) != b"":
                return False
        except BlockingIOError:
            return False
        except OSError:
            pass
        self._close()
        return True

    async def _ask(self) -> tuple[int, Outcome]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._sock is None:
                    self._sock = socket.socket()
                    self._sock.setblocking(False)
                    try:
                        await loop.sock_connect(self._sock, ("127.0.0.1", self._port))
                    except OSError:
                        return 0, "refused"
                    self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._connected_before = True
                await loop.sock_sendall(self._sock, GET if self._keeps else GET_AND_CLOSE)
                return await self._answer(loop, self._sock)
        except TimeoutError:
            return 0, "silent"
        except ConnectionError:
            return 0, "reset"

    async def _answer(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> tuple[int, Outcome]:
        received = b""
        while True:
            data = await loop.sock_recv(sock, 65536)
            if not data:
                return 0, "lost"
            received += data
            head, separator, body = received.partition(b"\r\n\r\n")
            if separator and len(body) >= _length(head):
                break
        if b"connection: close" in head.lower():
            self._close()
        if not head.startswith(b"HTTP/1.1 200"):
            return 0, "error"
        return int(body), "answered"

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
