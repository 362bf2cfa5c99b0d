"""A loop with a clock that the test moves, a transport that remembers, and an application that the test answers for."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import re
from collections.abc import Callable
from typing import Any

from gracehttp.http.connection import NEW, Carried, HttpSettings
from gracehttp.http.exchange import Exchange, RequestHead
from gracehttp.http.http1 import Http1Connection

OK = [(b"content-type", b"text/plain")]


class FakeTimer:
    def __init__(self, when: float, callback: Callable[..., None]) -> None:
        self.when = when
        self.callback: Callable[..., None] | None = callback

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

    def call_at(self, when: float, callback: Callable[..., None]) -> FakeTimer:
        self.timers_made += 1
        timer = FakeTimer(when, callback)
        heapq.heappush(self._timers, (when, next(self._number), timer))
        return timer

    def call_later(self, delay: float, callback: Callable[..., None]) -> FakeTimer:
        return self.call_at(self.now + delay, callback)

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
                timer.callback()
            self.run_soon()
        self.now = end

    @property
    def timers_armed(self) -> int:
        return sum(timer.callback is not None for _, _, timer in self._timers)


class FakeTransport:
    """`buffered` is what the kernel has not taken; the test sets it and calls `room` when it is gone."""

    def __init__(self, loop: FakeLoop, *, tls: bool = False, **extra: Any) -> None:
        self.loop = loop
        self.tls = tls
        self.extra = {"peername": ("192.0.2.1", 50000), "sockname": ("192.0.2.9", 80), **extra}
        self.protocol: Http1Connection | None = None
        self.writes: list[bytes] = []
        self.buffered = 0
        self.high_water = 65536
        self.reading = True
        self.eof_written = False
        self.closing = False
        self.aborted = False
        self.lost = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.extra.get(name, default)

    def write(self, data: bytes) -> None:
        assert not self.eof_written, "written after write_eof"
        if not self.closing:
            self.writes.append(bytes(data))

    def can_write_eof(self) -> bool:
        return not self.tls

    def write_eof(self) -> None:
        assert not self.tls
        self.eof_written = True

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        self.high_water = 65536 if high is None else high
        assert self.protocol is not None
        if self.buffered > self.high_water:
            self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        if not self.buffered:
            self.lose()

    def abort(self) -> None:
        self.aborted = self.closing = True
        self.lose()

    def lose(self) -> None:
        if not self.lost:
            self.lost = self.closing = True
            assert self.protocol is not None
            self.loop.call_soon(self.protocol.connection_lost, None)

    def fill(self, size: int) -> None:
        """The client takes nothing: `size` bytes wait."""
        self.buffered = size
        if size > self.high_water and self.protocol is not None:
            self.protocol.pause_writing()

    def empty(self) -> None:
        """The client has taken all."""
        self.buffered = 0
        assert self.protocol is not None
        self.protocol.resume_writing()


class FakeOwner:
    def __init__(self) -> None:
        self.opened: list[object] = []
        self.closed: list[object] = []
        self.failures: list[tuple[str, BaseException]] = []
        self.broken: list[tuple[str, str]] = []
        self.finished: list[tuple[str, int, int, float]] = []
        self.request_finished: Callable[[RequestHead, int, int, float], None] | None = self._finished

    def connection_opened(self, connection: object) -> None:
        self.opened.append(connection)

    def connection_closed(self, connection: object) -> None:
        self.closed.append(connection)

    def application_failed(self, head: RequestHead, error: BaseException) -> None:
        self.failures.append((head.path, error))

    def response_broken(self, head: RequestHead, reason: str) -> None:
        self.broken.append((head.path, reason))

    def _finished(self, head: RequestHead, status: int, size: int, seconds: float) -> None:
        name = f"{head.method} {head.target.decode('latin-1')}" if head.refused else head.path
        self.finished.append((name, status, size, seconds))


class FakeApplication:
    """Keeps the exchanges that it gets; `on_handle` may answer at once."""

    def __init__(self, on_handle: Callable[[Exchange], None] | None = None) -> None:
        self.exchanges: list[Exchange] = []
        self.on_handle = on_handle

    def handle(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        if self.on_handle is not None:
            self.on_handle(exchange)


class Wire:
    """One connection, seen from the client."""

    def __init__(
        self,
        on_handle: Callable[[Exchange], None] | None = None,
        *,
        tls: bool = False,
        carried: Carried = NEW,
        **settings: Any,
    ) -> None:
        self.loop = FakeLoop()
        self.owner = FakeOwner()
        self.application = FakeApplication(on_handle)
        self.transport = FakeTransport(self.loop, tls=tls)
        self.connection = Http1Connection(
            application=self.application,
            settings=HttpSettings(**settings),
            owner=self.owner,
            loop=self.loop,  # type: ignore[arg-type]  # a fake
            scheme="https" if tls else "http",
            carried=carried,
        )
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]  # a fake

    @property
    def exchanges(self) -> list[Exchange]:
        return self.application.exchanges

    @property
    def exchange(self) -> Exchange:
        return self.application.exchanges[-1]

    def send(self, data: bytes) -> Wire:
        self.connection.data_received(data)
        self.loop.run_soon()
        return self

    def send_eof(self) -> None:
        """As transports do it: unless the protocol wants the transport open, it is closed."""
        if not self.connection.eof_received():
            self.transport.close()
        self.loop.run_soon()

    def vanish(self) -> None:
        """The client resets the connection."""
        self.transport.lose()
        self.loop.run_soon()

    @property
    def raw(self) -> bytes:
        """All that was sent to the client, without the Date fields."""
        return re.sub(rb"Date: [^\r\n]*\r\n", b"", b"".join(self.transport.writes))

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.raw)]

    @property
    def how_it_ended(self) -> str:
        """`open`, `lingering` (our side is shut down, the client's is read), `closed` or `aborted`."""
        if self.transport.aborted:
            return "aborted"
        if self.transport.closing:
            return "closed"
        return "lingering" if self.transport.eof_written else "open"


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
