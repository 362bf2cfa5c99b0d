"""An ASGI application behind the `Application` protocol: one task per request or WebSocket, and its lifespan."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING

from gracehttp.applications import interpreter_calls
from gracehttp.applications.asgi.first_steps import FirstSteps
from gracehttp.applications.asgi.lifespan import Lifespan
from gracehttp.applications.asgi.requests import Given, RequestCycle
from gracehttp.applications.asgi.types import AsgiCallable
from gracehttp.applications.asgi.websockets import WebSocketCycle
from gracehttp.applications.drain_notice import DrainNotice, put_into
from gracehttp.events import Event
from gracehttp.http.exchange import Exchange, RequestHandler

if TYPE_CHECKING:
    from gracehttp.http.websocket.session import WebSocketSession

Cycle = RequestCycle | WebSocketCycle


class AsgiApplication(RequestHandler):
    """See `Application`. All methods are for the thread of the loop."""

    def __init__(
        self,
        app: AsgiCallable,
        *,
        name: str,
        loop: asyncio.AbstractEventLoop,
        lifespan: str,
        draining: DrainNotice,
        on_idle: Callable[[], object],
        publish: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """`name` is what the log calls the application. `lifespan` is the mode, see `Lifespan`, which uses `publish`.

        Applications get `draining` from `drain_notice`. `on_idle` is called when a call of the
        application has ended and no other one runs.
        """
        self.name = name
        self.app = app
        self.lifespan = Lifespan(app, lifespan, name=name, publish=publish)
        self.state = self.lifespan.state
        self.cancelled = False
        self.thread = interpreter_calls.thread()
        """Of the loop."""
        self._loop = loop
        self._first_steps = FirstSteps(loop)
        self._on_idle = on_idle
        self.given: Given | None = None  # for the next scope
        # Each task gets a copy of this context. The context in which a request was parsed can be another request's.
        self._context = contextvars.copy_context()
        put_into(self._context, draining)
        self._running: dict[Cycle, asyncio.Task[None]] = {}

    @property
    def in_flight(self) -> int:
        """How many calls of the application run, also those whose response is complete or whose client is gone."""
        return len(self._running)

    async def startup(self) -> None:
        """Run the startup of the lifespan. Raises `ApplicationFailed`."""
        self.thread = interpreter_calls.thread()
        await self._loop.create_task(self.lifespan.startup(), context=self._context)

    def handle(self, exchange: Exchange) -> None:
        """Call the application in a task of its own."""
        cycle = RequestCycle.__new__(RequestCycle)
        cycle.begin(self, exchange)
        task = self._first_steps.begin(cycle.run(), interpreter_calls.copied(self._context))
        if not cycle.ended:
            self._first_steps.keep(task)
            cycle.waits = True
            self._running[cycle] = task

    def handle_websocket(self, session: WebSocketSession) -> None:
        """Call the application in a task of its own."""
        cycle = WebSocketCycle(self, session)
        task = self._first_steps.take(cycle.run(), interpreter_calls.copied(self._context))
        if not cycle.ended:
            self._running[cycle] = task

    def finished(self, cycle: Cycle) -> None:
        """Called by `cycle` when its call of the application has ended."""
        # One that never waited was not counted, so that there was nothing of it to be waited for.
        if self._running.pop(cycle, None) is not None and not self._running:
            self._on_idle()

    def time_out(self, seconds: float) -> None:
        """End the requests that take longer than `seconds`, and cancel their calls of the application."""
        for cycle, task in list(self._running.items()):
            if cycle.time_out(seconds):
                task.cancel()

    def cancel_all(self) -> None:
        """Cancel all calls of the application, at the end of a drain.

        Their exchanges end with `CancelledError`. Exchanges that were cut end without an error, because the drain has
        reported them.
        """
        self.cancelled = True
        for cycle, task in list(self._running.items()):
            task.cancel()
            if not cycle.begun:  # a coroutine that is cancelled before its first step runs nothing of itself
                cycle.finish(asyncio.CancelledError())

    async def shutdown(self, timeout_seconds: float) -> str | None:
        """Run the shutdown of the lifespan. Returns what went wrong, None if nothing did."""
        return await self.lifespan.shutdown(timeout_seconds)
