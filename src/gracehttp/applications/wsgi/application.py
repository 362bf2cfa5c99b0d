"""WSGI (PEP 3333): each request runs in a thread of a pool."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

from gracehttp.applications.drain_notice import ThreadDrainNotice
from gracehttp.applications.wsgi.environ import build_environ, environ_template
from gracehttp.applications.wsgi.input import streaming_input
from gracehttp.applications.wsgi.loop_calls import LoopCalls
from gracehttp.applications.wsgi.response import WsgiResponse
from gracehttp.applications.wsgi.threads import ThreadPool
from gracehttp.http.exchange import Exchange, RequestHead

# A body up to this size is awaited before it takes up a thread: then a slow upload costs no thread. It is
# what an exchange is ready to hold.
_AWAITED_BODY_BYTES = 65536


class WsgiApplication:
    """A WSGI application behind the `Application` protocol.

    `in_flight` counts the requests from `handle` until the application is done with them, its `close()`
    included, whether or not their clients are still there. All methods are for the thread of the loop.
    """

    __slots__ = ("_app", "_calls", "_loop", "_on_done", "_pool", "_template", "_waiters", "in_flight")

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        multiprocess: bool,
        draining: ThreadDrainNotice,
        on_done: Callable[[], None] | None = None,
    ) -> None:
        """`draining` is what applications find in the environ as `gracehttp.draining`.
        `on_done` is called, on the thread of the loop, each time `in_flight` went down."""
        self._app = app
        self._loop = loop
        self._on_done = on_done
        self._calls = LoopCalls(loop)
        self._pool = ThreadPool(threads)
        self._template = environ_template(multithread=threads > 1, multiprocess=multiprocess, draining=draining)
        self._waiters: set[asyncio.Task[None]] = set()
        self.in_flight = 0

    def handle(self, exchange: Exchange) -> None:
        """Begin to answer `exchange` in a thread, at once or as soon as its small body has arrived."""
        self.in_flight += 1
        length, waits_for_continue = _announced(exchange.head)
        if length == 0:
            self._run(exchange, b"", False)
        elif waits_for_continue:
            # To take from the body sends 100 Continue, and that is for the application to ask for, by
            # reading.
            self._run(exchange, b"", True)
        else:
            # Later in this round of the loop: most bodies come together with their head and are whole by
            # then.
            self._loop.call_soon(self._run_with_body, exchange, length)

    def close(self) -> None:
        """Let the threads end when they are idle. Doesn't wait. `handle` can't be called any more."""
        self._pool.close()

    def _run_with_body(self, exchange: Exchange, length: int) -> None:
        data, more = exchange.take_body() or (b"", True)
        if more and 0 < length <= _AWAITED_BODY_BYTES:
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
            if taken is None:  # after a wait: the client is gone, and the application was never called
                self._ended()
                exchange.end()
                return
            data, more = taken
            body += data
        self._run(exchange, bytes(body), False)

    def _run(self, exchange: Exchange, body: bytes, more: bool) -> None:
        try:
            self._pool.submit(lambda: self._answer(exchange, body, more))
        except RuntimeError as exc:
            exchange.end(exc)
            self._ended()

    def _answer(self, exchange: Exchange, body: bytes, more: bool) -> None:
        """Run the application. On a thread of the pool; never raises."""
        response = WsgiResponse(exchange, self._calls, self._ended)
        error: BaseException | None = None
        try:
            file = streaming_input(exchange, self._calls, body) if more else io.BytesIO(body)
            result = self._app(build_environ(exchange.head, self._template, file), response.start_response)
            try:
                response.send_all(result)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except BaseException as exc:  # noqa: BLE001  even SystemExit ends the request, not the thread
            error = exc
        response.finish(error)

    def _ended(self) -> None:
        self.in_flight -= 1
        if self._on_done is not None:
            self._on_done()


def _announced(head: RequestHead) -> tuple[int, bool]:
    """What the head says of the body, and whether the client waits for 100 Continue (RFC 9110 section 10.1.1).

    The body is given as its length, which is -1 when it isn't known beforehand (RFC 9112 section 6.3).
    """
    length, waits = 0, False
    for name, value in head.headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            length = -1
        elif name == b"expect":
            waits = True
    return length, waits
