"""What a worker knows about a connection, and a connection about the worker that owns it, whatever the protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gracehttp.http.exchange import RequestHead

RequestFinished = Callable[[RequestHead, int, int, float], None]
"""Takes the head, the status (0: the client was gone before there was one), the bytes of body sent, the seconds.

It is told of refused requests, too; see `RefusedHead`."""

RequestFailed = Callable[[RequestHead], None]
"""Takes the head of a request that the application did not answer as it should have. Comes before `RequestFinished`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """The limits that the hot path needs.

    - `keep_alive_timeout_seconds`: longest pause between a response and the next request.
    - `header_timeout_seconds`: longest time from the first byte of a head to its end; on a new connection it runs
      from the start.
    - `body_timeout_seconds`: longest wait for the next piece of a request body, and longest time in which a client
      takes nothing of a response that waits for it.
    - `max_header_size_bytes`: request line and header fields together. When the limit is reached and the target
      makes up more than half of it, the answer is 414, otherwise 431. Trailer fields and chunk extensions have the
      same limit.
    - `max_body_size_bytes`: of a request; 0 is no limit.
    """

    keep_alive_timeout_seconds: float = 75.0
    header_timeout_seconds: float = 10.0
    body_timeout_seconds: float = 30.0
    max_header_size_bytes: int = 65536
    max_body_size_bytes: int = 0


class Owner(Protocol):
    """The worker, as its connections see it. Called on the loop's thread; must not raise."""

    @property
    def request_finished(self) -> RequestFinished | None:
        """For the access log; None costs nothing. A plain attribute will do."""

    def connection_opened(self, connection: Connection) -> None: ...

    def connection_closed(self, connection: Connection) -> None:
        """Exactly once per opened connection, when its transport is gone."""

    def application_failed(self, head: RequestHead, error: BaseException) -> None: ...

    def response_broken(self, head: RequestHead, reason: str) -> None:
        """The application did not keep the rules of a response, such as a body shorter than its Content-Length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a connection takes along to another process, besides its socket. The default is a new connection.

    - `fresh`: no request was received on it yet.
    - `idle_seconds`: how much of the time is over that the client has for what is awaited of it: its first request if
      the connection is fresh, the first byte of its next one if not.
    - `received`: pipelined bytes that were read but not parsed.

    There are no counters: nothing counts the requests of one connection. The kernel knows the peer.
    """

    fresh: bool = True
    idle_seconds: float = 0.0
    received: bytes = b""


NEW = Carried()

Send = Callable[[int, Carried], bool]
"""Takes the descriptor of a socket and what goes along. Tells whether they are on their way to another process."""


class Connection(ABC):
    """One client's connection. All methods are called on the loop's thread."""

    __slots__ = ()

    @abstractmethod
    def drain(self) -> None:
        """From now on the next response says that it is the last one, and the connection is closed after it.

        "Next" includes the response in flight, if its head was not sent yet. An idle connection stays open.
        """

    @abstractmethod
    def stay(self) -> None:
        """Take back `drain` and `call_when_idle`. A response whose head has said that it is the last one still is."""

    @abstractmethod
    def close_idle(self, *, linger: bool = True) -> bool:
        """Close politely if nothing is in flight and nothing of a request was received. Tells whether it did.

        Without `linger` the descriptor is free at once, or over TLS as soon as the client was told (RFC 8446 section
        6.1), even if the client doesn't close its side too. Only for what the client hasn't taken yet it waits longer.
        """

    @abstractmethod
    def abort(self) -> None:
        """Close at once; what was not sent yet is lost."""

    @property
    @abstractmethod
    def idle(self) -> bool:
        """Whether the socket could go to another process now without loss.

        No exchange is in flight or waiting, not one byte of a next request was read, and all that was written has
        been given to the kernel.
        """

    @property
    @abstractmethod
    def idle_since(self) -> float | None:
        """Since when, by the loop's clock, it has been `idle`; None if it isn't."""

    @abstractmethod
    def call_when_idle(self, callback: Callable[[Connection], None]) -> None:
        """Call `callback(self)` from the loop each time the connection is between two requests from now on.

        That is, each time a response is complete and with the kernel, also when pipelined bytes wait already: then it
        is not `idle`, but `hand_over` can take them along. There is no call for being idle at this moment.
        """

    @abstractmethod
    def hand_over(self, send: Send) -> bool:
        """Let another process go on with this connection, if it is between two requests; tells whether it does.

        Reading is stopped, `send` is called with the descriptor, and if that worked, only our copy of it is closed:
        the client notices nothing, and what it sends meanwhile waits in the kernel. If not, all goes on as before.
        """

    @abstractmethod
    def describe(self) -> str:
        """Of what is in flight, for logs: `GET /slow for 12.3 s`; empty when nothing is."""
