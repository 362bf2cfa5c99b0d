"""A WSGI application that is called on the event loop, without threads (`--threads 0`): for those that never wait.

While the application works, the loop does nothing else. So a request whose body is still arriving waits until all of it
is there, and an iterable is asked for its pieces in turns, between which the loop serves other connections.
"""

from __future__ import annotations

import asyncio
import contextvars
import tempfile
from asyncio import _set_running_loop  # public for implementations of loops: it has its place in asyncio.__all__
from collections.abc import Callable, Coroutine, Iterator
from io import BufferedIOBase, BytesIO
from time import monotonic
from typing import Any, Final

from gracehttp.applications import interpreter_calls
from gracehttp.applications.wsgi import environ as environs
from gracehttp.applications.wsgi.environ import Environ
from gracehttp.applications.wsgi.in_flight import InFlight
from gracehttp.applications.wsgi.lifespan import Lifespan
from gracehttp.applications.wsgi.mistakes import explained
from gracehttp.applications.wsgi.response import WsgiResponse
from gracehttp.http.exchange import Exchange, RequestHandler

# A body up to this size waits in memory, a larger one in a temporary file.
_BODY_BYTES_IN_MEMORY = 65536

_TURN_SECONDS = 0.001
"""For how long an iterable may be asked for piece after piece before other connections have their turn."""

_END: Final[Any] = object()


class CallsAtOnce:
    """In the place of `LoopCalls` for callers on the loop."""

    __slots__ = ("_loop",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def post(self, call: Callable[[], object]) -> None:
        """Make `call`, as the loop would. The application may be in the middle of its work."""
        hidden = asyncio._get_running_loop()
        if hidden is not None:  # to set it costs CPython 3.11 a system call, getpid(2)
            call()
            return
        _set_running_loop(self._loop)
        try:
            call()
        finally:
            _set_running_loop(hidden)


class WsgiOnLoop(RequestHandler):
    """See `Application`. All methods are for the thread of the loop.

    The application sees no running loop: frameworks refuse to do what blocks where one runs (Django's
    SynchronousOnlyOperation), and `asyncio.run` works in a view. Each request has a context of its own (contextvars).
    """

    handle_websocket = None  # WSGI knows none

    __slots__ = (
        "_app",
        "_calls",
        "_context",
        "_lifespan",
        "_on_end",
        "_requests",
        "_template",
        "_waiters",
        "loop",
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
    ) -> None:
        """As `WsgiApplication`."""
        self.name = name
        self._app = app
        self.loop = loop
        self._requests = requests
        self._on_end = requests.end  # one for all requests
        self._lifespan = lifespan
        self._calls = CallsAtOnce(loop)
        self._context = contextvars.copy_context()
        self._template = template
        self._waiters: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """See `InFlight`. A request that is answered in one go is never seen here."""
        return self._requests.count

    async def startup(self) -> None:
        """As in `WsgiApplication`."""
        await self._lifespan.startup()

    def handle(self, exchange: Exchange) -> None:
        """Answer `exchange`, or begin to: at once, or as soon as its body has arrived."""
        if exchange.body_length == 0:
            self._answer(exchange, BytesIO(), False)
        else:
            self._requests.begin(exchange)
            # In the next turn of the loop: most bodies come together with their head and are whole by then.
            self.loop.call_soon(self._take_body, exchange)

    def time_out(self, seconds: float) -> None:
        """End the requests that take longer than `seconds`. A call that holds up the loop holds this up, too."""
        self._requests.time_out(seconds)

    def cancel_all(self) -> None:
        """Nothing: iterables that aren't at their end end with the process."""

    async def shutdown(self, timeout_seconds: float) -> str | None:
        """As in `WsgiApplication`."""
        return await self._lifespan.shutdown(timeout_seconds)

    # --- the body of the request ---

    def _take_body(self, exchange: Exchange) -> None:
        data, more = exchange.take_body() or (b"", True)
        if more:
            self.wait_for(self._collect(exchange, data))
        else:
            self._answer(exchange, BytesIO(data), True)

    async def _collect(self, exchange: Exchange, data: bytes) -> None:
        """Wait for the rest of the body, which begins with `data`. Then answer in a turn of the loop that is no task's:
        the application may run a loop of its own."""
        body: BufferedIOBase = BytesIO()
        size, more = body.write(data), True
        try:
            while more:
                await exchange.wait_for_input()
                taken = exchange.take_body()
                if taken is None:  # after a wait: the client is gone. The application was never called
                    self._refuse(exchange, body, None)
                    return
                data, more = taken
                if size <= _BODY_BYTES_IN_MEMORY < size + len(data):
                    begun = body
                    body = tempfile.TemporaryFile()  # noqa: SIM115  closed when the request is answered
                    begun.seek(0)
                    body.write(begun.read())
                size += body.write(data)
            body.seek(0)
        except OSError as exc:  # such as a disk that is full
            self._refuse(exchange, body, exc)
            return
        self.loop.call_soon(self._answer, exchange, body, True)

    def _refuse(self, exchange: Exchange, body: BufferedIOBase, error: BaseException | None) -> None:
        body.close()
        exchange.end(error)
        self._requests.end()

    # --- the response ---

    def _answer(self, exchange: Exchange, body: BufferedIOBase, counted: bool) -> None:
        """Call the application. Never raises. `counted`: the request is in flight already, because it had to wait."""
        if exchange.disconnected:
            if not counted:
                self._requests.begin(exchange)
            self._refuse(exchange, body, None)
            return
        response = WsgiResponse.__new__(WsgiResponse)
        response.begin(exchange, self._calls, False)
        context = interpreter_calls.copied(self._context)
        error: BaseException | None = None
        stream: _Stream | None = None
        whole = False
        _set_running_loop(None)
        try:
            environ = environs.build_environ(exchange.head, self._template, body)
            result = interpreter_calls.call_in(context, self._app, environ, response.start_response)
            try:
                if response.send_at_once(result):
                    whole = True
                else:
                    stream = _Stream(self, exchange, response, body, context.run, result)
            finally:
                if stream is None and type(result) is not list:  # which has none
                    close = getattr(result, "close", None)
                    if close is not None:
                        context.run(close)
        except BaseException as exc:  # noqa: BLE001  even SystemExit ends the request, not the worker
            error = exc
        finally:
            _set_running_loop(self.loop)
        if counted or not response.at_once() or stream is not None:
            if not counted:
                self._requests.begin(exchange)
            response.on_end = self._on_end
        if stream is not None:
            stream.take_turn()
            return
        if type(body) is not BytesIO:
            body.close()
        response.finish_on_loop(error, whole)

    def wait_for(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run `coroutine` in a task."""
        waiter = self.loop.create_task(coroutine)
        self._waiters.add(waiter)
        waiter.add_done_callback(self._waiters.discard)


class _Stream:
    """An iterable that an application returned, from which the pieces are taken in turns of the loop."""

    __slots__ = ("_application", "_body", "_exchange", "_pieces", "_response", "_result", "_run")

    def __init__(
        self,
        application: WsgiOnLoop,
        exchange: Exchange,
        response: WsgiResponse,
        body: BufferedIOBase,
        run: Callable[..., Any],
        result: Any,
    ) -> None:
        self._application = application
        self._exchange = exchange
        self._response = response
        self._body = body
        self._run = run
        self._result = result
        self._pieces: Iterator[bytes] | None = None

    def take_turn(self) -> None:
        """Send pieces until the turn is over or the client has enough for now. Never raises."""
        exchange, loop = self._exchange, self._application.loop
        error: BaseException | None = None
        whole = over = False
        _set_running_loop(None)
        try:
            try:
                whole = over = self._send_pieces(monotonic() + _TURN_SECONDS)
            except BaseException:
                over = True
                raise
            finally:
                if over:
                    self._close()
        except BaseException as exc:  # noqa: BLE001  as in `_answer`
            error = explained(exc, self._result)
        finally:
            _set_running_loop(loop)
        if over:
            self._response.finish_on_loop(error, whole)
        elif exchange.writable:
            loop.call_soon(self.take_turn)
        else:
            self._application.wait_for(self._take_turn_later())

    def _send_pieces(self, until: float) -> bool:
        """Returns whether there is no further one to be sent. The application's errors pass through."""
        exchange, response, run = self._exchange, self._response, self._run
        if self._pieces is None:
            self._pieces = run(iter, self._result)
        while not (exchange.disconnected or exchange.response_complete):
            piece = run(next, self._pieces, _END)
            if piece is _END or not response.send_next(piece):
                return True
            if not exchange.writable or monotonic() > until:
                return False
        return True

    async def _take_turn_later(self) -> None:
        await self._exchange.wait_until_writable()
        self._application.loop.call_soon(self.take_turn)  # and not in a task, as in `_collect`

    def _close(self) -> None:
        self._body.close()
        close = getattr(self._result, "close", None)
        if close is not None:
            self._run(close)
