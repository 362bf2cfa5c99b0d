"""An exchange without a wire, and a loop to answer it on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import uvloop

from gracehttp.http.exchange import Exchange, Header, RequestHead, ResponseError
from gracehttp.interfaces.wsgi import WsgiApplication

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def request_head(
    method: str = "GET",
    target: bytes = b"/",
    headers: Iterable[Header] = (),
    *,
    scheme: str = "http",
    client: tuple[str, int] | None = ("127.0.0.1", 5000),
    server: tuple[str, int | None] | None = ("127.0.0.1", 8000),
) -> RequestHead:
    head = RequestHead()
    head.method, head.target = method, target
    head.raw_path, _, head.query_string = target.partition(b"?")
    head.path = head.raw_path.decode()
    head.http_version, head.scheme = "1.1", scheme
    head.headers = list(headers)
    head.client, head.server = client, server
    return head


class FakeExchange(Exchange):
    """Records what is done to it. `feed`, `pause`, `resume` and `disconnect` play the client."""

    def __init__(self, head: RequestHead | None = None, body: bytes | None = b"") -> None:
        """With `body` None nothing of the body has arrived, else all of it."""
        self.head = head or request_head()
        self.response_started = self.response_complete = self.disconnected = False
        self.writable = True
        self.status = 0
        self.headers: list[Header] = []
        self.writes: list[tuple[bytes, bool]] = []
        self.error: BaseException | None = None
        self.ends = 0
        self.taken = 0
        self.refuses: Exception | None = None
        self.ended = asyncio.Event()
        self.written = asyncio.Event()
        self._arrived = body or b""
        self._body_complete = body is not None
        self._input = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def body(self) -> bytes:
        return b"".join(data for data, _ in self.writes)

    # --- the client ---

    def feed(self, data: bytes, more: bool) -> None:
        self._arrived += data
        self._body_complete = not more
        self._input.set()

    def pause(self) -> None:
        self.writable = False
        self._room.clear()

    def resume(self) -> None:
        self.writable = True
        self._room.set()

    def disconnect(self) -> None:
        self.disconnected = True
        self._input.set()
        self._room.set()

    # --- the exchange ---

    def take_body(self) -> tuple[bytes, bool] | None:
        self.taken += 1
        data, self._arrived = self._arrived, b""
        if not data and not self._body_complete:
            self._input.clear()
            return None
        return data, not self._body_complete

    async def wait_for_input(self) -> None:
        if not self._arrived and not self._body_complete and not self.disconnected:
            self._input.clear()
            await self._input.wait()

    async def wait_for_disconnect(self) -> None:
        raise NotImplementedError  # WSGI has no use for it

    def start_response(self, status: int, headers: Iterable[Header]) -> None:
        assert not self.response_started
        self.response_started = True
        self.status, self.headers = status, list(headers)

    def write(self, data: bytes, more: bool) -> None:
        if not self.response_started or self.response_complete:
            raise ResponseError("out of order")
        if self.refuses is not None:
            raise self.refuses
        self.writes.append((data, more))
        self.response_complete = not more
        self.written.set()

    async def wait_until_writable(self) -> None:
        await self._room.wait()

    def end(self, error: BaseException | None = None) -> None:
        self.ends += 1
        self.error = error
        self.ended.set()


class Served:
    """A WSGI application on the running loop. `wake_ups` counts how often a thread woke the loop."""

    def __init__(self, app: Callable[..., object], *, threads: int = 2) -> None:
        self.loop = asyncio.get_running_loop()
        self.application = WsgiApplication(
            app, loop=CountingLoop(self.loop, self), threads=threads, multiprocess=False
        )  # type: ignore[arg-type]
        self.wake_ups = 0

    async def answer(self, exchange: FakeExchange) -> FakeExchange:
        self.application.handle(exchange)
        await asyncio.wait_for(exchange.ended.wait(), 10)
        return exchange


class CountingLoop:
    """The loop, with its wake-ups counted."""

    def __init__(self, loop: asyncio.AbstractEventLoop, served: Served) -> None:
        self._loop, self._served = loop, served

    def call_soon_threadsafe(self, call: Callable[[], object]) -> None:
        self._served.wake_ups += 1
        self._loop.call_soon_threadsafe(call)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)


def run(
    main: Callable[[], object], loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
):
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main())


def answered(
    app: Callable[..., object], exchange_of: Callable[[], FakeExchange] = FakeExchange
) -> FakeExchange:
    """The exchange after `app` answered it on a loop of its own."""

    async def main() -> FakeExchange:
        served = Served(app)
        try:
            return await served.answer(exchange_of())
        finally:
            served.application.close()

    return run(main)
