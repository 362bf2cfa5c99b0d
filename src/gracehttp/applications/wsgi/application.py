"""A WSGI application (PEP 3333) behind the `Application` protocol: each request runs in a thread of a pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BufferedIOBase, BytesIO
from typing import Any

from gracehttp.applications.wsgi import environ as environs
from gracehttp.applications.wsgi.environ import Environ
from gracehttp.applications.wsgi.in_flight import InFlight
from gracehttp.applications.wsgi.input import streaming_input
from gracehttp.applications.wsgi.lifespan import Lifespan
from gracehttp.applications.wsgi.loop_calls import LoopCalls
from gracehttp.applications.wsgi.mistakes import RAISED, explained
from gracehttp.applications.wsgi.response import WsgiResponse
from gracehttp.applications.wsgi.threads import ThreadPool
from gracehttp.http.exchange import Exchange, RequestHandler

# A body up to this size is awaited before it takes up a thread, so that a slow upload costs none. An exchange is ready
# to hold as much.
_AWAITED_BODY_BYTES = 65536


class WsgiApplication(RequestHandler):
    """See `Application`. All methods are for the thread of the loop.

    `in_flight` counts each request from `handle` until the application is done with it, the `close()` of its result
    included, whether or not the client is still there. A request whose client is gone while it waits for a thread is
    not begun.
    """

    handle_websocket = None  # WSGI knows none

    __slots__ = (
        "_app",
        "_calls",
        "_lifespan",
        "_loop",
        "_on_end",
        "_pool",
        "_requests",
        "_template",
        "_waiters",
        "name",
    )

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        name: str,
        loop: asyncio.AbstractEventLoop,
        requests: InFlight,
        lifespan: Lifespan,
        template: Environ,
        pool: ThreadPool,
    ) -> None:
        """`name` is what the log calls the application. `template` is what the environs of its requests share, and
        `pool` has the threads that call it.
        """
        self.name = name
        self._app = app
        self._loop = loop
        self._requests = requests
        self._on_end = self._ended  # one for all requests
        self._lifespan = lifespan
        self._calls = LoopCalls(loop)
        self._pool = pool
        self._template = template
        self._waiters: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """See above."""
        return self._requests.count

    @property
    def pool(self) -> ThreadPool:
        """The threads that call the application."""
        return self._pool

    async def startup(self) -> None:
        """Call the startup function, if there is one: WSGI has no lifespan. Raises `ApplicationFailed`."""
        await self._lifespan.startup()

    def handle(self, exchange: Exchange) -> None:
        """Begin to answer `exchange` in a thread, at once or as soon as its small body has arrived."""
        self._requests.begin(exchange)
        if exchange.body_length == 0:
            self._run(exchange, b"", False)
        elif exchange.awaits_continue:
            # To take from the body sends 100 Continue. The application decides about that, by reading.
            self._run(exchange, b"", True)
        else:
            # In the next turn of the loop: most bodies come together with their head and are whole by then.
            self._loop.call_soon(self._run_with_body, exchange)

    def time_out(self, seconds: float) -> None:
        """End the requests that take longer than `seconds`. Their threads can't be cancelled, and go on."""
        self._requests.time_out(seconds)

    def cancel_all(self) -> None:
        """Nothing: threads can't be cancelled. They end with the process."""

    def refuse_waiting(self) -> None:
        """Answer the requests that wait for a thread, since none will be free for them."""
        for call in self._pool.take_all_back():
            assert isinstance(call, _Call)
            call.refuse()

    async def shutdown(self, timeout_seconds: float) -> str | None:
        """Let the threads end when they are idle, without waiting for them, and call the shutdown function, if there is
        one. `handle` can't be called any more."""
        self._pool.close()
        return await self._lifespan.shutdown(timeout_seconds)

    def _run_with_body(self, exchange: Exchange) -> None:
        data, more = exchange.take_body() or (b"", True)
        length = exchange.body_length
        if more and length is not None and length <= _AWAITED_BODY_BYTES:
            waiter = self._loop.create_task(self._run_after_body(exchange, data))
            self._waiters.add(waiter)
            waiter.add_done_callback(self._waiters.discard)
        else:
            self._run(exchange, data, more)

    async def _run_after_body(self, exchange: Exchange, data: bytes) -> None:
        body, more = bytearray(data), True  # a list would take 20 times as much for pieces of a few bytes
        while more:
            await exchange.wait_for_input()
            taken = exchange.take_body()
            if taken is None:  # after a wait: the client is gone. The application was never called
                self._requests.end()
                exchange.end()
                return
            data, more = taken
            body += data
        self._run(exchange, bytes(body), False)

    def _run(self, exchange: Exchange, body: bytes, more: bool) -> None:
        if exchange.disconnected:
            exchange.end()
            self._requests.end()
            return
        call = _Call(self, exchange, body, more)
        try:
            self._pool.submit(call.job)
        except RuntimeError as exc:
            exchange.end(exc)
            self._requests.end()
        else:
            exchange.when_gone = call.take_back

    def _ended(self) -> None:
        """A thread is done with a request."""
        self._pool.job_ended()
        self._requests.end()


class _Call:
    """The call of the application for one request. It lets go of the request when it is made or taken back, which knows
    it in turn (`when_gone`)."""

    __slots__ = ("_application", "_body", "_exchange", "_more", "job")

    def __init__(self, application: WsgiApplication, exchange: Exchange, body: bytes, more: bool) -> None:
        """`body` has arrived; `more` of it will."""
        self._application = application
        self._exchange: Exchange | None = exchange
        self._body = body
        self._more = more
        self.job: list[Callable[[], None]] = [self]

    def take_back(self, exchange: Exchange) -> None:
        """The client is gone: don't make it, unless a thread has begun."""
        application = self._application
        if application._pool.take_back(self.job):
            self._exchange = None
            exchange.end()
            application._requests.end()

    def refuse(self) -> None:
        """It was taken back, and the client is there."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        exchange.refuse("the worker ends, and no thread was free for it (--threads)")
        self._application._requests.end()

    def __call__(self) -> None:
        """Make it, on a thread of the pool; never raises."""
        self._make()

    def _make(self) -> None:
        application = self._application
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        response = WsgiResponse.__new__(WsgiResponse)
        response.begin(exchange, application._calls, True)
        response.on_end = application._on_end
        error: BaseException | None = None
        whole = False
        result: Any = RAISED
        try:
            if self._more:
                file: BufferedIOBase = streaming_input(exchange, application._calls, self._body)
            else:
                file = BytesIO(self._body)
            environ = environs.build_environ(exchange.head, application._template, file)
            result = application._app(environ, response.start_response)
            try:
                response.send_all(result)
                whole = True
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except BaseException as exc:  # noqa: BLE001  even SystemExit ends the request, not the thread
            error = explained(exc, result)
        response.finish(error, whole)
