"""What another process needs to go on with a session that OpenSSL has: its secrets, and the number of its records.

OpenSSL tells the first traffic secrets (`key_log`), and not how many records it has read and written, nor whether it
has gone on to other secrets (KeyUpdate, RFC 8446 section 4.6.3). So the records are counted as they pass, and before
the session goes, the last one of each direction is opened as a trial: if it opens with the first secret and its number,
and is no KeyUpdate itself, there was none before, and the count is right. Otherwise the session stays.
"""

from __future__ import annotations

import ssl
from typing import Final

from gracehttp.net.tls13.key_log import READ_LABEL, WRITE_LABEL, KeyLog
from gracehttp.net.tls13.keys import (
    APPLICATION_DATA,
    CIPHERS,
    HANDSHAKE,
    HEADER_BYTES,
    Cipher,
    NotGenuine,
    TrafficKeys,
)
from gracehttp.net.tls13.state import TlsState, wipe

_CLIENT_HELLO: Final = 1
_NEW_SESSION_TICKET: Final = 4
_RANDOM: Final = slice(6, 38)  # in a ClientHello with its header (RFC 8446 section 4.1.2)
_MAX_FRAGMENT_LENGTH: Final = 1


class Witness:
    """Watches one session of OpenSSL, from the first record of its client on."""

    __slots__ = ("_come", "_key_log", "_last_read", "_last_written", "_random", "_read", "_secrets", "_tls", "_written")

    def __init__(self, key_log: KeyLog) -> None:
        """`key_log` is attached to the context of the session."""
        self._key_log: KeyLog | None = key_log
        self._random = b""
        self._secrets: dict[bytes, bytearray] = {}
        self._tls: ssl.SSLObject | None = None
        self._come = b""  # the part of a record that has come
        self._read = self._written = 0
        self._last_read = self._last_written = b""

    # --- the handshake ---

    def hello(self, record: bytes) -> None:
        """The first record of the client has come. (The second ClientHello, if the first was refused, has the same
        random.)

        A client that wants short records (RFC 6066 section 4) doesn't go: how long a record may be would have to go
        along. Neither does one whose ClientHello needs several records.
        """
        if record[0] != HANDSHAKE:
            return
        try:
            message = record[HEADER_BYTES : HEADER_BYTES + (record[3] << 8 | record[4])]
            extensions = _extensions(message)
        except (IndexError, ValueError):
            return
        if _MAX_FRAGMENT_LENGTH not in extensions:
            self._random = message[_RANDOM].hex().encode()

    def step(self) -> None:
        """OpenSSL has gone on with the handshake, whatever came of it: what it has told is taken out of the key log."""
        if self._key_log is None:
            return
        for (label, random), secret in self._key_log.take().items():
            if random == self._random:
                self._secrets[label] = secret
            else:
                wipe(secret)

    def opened(self, tls: ssl.SSLObject, unread: bytes) -> bool:
        """The handshake is done, and OpenSSL has yet to read `unread`. Call this before what it has written meanwhile
        is passed to `written`. Tells whether the session could go."""
        self._key_log = None
        self._tls = tls
        could = (
            tls.version() == "TLSv1.3"
            and len(self._secrets) == 2
            and tls.context.verify_mode == ssl.CERT_NONE  # who the client is doesn't go along
            and self._cipher() is not None
        )
        if could:
            self.read(unread)
        return could

    def _cipher(self) -> Cipher | None:
        cipher = self._tls.cipher() if self._tls is not None else None
        return CIPHERS.get(cipher[0]) if cipher is not None else None

    # --- afterwards ---

    def read(self, data: bytes) -> None:
        """OpenSSL gets `data` of the client, cut anywhere."""
        if self._come:
            data = self._come + data
        at, size = 0, len(data)
        while size - at >= HEADER_BYTES:
            end = at + HEADER_BYTES + (data[at + 3] << 8 | data[at + 4])
            if end > size:
                break
            if data[at] == APPLICATION_DATA:
                self._read += 1
                self._last_read = data if end - at == size else data[at:end]
            at = end
        self._come = data[at:]

    def written(self, data: bytes) -> None:
        """OpenSSL has written `data`, whole records."""
        at, size, last = 0, len(data), -1
        while at < size:
            if data[at] == APPLICATION_DATA:
                self._written += 1
                last = at
            at += HEADER_BYTES + (data[at + 3] << 8 | data[at + 4])
        if last >= 0:
            self._last_written = data if last == 0 else data[last:]

    def state(self) -> TlsState | None:
        """What another process needs to go on from here, if the trial says so."""
        cipher = self._cipher()
        if cipher is None or self._come or self._tls is None or not self._secrets:
            return None
        read, written = self._secrets[READ_LABEL], self._secrets[WRITE_LABEL]
        if self._read and _open(cipher, read, self._read - 1, self._last_read)[-1:] != bytes((APPLICATION_DATA,)):
            return None
        if self._written:
            inner = _open(cipher, written, self._written - 1, self._last_written)
            is_ticket = inner[-1:] == bytes((HANDSHAKE,)) and inner[0] == _NEW_SESSION_TICKET
            if not is_ticket and inner[-1:] != bytes((APPLICATION_DATA,)):
                return None
        name = self._tls.cipher()
        assert name is not None, "it has one"
        return TlsState(name[0], bytearray(read), self._read, bytearray(written), self._written)

    def wipe(self) -> None:
        """Overwrite the secrets: this process has nothing more to do with the session."""
        for secret in self._secrets.values():
            wipe(secret)
        self._secrets = {}
        self._tls = None


def _open(cipher: Cipher, secret: bytearray, sequence: int, record: bytes) -> bytes:
    """The content of a record and its kind, without padding; empty if it doesn't open."""
    try:
        inner = TrafficKeys(cipher, secret, sequence).open(record[:HEADER_BYTES], record[HEADER_BYTES:])
    except NotGenuine:
        return b""
    return inner.rstrip(b"\x00")


def _extensions(message: bytes) -> set[int]:
    """The types of the extensions in a ClientHello (RFC 8446 section 4.1.2). Raises `ValueError` or `IndexError` if it
    is none, or not whole."""
    if message[0] != _CLIENT_HELLO or int.from_bytes(message[1:4], "big") != len(message) - 4:
        raise ValueError
    at = _RANDOM.stop
    at += 1 + message[at]  # the session id
    at += 2 + int.from_bytes(message[at : at + 2], "big")  # cipher suites
    at += 1 + message[at]  # compression methods
    at += 2  # the length of all extensions
    found = set()
    while at < len(message):
        found.add(message[at] << 8 | message[at + 1])
        at += 4 + (message[at + 2] << 8 | message[at + 3])
    return found
