"""ASGI 3.0 applications (asgi.readthedocs.io: HTTP & WebSocket message format 2.5), written against `Exchange`.

Lifespan is not here: it belongs to the worker, which passes on the state that the application left in it.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from gracehttp.applications.drain_notice import DrainNotice
from gracehttp.http.exchange import ClientDisconnected, Exchange, RequestHead, ResponseError

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiCallable = Callable[[Scope, Receive, Send], Awaitable[None]]

# 2.5 contains 2.4: `send` raises an OSError when the client is gone.
_VERSIONS = {"version": "3.0", "spec_version": "2.5"}


class AsgiApplication:
    """Runs an ASGI application, one task per request."""

    def __init__(
        self,
        app: AsgiCallable,
        *,
        loop: asyncio.AbstractEventLoop,
        state: dict[str, Any],
        draining: DrainNotice,
        root_path: str = "",
        on_done: Callable[[], None] | None = None,
    ) -> None:
        """`state` is the namespace of the lifespan: each request gets a shallow copy, made when it begins.

        `draining` is what applications find in the extension `gracehttp.drain`.
        `root_path` is where the application is mounted; `path` begins with it also if a proxy has cut it off.
        `on_done` is called each time a call of the application has ended.
        """
        self._app = app
        self._loop = loop
        self._state = state
        self._draining = draining
        self._root_path = root_path.rstrip("/")
        self._on_done = on_done
        # Each task gets a copy of this context, not of the one in which the request happened to be parsed: that can be
        # another request's.
        self._context = contextvars.copy_context()
        self._running: dict[_Run, asyncio.Task[None]] = {}
        self.cancelled = False

    @property
    def in_flight(self) -> int:
        """How many calls of the application run, also those whose response is complete or whose client is gone."""
        return len(self._running)

    def handle(self, exchange: Exchange) -> None:
        """Call the application in a task of its own; on Python 3.12 and later its first steps run at once."""
        run = _Run(self, exchange)
        coroutine = run.call(self._app, self._scope(exchange.head))
        task = _start(coroutine, self._loop, self._context.copy())
        if not task.done():
            self._running[run] = task

    def cancel_all(self) -> None:
        """Cancel what still runs, at the end of a drain.

        Exchanges end with `CancelledError`, except those that were cut: for them the drain has told so already.
        """
        self.cancelled = True
        for run, task in list(self._running.items()):
            task.cancel()
            if not run.begun:  # its coroutine will never get to its own end
                run.finish(asyncio.CancelledError())

    def finished(self, run: _Run) -> None:
        """A call of the application has ended."""
        self._running.pop(run, None)
        if self._on_done is not None:
            self._on_done()

    def _scope(self, head: RequestHead) -> Scope:
        path = head.path
        root_path = self._root_path
        if root_path and path != root_path and not path.startswith(root_path + "/"):
            path = root_path + path
        return {
            "type": "http",
            "asgi": _VERSIONS.copy(),
            "http_version": head.http_version,
            "method": head.method,
            "scheme": head.scheme,
            "path": path,
            "raw_path": head.raw_path,
            "query_string": head.query_string,
            "root_path": root_path,
            "headers": head.headers,
            "client": head.client,
            "server": head.server,
            "state": self._state.copy(),
            "extensions": {"gracehttp.drain": self._draining},
        }


def _start(
    coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, context: contextvars.Context
) -> asyncio.Task[None]:
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, context=context, eager_start=True)
    return asyncio.Task(coroutine, loop=loop, context=context)


class _Run:
    """One call of the application."""

    __slots__ = ("_application", "_body_taken", "_exchange", "begun")

    def __init__(self, application: AsgiApplication, exchange: Exchange) -> None:
        self._application = application
        self._exchange = exchange
        self._body_taken = False
        self.begun = False

    async def call(self, app: AsgiCallable, scope: Scope) -> None:
        """Await the application and end the exchange with what it raised.

        SystemExit and KeyboardInterrupt end the request, not the worker: a task that raises them ends the loop, and
        with it every other request.
        """
        self.begun = True
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError as error:
            self.finish(error)
            raise
        except BaseException as error:  # noqa: BLE001  see above
            self.finish(error)
        else:
            self.finish(None)

    def finish(self, error: BaseException | None) -> None:
        """End the exchange with what the application raised."""
        exchange = self._exchange
        if error is not None and exchange.disconnected and self._ends_with_the_connection(error):
            error = None
        self._application.finished(self)
        exchange.end(error)

    def _ends_with_the_connection(self, error: BaseException) -> bool:
        ours = self._application.cancelled and isinstance(error, asyncio.CancelledError)
        return ours or _is_disconnect(error)

    async def receive(self) -> Message:
        """The next piece of the request body; after its end, `http.disconnect` as soon as there is reason for it."""
        exchange = self._exchange
        while not (exchange.disconnected or exchange.response_complete):
            if self._body_taken:
                await exchange.wait_for_disconnect()
                break
            taken = exchange.take_body()
            if taken is not None:
                body, more = taken
                self._body_taken = not more
                return {"type": "http.request", "body": body, "more_body": more}
            await exchange.wait_for_input()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass a message on; returns when the client keeps up with what was sent.

        Raises `ClientDisconnected` when the client is gone, and `ResponseError` for a message that is unknown, out of
        order or malformed.
        """
        exchange = self._exchange
        if exchange.disconnected:
            raise ClientDisconnected("the client is gone")
        kind = message.get("type")
        if kind == "http.response.body":
            exchange.write(message.get("body", b""), message.get("more_body", False))
            if not exchange.writable:
                await exchange.wait_until_writable()
                if exchange.disconnected:
                    raise ClientDisconnected("the client is gone")
        elif kind == "http.response.start":
            if "status" not in message:
                raise ResponseError("http.response.start has no status")
            exchange.start_response(message["status"], message.get("headers", ()))
        else:
            raise ResponseError(f"{kind!r} is no message that can be sent in answer to a request")


def _is_disconnect(error: BaseException) -> bool:
    """Whether `error` says no more than that the client is gone.

    It does if it is ours, a group of nothing else, or the framework's own word for it: Starlette raises
    `ClientDisconnect` while it handles ours. Errors of another name may come from a faulty handler, and are reported.
    """
    if isinstance(error, ClientDisconnected):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_disconnect, error.exceptions))
    return isinstance(error, Exception) and "disconnect" in type(error).__name__.lower()
