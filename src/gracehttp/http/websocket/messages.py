"""Messages out of frames, and frames out of messages (RFC 6455 section 5). Pure: bytes in, bytes out.

The state machine is that of the library `websockets`: opcodes, masks, reserved bits, fragments, limits, the closing
handshake, and permessage-deflate with a bound on what is inflated. Here its frames become whole messages, and text is
checked (section 8.1). A frame that is sent is its header and its payload, deflated where that was agreed on (RFC 7692
section 7.2.1), and needs no library; neither does a whole message that comes alone, which is the most usual case.
"""

from __future__ import annotations

import codecs
import logging
import sys
import zlib
from typing import TYPE_CHECKING, Final, cast

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions.base import Extension
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLOSED, OPEN, Protocol, Side

try:
    from websockets.speedups import apply_mask
except ImportError:  # it was installed without its compiled part
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from zlib import _Decompress as _Decompressor

    from websockets.extensions.permessage_deflate import PerMessageDeflate

CONT, TEXT, BINARY, PONG = Opcode.CONT, Opcode.TEXT, Opcode.BINARY, Opcode.PONG

Message = str | bytes

NORMAL: Final = 1000
NO_STATUS: Final = 1005
"""The client's close frame had no code; never sent."""
ABNORMAL: Final = 1006
"""The connection ended without a close frame; never sent."""
PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012

_LONGEST_REASON_BYTES: Final = 123  # of a close frame: a control frame has 125, two of them are the code
_FINAL_TEXT: Final = 0x81
_FINAL_BINARY: Final = 0x82
_FINAL_PING: Final = 0x89
_DEFLATED: Final = 0x40
"""RSV1: the message was compressed (RFC 7692 section 6)."""
_WHOLE: Final = (_FINAL_TEXT, _FINAL_BINARY)
_WHOLE_DEFLATED: Final = (_DEFLATED | _FINAL_TEXT, _DEFLATED | _FINAL_BINARY)
_DEFLATED_END: Final = b"\x00\x00\xff\xff"
"""Of what was deflated up to a flush; not sent (RFC 7692 section 7.2.1)."""
_LONGEST_END_BYTES: Final = 1 + len(_DEFLATED_END)
"""Behind a last block stands an empty one, of which one byte is sent (RFC 7692 section 7.2.3.4)."""
_COPIED_BYTES: Final = 2044
"""A payload below this is copied, with `_DEFLATED_END` behind it: that is faster than a second call of zlib."""

_log = logging.getLogger("gracehttp.websocket")  # the library's own words; a user needs none
_log.setLevel(logging.CRITICAL)
_log.propagate = False

_new_utf8 = codecs.getincrementaldecoder("utf-8")


class _Deflate(Extension):
    """permessage-deflate, with what the library's own leaves out.

    A client may end its deflated data, by a block with BFINAL, with any message (RFC 7692 section 7.2.3.4). zlib reads
    nothing behind that, and keeps all that comes instead of it: the next message needs another decompressor.
    """

    __slots__ = ("_library", "decompressor", "frame_bytes")

    def __init__(self, library: PerMessageDeflate) -> None:
        self._library = library
        self.frame_bytes = 0
        """Of all frames so far, as the client has sent them: their inflated data doesn't tell."""
        self.decompressor = None if library.remote_no_context_takeover else library.decoder
        """The library's, if it keeps one from one message to the next."""

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        self.frame_bytes += _frame_bytes(len(frame.data))
        if frame.opcode is CONT and frame.rsv1:  # before 16.1 the library lets it pass (RFC 7692 section 6.1)
            raise ProtocolError("RSV1 bit set in continuation frame")
        decoded = self._library.decode(frame, max_size=max_size)
        if frame.opcode is TEXT or frame.opcode is BINARY or frame.opcode is CONT:
            decompressor = getattr(self._library, "decoder", None)  # none where it was of a message that is whole
            if decompressor is not None and decompressor.eof:
                self.replace(decompressor, frame.fin)
        return decoded

    def encode(self, frame: Frame) -> Frame:
        return self._library.encode(frame)

    def replace(self, decompressor: _Decompressor, whole: bool) -> None:
        """`decompressor` has come to a last block. `whole`: and the message is whole. Raises `ProtocolError`."""
        if len(decompressor.unused_data) > _LONGEST_END_BYTES:
            raise ProtocolError("there is data behind the last block")
        if whole and self.decompressor is not None:
            self.decompressor = self._library.decoder = zlib.decompressobj(wbits=-self._library.remote_max_window_bits)


class Messages:
    """The server's end of one WebSocket that is open.

    After each `feed` and each `close`: send `take_writes()`, then look at `over`.
    """

    __slots__ = (
        "_check",
        "_compressor",
        "_deflate",
        "_is_text",
        "_largest",
        "_parts",
        "_protocol",
        "_unread",
        "answered",
    )

    def __init__(self, max_size_bytes: int, deflate: PerMessageDeflate | None) -> None:
        """`max_size_bytes` is of a message, inflated; 0 is no limit."""
        self._protocol = Protocol(Side.SERVER, state=OPEN, max_size=max_size_bytes or None, logger=_log)
        self._largest = max_size_bytes or sys.maxsize  # that `whole` takes
        self._unread = 0  # bytes of the frame that has begun to come, or more
        self._deflate = None if deflate is None else _Deflate(deflate)
        self._compressor = None if deflate is None or deflate.local_no_context_takeover else deflate.encoder
        if self._deflate is not None:
            self._protocol.extensions = [self._deflate]
        self._parts: bytearray | None = None  # of a message whose last fragment has not come
        self._is_text = False
        self._check = _new_utf8()  # of the text in `_parts`, so that it is refused as soon as it is wrong
        self.answered = b""
        """The payload of the last pong."""

    # --- receiving ---

    @property
    def can_inflate(self) -> bool:
        """Whether what arrives may be much larger than its bytes."""
        return self._deflate is not None

    def whole(self, data: bytes) -> Message | None:
        """The message, if `data` is one frame of the most usual kind: a whole message, and nothing before or behind it.

        It is for speed alone. If it returns None, `data` is for `feed`.
        """
        length = len(data)
        if self._unread or length < 6 or self._parts is not None:
            return None
        first, second = data[0], data[1]
        size, start = second - 0x80, 6
        if size == 126 and length > 8:
            size, start = data[2] << 8 | data[3], 8
            if size < 126:
                return None
        elif not 0 <= size < 126:
            return None
        if size != length - start or size > self._largest or self._protocol.state is not OPEN:
            return None
        if first not in _WHOLE:
            decompressor = None if self._deflate is None else self._deflate.decompressor
            if decompressor is None or size >= _COPIED_BYTES or first not in _WHOLE_DEFLATED:
                return None
            return self._inflated(decompressor, first, apply_mask(data[start:], data[start - 4 : start]))
        payload = apply_mask(data[start:], data[start - 4 : start])
        try:
            return str(payload, "utf-8") if first == _FINAL_TEXT else payload
        except UnicodeDecodeError:
            return None

    def _inflated(self, decompressor: _Decompressor, first: int, payload: bytes) -> Message | None:
        """The message of a frame that begins with `first` and has a deflated `payload`.

        None: it is wrong. That ends the WebSocket, as it does in the library, and `feed` discards all that comes.
        """
        protocol = self._protocol
        most = 0 if self._largest == sys.maxsize else self._largest
        try:
            inflated = decompressor.decompress(payload + _DEFLATED_END, most)
            if decompressor.unconsumed_tail:
                protocol.fail(TOO_BIG, str(PayloadTooBig(None, most)))
                return None
            if decompressor.eof and self._deflate is not None:
                self._deflate.replace(decompressor, True)
            return str(inflated, "utf-8") if first == _DEFLATED | _FINAL_TEXT else inflated
        except zlib.error:
            protocol.fail(PROTOCOL_ERROR, "decompression failed")
        except ProtocolError as error:
            protocol.fail(PROTOCOL_ERROR, str(error))
        except UnicodeDecodeError as error:
            protocol.fail(INVALID_DATA, _not_utf8(error))
        return None

    def feed(self, data: bytes) -> list[Message]:
        """Bytes of the client. Returns the messages that are whole now, in order."""
        protocol = self._protocol
        deflate = self._deflate
        before = 0 if deflate is None else deflate.frame_bytes
        protocol.receive_data(data)
        self._unread += len(data)
        if deflate is not None:
            self._unread -= deflate.frame_bytes - before
        messages: list[Message] = []
        for frame in cast("list[Frame]", protocol.events_received()):  # requests are of the handshake
            opcode = frame.opcode
            if deflate is None:
                self._unread -= _frame_bytes(len(frame.data))
            try:
                if opcode is TEXT and frame.fin:
                    messages.append(str(frame.data, "utf-8"))
                elif opcode is BINARY and frame.fin:
                    messages.append(bytes(frame.data))
                elif opcode is PONG:
                    self.answered = bytes(frame.data)
                elif opcode is TEXT or opcode is BINARY or opcode is CONT:
                    whole = self._join(frame)
                    if whole is not None:
                        messages.append(whole)
            except UnicodeDecodeError as error:
                protocol.fail(INVALID_DATA, _not_utf8(error))
                break
        return messages

    def _join(self, frame: Frame) -> Message | None:
        """Keep a fragment; returns the message if it was the last one. Raises `UnicodeDecodeError`."""
        data = frame.data
        if self._parts is None or frame.opcode is not CONT:
            self._parts = bytearray()
            self._is_text = frame.opcode is TEXT
            self._check.reset()
        if self._is_text:
            self._check.decode(data, frame.fin)
        self._parts += data
        if not frame.fin:
            return None
        whole, self._parts = self._parts, None
        return whole.decode() if self._is_text else bytes(whole)

    # --- sending ---

    def data(self, message: Message) -> bytes:
        """The frame of a whole message. Not after `close`, or when it is over.

        Raises `UnicodeEncodeError` for text with half a surrogate pair.
        """
        if isinstance(message, str):
            return self._frame(_FINAL_TEXT, message.encode())
        return self._frame(_FINAL_BINARY, message)

    def _frame(self, first: int, payload: bytes) -> bytes:
        compressor = self._compressor
        if compressor is not None:
            deflated = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
            return framed(first | _DEFLATED, deflated[: -len(_DEFLATED_END)])
        if self._deflate is not None:
            frame = Frame(TEXT if first == _FINAL_TEXT else BINARY, payload)
            return frame.serialize(mask=False, extensions=self._protocol.extensions)
        return framed(first, payload)

    def ping(self, payload: bytes) -> bytes:
        """The frame of a ping."""
        return framed(_FINAL_PING, payload)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, if none was sent yet. `code` is one that `may_be_sent`; too long a reason is cut."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, _fitting(reason))

    def take_writes(self) -> bytes:
        """The frames that are to be sent: pongs, and close frames."""
        protocol = self._protocol
        if not protocol.writes:
            return b""
        return b"".join(protocol.data_to_send())  # the mark of the end is empty

    # --- the end ---

    def end(self) -> None:
        """The client has ended its half."""
        if not self.over:
            self._protocol.receive_eof()

    def release(self) -> None:
        """Give back what is large. Nothing may be fed or sent any more.

        The library's parser and its state refer to each other. They, and the tens of kilobytes of a compressor, would
        wait for the garbage collector, which a worker with little else to collect starts rarely.
        """
        self._compressor = self._deflate = None
        self._protocol.extensions.clear()
        self._protocol.parser.close()

    @property
    def open(self) -> bool:
        """No close frame was sent, nor received."""
        return self._protocol.state is OPEN

    @property
    def over(self) -> bool:
        """Nothing more is received or sent: the closing handshake is done, or the client broke the rules."""
        return self._protocol.eof_sent or self._protocol.state is CLOSED

    @property
    def closed_by_both(self) -> bool:
        """Both sides have sent a close frame, and the client broke no rule."""
        protocol = self._protocol
        return protocol.close_rcvd is not None and protocol.close_sent is not None and protocol.parser_exc is None

    @property
    def outcome(self) -> tuple[int, str]:
        """Code and reason of the end: those of the side that began it; 1006 if there was no close frame."""
        protocol = self._protocol
        sent, received = protocol.close_sent, protocol.close_rcvd
        first: Close | None = sent
        if received is not None and (sent is None or protocol.close_rcvd_then_sent):
            first = received
        return (int(first.code), first.reason) if first is not None else (ABNORMAL, "")


def framed(first: int, payload: bytes) -> bytes:
    """A frame that isn't masked; `first` is its first byte: flags and opcode (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (first, size, payload)
    if size < 65536:
        return b"%c\x7e%b%b" % (first, size.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (first, size.to_bytes(8, "big"), payload)


def _frame_bytes(size: int) -> int:
    """Of a frame of a client that has so many bytes of payload."""
    return size + (6 if size < 126 else 8 if size < 65536 else 14)


def may_be_sent(code: int) -> bool:
    """Whether `code` may stand in a close frame (RFC 6455 section 7.4, and the registry of IANA)."""
    return (1000 <= code <= 1014 and code not in (1004, NO_STATUS, ABNORMAL)) or 3000 <= code <= 4999


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"{error.reason} at position {error.start}"


def _fitting(reason: str) -> str:
    """As much of `reason` as a close frame takes, cut between two characters."""
    return reason.encode("utf-8", "replace")[:_LONGEST_REASON_BYTES].decode("utf-8", "ignore")
