"""A stream that speaks TLS: OpenSSL over memory buffers, on top of a plain stream.

`ssl.SSLObject` turns records into bytes and back without touching a socket, so that each byte is accounted for: what
waits to be sent waits in the plain stream, and whether half a record has come is known from the lengths in the record
headers (RFC 8446 section 5.1).

A client that connects and says nothing, or only a part of its first record, has no session of OpenSSL yet: that costs
50 KiB until its handshake is done, and 15 KiB afterwards.

close_notify ends one direction only (RFC 8446 section 6.1): a client that has sent its own still gets its answer, and
after ours the client's last bytes are read and discarded, up to its own.

What waits to be sent is encrypted as the client takes it: a large response costs neither a second copy of it nor a long
turn of the loop.

A session of TLS 1.3 can go on in another process, if that is asked for (`net.tls13`): a witness watches it from the
begin, and there `net.tls13.session` has the place of OpenSSL.
"""

from __future__ import annotations

import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from gracehttp.net.deadlines import Deadlines
from gracehttp.net.file_part import FilePart
from gracehttp.net.stream import CLOSED_STREAM, Closed, Consumer, PlainStream, SocketStream
from gracehttp.net.system_calls import READ_BYTES
from gracehttp.net.tls13.state import TlsState
from gracehttp.net.tls_session import TlsSession, session_of

if TYPE_CHECKING:  # they need a library that may not be there
    from gracehttp.net.tls13.session import ContinuedSession, Incoming, Outgoing
    from gracehttp.net.tls13.witness import Witness

_RECORD_HEADER_BYTES: Final = 5
_HANDSHAKE: Final = 22  # ContentType of RFC 8446 section 5.1
_MOST_RECORD_BYTES: Final = 16384 + 2048
"""What TLS 1.2 allows at most after the header (RFC 5246 section 6.2.3)."""
_MOST_CONTENT_BYTES: Final = 16384
"""Of one record (RFC 8446 section 5.1): a read gives no more, and memory for more would be had and given back."""
_MOST_PLAIN_BYTES: Final = 8
"""Of a client that speaks no TLS: enough to tell what it speaks."""
_ENCRYPT_BYTES: Final = 65536
"""How much is given to OpenSSL at once: four records."""
SMALL_BYTES: Final = 4096
LAST_RECORD_BYTES: Final = 256
"""A witness keeps the last record: of what isn't small that is made a small one."""

OnOpen = Callable[[str | None], None]
"""Takes the protocol that ALPN has chosen (RFC 7301), None if the client offered none, when the handshake is done."""

AnswerPlain = Callable[[bytes], bytes]
"""Takes the first bytes of a client that speaks no TLS. Returns what to say to it in clear text; no bytes: nothing."""


class RecordCounter:
    """Follows the lengths of TLS records, to know whether the last of them is whole."""

    __slots__ = ("_header", "_missing", "at_boundary")

    def __init__(self) -> None:
        self._missing = 0  # bytes of the current record's content that have not come
        self._header = b""  # the part of a record header that has come
        self.at_boundary = True
        """Whether all that has come are whole records. While they are, one whole record need not be counted."""

    def count(self, data: bytes) -> None:
        """`data` has come."""
        at, size = 0, len(data)
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
        self.at_boundary = not self._missing and not self._header


class TlsStream(SocketStream):
    """See `Stream`. Made on a plain stream, whose consumer and owner it becomes; it takes over the owner that the plain
    stream had."""

    __slots__ = (
        "_answer_plain",
        "_asked",
        "_choked",
        "_context",
        "_continued",
        "_engine",
        "_first",
        "_handshakes",
        "_incoming",
        "_lingers",
        "_mover",
        "_on_open",
        "_outgoing",
        "_owner",
        "_paused",
        "_plain",
        "_records",
        "_said_goodbye",
        "_tls",
        "_undelivered",
        "_unencrypted",
        "_unencrypted_bytes",
        "_witness",
        "consumer",
    )

    takes_files = False  # their bytes must be encrypted
    secure = True

    def __init__(
        self,
        plain: PlainStream,
        context: ssl.SSLContext | None,
        consumer: Consumer,
        *,
        handshakes: Deadlines | None = None,
        on_open: OnOpen | None = None,
        answer_plain: AnswerPlain | None = None,
        witness: Witness | None = None,
        session: ContinuedSession | None = None,
        can_go_on: bool = True,
    ) -> None:
        """Wait for the client's handshake. `handshakes` says how long that may take: then the stream is closed.
        With a `witness` the session may be able to move.

        A handshake that fails closes the stream after the alert that says why.

        Or go on with a `session`, without any of the others, that can move again if `can_go_on`.
        """
        SocketStream.__init__(self)
        self._answer_plain = answer_plain or _no_answer
        self._plain = plain
        self._context: ssl.SSLContext | None = context  # until the session begins
        self._first = b""  # what has come before that
        self._incoming: ssl.MemoryBIO | Incoming
        self._outgoing: ssl.MemoryBIO | Outgoing
        self._tls: ssl.SSLObject | ContinuedSession
        self._engine: Any  # what `_tls` asks to read and write: its methods would be a call more for each
        self._witness = witness  # of what OpenSSL reads and writes
        self._mover: Witness | ContinuedSession | None = None  # knows what another process needs to go on
        self._records = RecordCounter()
        self._handshakes: Deadlines | None = handshakes
        self._on_open = on_open or _opened
        self._paused = False  # by the consumer
        self._choked = False  # reading is, until the client takes what TLS itself has to answer
        self._undelivered = False  # OpenSSL may have bytes that the consumer did not get, because it paused reading
        self._asked = False  # for its state, when it could not go for a moment
        self._said_goodbye = False  # or will, behind what is not encrypted yet
        self._lingers = False  # after that
        self._unencrypted: deque[memoryview] | None = None  # only while the plain stream is not writable
        self._unencrypted_bytes = 0
        self.consumer = consumer
        self._owner: Closed = plain.owner
        plain.consumer = plain.owner = self
        self._continued = session
        if session is not None:
            self._incoming, self._outgoing, self._tls = session.incoming, session.outgoing, session
            self._engine = session
            self._mover = session if can_go_on else None
        elif handshakes is not None:
            handshakes.add(self)

    # --- what it says of itself ---

    @property
    def opened(self) -> bool:
        """Whether the handshake is done."""
        return self._handshakes is None

    @property
    def can_move(self) -> bool:
        """Most of what a session is made of lives in this process: see `net.tls13`."""
        return self._mover is not None

    @property
    def session(self) -> TlsSession:
        """What the handshake, which is done, has agreed on, and who the client is."""
        return session_of(self._tls)

    @property
    def mid_record(self) -> bool:
        """Whether a part of a record has come, which can't be read before the rest comes."""
        return not self._records.at_boundary

    @property
    def unsent_bytes(self) -> int:
        return self._plain.unsent_bytes + self._unencrypted_bytes

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
        if self._said_goodbye:
            self.input_over = self._client_ended(data)
            return
        records, size = self._records, len(data)
        whole = (
            records.at_boundary
            and size >= _RECORD_HEADER_BYTES
            and size == _RECORD_HEADER_BYTES + (data[3] << 8 | data[4])
        )
        if not whole:
            records.count(data)
        if self._handshakes is not None:
            self._go_on_shaking(data)
            return
        self._incoming.write(data)
        if self._witness is not None:
            self._witness.read(data)
        if not whole or self._undelivered or self._plain.shut:
            self._deliver()
            return
        # The usual case: one record, which is all that there is to read. So OpenSSL need not be asked whether there is
        # more, nor whether it has something to say: it has if it has read something else than data. A session that goes
        # on may ask for new keys when it reads data.
        try:
            content = self._engine.read(size)
        except ssl.SSLError as exc:
            self._read_nothing(exc)
            self._answer()
            return
        if content:
            self.consumer.received(content)
            if self._continued is not None:
                self._answer()
        else:
            self._end_input()

    def ended(self) -> None:
        """The client has ended its half of the TCP connection, if without close_notify too."""
        if self._handshakes is not None:
            self._plain.abort()
        elif self._undelivered:
            self.ended_unread()  # `_deliver` comes to it
        elif not self.input_over:
            self._end_input()

    def ended_unread(self) -> None:
        """See `Consumer`: of the plain stream."""
        if not self.half_closed:
            self.half_closed = True
            if not self._said_goodbye:
                self.consumer.ended_unread()

    def _answered_plain(self) -> bool:
        """Answer a client that speaks no TLS, if there is a word for what it speaks; tells whether that was done."""
        if self._first[0] == _HANDSHAKE:
            return False
        answer = self._answer_plain(self._first)
        if not answer:
            return False
        self._end_handshake()
        self._said_goodbye = True  # what it sends from now on is read and discarded
        self._plain.write(answer)
        self._plain.close(linger=True)
        return True

    def _begin_session(self, context: ssl.SSLContext) -> bool:
        """Tells whether there is one."""
        self._context = None
        if self._witness is not None:
            self._witness.hello(self._first)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            self._engine = getattr(self._tls, "_sslobj", self._tls)
        except OSError as exc:  # OpenSSL has no memory for it
            self._plain.services.on_failure(exc)
            self._plain.abort()
            return False
        return True

    def _go_on_shaking(self, data: bytes) -> None:
        """`data` of the client has come in the handshake, or before it."""
        if self._context is not None:
            self._first += data
            if not _holds_a_record(self._first) or self._answered_plain() or not self._begin_session(self._context):
                return
            data, self._first = self._first, b""
        self._incoming.write(data)
        if self._shake_hands(data):
            self._deliver()

    def _shake_hands(self, data: bytes) -> bool:
        """Go on with the handshake, with `data` of the client; tells whether it is done."""
        tls = self._tls
        assert isinstance(tls, ssl.SSLObject), "a session that goes on has no handshake"
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._observe_step()
            self._flush()
            return False
        except (ssl.SSLError, OSError) as exc:  # the client speaks no TLS, or none of ours: as frequent as port scans
            self._observe_step()
            self._end_handshake()
            self._flush()  # the alert
            # A client of TLS 1.3 has done its part when its certificate is looked at, and may be sending its request:
            # that would be answered with RST, which destroys the alert that says what is wrong. Any other one is no
            # client of ours, and must not keep its place as long as it sends on and on.
            self._plain.close(linger=_blames_certificate(exc))
            return False
        if self._witness is not None:
            self._observe_step()
            unread = self._incoming.pending  # OpenSSL has taken whole records, and no byte of the next one
            if self._witness.opened(tls, data[len(data) - unread :]):
                self._mover = self._witness
            else:
                self.stay()
        self._flush()
        on_open = self._on_open
        self._end_handshake()
        on_open(tls.selected_alpn_protocol())
        return not self._plain.closed

    def _observe_step(self) -> None:
        if self._witness is not None:
            self._witness.step()

    def _end_handshake(self) -> None:
        if self._handshakes is not None:
            self._handshakes.discard(self)
            self._handshakes = None
            self._on_open = _opened
            self._answer_plain = _no_answer  # neither of them may keep a circle for the garbage collector

    def _deliver(self) -> None:
        """Pass on what can be decrypted."""
        engine, incoming, plain = self._engine, self._incoming, self._plain
        rest = self._undelivered  # OpenSSL may have the rest of a record, which `pending` doesn't count
        self._undelivered = False
        while not (plain.shut or self._said_goodbye or self.input_over):
            # OpenSSL has so much memory filled: for a small request, most of a whole record's would be given back.
            size = incoming.pending
            if rest or not 0 < size < _MOST_CONTENT_BYTES:
                size = _MOST_CONTENT_BYTES
            try:
                data = engine.read(size)
            except ssl.SSLError as exc:
                self._read_nothing(exc)
                break
            if not data:
                self._end_input()
                break
            self.consumer.received(data)
            # A read takes a whole record, if that is no longer, so what is left stands before OpenSSL. Not to ask in
            # vain is worth it: the exception costs as much as a record.
            rest = size < _MOST_CONTENT_BYTES and len(data) >= size
            if not (rest or incoming.pending):
                break
            if self._paused:
                self._undelivered = True
                return
        if plain.input_over and not (plain.shut or self._said_goodbye or self.input_over):
            self._end_input()
        self._answer()

    def _read_nothing(self, error: ssl.SSLError) -> None:
        """OpenSSL has read no data, and tells why by `error`."""
        if isinstance(error, ssl.SSLWantReadError):  # the record is not whole, or it was none with data
            if self._asked and self.writable and not self.mid_record:
                self._asked = False
                self.consumer.writable_again()  # no data tells it that the session can go again
            return
        if isinstance(error, ssl.SSLZeroReturnError):
            self._end_input()
            return
        self._flush()  # the alert: a record was tampered with, or the protocol violated
        self._plain.close(linger=False)

    def _answer(self) -> None:
        """Send what OpenSSL has to say to what it has read: a KeyUpdate was asked for, for example."""
        if self._outgoing.pending:
            plain = self._plain
            self._flush()
            # Each of them is answered, and the consumer knows of none.
            if not (plain.writable or plain.shut or self._said_goodbye):
                self._choked = True
                plain.pause_reading()

    def _deliver_rest(self) -> None:
        """Pass on what the consumer did not get, if it still wants to."""
        if self._undelivered and not self._paused:
            self._deliver()

    def _end_input(self) -> None:
        """close_notify, or the end of the TCP connection. Our direction stays open."""
        self.input_over = self.half_closed = True
        if not self._said_goodbye:
            self.consumer.ended()

    def read_now(self) -> bool:
        if self._undelivered and self.reading:
            self._deliver()
            return True
        return self._plain.read_now()

    def pause_reading(self) -> None:
        self._paused = True
        if not self._said_goodbye:
            self._plain.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        if not self.input_over and not self._choked:
            self._plain.resume_reading()
            if self._undelivered:
                self._plain.services.loop.call_soon(self._deliver_rest)

    # --- writing ---

    def write(self, data: bytes) -> None:
        plain = self._plain
        if self._said_goodbye:
            return
        if plain.shut:  # a close follows, of which one that never waits would never hear
            self.writable = False
            return
        if self._unencrypted is not None:
            self._keep(data)
        elif len(data) <= _ENCRYPT_BYTES:
            if self._witness is not None:
                self._encrypt(data)
            else:  # as that does it, without a call
                try:
                    self._engine.write(data)
                except ssl.SSLError:
                    plain.abort_soon()
                else:
                    plain.write(self._outgoing.read())
            self.writable = plain.writable
        else:
            self._unencrypted = deque()
            self._keep(data)
            self._encrypt_waiting()

    def write_last(self, data: bytes) -> None:
        plain = self._plain
        if self._unencrypted is not None or len(data) > _MOST_CONTENT_BYTES:
            self.write(data)
        elif not (plain.shut or self._said_goodbye):
            self._encrypt(data, last=True)
            self.writable = plain.writable

    def _keep(self, data: bytes) -> None:
        assert self._unencrypted is not None
        self._unencrypted.append(memoryview(data))
        self._unencrypted_bytes += len(data)

    def _encrypt(self, data: bytes | memoryview, last: bool = False) -> None:
        """`last`: see `write_last`."""
        try:
            if self._witness is not None and len(data) > SMALL_BYTES:
                self._engine.write(data[:-LAST_RECORD_BYTES])
                data = data[-LAST_RECORD_BYTES:]
            self._engine.write(data)
        except ssl.SSLError:  # the session is broken; reading tells the same
            self._plain.abort_soon()
            return
        records = self._outgoing.read()
        if self._mover is not None and self._witness is not None:
            self._witness.written(records)
        if last:
            self._plain.write_last(records)
        else:
            self._plain.write(records)

    def _encrypt_waiting(self) -> None:
        """Encrypt what waits, as long as the plain stream takes it."""
        plain = self._plain
        while self._unencrypted and plain.writable and not plain.shut:
            piece = self._unencrypted[0]
            size = min(len(piece), _ENCRYPT_BYTES)
            self._encrypt(piece[:size])
            self._unencrypted_bytes -= size
            if size < len(piece):
                self._unencrypted[0] = piece[size:]
            else:
                self._unencrypted.popleft()
        if not self._unencrypted:
            self._unencrypted = None
        self.writable = plain.writable and self._unencrypted is None
        if self._said_goodbye and self._unencrypted is None:
            self._say_goodbye()

    def write_pieces(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            if piece:
                self.write(piece)

    def flush(self) -> None:
        if self._continued is not None:
            self._flush()  # what it owes for what was read at this moment
        self._plain.flush()

    def writable_again(self) -> None:
        """See `Consumer`: of the plain stream."""
        if self._choked:
            self._choked = False
            if not self._paused and not self.input_over:
                self._plain.resume_reading()
        if self._unencrypted is not None:
            self._encrypt_waiting()
            self._plain.flush()  # nothing would tell when what is held is sent
            if self._plain.unsent_bytes or self._unencrypted is not None:
                return
        self.writable = True
        if self._handshakes is None and not self._said_goodbye:
            self.consumer.writable_again()

    def _flush(self) -> None:
        if self._outgoing.pending:
            records = self._outgoing.read()
            if self._mover is not None and self._witness is not None:
                self._witness.written(records)
            self._plain.write(records)

    # --- the end ---

    def close(self, linger: bool) -> None:
        if self.shut:
            return
        self._said_goodbye = True
        self._lingers = linger
        if self._unencrypted is None:
            self._say_goodbye()
        elif not self.input_over:
            self._plain.resume_reading()  # what comes is discarded: see `PlainStream.close_until`

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
        self.stay()
        if self._continued is not None:
            self._continued.wipe()
        owner = self._owner
        self.consumer = self._owner = CLOSED_STREAM  # so that no circle is left to the garbage collector
        self._unencrypted = None
        self._unencrypted_bytes = 0
        owner.stream_closed()

    def _say_goodbye(self) -> None:
        """Send close_notify, and close the plain stream."""
        if self._handshakes is not None:
            self._end_handshake()
            self._plain.close(linger=self._lingers)
            return
        with contextlib.suppress(ssl.SSLError, OSError):  # it waits for the client's close_notify: ours is written
            self._tls.unwrap()
        self._flush()
        # The client's own may be among what has come already.
        lingers = self._lingers and not (self.input_over or self._client_ended(b""))
        self._plain.close_until(lingers, self._client_ended)

    def _client_ended(self, data: bytes) -> bool:
        """Whether the client's close_notify stands in `data`, records of which nothing else counts any more."""
        self._incoming.write(data)
        try:
            while self._tls.read(READ_BYTES):
                pass
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLError:  # more has to come, or nothing can be understood any more
            if self._unencrypted is None:
                self._outgoing.read()  # no answer can stand behind our close_notify
            elif self._outgoing.pending > _ENCRYPT_BYTES:  # it asks on and on, and takes nothing
                self._plain.services.loop.call_soon(self._plain.abort)
            return False
        return True

    # --- going to another process ---

    def write_file(self, part: FilePart) -> None:
        raise AssertionError("a TLS stream takes no files")

    def stay(self) -> None:
        """See `Stream`. Nothing more is known of the session than OpenSSL knows, or the record layer needs."""
        if self._witness is not None:
            self._witness.wipe()
            self._witness = None
        self._mover = None

    def state(self) -> TlsState | None:
        """See `Stream`."""
        if self._mover is None:
            return None
        self._asked = True
        if self._undelivered or self.mid_record or self._unencrypted is not None:
            return None
        if self._incoming.pending or (self._continued is None and self._engine.pending()):
            return None  # more was read with what the consumer gets at this moment, and comes next
        if self._outgoing.pending:  # the answer to what the consumer is being given: it is sent in a moment
            return None
        self._asked = False
        found = self._mover.state()
        if found is None:
            self.stay()
        return found

    def leave(self) -> int:
        return self._plain.leave()

    def detach(self) -> None:
        self._plain.detach()

    def come_back(self) -> None:
        self._plain.come_back()


def _holds_a_record(data: bytes) -> bool:
    """Whether OpenSSL has something to act on: a whole record of a handshake, or what can't become one."""
    if data[0] != _HANDSHAKE:
        # No type of a record is a letter (RFC 8446 section 5.1): this is text, and a few letters tell of what kind.
        return not data[:1].isalpha() or len(data) >= _MOST_PLAIN_BYTES or b"\n" in data
    if len(data) < _RECORD_HEADER_BYTES:
        return False
    size = data[3] << 8 | data[4]
    return size > _MOST_RECORD_BYTES or len(data) >= _RECORD_HEADER_BYTES + size


def _blames_certificate(error: OSError) -> bool:
    """Whether a handshake failed because of the client's certificate: it has none, or none that is accepted."""
    reason = getattr(error, "reason", None)
    return isinstance(error, ssl.SSLCertVerificationError) or reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"


def _opened(alpn: str | None) -> None:
    """In the place of `OnOpen` when it was called."""


def _no_answer(data: bytes) -> bytes:
    """In the place of `AnswerPlain` when the client speaks TLS."""
    return b""
