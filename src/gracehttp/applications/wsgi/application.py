"""A WSGI application (PEP 3333) behind the `Application` protocol: each request runs in a thread of a pool."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from functools import partial
from typing import Any

from gracehttp.applications.drain_notice import ThreadDrainNotice
from gracehttp.applications.wsgi.environ import build_environ, environ_template
from gracehttp.applications.wsgi.functions import Function, call_shutdown, call_startup
from gracehttp.applications.wsgi.input import streaming_input
from gracehttp.applications.wsgi.loop_calls import LoopCalls
from gracehttp.applications.wsgi.mistakes import RAISED, explained
from gracehttp.applications.wsgi.response import WsgiResponse
from gracehttp.applications.wsgi.threads import Job, ThreadPool
from gracehttp.http.exchange import Exchange

# A body up to this size is awaited before it takes up a thread, so that a slow upload costs none. An exchange is ready
# to hold as much.
_AWAITED_BODY_BYTES = 65536


class WsgiApplication:
    """See `Application`. All methods are for the thread of the loop.

    `in_flight` counts each request from `handle` until the application is done with it, the `close()` of its result
    included, whether or not the client is still there. A request whose client is gone while it waits for a thread is
    not begun.
    """

    handle_websocket = None  # WSGI knows none

    __slots__ = (
        "_app",
        "_calls",
        "_loop",
        "_on_idle",
        "_pool",
        "_shutdown",
        "_startup",
        "_template",
        "_timed",
        "_waiters",
        "in_flight",
        "name",
    )

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        name: str,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        multiprocess: bool,
        draining: ThreadDrainNotice,
        on_idle: Callable[[], object],
        startup: Function | None = None,
        shutdown: Function | None = None,
        timed: bool = False,
    ) -> None:
        """`name` is what the log calls the application. `startup` and `shutdown` are called in each worker.
        With `timed`, `time_out` will be called.

        Applications find `draining` in the environ as `gracehttp.draining`. `on_idle` is called on the thread of the
        loop each time `in_flight` has come down to 0.
        """
        self.name = name
        self._app = app
        self._loop = loop
        self._on_idle = on_idle
        self._timed: set[Exchange] | None = set() if timed else None
        self._startup = startup
        self._shutdown = shutdown
        self._calls = LoopCalls(loop)
        self._pool = ThreadPool(threads)
        self._template = environ_template(multithread=threads > 1, multiprocess=multiprocess, draining=draining)
        self._waiters: set[asyncio.Task[None]] = set()
        self.in_flight = 0

    @property
    def pool(self) -> ThreadPool:
        """The threads that call the application."""
        return self._pool

    async def startup(self) -> None:
        """Call the startup function, if there is one: WSGI has no lifespan. Raises `ApplicationFailed`."""
        if self._startup is not None:
            await call_startup(self._startup, self.name)

    def handle(self, exchange: Exchange) -> None:
        """Begin to answer `exchange` in a thread, at once or as soon as its small body has arrived."""
        self.in_flight += 1
        if self._timed is not None:
            self._timed.add(exchange)
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
        if self._timed is not None:
            self._timed = {one for one in self._timed if not one.application_ended and not one.disconnected}
            for exchange in list(self._timed):
                if exchange.age_seconds >= seconds:
                    exchange.time_out(seconds)

    def cancel_all(self) -> None:
        """Nothing: threads can't be cancelled. They end with the process."""

    async def shutdown(self, timeout_seconds: float) -> str | None:
        """Let the threads end when they are idle, without waiting for them, and call the shutdown function, if there is
        one. `handle` can't be called any more."""
        self._pool.close()
        if self._shutdown is None:
            return None
        return await call_shutdown(self._shutdown, self.name, timeout_seconds)

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
                self._ended()
                exchange.end()
                return
            data, more = taken
            body += data
        self._run(exchange, bytes(body), False)

    def _run(self, exchange: Exchange, body: bytes, more: bool) -> None:
        if exchange.disconnected:
            exchange.end()
            self._ended()
            return
        job: Job = [partial(self._answer, exchange, body, more)]
        try:
            self._pool.submit(job)
        except RuntimeError as exc:
            exchange.end(exc)
            self._ended()
        else:
            exchange.when_gone = partial(self._take_back, job)

    def _take_back(self, job: Job, exchange: Exchange) -> None:
        if self._pool.take_back(job):
            exchange.end()
            self._ended()

    def _answer(self, exchange: Exchange, body: bytes, more: bool) -> None:
        """Call the application. On a thread of the pool; never raises."""
        response = WsgiResponse(exchange, self._calls, self._ended)
        error: BaseException | None = None
        whole = False
        result: Any = RAISED
        try:
            file = streaming_input(exchange, self._calls, body) if more else io.BytesIO(body)
            result = self._app(build_environ(exchange.head, self._template, file), response.start_response)
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

    def _ended(self) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self._on_idle()
