"""A stream that speaks TLS: OpenSSL over memory buffers, on top of a plain stream.

`ssl.SSLObject` turns records into bytes and back without touching a socket, so that each byte is accounted for: what
waits to be sent waits in the plain stream, and whether half a record has come is known from the lengths in the record
headers (RFC 8446 section 5.1).

close_notify ends one direction only (RFC 8446 section 6.1): a client that has sent its own still gets its answer, and
after ours the client's last bytes are read and discarded.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Final

from gracehttp.net.deadlines import Deadlines
from gracehttp.net.stream import CLOSED_STREAM, READ_BYTES, Closed, Consumer, PlainStream

_RECORD_HEADER_BYTES: Final = 5
_ENCRYPT_BYTES: Final = 65536
"""How much is given to OpenSSL at once: four records."""

OnOpen = Callable[[str | None], None]
"""Takes the protocol that ALPN has chosen (RFC 7301), None if the client offered none, when the handshake is done."""


class RecordCounter:
    """Follows the lengths of TLS records, to know whether the last of them is whole."""

    __slots__ = ("_header", "_missing")

    def __init__(self) -> None:
        self._missing = 0  # bytes of the current record's content that have not come
        self._header = b""  # the part of a record header that has come

    @property
    def at_boundary(self) -> bool:
        """Whether all that has come are whole records."""
        return not self._missing and not self._header

    def count(self, data: bytes) -> None:
        """`data` has come."""
        size = len(data)
        fresh = not self._missing and not self._header and size >= _RECORD_HEADER_BYTES
        if fresh and size == _RECORD_HEADER_BYTES + (data[3] << 8 | data[4]):
            return  # the usual case: one whole record
        at = 0
        while at < size:
            if self._missing:
                taken = min(self._missing, size - at)
                self._missing -= taken
                at += taken
                continue
            wanted = _RECORD_HEADER_BYTES - len(self._header)
            self._header += data[at : at + wanted]
            at += wanted
            if len(self._header) == _RECORD_HEADER_BYTES:
                self._missing = self._header[3] << 8 | self._header[4]
                self._header = b""


class TlsStream:
    """See `Stream`. Made on a plain stream, whose consumer and owner it becomes; it takes over the owner that the plain
    stream had."""

    __slots__ = (
        "_handshakes",
        "_incoming",
        "_on_open",
        "_outgoing",
        "_owner",
        "_paused",
        "_plain",
        "_records",
        "_said_goodbye",
        "_tls",
        "_undelivered",
        "consumer",
        "input_over",
        "writable",
    )

    can_move = False  # what a session is made of lives in this process
    secure = True

    def __init__(
        self,
        plain: PlainStream,
        context: ssl.SSLContext,
        consumer: Consumer,
        *,
        handshakes: Deadlines,
        on_open: OnOpen,
    ) -> None:
        """Wait for the client's handshake. `handshakes` says how long that may take: then the stream is closed.

        A handshake that fails closes the stream after the alert that says why.
        """
        self._plain = plain
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._records = RecordCounter()
        self._handshakes: Deadlines | None = handshakes
        self._on_open = on_open
        self.input_over = False
        self._paused = False  # by the consumer
        self._undelivered = False  # OpenSSL may have bytes that the consumer did not get, because it paused reading
        self._said_goodbye = False
        self.consumer = consumer
        self.writable = True
        self._owner: Closed = plain.owner
        plain.consumer = plain.owner = self
        handshakes.add(self)

    # --- what it says of itself ---

    @property
    def opened(self) -> bool:
        """Whether the handshake is done."""
        return self._handshakes is None

    @property
    def mid_record(self) -> bool:
        """Whether a part of a record has come, which can't be read before the rest comes."""
        return not self._records.at_boundary

    @property
    def unsent_bytes(self) -> int:
        return self._plain.unsent_bytes

    @property
    def shut(self) -> bool:
        return self._said_goodbye or self._plain.shut

    @property
    def closed(self) -> bool:
        return self._plain.closed

    @property
    def reading(self) -> bool:
        return not (self._paused or self.input_over or self._plain.closed)

    # --- reading ---

    def received(self, data: bytes) -> None:
        """Records of the client."""
        if self.input_over:
            return  # behind close_notify nothing counts (RFC 8446 section 6.1)
        self._incoming.write(data)
        self._records.count(data)
        if self._handshakes is not None and not self._shake_hands():
            return
        self._deliver()

    def ended(self) -> None:
        """The client has ended its half of the TCP connection, if without close_notify too."""
        if self._handshakes is not None:
            self._plain.abort()
        elif not (self.input_over or self._undelivered):  # else `_deliver` comes to it
            self._end_input()

    def _shake_hands(self) -> bool:
        """Go on with the handshake; tells whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except (ssl.SSLError, OSError):  # the client speaks no TLS, or none of ours: as frequent as port scans
            self._end_handshake()
            self._flush()  # the alert
            self._plain.close(linger=False)
            return False
        self._flush()
        on_open = self._on_open
        self._end_handshake()
        on_open(self._tls.selected_alpn_protocol())
        return not self._plain.closed

    def _end_handshake(self) -> None:
        if self._handshakes is not None:
            self._handshakes.discard(self)
            self._handshakes = None
            self._on_open = _opened

    def _deliver(self) -> None:
        """Pass on what can be decrypted."""
        tls, incoming, plain = self._tls, self._incoming, self._plain
        self._undelivered = False
        while not (plain.shut or self._said_goodbye or self.input_over):
            try:
                data = tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                self._end_input()
                break
            except ssl.SSLError:  # a record that was tampered with, or a violation of the protocol
                self._flush()  # the alert
                plain.close(linger=False)
                return
            if not data:
                self._end_input()
                break
            self.consumer.received(data)
            # A read takes a whole record, so what is left stands before OpenSSL. Not to ask in vain is worth it: the
            # exception costs as much as a record.
            if not incoming.pending:
                break
            if self._paused:
                self._undelivered = True
                return
        if plain.input_over and not (plain.shut or self._said_goodbye or self.input_over):
            self._end_input()
        if self._outgoing.pending:  # a KeyUpdate was asked for, for example
            self._flush()

    def _deliver_rest(self) -> None:
        """Pass on what the consumer did not get, if it still wants to."""
        if self._undelivered and not self._paused:
            self._deliver()

    def _end_input(self) -> None:
        """close_notify, or the end of the TCP connection. Our direction stays open."""
        self.input_over = True
        self.consumer.ended()

    def read_now(self) -> bool:
        if self._undelivered and self.reading:
            self._deliver()
            return True
        return self._plain.read_now()

    def pause_reading(self) -> None:
        self._paused = True
        self._plain.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        if not self.input_over:
            self._plain.resume_reading()
            if self._undelivered:
                self._plain.services.loop.call_soon(self._deliver_rest)

    # --- writing ---

    def write(self, data: bytes) -> None:
        plain = self._plain
        if plain.shut or self._said_goodbye:
            return
        try:
            if len(data) <= _ENCRYPT_BYTES:
                self._tls.write(data)
                plain.write(self._outgoing.read())
            else:
                view = memoryview(data)
                for at in range(0, len(data), _ENCRYPT_BYTES):
                    self._tls.write(view[at : at + _ENCRYPT_BYTES])
                    plain.write(self._outgoing.read())
            self.writable = plain.writable
        except ssl.SSLError:  # the session is broken; reading tells the same
            plain.services.loop.call_soon(plain.abort)

    def write_pieces(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            if piece:
                self.write(piece)

    def writable_again(self) -> None:
        """See `Consumer`: of the plain stream."""
        self.writable = True
        if self._handshakes is None:
            self.consumer.writable_again()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._plain.write(self._outgoing.read())

    # --- the end ---

    def close(self, *, linger: bool) -> None:
        if self.shut:
            return
        self._say_goodbye()
        self._plain.close(linger=linger and not self.input_over)

    def abort(self) -> None:
        self._plain.abort()

    def reset(self) -> None:
        self._plain.abort()  # without a close_notify a client knows that it is a cut (RFC 9112 section 9.8)

    def timed_out(self) -> None:
        """The handshake has taken too long."""
        self._plain.abort()

    def stream_closed(self) -> None:
        """See `Closed`: of the plain stream."""
        self._end_handshake()
        owner = self._owner
        self.consumer = self._owner = CLOSED_STREAM  # so that no circle is left to the garbage collector
        owner.stream_closed()

    def _say_goodbye(self) -> None:
        self._said_goodbye = True
        if self._handshakes is not None:
            self._end_handshake()
            return
        with contextlib.suppress(ssl.SSLError, OSError):  # it waits for the client's close_notify: ours is written
            self._tls.unwrap()
        self._flush()

    # --- going to another process ---

    def leave(self) -> int:
        raise AssertionError("a TLS stream can't move")

    def detach(self) -> None:
        raise AssertionError("a TLS stream can't move")

    def come_back(self) -> None:
        raise AssertionError("a TLS stream can't move")


def _opened(alpn: str | None) -> None:
    """In the place of `OnOpen` when it was called."""
