"""Many keep-alive clients in a closed loop, which retry nothing and account for each byte.

A client is a connection with a number. It sends request 1, 2, 3 and so on, each when the answer to the one before is
whole, and compares every byte of the answer with what it has to be. The connection may end only after an answer with
`Connection: close`; then, and only then, the client opens another one. Everything else is an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from dataclasses import dataclass, field

import uvloop
from deadlines import DEADLINE_SECONDS

LOOK_AGAIN_SECONDS = 0.005


@dataclass
class Failure:
    """What went wrong on a connection, and what the client knew then. Times are of `time.monotonic`."""

    what: str
    unanswered: bool
    at: float
    last_answer_at: float
    pids: list[int]


@dataclass
class Accounts:
    """Of all clients together. Only the thread of the clients writes here."""

    connects: int = 0
    refused: int = 0
    sent: int = 0
    answered: int = 0
    closed_after_notice: int = 0
    failures: list[Failure] = field(default_factory=list)
    pids: dict[int, list[int]] = field(default_factory=dict)
    """By connection: the processes that answered on it, each time that it was another one."""


class Callers:
    """`clients` clients in a thread of their own, in a `with` statement; at its end each finishes its request.

    `reconnecting` clients open a connection for each request. Refused clients stop, and so do those that met a
    failure, unless `goes_on`: then they open another connection. Each answer has `size` bytes of text. An answer that
    is not whole after `patience_seconds` is a failure.
    """

    def __init__(
        self, port, clients, *, reconnecting=0, pause_seconds=0.0, goes_on=False, size=0, patience_seconds=None
    ):
        self.port = port
        self.accounts = Accounts()
        self.clients = clients
        self.reconnecting = reconnecting
        self.pause_seconds = pause_seconds
        self.goes_on = goes_on
        self.patience_seconds = patience_seconds
        self.size = size
        self.text = b"".join(b"%07d\n" % number for number in range(size // 8))
        self.finishing = False
        self.paused = False
        self.numbers = itertools.count(1)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback):
        self.finish()

    def finish(self):
        """Let each client finish the request that it is at; returns the accounts."""
        self.finishing = True
        return self.join()

    @contextlib.contextmanager
    def resting(self):
        """For the time of the block each client keeps the connection that it has, and asks nothing."""
        self.paused = True
        try:
            yield
        finally:
            self.paused = False

    def give_up(self):
        """The test is over: finish, without waiting for answers that may never come."""
        self.finishing = True

    def join(self):
        """Wait until each client has stopped; returns the accounts."""
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive(), f"clients hang: {self.accounts.answered} of {self.accounts.sent} answered"
        return self.accounts

    def wait_for_answers(self, more):
        """Wait until `more` more requests were answered than were at the call."""
        goal = self.accounts.answered + more
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.accounts.answered < goal:
            assert self._thread.is_alive(), f"all clients have stopped: {self.accounts.failures[:5]}"
            assert time.monotonic() < deadline, f"{goal - self.accounts.answered} of {more} answers are missing"
            self._thread.join(0.005)

    def _run(self):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._all())

    async def _all(self):
        async with asyncio.TaskGroup() as group:
            for index in range(self.clients + self.reconnecting):
                group.create_task(self._client(once=index >= self.clients))

    async def _client(self, *, once):
        loop = asyncio.get_running_loop()
        accounts = self.accounts
        while not self.finishing:
            began = time.monotonic()
            number = next(self.numbers)
            try:
                _, call = await loop.create_connection(lambda n=number: _Call(self, n, once), "127.0.0.1", self.port)
            except (ConnectionRefusedError, ConnectionResetError):  # while connecting: not a byte was sent
                accounts.refused += 1
                return
            except OSError as exc:
                accounts.failures.append(Failure(f"connect: {exc!r}", False, time.monotonic(), began, []))
                return
            accounts.connects += 1
            failure = await call.over
            if call.pids:
                accounts.pids[number] = call.pids
            if failure:
                accounts.failures.append(Failure(failure, call.waits, time.monotonic(), call.last_answer_at, call.pids))
                if not self.goes_on:
                    return


class _Call(asyncio.Protocol):
    """One connection. `over` tells in the end what went wrong, or an empty string."""

    def __init__(self, owner, number, once):
        self._owner = owner
        self._number = number
        self._last = b"Connection: close\r\n" if once else b""
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self.waits = False
        self._closing = False
        self._received = b""
        self._patience: asyncio.TimerHandle | None = None
        self.over = self._loop.create_future()
        self.pids: list[int] = []
        self.last_answer_at = time.monotonic()

    def connection_made(self, transport):
        self._transport = transport
        self._ask()

    def _ask(self):
        if self._owner.finishing or self._transport.is_closing():
            self._end("")
            return
        if self._owner.paused:
            self._loop.call_later(LOOK_AGAIN_SECONDS, self._ask)
            return
        self._count += 1
        self.waits = True
        self._owner.accounts.sent += 1
        self._transport.write(
            b"GET /?c=%d&n=%d&size=%d HTTP/1.1\r\nHost: test\r\n%b\r\n"
            % (self._number, self._count, self._owner.size, self._last)
        )
        if self._owner.patience_seconds is not None:
            self._patience = self._loop.call_later(self._owner.patience_seconds, self._lose_patience)

    def _lose_patience(self):
        seconds = self._owner.patience_seconds
        self._end(f"no answer within {seconds:g} s to request {self._count}, {self._doing()}")

    def data_received(self, data):
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not self.waits or not found:
            if not self.waits:
                self._end(f"bytes that nobody asked for: {self._received!r}")
            return
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        missing = int(fields[b"content-length"]) - len(body)
        if missing > 0:
            return
        pid, _, rest = body.partition(b" ")
        if (
            missing < 0
            or head[:15] != b"HTTP/1.1 200 OK"
            or rest
            != b"GET %d %d 0\n%b"
            % (
                self._number,
                self._count,
                self._owner.text,
            )
        ):
            self._end(f"wrong answer to request {self._count}: {self._received[:500]!r}")
            return
        self._answered(int(pid), fields.get(b"connection") == b"close")

    def _answered(self, pid, closing):
        self._owner.accounts.answered += 1
        self._be_patient()
        self._received = b""
        self.waits = False
        self._closing = closing
        self.last_answer_at = time.monotonic()
        if not self.pids or self.pids[-1] != pid:
            self.pids.append(pid)
        if closing:
            if not self._last:
                self._owner.accounts.closed_after_notice += 1
            self._end("")
        elif self._owner.pause_seconds:
            self._loop.call_later(self._owner.pause_seconds, self._ask)
        else:
            self._ask()

    def eof_received(self):
        self._end(f"closed without notice at request {self._count}, {self._doing()}")

    def connection_lost(self, exc):
        self._end(f"lost at request {self._count}, {self._doing()}: {exc!r}")

    def _doing(self):
        return f"of whose answer {self._received[:500]!r} came" if self.waits else "which was answered"

    def _be_patient(self):
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _end(self, failure):
        self._be_patient()
        if not self.over.done():
            self.over.set_result(failure)
        self._transport.close()
