"""The record layer of TLS 1.3 as a server has it after the handshake (RFC 8446 sections 4.6.3, 5 and 6). Pure.

    bytes of the client -> feed -> next_data -> data        (or an end, or an error with its alert)
    data                -> seal -> records

What must be sent though the application writes nothing (the answer to a KeyUpdate, an alert) is taken with `take_owed`.

    record                                          what it means
    ---------------------------------------------   -------------------------------------------------
    application data, empty too                     data
    KeyUpdate                                       the client's next secret; ours too if it asks for it
    alert close_notify                              the client's direction is over
    alert user_canceled                             nothing (section 6.1)
    any other alert                                 the connection is over
    does not open, or is shorter than its tag       bad_record_mac
    longer than is allowed, sealed or opened        record_overflow
    of an outer type that is not application data   unexpected_message
    nothing but padding, or of another kind         unexpected_message
    any other message of a handshake                unexpected_message: a client has nothing to say after it
    KeyUpdate that is cut off from its record       unexpected_message
    KeyUpdate of another length, of another value   decode_error, illegal_parameter
    alert of another length                         decode_error

A record that is tampered with, missing, repeated or out of order does not open: its number goes into its seal.
"""

from __future__ import annotations

import enum
from typing import Final

from gracehttp.net.tls13.keys import (
    ALERT,
    APPLICATION_DATA,
    CIPHERS,
    HANDSHAKE,
    HEADER_BYTES,
    LAST_SEQUENCE,
    MOST_PLAIN_BYTES,
    MOST_SEALED_BYTES,
    NotGenuine,
    TrafficKeys,
)
from gracehttp.net.tls13.state import TlsState

_KEY_UPDATE: Final = 24
_NOT_REQUESTED: Final = 0
_REQUESTED: Final = 1
_HANDSHAKE_HEADER_BYTES: Final = 4
_KEY_UPDATE_BYTES: Final = 5
_WARNING: Final = 1
_FATAL: Final = 2

MOST_RECORDS_WITHOUT_DATA: Final = 32
"""In a row: empty ones and KeyUpdates cost a client less than us."""


class Alert(enum.IntEnum):
    """Those that are said or understood here (RFC 8446 section 6)."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    ILLEGAL_PARAMETER = 47
    DECODE_ERROR = 50
    USER_CANCELED = 90


class ConnectionBroken(Exception):
    """Nothing more can be read or written."""


class ClientViolated(ConnectionBroken):
    """The client has broken a rule, or a third party its records. The alert that says so is owed."""

    def __init__(self, alert: Alert) -> None:
        super().__init__(alert.name.lower())
        self.alert = alert


class ClientGaveUp(ConnectionBroken):
    """The client has sent an alert that ends the connection."""

    def __init__(self, description: int) -> None:
        super().__init__(f"the client has sent alert {description}")
        self.description = description


class RecordLayer:
    """One session, from the end of its handshake on, or from any later point between two records."""

    __slots__ = ("_asked", "_at", "_broken", "_come", "_dataless", "_message", "_owed", "_read", "_write", "ended")

    def __init__(self, state: TlsState) -> None:
        """Owns the secrets in `state`. Raises `ValueError` if it makes no sense."""
        cipher = CIPHERS.get(state.cipher)
        if cipher is None:
            raise ValueError(f"there is no cipher suite {state.cipher!r} here")
        if {len(state.read_secret), len(state.write_secret)} != {cipher.secret_bytes}:
            raise ValueError("its secrets are of another length")
        if not (0 <= state.read_sequence < LAST_SEQUENCE and 0 <= state.write_sequence < LAST_SEQUENCE):
            raise ValueError("its sequence numbers are none")
        self._read = TrafficKeys(cipher, state.read_secret, state.read_sequence)
        self._write = TrafficKeys(cipher, state.write_secret, state.write_sequence)
        self._come = b""
        self._at = 0  # what is before it in `_come` was read
        self._message = b""  # the part of a message of the handshake protocol that has come
        self._owed = b""
        self._dataless = 0
        self._asked = False  # the client to update its key
        self._broken = False
        self.ended = False
        """The client has sent close_notify."""

    # --- reading ---

    @property
    def unread_bytes(self) -> int:
        """Of what has come, a part of a record included."""
        return len(self._come) - self._at

    def feed(self, data: bytes) -> None:
        """Bytes of the client, cut anywhere."""
        self._come = data if self._at == len(self._come) else self._come[self._at :] + data
        self._at = 0

    def next_data(self) -> bytes | None:
        """The data of the next record that has some. None: more has to come; empty: the client has ended its half.

        Raises `ConnectionBroken`, now and from then on.
        """
        if self._broken:
            raise ConnectionBroken
        try:
            while not self.ended:
                inner = self._next_record()
                if inner is None:
                    return None
                data = self._understand(inner)
                if data:
                    self._dataless = 0
                    return data
                self._count_dataless()
        except ClientViolated as violated:
            self._owed += self._write.seal(ALERT, bytes((_FATAL, violated.alert)))
            self._broken = True
            raise
        except ClientGaveUp:
            self._broken = True
            raise
        return b""

    def _count_dataless(self) -> None:
        self._dataless += 1
        if self._dataless > MOST_RECORDS_WITHOUT_DATA:
            raise ClientViolated(Alert.UNEXPECTED_MESSAGE)

    def _next_record(self) -> bytes | None:
        """The next record, opened; None if it isn't whole."""
        come, at = self._come, self._at
        if len(come) - at < HEADER_BYTES:
            return None
        # The version in the header counts for nothing by itself (section 5.1), but it is under the seal.
        if come[at] != APPLICATION_DATA:
            raise ClientViolated(Alert.UNEXPECTED_MESSAGE)
        size = come[at + 3] << 8 | come[at + 4]
        if size > MOST_SEALED_BYTES:
            raise ClientViolated(Alert.RECORD_OVERFLOW)
        begin = at + HEADER_BYTES
        end = begin + size
        if len(come) < end:
            return None
        if self._read.sequence >= LAST_SEQUENCE:  # it must not wrap (section 5.3), and no client gets there
            raise ClientViolated(Alert.UNEXPECTED_MESSAGE)
        try:
            inner = self._read.open(come[at:begin], come[begin:end])
        except NotGenuine:
            raise ClientViolated(Alert.BAD_RECORD_MAC) from None
        self._at = end
        if end == len(come):
            self._come = b""
            self._at = 0
        if len(inner) > MOST_PLAIN_BYTES + 1:
            raise ClientViolated(Alert.RECORD_OVERFLOW)
        return inner

    def _understand(self, inner: bytes) -> bytes:
        """The application data of a record, which is opened."""
        if not inner or not inner[-1]:
            inner = inner.rstrip(b"\x00")  # padding (section 5.4)
            if not inner:
                raise ClientViolated(Alert.UNEXPECTED_MESSAGE)
        kind, content = inner[-1], inner[:-1]
        if self._message and kind != HANDSHAKE:  # a message must not be interleaved with others (section 5.1)
            raise ClientViolated(Alert.UNEXPECTED_MESSAGE)
        if kind == APPLICATION_DATA:
            if self._read.worn_out and not self._asked:
                self._asked = True
                self._update_ours(_REQUESTED)
            return content
        if kind == ALERT:
            self._alerted(content)
        elif kind == HANDSHAKE and content:
            self._message += content
            self._key_update()
        else:
            raise ClientViolated(Alert.UNEXPECTED_MESSAGE)
        return b""

    def _alerted(self, content: bytes) -> None:
        """Section 6: what stands in the first byte, the level, counts for nothing."""
        if len(content) != 2:
            raise ClientViolated(Alert.DECODE_ERROR)
        description = content[1]
        if description == Alert.CLOSE_NOTIFY:
            self.ended = True
        elif description != Alert.USER_CANCELED:
            raise ClientGaveUp(description)

    def _key_update(self) -> None:
        """Section 4.6.3. The message may come in several records, and ends with one."""
        message = self._message
        if message[0] != _KEY_UPDATE:
            raise ClientViolated(Alert.UNEXPECTED_MESSAGE)
        if len(message) < _HANDSHAKE_HEADER_BYTES:
            return
        if int.from_bytes(message[1:_HANDSHAKE_HEADER_BYTES], "big") != 1:
            raise ClientViolated(Alert.DECODE_ERROR)
        if len(message) < _KEY_UPDATE_BYTES:
            return
        if len(message) > _KEY_UPDATE_BYTES:
            raise ClientViolated(Alert.UNEXPECTED_MESSAGE)
        request = message[_HANDSHAKE_HEADER_BYTES]
        if request not in (_NOT_REQUESTED, _REQUESTED):
            raise ClientViolated(Alert.ILLEGAL_PARAMETER)
        self._message = b""
        self._read.update()
        self._asked = False
        if request == _REQUESTED and not self._owed:  # one answer is enough to many, while we are silent
            self._update_ours(_NOT_REQUESTED)

    # --- writing ---

    def seal(self, data: bytes | memoryview) -> bytes:
        """Records for `data`, behind what is owed."""
        if self._broken:
            raise ConnectionBroken
        records = []
        for at in range(0, len(data), MOST_PLAIN_BYTES):
            if self._write.worn_out:
                self._update_ours(_NOT_REQUESTED)
            if self._owed:
                records.append(self.take_owed())
            records.append(self._write.seal(APPLICATION_DATA, data[at : at + MOST_PLAIN_BYTES]))
        return b"".join(records)

    def close(self) -> bytes:
        """close_notify, behind what is owed: nothing may be sealed afterwards."""
        if self._broken:
            return b""
        return self.take_owed() + self._write.seal(ALERT, bytes((_WARNING, Alert.CLOSE_NOTIFY)))

    def update(self, *, ask: bool = False) -> None:
        """Go on with our next secret, and, `ask`, let the client do so too. The message that says it is owed."""
        self._update_ours(_REQUESTED if ask else _NOT_REQUESTED)

    @property
    def owed_bytes(self) -> int:
        """Of what there is to `take_owed`."""
        return len(self._owed)

    @property
    def key_bits(self) -> int:
        return 8 * self._write.cipher.key_bytes

    def take_owed(self) -> bytes:
        """Records that must be sent now, before any others."""
        owed, self._owed = self._owed, b""
        return owed

    def _update_ours(self, request: int) -> None:
        self._owed += self._write.seal(HANDSHAKE, bytes((_KEY_UPDATE, 0, 0, 1, request)))
        self._write.update()

    # --- going to another process ---

    def state(self, cipher: str) -> TlsState | None:
        """What another process needs to go on from here; None in the middle of something."""
        if self._broken or self.ended or self.unread_bytes or self._message or self._owed:
            return None
        read, write = self._read, self._write
        return TlsState(cipher, bytearray(read.secret), read.sequence, bytearray(write.secret), write.sequence)

    def wipe(self) -> None:
        """Overwrite the secrets: this process has nothing more to do with the session."""
        self._broken = True
        self._read.wipe()
        self._write.wipe()
