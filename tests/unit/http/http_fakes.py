"""The world of one connection: a kernel with its client, a poller, a loop whose clock the test moves, an application
that the test answers for, and the worker. All between kernel and application is the real thing."""

from __future__ import annotations

import asyncio
import errno
import heapq
import itertools
import re
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from gracehttp.http import negotiation
from gracehttp.http.connection import NEW, NO_PROTOCOL, Connection, Ends, HttpSettings, ServerContext, Terms
from gracehttp.http.exchange import Exchange, RequestHandler, RequestHead
from gracehttp.net.poller import BROKEN, BYTES_PER_TURN, HALF_CLOSED, READABLE, WRITABLE, Poller
from gracehttp.net.stream import PlainStream, StreamServices
from gracehttp.wire.handover import Carried

OK = [(b"content-type", b"text/plain")]
_MOST_TURNS = 10_000
_ACKNOWLEDGED = slice(120, 128)  # tcpi_bytes_acked in the struct tcp_info of linux/tcp.h


class FakeTimer:
    def __init__(self, when: float, callback: Callable[..., None], args: tuple[Any, ...] = ()) -> None:
        self.when = when
        self.callback: Callable[..., None] | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None


class FakeLoop:
    """As much of an event loop as a connection needs. Time passes only in `pass_time`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers_made = 0
        self._soon: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._number = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., None], *args: Any) -> FakeTimer:
        self.timers_made += 1
        timer = FakeTimer(when, callback, args)
        heapq.heappush(self._timers, (when, next(self._number), timer))
        return timer

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> FakeTimer:
        return self.call_at(self.now + delay, callback, *args)

    def call_soon(self, callback: Callable[..., None], *args: Any, context: Any = None) -> None:
        self._soon.append((callback, args))

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)  # type: ignore[arg-type]  # a fake

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise AssertionError(context)

    def run_soon(self) -> None:
        """What was called for soon, and what that calls for."""
        while self._soon:
            callback, args = self._soon.pop(0)
            callback(*args)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            if timer.callback is not None:
                timer.callback(*timer.args)
            self.run_soon()
        self.now = end

    @property
    def timers_armed(self) -> int:
        return sum(timer.callback is not None for _, _, timer in self._timers)


class FakePoller(Poller):
    """Remembers what is watched for which events; the test delivers them with `Kernel.turn`."""

    def __init__(self) -> None:
        self.watched: dict[int, list[Any]] = {}  # descriptor -> its pollable, its events
        self.credit = BYTES_PER_TURN
        if not hasattr(self, "holding"):  # compiled, both are false already, and can't be set
            self.holding = self.crowded = False
        self.line: list[Any] = []  # pollables that have more to send; the test lets them with `Kernel.turn`
        self.refuses: OSError | None = None

    def line_up(self, pollable: Any, size: int) -> None:
        assert pollable not in self.line, "it stands in the line already"
        self.line.append(pollable)

    def add(self, fd: int, pollable: Any, events: int) -> None:
        if self.refuses is not None:
            raise self.refuses
        assert fd not in self.watched, "added twice"
        self.watched[fd] = [pollable, events]

    def change(self, fd: int, events: int) -> None:
        assert self.watched[fd][1] != events, "a system call for nothing"
        self.watched[fd][1] = events

    def remove(self, fd: int) -> None:
        assert fd >= 0, "removed after the close"
        del self.watched[fd]

    release = remove

    def close(self) -> None:
        assert not self.watched, "closed while something is watched"


_descriptors = itertools.count(1_000_000)  # no process has so many: whoever asks the real kernel gets EBADF


class Kernel:
    """A connected non-blocking socket, with its client behind it.

    `room` is how many bytes it takes before it blocks, None without limit. `calls` has the pieces of each system call
    that sent something, as far as they were taken, and `sent` the bytes of all. `fails` is raised by the next reads and
    writes.
    """

    def __init__(self, poller: FakePoller) -> None:
        self.poller = poller
        self.fd = next(_descriptors)
        self.room: int | None = None
        self.calls: list[list[bytes]] = []
        self.sent = bytearray()
        self.inbox: deque[bytes] = deque()  # an empty piece is the end
        self.fails: OSError | None = None
        self.shut = False
        self.closed = False
        self.resets = False
        self.on_close: Callable[[], None] = lambda: None

    # --- the socket's methods ---

    def fileno(self) -> int:
        return -1 if self.closed else self.fd

    def recv(self, size: int, flags: int = 0) -> bytes:
        assert not self.closed
        assert flags in (0, socket.MSG_PEEK)
        if self.fails is not None:
            raise type(self.fails)(*self.fails.args)  # a new one: its traceback has the whole world
        if not self.inbox:
            raise BlockingIOError(errno.EAGAIN, "nothing to read")
        data = self.inbox[0][:size]
        if not flags and data:
            rest = self.inbox[0][size:]
            if rest:
                self.inbox[0] = rest
            else:
                self.inbox.popleft()
        return data

    def send(self, data: bytes) -> int:
        return self.sendmsg([data])

    def sendmsg(self, pieces: list[Any]) -> int:
        assert not self.closed
        assert len(pieces) <= 1024, "EMSGSIZE: more than IOV_MAX"
        if self.shut:
            raise BrokenPipeError(errno.EPIPE, "our half is shut")
        if self.fails is not None:
            raise type(self.fails)(*self.fails.args)  # a new one: its traceback has the whole world
        size = sum(map(len, pieces))
        if self.room is not None:
            if size and not self.room:
                raise BlockingIOError(errno.EAGAIN, "no room")
            size = min(size, self.room)
            self.room -= size
        taken, left = [], size
        for piece in pieces:
            if left < len(piece):
                piece = bytes(piece[:left])
            if piece:
                taken.append(piece if type(piece) is bytes else bytes(piece))
            left -= len(piece)
        self.calls.append(taken)
        self.sent += b"".join(taken)
        return size

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        assert not self.closed
        if self.fails is not None:
            raise OSError(errno.ENOTCONN, "the client is gone")
        self.shut = True

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        assert (level, option, value) == (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.resets = True

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """TCP_INFO: the client has acknowledged all that was taken."""
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        info = bytearray(size)
        info[_ACKNOWLEDGED] = len(self.sent).to_bytes(8, sys.byteorder)
        return bytes(info)

    def close(self) -> None:
        assert self.fd not in self.poller.watched, "closed while it is watched"
        if not self.closed:
            self.on_close()
        self.closed = True

    # --- what the client does ---

    def reset_by_client(self) -> None:
        self.inbox.clear()
        self.fails = ConnectionResetError(errno.ECONNRESET, "reset by the client")

    # --- the poller's part ---

    @property
    def events(self) -> int:
        """What epoll(7) would tell at this moment."""
        if self.fd not in self.poller.watched:
            return 0
        wanted = self.poller.watched[self.fd][1]
        events = READABLE if self.inbox else 0
        if self.room is None or self.room:
            events |= WRITABLE
        if b"" in self.inbox:
            events |= HALF_CLOSED
        if self.fails is not None:
            return (READABLE & wanted) | (WRITABLE & wanted) | BROKEN
        return events & wanted

    def tell(self) -> bool:
        """Let the poller tell of the events that there are; whether there were any."""
        events = self.events
        pollable = self.poller.watched[self.fd][0] if self.fd in self.poller.watched else None
        if pollable in self.poller.line:
            self.poller.line.remove(pollable)
            events |= WRITABLE
        if events:
            self.poller.credit = BYTES_PER_TURN
            pollable.ready(events)
        return bool(events)


class TlsStandIn(PlainStream):
    """A stream that looks like one over TLS, and sends what is written as it is."""

    can_move = False
    secure = True
    mid_record = False  # the test sets it

    def reset(self) -> None:
        self.abort()


class FakeOwner:
    """The worker. `on_rested` may act when a connection has come to rest."""

    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.closed: list[Connection] = []
        self.rested: list[Connection] = []
        self.on_rested: Callable[[Connection], None] | None = None
        self.failures: list[tuple[str, BaseException]] = []
        self.broken: list[tuple[str, str]] = []
        self.corrected: list[tuple[str, str, str]] = []
        self.finished: list[tuple[str, int, int, float]] = []
        self.request_finished: Callable[[RequestHead, int, int, float], None] | None = self._finished

    def connection_speaks(self, connection: Connection) -> None:
        if connection not in self.opened:
            self.opened.append(connection)

    def connection_rested(self, connection: Connection) -> None:
        self.rested.append(connection)
        if self.on_rested is not None:
            self.on_rested(connection)

    def connection_closed(self, connection: Connection) -> None:
        self.closed.append(connection)

    def application_failed(self, head: RequestHead, error: BaseException) -> None:
        self.failures.append((head.path, error))

    def response_broken(self, head: RequestHead, reason: str) -> None:
        self.broken.append((head.path, reason))

    def response_corrected(self, head: RequestHead, kind: str, reason: str) -> None:
        self.corrected.append((head.path, kind, reason))

    def _finished(self, head: RequestHead, status: int, size: int, seconds: float) -> None:
        name = f"{head.method} {head.target.decode('latin-1')}" if head.refused else head.path
        self.finished.append((name, status, size, seconds))


class FakeApplication(RequestHandler):
    """Keeps the exchanges that it gets; `on_handle` may answer at once."""

    handle_websocket: Callable[[Any], None] | None = None

    def __init__(self, on_handle: Callable[[Exchange], None] | None = None) -> None:
        self.exchanges: list[Exchange] = []
        self.on_handle = on_handle

    def handle(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        if self.on_handle is not None:
            self.on_handle(exchange)


class Server:
    """What the connections of one port share."""

    def __init__(self, on_handle: Callable[[Exchange], None] | None = None, **settings: Any) -> None:
        self.settings = HttpSettings(**settings)
        self.loop = FakeLoop()
        self.poller = FakePoller()
        self.owner = FakeOwner()
        self.application = FakeApplication(on_handle)
        self.context = ServerContext(
            self.application,
            self.settings,
            self.owner,
            self.loop,  # type: ignore[arg-type]  # a fake
        )
        self.streams = StreamServices(
            self.loop,  # type: ignore[arg-type]  # a fake
            self.poller,
            self.settings.body_timeout_seconds,
        )

    @property
    def waiting(self) -> int:
        """How many connections wait for something that has a deadline."""
        context, streams = self.context, self.streams
        return sum(map(len, (context.idle, context.head, context.body, streams.stall, streams.linger)))


class Wire:
    """One connection, seen from the client."""

    def __init__(
        self,
        on_handle: Callable[[Exchange], None] | None = None,
        *,
        tls: bool = False,
        carried: Carried = NEW,
        server: Server | None = None,
        unread: bytes = b"",
        **settings: Any,
    ) -> None:
        """`unread` are bytes that the client has sent before the connection came to this process."""
        self.server = server = Server(on_handle, **settings) if server is None else server
        self.loop, self.owner, self.application = server.loop, server.owner, server.application
        self.kernel = Kernel(server.poller)
        self.kernel.on_close = self._closing
        if unread:
            self.kernel.inbox.append(unread)
        self._unsent_at_close = 0
        self.connection = Connection(server.context, Ends("192.0.2.1", ("192.0.2.9", 80)), 50000)
        stream_of = TlsStandIn if tls else PlainStream
        self.stream = stream_of(
            self.kernel,  # type: ignore[arg-type]  # a fake
            server.streams,
            NO_PROTOCOL,
            self.connection,
        )
        self.connection.begin(self.stream)
        negotiation.begin(self.connection, None, carried)

    def _closing(self) -> None:
        self._unsent_at_close = self.stream.unsent_bytes

    @property
    def exchanges(self) -> list[Exchange]:
        return self.application.exchanges

    @property
    def exchange(self) -> Exchange:
        return self.application.exchanges[-1]

    # --- what the client does ---

    def send(self, data: bytes) -> Wire:
        """The client sends `data`, and the loop turns until nothing happens any more."""
        self.arrive(data)
        return self.turn()

    def arrive(self, data: bytes) -> None:
        """The client sends `data`, and the poller tells once, before the loop comes to what was called for soon."""
        self.kernel.inbox.append(data)
        self.kernel.tell()

    def send_eof(self) -> None:
        """The client shuts its half."""
        self.kernel.inbox.append(b"")
        self.turn()

    def vanish(self) -> None:
        """The client resets the connection."""
        self.kernel.reset_by_client()
        self.turn()

    def take_nothing(self) -> None:
        """The client reads no more, and the kernel is full."""
        self.kernel.room = 0

    def take(self, size: int | None = None) -> None:
        """The client reads `size` bytes of what waits here, or all, and what follows."""
        self.kernel.room = size
        self.turn()

    def turn(self) -> Wire:
        """Let the loop turn until nothing happens any more."""
        self.loop.run_soon()
        for _ in range(_MOST_TURNS):
            if self.kernel.closed or not self.kernel.tell():
                return self
            self.loop.run_soon()
        raise AssertionError("the poller tells on and on, and nothing comes of it")

    # --- what the client gets ---

    @property
    def raw(self) -> bytes:
        """All that was sent to the client, without the Date fields."""
        return re.sub(rb"Date: [^\r\n]*\r\n", b"", bytes(self.kernel.sent))

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.raw)]

    @property
    def reading(self) -> bool:
        """What the client sends is read."""
        return self.stream.reading

    @property
    def how_it_ended(self) -> str:
        """- `open`
        - `lingering`: our half is shut, or will be when all is sent; the client's is read and discarded
        - `closed`: all that was written reaches the client
        - `cut`: closed while bytes waited in our process
        - `reset`: RST
        - `moved`: another process has it
        """
        kernel = self.kernel
        if not kernel.closed:
            return "lingering" if self.stream.shut else "open"
        if self.connection.moved:
            return "moved"
        if kernel.resets:
            return "reset"
        return "cut" if self._unsent_at_close else "closed"


def hand_over_when_at_rest(wire: Wire, taken: bool = True) -> list[tuple[int, Carried]]:
    """Hand the connection over as soon as it is between two messages; gets what is sent then.

    Not `taken`: no other process takes it.
    """
    sent: list[tuple[int, Carried]] = []

    def hand_over(connection: Connection) -> None:
        parcel = connection.pack()
        if parcel is None:
            return
        sent.append((parcel.descriptor, parcel.carried))
        if taken:
            connection.left()
        else:
            connection.unpack()

    wire.owner.on_rested = hand_over
    wire.connection.see_off(Terms.HAND_OVER)
    return sent


def answer(exchange: Exchange, body: bytes = b"ok", status: int = 200, headers: list[Any] | None = None) -> None:
    """A whole response in one write, and the end."""
    exchange.start_response(status, OK if headers is None else headers)
    exchange.write(body, False)
    exchange.end()


def step(coroutine: Any) -> bool:
    """Run a coroutine until it waits; whether it has come to its end."""
    try:
        coroutine.send(None)
    except StopIteration:
        return True
    return False
