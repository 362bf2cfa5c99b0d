"""What an HTTP/1.1 connection knows, and when it reads on: the base of `http1.Http1Connection`."""

from __future__ import annotations

import asyncio
import enum
from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

from gracehttp.http.connection import NEW, Carried, Connection, HttpSettings, Owner
from gracehttp.http.connection_end import ConnectionEnd
from gracehttp.http.deadline import Deadline
from gracehttp.http.exchange import Application
from gracehttp.http.http1_exchange import Http1Exchange
from gracehttp.http.request_parser import RequestParser
from gracehttp.http.sending import StallWatch

_UNPARSED_HIGH_WATER_BYTES = 65536  # of pipelined requests; above, nothing more is read


class Phase(enum.Enum):
    """Where the connection stands; each byte and each timeout is judged by it."""

    IDLE = "idle"
    """At a message boundary: not a byte of the next request was parsed."""
    READING_HEAD = "reading head"
    ANSWERING = "answering"
    """An exchange is in flight; its request may still be arriving."""
    DISCARDING = "discarding"
    """The response is complete, the rest of its request is thrown away."""
    ENDING = "ending"
    """Nothing more will be written; see `ConnectionEnd`."""
    CLOSED = "closed"


IDLE, READING_HEAD, ANSWERING = Phase.IDLE, Phase.READING_HEAD, Phase.ANSWERING
DISCARDING, ENDING, CLOSED = Phase.DISCARDING, Phase.ENDING, Phase.CLOSED


class Http1Base(asyncio.Protocol, Connection):
    """The state, which the parts of a connection share. Each part is a class in a file of its own, and they are one
    object because a connection is on the hot path: `Http1Ending`, `Http1Handover`, `Http1Connection`."""

    __slots__ = (
        "_application",
        "_carried",
        "_client",
        "_continue_owed",
        "_deadline",
        "_discarded",
        "_draining",
        "_end",
        "_eof",
        "_exchange",
        "_fresh",
        "_head_began_at",
        "_loop",
        "_offset",
        "_parser",
        "_phase",
        "_reading_paused",
        "_scheme",
        "_server",
        "_settings",
        "_stall",
        "_transport",
        "_unparsed",
        "_when_idle",
        "owner",
        "write",
    )

    # From `connection_made` on:
    _transport: asyncio.Transport
    _deadline: Deadline
    _client: tuple[str, int] | None
    write: Callable[[bytes], None]
    """That of the transport."""

    def __init__(
        self,
        *,
        application: Application,
        settings: HttpSettings,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        scheme: Literal["http", "https"],
        carried: Carried = NEW,
    ) -> None:
        """`carried` is what comes along with a connection that another process has had before."""
        self._application = application
        self._settings = settings
        self._loop = loop
        self._scheme = scheme
        self._parser = RequestParser(settings.max_header_size_bytes, settings.max_body_size_bytes)
        self._phase = IDLE
        self._fresh = carried.fresh  # no request was received yet
        self._head_began_at = 0.0  # in the phase READING_HEAD: when its first byte came
        self._carried = carried
        self._exchange: Http1Exchange | None = None
        self._unparsed = b""  # pipelined requests, from `_offset` on
        self._offset = 0
        self._continue_owed = False  # the client waits for 100 (Continue) before it sends the body
        self._discarded = 0
        self._draining = False
        self._eof = False  # the client has shut down its side
        self._reading_paused = False
        self._stall: StallWatch | None = None  # there is one while the transport's buffer is full
        self._end: ConnectionEnd | None = None
        self._when_idle: Callable[[Connection], None] | None = None
        self.owner = owner

    @abstractmethod
    def _timed_out(self) -> None:
        """The deadline was reached."""

    @property
    def _idle_timeout_seconds(self) -> float:
        """How long the client may take for the request that is awaited in the phase IDLE."""
        settings = self._settings
        return settings.header_timeout_seconds if self._fresh else settings.keep_alive_timeout_seconds

    def _regulate_reading(self) -> None:
        """Read on only while there is room for what comes."""
        exchange = self._exchange
        pause = self._end is None and (
            len(self._unparsed) - self._offset > _UNPARSED_HIGH_WATER_BYTES
            or (exchange is not None and exchange.body.full and not self._parser.complete)
        )
        if pause is not self._reading_paused and not self._eof and not self._transport.is_closing():
            self._reading_paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
