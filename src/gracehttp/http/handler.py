"""What requests and WebSockets are given to: the contract of ASGI and WSGI with the protocols and the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gracehttp.http.exchange import Exchange
    from gracehttp.http.websocket.session import WebSocketSession


class Handler(Protocol):
    """What requests are given to."""

    @property
    def handle_websocket(self) -> Callable[[WebSocketSession], None] | None:
        """As `handle`, for a WebSocket, which ends with `session.end()`; None if its interface knows none."""

    def handle(self, exchange: Exchange) -> None:
        """Begin to answer and return; the work goes on in a task or a thread, and ends with `exchange.end()`."""


class Application(Handler, Protocol):
    """A user's application behind the interface that it speaks (ASGI, WSGI)."""

    name: str
    """What the log calls it."""

    @property
    def in_flight(self) -> int:
        """How many requests it works on, also those whose client is gone or has the whole response."""

    async def startup(self) -> None:
        """Let the application start; before its first request. Raises `ApplicationFailed`."""

    def time_out(self, seconds: float) -> None:
        """End the requests that take longer than `seconds`."""

    def cancel_all(self) -> None:
        """Cancel the requests in flight, as far as they can be cancelled."""

    async def shutdown(self, timeout_seconds: float) -> str | None:
        """Let the application end; after its last request. Returns what went wrong, None if nothing did."""
