"""What loads the servers: wrk where requests per second are many, and processes of our own that hold connections.

wrk saturates the server, which is how CPU time per request is measured. Latency is measured by a `Crowd` of our own,
which doesn't: its requests have their time in advance, and are sent whether or not others have been answered. So a
standstill of the server delays all requests that fall into it, and not one (coordinated omission).
"""

from __future__ import annotations

import collections
import contextlib
import gc
import math
import os
import random
import re
import select
import socket
import subprocess
import time
from dataclasses import dataclass
from multiprocessing import get_context

from .harness import BenchmarkFailed, orphan_ends, session_goes_first

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER_SECONDS = 30
"""How long an answer may take before the client gives up."""
LAST_WAIT_SECONDS = 0.01

BROWSER_HEADERS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Accept-Language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: session=6f1c0a8e5b7d4c2f9e3a1b0c8d7e6f5a; theme=dark; consent=essential",
    "Referer: https://www.example.com/products/overview?page=2",
    'Sec-CH-UA: "Chromium";v="142", "Not.A/Brand";v="24", "Google Chrome";v="142"',
    "Sec-CH-UA-Mobile: ?0",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "Upgrade-Insecure-Requests: 1",
)
"""Twelve, as a browser sends them; Host comes from the client."""


def wrk(port, *, core, connections, seconds, headers=(), tls=False, first=False):
    """Load for so many seconds; returns how many requests were answered, and how many in a second.

    `first` as of Server.
    """
    command = orphan_ends("taskset", "-c", core, "wrk", "-t", 1, "-c", connections, "-d", seconds)
    for header in headers:
        command += ["-H", header]
    command.append(f"{'https' if tls else 'http'}://127.0.0.1:{port}/")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        list(map(str, command)), stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            if first:
                session_goes_first(process.pid)
            said, _ = process.communicate(timeout=seconds + ANSWER_SECONDS)
        finally:
            process.kill()
    if process.returncode != 0:
        raise BenchmarkFailed(f"wrk: {said}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", said)  # late answers aren't errors
    if "Non-2xx" in said or (errors and any(map(int, errors.groups()))):
        raise BenchmarkFailed(f"Not all was answered:\n{said}")
    answered = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec: +([\d.]+)", said)
    return int(answered[1]), float(rate[1])


@dataclass(frozen=True, slots=True)
class Answer:
    """`began` by time.monotonic, of which all processes see the same; `pid` is the worker's."""

    began: float
    seconds: float
    pid: int

    @property
    def ended(self):
        return self.began + self.seconds


class Crowd:
    """Processes that hold keep-alive connections to a server whose application is `pid`; a context manager.

    Each process has an address of its own (127.0.0.2 and up), so that the ports suffice. While they measure they have
    real-time priority if that is allowed (sched(7)): what they note is their own delay as well.
    """

    def __init__(self, port, *, connections, processes, core):
        context = get_context("spawn")
        self.connections = connections // processes * processes
        self._members = []
        for number in range(processes):
            ours, theirs = context.Pipe()
            arguments = (theirs, port, f"127.0.0.{2 + number}", connections // processes, core)
            process = context.Process(target=_member, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._members.append((process, ours))
        self._each("is there")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process, pipe in self._members:
            pipe.close()
            process.terminate()
            process.join(5)
            if process.is_alive():
                process.kill()

    def open(self):
        """Open all connections and send one GET on each."""
        self._each("open")

    def begin(self, rate, *, in_turn):
        """Send so many requests a second, all processes together, until `end`.

        In turn: each connection is a client that asks at even intervals, and asks late when its last answer was late;
        that delay counts. Else each request takes one of the connections that wait for nothing, at random.
        """
        for _, pipe in self._members:
            pipe.send(("pace", rate / len(self._members), in_turn))

    def end(self):
        """Returns all answers since `begin`, how many connections broke, and how many requests were passed over.

        Passed over is a request whose time the client itself has missed.
        """
        answers, broken, missed = zip(*self._each("stop"), strict=True)
        return [Answer(*one) for some in answers for one in some], sum(broken), sum(missed)

    def check(self):
        """Send one more GET on each connection; returns how many of them are broken."""
        return sum(self._each("check"))

    def _each(self, command):
        for _, pipe in self._members:
            pipe.send((command,))
        said = [self._hear(pipe) for _, pipe in self._members]
        if failed := [one for one in said if isinstance(one, Exception)]:
            raise BenchmarkFailed(f"A client failed to {command}: {failed[0]!r}")
        return said

    @staticmethod
    def _hear(pipe):
        try:
            return pipe.recv()
        except EOFError:
            return EOFError("its process has ended")


# --- in the processes of the crowd ---


def _member(pipe, port, source, count, core):
    os.sched_setaffinity(0, {core})
    gc.disable()
    clients = []
    with contextlib.suppress(EOFError, KeyboardInterrupt), select.epoll() as epoll:
        while True:
            command, *arguments = pipe.recv()
            try:
                said = None
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
def _real_time():
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

    def __init__(self, port, source):
        self.sock = socket.socket()
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        self.sock.bind((source, 0))
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.began = 0.0
        self.due = collections.deque()
        if self.is_broken():
            raise ConnectionError("a new connection was closed without an answer")

    def is_broken(self):
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

    def take(self, data):
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

    def __init__(self, epoll, clients, rate, in_turn):
        self._epoll = epoll
        self._clients = clients
        self._interval = 1 / rate
        self._in_turn = in_turn
        self._number = 0
        self._answers = []
        self._broken = 0

    def run(self, pipe):
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

    def _ask(self, now):
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

    def _send(self, client, began):
        client.began = began
        try:
            client.sock.sendall(GET)
        except OSError:
            self._lost(client)

    def _answered(self, client):
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

    def _lost(self, client):
        """Its connection is closed, and isn't opened again: what is measured has failed."""
        self._broken += 1
        client.began = 0.0
        client.sock.close()  # which takes it out of the epoll
        self._clients.remove(client)
        if not self._clients:
            raise ConnectionError("all connections were closed")
