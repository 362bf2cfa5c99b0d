"""Pollers and streams on real sockets, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import socket
import struct

import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.net.poller import EpollPoller, Pollable, SelectorsPoller
from gracehttp.net.stream import PlainStream, StreamServices

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
POLLERS = {"epoll": EpollPoller, "selectors": SelectorsPoller}
BOTH = [f"{loop}-{poller}" for loop in LOOPS for poller in POLLERS]
STALL_SECONDS = 30.0


async def until(condition):
    """Let the loop turn until the condition holds; the runner's timeout is the limit."""
    while not condition():
        await asyncio.sleep(0)


async def turns(count=5):
    """Let the loop look at its descriptors a few times."""
    for _ in range(count):
        await asyncio.sleep(0)


def runner_for(name):
    """Runs scenarios on the loop and with the poller of `name`, one of `BOTH`. A scenario takes the `Floor`."""
    loop_name, poller_name = name.split("-")

    def run(scenario):
        async def main():
            async with opened(poller_name) as floor:
                await scenario(floor)

        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(asyncio.wait_for(main(), DEADLINE_SECONDS))

    return run


class Timer:
    def __init__(self, when, callback, args):
        self.when = when
        self.callback = callback
        self.args = args
        self.armed = True

    def cancel(self):
        self.armed = False
        self.callback = self.args = None  # as a real one does, so that no circle is left


class Clock:
    """An event loop whose time passes only in `pass_time`; all else is the real loop's."""

    def __init__(self, loop=None):
        self._loop = loop
        self.now = 1000.0
        self.timers_made = 0
        self._timers = []
        self._number = itertools.count()

    def time(self):
        return self.now

    def call_at(self, when, callback, *args):
        self.timers_made += 1
        timer = Timer(when, callback, args)
        heapq.heappush(self._timers, (when, next(self._number), timer))
        return timer

    def call_later(self, seconds, callback, *args):
        return self.call_at(self.now + seconds, callback, *args)

    def call_soon(self, callback, *args):
        return self._loop.call_soon(callback, *args)

    @property
    def armed(self):
        """When the timers fire that were not cancelled."""
        return sorted(when for when, _, timer in self._timers if timer.armed)

    def pass_time(self, seconds):
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            if timer.armed:
                timer.armed = False
                timer.callback(*timer.args)
        self.now = end


class Seen(Pollable):
    """The consumer and the owner of a stream; keeps what it is told."""

    def __init__(self):
        self.pieces = []
        self.ends = 0
        self.unread_ends = 0
        self.rooms = 0
        self.closes = 0
        self.on_received = lambda data: None
        self.on_closed = lambda: None

    @property
    def data(self):
        return b"".join(self.pieces)

    def received(self, data):
        assert not self.closes
        self.pieces.append(data)
        self.on_received(data)

    def ended(self):
        assert not self.closes
        self.ends += 1

    def ended_unread(self):
        assert not self.closes
        self.unread_ends += 1

    def writable_again(self):
        assert not self.closes
        self.rooms += 1

    def stream_closed(self):
        self.closes += 1
        self.on_closed()


class Client:
    """The client's end of a connection."""

    def __init__(self, sock):
        sock.setblocking(False)
        self.socket = sock

    def send(self, data):
        """All of it at once; the kernel has room for what tests send so."""
        assert self.socket.send(data) == len(data)

    async def send_all(self, data):
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def take(self, size):
        """Exactly `size` bytes."""
        taken = b""
        while len(taken) < size:
            data = await asyncio.get_running_loop().sock_recv(self.socket, size - len(taken))
            assert data, f"the end after {len(taken)} bytes"
            taken += data
        return taken

    async def take_all(self):
        """Everything up to the end of the server's half. Raises `ConnectionResetError` at a reset."""
        taken = []
        while data := await asyncio.get_running_loop().sock_recv(self.socket, 65536):
            taken.append(data)
        return b"".join(taken)

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


class Floor:
    """A poller, and streams on it."""

    def __init__(self, poller):
        self.loop = asyncio.get_running_loop()
        self.poller = POLLERS[poller](self.loop)
        self.clock = Clock(self.loop)
        self.failures = []
        self.services = StreamServices(self.clock, self.poller, STALL_SECONDS, self.failures.append)
        self._exits = contextlib.ExitStack()
        self._listener = self.own(socket.create_server(("127.0.0.1", 0)))

    def own(self, opened):
        """Close `opened` at the end of the test."""
        return self._exits.enter_context(opened)

    def tcp(self, *, small=False):
        """Both ends of a connection: the client, and the server's socket. `small`: the kernel holds little."""
        sock = self.own(socket.socket())
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        sock.connect(self._listener.getsockname())
        server, _ = self._listener.accept()
        if small:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server.setblocking(False)
        return Client(sock), server

    def unix(self):
        """As `tcp`, on a Unix socket."""
        sock, server = socket.socketpair()
        server.setblocking(False)
        return Client(self.own(sock)), server

    def stream(self, *, small=False, make=None):
        """A client, a plain stream, and what its consumer and owner have seen."""
        client, server = (make or self.tcp)(**({"small": True} if small else {}))
        seen = Seen()
        return client, self.own(aborted(PlainStream(server, self.services, seen, seen))), seen

    def close(self):
        self._exits.close()
        self.services.close()
        self.poller.close()


@contextlib.contextmanager
def aborted(stream):
    try:
        yield stream
    finally:
        stream.abort()


@contextlib.asynccontextmanager
async def opened(poller="epoll"):
    floor = Floor(poller)
    try:
        yield floor
    finally:
        floor.close()
