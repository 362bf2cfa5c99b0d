"""Clients in a closed loop that retry nothing and account for each request.

Each attempt has exactly one outcome: answered whole, refused (the kernel did not let the client in, so not a byte was
sent), or lost, which is everything else. A keep-alive connection may end only after an answer that said so with
`Connection: close` (RFC 9112 section 9.6); a client that finds it closed without notice has lost its request.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from deadlines import DEADLINE_SECONDS

PIECE_PAUSE_SECONDS = 0.002
THINKING_SECONDS = 0.01
"""How long a client thinks after each answer. The machine is then busy and not full, so that a restart takes as long as
its processes need to start, and not several times that; tests/chaos has clients that don't think."""

ECHO_APPLICATION = """
    import asyncio
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        received, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
        if scope["path"] == "/300ms":
            await asyncio.sleep(0.3)
        body = b"%d %d" % (os.getpid(), received)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})
"""
"""Answers its PID and how many bytes of body it got, as the clients here want it."""


@dataclass(frozen=True)
class Request:
    """What each client asks for: one request in pieces that are sent one after the other."""

    pieces: tuple[bytes, ...]
    body_bytes: int = 0

    def last_on_its_connection(self):
        head, *rest = self.pieces
        return Request((head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1), *rest), self.body_bytes)


def get(path="/"):
    return Request((f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode(),))


def post(size, pieces):
    """A body of `size` bytes that arrives in `pieces`; the head comes with the first of them."""
    head = f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n".encode()
    first, *rest = [b"x" * (size // pieces)] * pieces
    return Request((head + first, *rest), size)


@dataclass
class Account:
    """What became of the requests."""

    begun: int = 0
    answered: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    connections: int = 0
    closed_after_notice: int = 0
    pids: Counter[int] = field(default_factory=Counter)

    @property
    def balanced(self):
        return self.begun == self.answered + self.refused + len(self.lost)


class Load:
    """`keep_alive` clients that stay on their connection as long as they may, `reconnecting` ones that open one for
    each request. A client that is refused stops.

    In a `with` statement: the clients work in a thread of their own until its end, or until `finish`; each then
    finishes the request that it is at.
    """

    def __init__(self, port, *, keep_alive=0, reconnecting=0, request=None, tls=None):
        self.account = Account()
        self._port = port
        self._tls = tls
        self._clients = [(request or get(), True)] * keep_alive
        self._clients += [((request or get()).last_on_its_connection(), False)] * reconnecting
        self._finishing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self._thread.start()
        self.wait_for_answers(len(self._clients))
        return self

    def __exit__(self, kind, error, traceback):
        self.finish()

    def finish(self):
        """Let the clients finish what they are at. Returns the account, which must be balanced."""
        self._finishing = True
        return self.join()

    def join(self):
        """Wait until each client has been refused, or has finished."""
        self._thread.join(3 * DEADLINE_SECONDS)
        assert not self._thread.is_alive(), f"clients hang: {self.account}"
        assert self.account.balanced, self.account
        return self.account

    def wait_for_answers(self, more=20):
        """Wait until so many more requests were answered than were at the call."""
        goal = self.account.answered + more
        self._wait(lambda: self.account.answered >= goal, f"{more} more answers")

    def wait_for_answers_of(self, pids):
        """Wait until one of `pids` has answered."""
        self._wait(lambda: set(pids) & self.account.pids.keys(), f"an answer of {pids}")

    def who_answers_now(self, answers=30):
        """The PIDs that answer the next requests."""
        with self._changed:
            self.account.pids = Counter()
        self.wait_for_answers(answers)
        return set(self.account.pids)

    # --- in the thread ---

    async def _run(self):
        async with asyncio.TaskGroup() as group:
            for request, keep_alive in self._clients:
                group.create_task(self._client(request, keep_alive))

    async def _client(self, request, keep_alive):
        while not self._finishing:
            self.account.begun += 1
            try:
                reader, writer = await asyncio.wait_for(self._connect(), DEADLINE_SECONDS)
            except ConnectionRefusedError:
                self._tell(refused=True)
                return
            except Exception as exc:
                self._tell(lost=f"at connect: {exc!r}")
                return
            self.account.connections += 1
            try:
                await self._converse(request, reader, writer, keep_alive)
            except Exception as exc:
                self._tell(lost=f"{request.pieces[0][:20]!r}: {exc!r}")
                return
            finally:
                await self._close(writer)
            await asyncio.sleep(THINKING_SECONDS)

    async def _connect(self):
        name = "localhost" if self._tls else None
        return await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls, server_hostname=name)

    async def _converse(self, request, reader, writer, keep_alive):
        """The requests of one connection; the first of them was begun by the caller."""
        served_by = None
        while True:
            for piece in request.pieces:
                writer.write(piece)
                if piece is not request.pieces[-1]:
                    await asyncio.sleep(PIECE_PAUSE_SECONDS)  # this client is as slow as that
            try:
                pid, body_bytes, closing = await asyncio.wait_for(_read_answer(reader), DEADLINE_SECONDS)
            except (OSError, EOFError) as exc:
                raise ConnectionError(f"served by {served_by} before: {exc!r}") from exc
            served_by = pid
            if body_bytes != request.body_bytes:
                raise ValueError(f"{body_bytes} bytes of {request.body_bytes} arrived")
            self._tell(pid=pid)
            if closing or not keep_alive:
                self.account.closed_after_notice += closing
                return
            if self._finishing:
                return
            await asyncio.sleep(THINKING_SECONDS)
            self.account.begun += 1

    async def _close(self, writer):
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), DEADLINE_SECONDS)

    def _tell(self, *, pid=None, refused=False, lost=None):
        with self._changed:
            if lost is not None:
                self.account.lost.append(lost)
            elif refused:
                self.account.refused += 1
            else:
                self.account.answered += 1
                self.account.pids[pid] += 1
            self._changed.notify_all()

    def _wait(self, condition, what):
        deadline = time.monotonic() + 2 * DEADLINE_SECONDS
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                assert left > 0, f"waited in vain for {what}: {self.account}"
                assert self._thread.is_alive(), f"all clients are done, without {what}: {self.account}"
                self._changed.wait(min(left, 1.0))


async def _read_answer(reader):
    """One whole answer: its PID, the count of ECHO_APPLICATION if there is one, and whether it says it is the last."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if line)
    body = await reader.readexactly(int(headers["content-length"]))
    if " 200 " not in status:
        raise ValueError(f"{status}: {body!r}")
    pid, *count = map(int, body.split())
    return pid, sum(count), headers.get("connection") == "close"
