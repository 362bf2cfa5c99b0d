"""The first stage of a connection that comes through a proxy: it is introduced, before TLS and HTTP.

The stage reads from the plain stream until the header is whole, and then steps aside: it costs nothing afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

from gracehttp.net.deadlines import Deadlines
from gracehttp.net.proxy_protocol import ProxyHeader, ProxyProtocolError, parse
from gracehttp.net.stream import CLOSED_STREAM, Closed, Consumer, PlainStream

OnHeader = Callable[[ProxyHeader, bytes], None]
"""Takes what the proxy says, and the bytes behind it that were read already."""
OnRefused = Callable[[str], None]
"""Takes the reason why a connection was not introduced as it should have been. It is closed already."""


class Introduction:
    """The consumer of a plain stream, and its owner, until its client is introduced."""

    __slots__ = ("_deadlines", "_next", "_on_header", "_on_refused", "_owner", "_received", "_stream")

    def __init__(
        self,
        stream: PlainStream,
        deadlines: Deadlines,
        on_header: OnHeader,
        on_refused: OnRefused,
    ) -> None:
        """Take the place of the consumer and owner that `stream` has; they have it back before `on_header` is called.
        `deadlines` say how long the header may take: then the stream is closed."""
        self._stream = stream
        self._deadlines = deadlines
        self._on_header = on_header
        self._on_refused = on_refused
        self._received = b""
        self._next: Consumer = stream.consumer
        self._owner: Closed = stream.owner
        stream.consumer = stream.owner = self
        deadlines.add(self)

    def received(self, data: bytes) -> None:
        """See `Consumer`."""
        if self._received:
            data = self._received + data
        try:
            found = parse(data)
        except ProxyProtocolError as error:
            self._refuse(str(error))
            return
        if found is None:
            self._received = data
            return
        header, end = found
        on_header = self._on_header
        self._step_aside()
        on_header(header, data[end:])

    def ended(self) -> None:
        """The peer has ended its half. Without a byte it has only looked whether the port listens."""
        if self._received:
            self._refuse("its PROXY header was cut")
        else:
            self._stream.abort()

    def ended_unread(self) -> None:
        """Nothing: reading is never paused here."""

    def writable_again(self) -> None:
        """Nothing: nothing is written here."""

    def timed_out(self) -> None:
        """The header has taken too long."""
        self._refuse(f"its PROXY header didn't come within {self._deadlines.seconds:g} s")

    def stream_closed(self) -> None:
        """See `Closed`."""
        owner = self._owner
        self._forget()
        owner.stream_closed()

    def _refuse(self, reason: str) -> None:
        on_refused = self._on_refused
        self._stream.abort()
        on_refused(reason)

    def _step_aside(self) -> None:
        self._stream.consumer, self._stream.owner = self._next, self._owner
        self._forget()

    def _forget(self) -> None:
        self._deadlines.discard(self)
        self._received = b""
        self._next = self._owner = CLOSED_STREAM  # so that no circle is left to the garbage collector
        self._on_header = _said
        self._on_refused = _refused


def _said(header: ProxyHeader, rest: bytes) -> None:
    """In the place of `OnHeader` when it was called."""


def _refused(reason: str) -> None:
    """In the place of `OnRefused` when it can't be called any more."""
