"""One stream as a protocol of its own has it: an extended CONNECT that was accepted (RFC 8441).

To that protocol it is a `Stream` like those of `net`: END_STREAM is the end of a half, and RST_STREAM is a reset (RFC
8441 section 5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gracehttp.http.connection import Connection, MakeProtocol
from gracehttp.http.exchange import ResetReason
from gracehttp.net.file_part import FilePart
from gracehttp.net.stream import CLOSED_STREAM, Consumer
from gracehttp.wire.handover import Carried

if TYPE_CHECKING:
    from gracehttp.http.http2.protocol import Http2Protocol
    from gracehttp.http.http2.stream import Http2Stream


class Tunnel:
    """See `Stream`. It has a `Connection` of its own, which the worker doesn't count: it has no permit."""

    __slots__ = (
        "_end_told",
        "_ended",
        "_lost",
        "_paused",
        "_protocol",
        "_stream",
        "_undelivered",
        "connection",
        "consumer",
        "shut",
    )

    can_move = False
    takes_files = False
    mid_record = False

    def __init__(self, protocol: Http2Protocol, stream: Http2Stream, make: MakeProtocol, rest: bytes) -> None:
        """The protocol that `make` gives takes over; `rest` has come already."""
        self._protocol = protocol
        self._stream = stream
        self._paused = False
        self._undelivered = rest
        self._ended = not stream.input_open  # the client's half
        self._end_told = False
        self._lost = False
        self.shut = False
        self.consumer: Consumer = CLOSED_STREAM
        outer = protocol.connection
        self.connection = Connection(outer.context, outer.ends, outer.port)
        self.connection.begin(self)
        self.connection.switch(make(self.connection, Carried(fresh=False)))
        self._deliver()

    # --- the stream's side ---

    def received(self, data: bytes, end: bool) -> None:
        self._undelivered += data
        self._ended = self._ended or end
        self._deliver()

    def _deliver(self) -> None:
        """Pass on what has come, unless the protocol has paused; only then the client may send more."""
        if self._paused or self._lost:
            return
        data, self._undelivered = self._undelivered, b""
        self._stream.give_back()
        if self.shut:
            return
        if data:
            self.consumer.received(data)
        if self._ended and not (self._end_told or self._paused or self.shut or self._undelivered):
            self._end_told = True
            self.consumer.ended()

    def writable_again(self) -> None:
        if not self.shut:
            self.consumer.writable_again()

    def lost(self) -> None:
        """The stream is closed, whatever the reason."""
        if not self._lost:
            self._lost = self.shut = True
            self.consumer = CLOSED_STREAM
            self.connection.lose_protocol()

    @property
    def ends_with_a_word(self) -> bool:
        """Whether `say_goodbye` has something to say."""
        return not self.shut and self.connection.protocol.at_rest

    def say_goodbye(self) -> None:
        """The connection under it ends, and its application had time to end it."""
        if self.ends_with_a_word:
            self.connection.protocol.close_at_rest(linger=True)

    # --- the protocol's side ---

    @property
    def secure(self) -> bool:
        return self._protocol.connection.stream.secure

    @property
    def writable(self) -> bool:
        return not self._stream.waits

    @property
    def unsent_bytes(self) -> int:
        return self._stream.unsent_bytes

    @property
    def reading(self) -> bool:
        return not (self._paused or self._ended or self._lost)

    @property
    def input_over(self) -> bool:
        return self._ended and not self._undelivered

    @property
    def half_closed(self) -> bool:
        return self._ended

    @property
    def closed(self) -> bool:
        return self._lost

    def flush(self) -> None:
        """See `Stream`. It holds nothing: the connection under it does."""

    def write(self, data: bytes) -> None:
        if not self.shut:
            self._stream.send_bytes(data, False)

    write_last = write

    def write_pieces(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.write(piece)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._protocol.connection.context.loop.call_soon(self._deliver)

    def read_now(self) -> bool:
        return self._protocol.connection.stream.read_now()

    def close(self, linger: bool) -> None:
        """What the client still sends is not waited for: its stream is told so (RFC 9113 section 8.1)."""
        if not self.shut:
            self.shut = True
            self._stream.send_bytes(b"", True)
            self._stream.complete = True

    def abort(self) -> None:
        if not self._lost:
            self._stream.end_early(ResetReason.CANCEL)

    def reset(self) -> None:
        self.abort()

    def write_file(self, part: FilePart) -> None:
        raise AssertionError("a tunnel takes no files")

    def stay(self) -> None:
        """See `Stream`: it never moves."""

    def state(self) -> None:
        """See `Stream`: it never moves."""

    def leave(self) -> int:
        raise AssertionError("a tunnel can't move")

    def detach(self) -> None:
        raise AssertionError("a tunnel can't move")

    def come_back(self) -> None:
        raise AssertionError("a tunnel can't move")
