"""One request and its response, whatever the protocol that carries them: what ASGI and WSGI are written against.

HTTP/1.1 implements this; HTTP/2 will. An application interface (`Application`) sees nothing of the wire.
All methods are called on the thread of the event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Protocol

Header = tuple[bytes, bytes]


class RequestHead:
    """The head of a request (RFC 9110 section 6), decoded as far as every interface needs it.

    `raw_path` and `query_string` are the bytes of the target before and after the first `?`; `path` is `raw_path`
    percent-decoded (UTF-8, undecodable bytes replaced). `headers` are in the order received, names in lower case.
    `client` and `server` are `(host, port)`, or `(path, None)` / None for Unix sockets as ASGI says.
    """

    refused: ClassVar[bool] = False
    """Whether it is of a request that the server answered itself, because no application may see it."""

    __slots__ = (
        "client",
        "headers",
        "http_version",
        "method",
        "path",
        "query_string",
        "raw_path",
        "scheme",
        "server",
        "target",
    )

    method: str
    target: bytes
    path: str
    raw_path: bytes
    query_string: bytes
    http_version: str
    scheme: str
    headers: list[Header]
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None


class RefusedHead(RequestHead):
    """As much as is known of a head that is malformed, too large or not whole: `method`, `target` and `client`.

    What is not known of the first two is `-`. No interface sees it; it is for the log.
    """

    __slots__ = ()

    refused = True


class Exchange(ABC):
    """One request being answered. Its application gets it from `Application.handle` and owes it `end()`."""

    __slots__ = ()

    head: RequestHead
    body_length: int | None
    """The length of the request body in bytes, as far as it is known beforehand: 0 without a body, None if unknown."""
    awaits_continue: bool
    """Whether the client waited for `100 Continue` before it sends the body, when the exchange began."""
    response_started: bool
    """True once `start_response` was called."""
    response_complete: bool
    """True once the last byte of the response was given to the transport."""
    disconnected: bool
    """True once the client is gone: nothing that is written reaches anybody."""
    writable: bool
    """False while the client reads too slowly: write nothing more before `wait_until_writable` returns."""

    # --- the request body ---

    @abstractmethod
    def take_body(self) -> tuple[bytes, bool] | None:
        """All body bytes that have arrived and were not taken yet, and whether more will come.

        None when there is nothing to take at the moment but more is expected: await `wait_for_input`. After the end
        was taken: `(b"", False)`. The first call sends `100 Continue` if the client waits for it (RFC 9110 10.1.1).
        Taking makes room: the connection reads on.
        """

    @abstractmethod
    async def wait_for_input(self) -> None:
        """Until body bytes or the end of the body arrived, or the client is gone, or the response is complete."""

    @abstractmethod
    async def wait_for_disconnect(self) -> None:
        """Until the client is gone or the response is complete."""

    # --- the response ---

    @abstractmethod
    def start_response(self, status: int, headers: Iterable[Header]) -> None:
        """Set status and header fields of the final response; they are sent together with the first body bytes.

        Raises `ResponseError` when called twice, or when a name or value can't stand in a header.
        """

    @abstractmethod
    def write(self, data: bytes, more: bool) -> None:
        """Send body bytes; `more=False` ends the response. Never blocks: look at `writable` afterwards.

        Raises `ResponseError` before `start_response`, after the end, and when the body doesn't have the length
        that its Content-Length said; in the last case the connection is closed after what was sent.
        Does nothing when the client is gone.
        """

    @abstractmethod
    async def wait_until_writable(self) -> None:
        """Until the transport's buffer has room again, or the client is gone, or the response is complete."""

    # --- the end ---

    @abstractmethod
    def end(self, error: BaseException | None = None) -> None:
        """The application is done. Must be called exactly once, with what it raised, if it raised.

        If the response is not complete: before it started the client gets 500; afterwards the connection is closed,
        so that the client can tell that the answer is not whole (RFC 9112 section 8). `error` is logged with its
        traceback.
        """


class ResponseError(RuntimeError):
    """The application broke the rules of a response. It is the application's fault, and raised into it."""


class ClientDisconnected(ConnectionError):
    """The client is gone: there is nothing more to read, and nobody to write to.

    Raised into the application, which may let it pass: it is nobody's fault. It is an OSError because ASGI wants one
    and frameworks know it (Django makes UnreadablePostError of it).
    """


class Application(Protocol):
    """A user's application behind the interface that it speaks (ASGI, WSGI). Connections need `handle` alone."""

    name: str
    """What the log calls it."""

    @property
    def in_flight(self) -> int:
        """How many requests it works on, also those whose client is gone or has the whole response."""

    async def startup(self) -> None:
        """Let the application start; before its first request. Raises `ApplicationFailed`."""

    def handle(self, exchange: Exchange) -> None:
        """Begin to answer and return; the work goes on in a task or a thread, and ends with `exchange.end()`."""

    def cancel_all(self) -> None:
        """Cancel the requests in flight, as far as they can be cancelled."""

    async def shutdown(self, timeout_seconds: float) -> str | None:
        """Let the application end; after its last request. Returns what went wrong, None if nothing did."""
