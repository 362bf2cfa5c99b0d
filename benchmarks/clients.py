"""Processes that hold connections to a server, idle or busy, and note how long each answer takes.

They don't saturate it: their requests have their time in advance, and are sent whether or not others have been
answered. So a standstill of the server delays all requests that fall into it, and not one (coordinated omission).
"""

from __future__ import annotations

import collections
import contextlib
import gc
import math
import os
import random
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from .session import BenchmarkFailed

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER_SECONDS = 30
"""How long an answer may take before the client gives up."""
LAST_WAIT_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Answer:
    """`began` by time.monotonic, of which all processes see the same; `pid` is the worker's."""

    began: float
    seconds: float
    pid: int

    @property
    def ended(self) -> float:
        return self.began + self.seconds


class Crowd:
    """Processes that hold keep-alive connections to a server whose application is `pid`; a context manager.

    Each process has an address of its own (127.0.0.2 and up, or from `first_source`), so that the ports suffice. While
    they measure they have real-time priority if that is allowed (sched(7)): what they note is their own delay as well.
    """

    def __init__(self, port: int, *, connections: int, processes: int, core: int, first_source: int = 2) -> None:
        context = get_context("spawn")
        self.connections = connections // processes * processes
        self._members: list[tuple[BaseProcess, Connection]] = []
        for number in range(processes):
            ours, theirs = context.Pipe()
            arguments = (theirs, port, f"127.0.0.{first_source + number}", connections // processes, core)
            process = context.Process(target=_member, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._members.append((process, ours))
        self._each("is there")

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for process, pipe in self._members:
            pipe.close()
            process.terminate()
            process.join(5)
            if process.is_alive():
                process.kill()

    def open(self) -> None:
        """Open all connections and send one GET on each."""
        self._each("open")

    def begin(self, rate: float, *, in_turn: bool) -> None:
        """Send so many requests a second, all processes together, until `end`.

        In turn: each connection is a client that asks at even intervals, and asks late when its last answer was late;
        that delay counts. Else each request takes one of the connections that wait for nothing, at random.
        """
        for _, pipe in self._members:
            pipe.send(("pace", rate / len(self._members), in_turn))

    def end(self) -> tuple[list[Answer], int, int]:
        """Returns all answers since `begin`, how many connections broke, and how many requests were passed over.

        Passed over is a request whose time the client itself has missed.
        """
        answers, broken, missed = zip(*self._each("stop"), strict=True)
        return [Answer(*one) for some in answers for one in some], sum(broken), sum(missed)

    def check(self) -> int:
        """Send one more GET on each connection; returns how many of them are broken."""
        return sum(self._each("check"))

    def _each(self, command: str) -> list[Any]:
        for _, pipe in self._members:
            pipe.send((command,))
        said = [self._hear(pipe) for _, pipe in self._members]
        if failed := [one for one in said if isinstance(one, Exception)]:
            raise BenchmarkFailed(f"A client failed to {command}: {failed[0]!r}")
        return said

    @staticmethod
    def _hear(pipe: Connection) -> Any:
        try:
            return pipe.recv()
        except EOFError:
            return EOFError("its process has ended")


# --- in the processes of the crowd ---


def _member(pipe: Connection, port: int, source: str, count: int, core: int) -> None:
    os.sched_setaffinity(0, {core})
    gc.disable()
    clients: list[_Client] = []
    with contextlib.suppress(EOFError, ConnectionError, KeyboardInterrupt), select.epoll() as epoll:
        while True:
            command, *arguments = pipe.recv()
            try:
                said: Any = None
                if command == "open":
                    clients = [_Client(port, source) for _ in range(count)]
                elif command == "pace":
                    with _real_time():
                        said = _Pace(epoll, clients, *arguments).run(pipe)
                elif command == "check":
                    said = sum(client.is_broken() for client in clients)
            except Exception as error:
                said = error
            pipe.send(said)


@contextlib.contextmanager
def _real_time() -> Iterator[None]:
    """Run before all that isn't, where that is allowed."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class _Client:
    """One connection. `due` holds since when requests wait for the answer to the one before."""

    __slots__ = ("began", "due", "received", "sock")

    def __init__(self, port: int, source: str) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        self.sock.bind((source, 0))
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.began = 0.0
        self.due: collections.deque[float] = collections.deque()
        if self.is_broken():
            raise ConnectionError("a new connection was closed without an answer")

    def is_broken(self) -> bool:
        """Whether one more GET has no answer; waits for it."""
        try:
            self.sock.setblocking(True)
            self.sock.settimeout(ANSWER_SECONDS)
            self.sock.sendall(GET)
            while self.take(self.sock.recv(4096)) is None:
                pass
        except OSError:
            return True
        return False

    def take(self, data: bytes) -> int | None:
        """The worker's PID once the response is complete."""
        if not data:
            raise ConnectionError("closed by the server")
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator or len(body) < 10:
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(head.decode("latin-1"))
        self.received = b""
        return int(body)


class _Pace:
    """Requests at even intervals, as `Crowd.begin` says.

    The epoll is made before the connections: select(2), which waits for it, takes no descriptor above 1023.
    """

    def __init__(self, epoll: select.epoll, clients: list[_Client], rate: float, in_turn: bool) -> None:
        self._epoll = epoll
        self._clients = clients
        self._interval = 1 / rate
        self._in_turn = in_turn
        self._number = 0
        self._answers: list[tuple[float, float, int]] = []
        self._broken = 0

    def run(self, pipe: Connection) -> tuple[list[tuple[float, float, int]], int, int]:
        """Until the pipe has a message, then until all is answered; returns what `Crowd.end` tells."""
        by_descriptor = {client.sock.fileno(): client for client in self._clients}
        for client in self._clients:
            client.sock.setblocking(False)
            self._epoll.register(client.sock, select.EPOLLIN)
        self._epoll.register(pipe, select.EPOLLIN)
        missed, due, ended = 0, time.monotonic(), math.inf
        while ended == math.inf or any(client.began for client in self._clients):
            now = time.monotonic()
            if now - ended > ANSWER_SECONDS:
                raise TimeoutError("requests without an answer")
            if ended == math.inf and now >= due:
                self._ask(now)
                behind = int((now - due) / self._interval)
                missed += behind  # made up for, they would come all at once
                due += (behind + 1) * self._interval
            wait = due - time.monotonic() if ended == math.inf else LAST_WAIT_SECONDS
            if wait > 0:
                select.select([self._epoll], [], [], wait)  # epoll_wait(2) knows milliseconds only
            for descriptor, _ in self._epoll.poll(0):
                if descriptor == pipe.fileno():
                    pipe.recv()
                    self._epoll.unregister(pipe)
                    ended = time.monotonic()
                else:
                    self._answered(by_descriptor[descriptor])
        for client in self._clients:
            self._epoll.unregister(client.sock)
        return self._answers, self._broken, missed

    def _ask(self, now: float) -> None:
        if self._in_turn:
            client = self._clients[self._number % len(self._clients)]
            self._number += 1
            if client.began:
                client.due.append(now)
                return
        else:
            client = random.choice(self._clients)
            while client.began:
                client = random.choice(self._clients)
        self._send(client, now)

    def _send(self, client: _Client, began: float) -> None:
        client.began = began
        try:
            client.sock.sendall(GET)
        except OSError:
            self._lost(client)

    def _answered(self, client: _Client) -> None:
        if client.sock.fileno() == -1:
            return  # lost since these events were fetched
        try:
            pid = client.take(client.sock.recv(4096))
        except OSError:
            self._lost(client)
            return
        if pid is None:
            return
        self._answers.append((client.began, time.monotonic() - client.began, pid))
        client.began = 0.0
        if client.due:
            self._send(client, client.due.popleft())

    def _lost(self, client: _Client) -> None:
        """Its connection is closed, and isn't opened again: what is measured has failed."""
        self._broken += 1
        client.began = 0.0
        client.sock.close()  # which takes it out of the epoll
        self._clients.remove(client)
        if not self._clients:
            raise ConnectionError("all connections were closed")
