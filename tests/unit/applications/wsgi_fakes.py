"""An exchange without a wire, and a loop to answer it on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.applications.drain_notice import DrainNotices
from gracehttp.applications.wsgi import modes
from gracehttp.http.body import NO_REQUEST_BODY
from gracehttp.http.exchange import Exchange, Header, RequestHead, ResponseError
from gracehttp.http.head import RequestLine

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
MODES = {"threads": 2, "loop": 0}
"""How many threads call the application."""


def request_head(
    method: str = "GET",
    target: bytes = b"/",
    headers: Iterable[Header] = (),
    *,
    scheme: str = "http",
    client: tuple[str, int] | None = ("127.0.0.1", 5000),
    server: tuple[str, int | None] | None = ("127.0.0.1", 8000),
    http_version: str = "1.1",
) -> RequestHead:
    head = RequestHead()
    head.tls = None
    head.line, head.scheme = RequestLine(method, target, http_version), scheme
    head.headers = list(headers)
    head.client, head.server = client, server
    return head


class Mode:
    """How `answered` calls applications. Tests that must hold in each of `MODES` set `mode.threads`."""

    threads = 2


mode = Mode()


class Moments:
    """Moments of one kind, for a test to wait for one after the other."""

    def __init__(self) -> None:
        self._semaphore = asyncio.Semaphore(0)

    def happened(self) -> None:
        self._semaphore.release()

    async def next(self) -> None:
        await asyncio.wait_for(self._semaphore.acquire(), DEADLINE_SECONDS)


class FakeExchange(Exchange):
    """Records what is done to it. The methods of the first part play the client."""

    takes_files = False

    def __init__(
        self,
        head: RequestHead | None = None,
        body: bytes | None = b"",
        *,
        length: int | None = 0,
        awaits_continue: bool = False,
    ) -> None:
        """With `body` None nothing of the body has arrived, else all of it. `length` is what is known beforehand."""
        self.begin(head or request_head(), NO_REQUEST_BODY, None, None, None, length, awaits_continue, writable=True)
        self.corrections: list[tuple[str, str]] = []
        self.given_up = self.refused = False
        self.slow = False
        self.refuses: Exception | None = None
        # what the application did
        self.headers: list[Header] = []
        self.writes: list[tuple[bytes, bool]] = []
        self.error: BaseException | None = None
        self.ends = self.takes = self.taken_bytes = 0
        # when it did so
        self.input_waits, self.written, self.room_waits, self.ended = Moments(), Moments(), Moments(), Moments()
        self._arrived = body or b""
        self._arriving: list[bytes] = []
        self._body_complete = body is not None
        self._input = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def body(self) -> bytes:
        return b"".join(data for data, _ in self.writes)

    @body.setter
    def body(self, body: object) -> None:
        """That of the request is played by `feed`."""

    # --- the client ---

    def feed(self, data: bytes, more: bool) -> None:
        self._arrived += data
        self._body_complete = not more
        self._input.set()

    def arrives(self, pieces: list[bytes]) -> None:
        """Have the body arrive in `pieces`, one each time that it is waited for."""
        self._arriving = list(pieces)

    def make_room(self) -> None:
        """Read what was written. A slow client is one for whom this has to be called after each write."""
        self.writable = True
        self._room.set()

    def disconnect(self) -> None:
        self.disconnected = True
        self._input.set()
        self._room.set()
        if self.when_gone is not None:
            self.when_gone(self)

    # --- the exchange ---

    def take_body(self) -> tuple[bytes, bool] | None:
        self.takes += 1
        data, self._arrived = self._arrived, b""
        self.taken_bytes += len(data)
        if not data and not self._body_complete:
            return None
        return data, not self._body_complete

    async def wait_for_input(self) -> None:
        if self._arriving:
            self.feed(self._arriving.pop(0), more=bool(self._arriving))
        if self._arrived or self._body_complete or self.disconnected:
            return
        self._input.clear()
        self.input_waits.happened()
        await self._input.wait()

    async def wait_for_disconnect(self) -> None:
        raise NotImplementedError  # WSGI has no use for it

    def start_response(self, status: int, headers: Iterable[Header], trailers: bool = False) -> None:
        super().start_response(status, headers, trailers)
        self.headers = list(headers)

    def write(self, data: bytes, more: bool) -> None:
        if not self.response_started or self.response_complete:
            raise ResponseError("out of order")
        if self.refuses is not None:
            raise self.refuses
        self.writes.append((data, more))
        self.body_sent += len(data)
        self.response_complete = not more
        self.writable = not self.slow
        self._room.clear()
        self.written.happened()

    async def wait_until_writable(self) -> None:
        self.room_waits.happened()
        if not self.disconnected:
            await self._room.wait()

    def correct(self, kind: str, reason: str) -> None:
        self.corrections.append((kind, reason))

    def refuse(self, reason: str) -> None:
        self.refused = True
        self.end()

    def give_up(self) -> None:
        self.given_up = True
        self.end()

    def end(self, error: BaseException | None = None) -> None:
        self.ends += 1
        self.error = error
        self.ended.happened()


class _CountingLoop:
    """The running loop, with what wakes it from outside counted."""

    def __init__(self) -> None:
        self.wake_ups = 0
        self._loop = asyncio.get_running_loop()

    def call_soon_threadsafe(self, call: Callable[[], object]) -> None:
        self.wake_ups += 1
        self._loop.call_soon_threadsafe(call)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)


class Served:
    """A WSGI application on the running loop."""

    def __init__(self, app: Callable[..., object], threads: int) -> None:
        self._loop = _CountingLoop()
        # Without threads, the application sets its loop as the running one, by which asyncio knows the current task.
        loop = self._loop if threads else asyncio.get_running_loop()
        self.notices = DrainNotices()
        self.application = modes.wrap(
            app,
            name="app",
            loop=loop,
            threads=threads,
            multiprocess=False,
            draining=self.notices.wsgi,
            on_idle=lambda: None,
        )

    @property
    def wake_ups(self) -> int:
        """How often a thread woke the loop."""
        return self._loop.wake_ups

    async def answer(self, exchange: FakeExchange) -> FakeExchange:
        self.application.handle(exchange)
        await exchange.ended.next()
        return exchange


@contextlib.asynccontextmanager
async def serving(app: Callable[..., object], *, threads: int = 2) -> AsyncIterator[Served]:
    served = Served(app, threads)
    try:
        yield served
    finally:
        await served.application.shutdown(0)


def run(main: Callable[[], Awaitable[object]], loop: Callable[[], object] = asyncio.new_event_loop) -> object:
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main())


def answered(
    app: Callable[..., object], make: Callable[[], FakeExchange] = FakeExchange, *, threads: int | None = None
) -> FakeExchange:
    """The exchange of `make` after `app` answered it, on a loop of its own."""

    async def main() -> FakeExchange:
        async with serving(app, threads=mode.threads if threads is None else threads) as served:
            return await served.answer(make())

    return run(main)
