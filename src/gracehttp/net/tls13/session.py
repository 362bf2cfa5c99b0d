"""A session that goes on here, called as `ssl.SSLObject` and its two `ssl.MemoryBIO` are: see `net.tls_stream`."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple

from gracehttp.net.tls13.records import ConnectionBroken, RecordLayer
from gracehttp.net.tls13.state import TlsState


class Suites(NamedTuple):
    """In the place of an `ssl.SSLContext`: the numbers of the cipher suites by their names."""

    cipher_suites: Mapping[str, int]


SUITES: Final = Suites(
    {
        "TLS_AES_128_GCM_SHA256": 0x1301,
        "TLS_AES_256_GCM_SHA384": 0x1302,
        "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
    }
)
"""RFC 8446 appendix B.4."""


class ContinuedSession:
    """In the place of an `ssl.SSLObject`. `incoming` takes what the client sends, `outgoing` has what is to be sent."""

    __slots__ = ("_cipher", "_records", "incoming", "outgoing")

    def __init__(self, state: TlsState) -> None:
        """Owns the secrets in `state`. Raises `ValueError` if it makes no sense."""
        self._cipher = state.cipher
        self._records = RecordLayer(state)
        self.incoming = Incoming(self._records)
        self.outgoing = Outgoing(self._records)

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        """Name, protocol and secret bits of the cipher suite."""
        return self._cipher, "TLSv1.3", self._records.key_bits

    def getpeercert(self, binary_form: bool = False) -> None:
        """None: sessions of clients that were asked for a certificate don't go on."""

    @property
    def context(self) -> Suites:
        """Which certificate the client was shown, the process knew that carried out the handshake."""
        return SUITES

    def read(self, size: int) -> bytes:
        """The data of the next record that has some, whatever `size` says: a record is never larger than 16 KiB."""
        try:
            data = self._records.next_data()
        except ConnectionBroken as exc:
            raise ssl.SSLError(str(exc)) from exc
        if data is None:
            raise ssl.SSLWantReadError
        if not data:
            raise ssl.SSLZeroReturnError
        return data

    def write(self, data: bytes | memoryview) -> None:
        try:
            self.outgoing.sealed += self._records.seal(data)
        except ConnectionBroken as exc:
            raise ssl.SSLError(str(exc)) from exc

    def unwrap(self) -> None:
        """Write close_notify. It doesn't wait for the client's."""
        self.outgoing.sealed += self._records.close()

    def state(self) -> TlsState | None:
        """What another process needs to go on from here; None in the middle of something."""
        return None if self.outgoing.pending else self._records.state(self._cipher)

    def wipe(self) -> None:
        """Overwrite the secrets: this process has nothing more to do with the session."""
        self._records.wipe()


class Incoming:
    """In the place of an `ssl.MemoryBIO`: records of the client."""

    __slots__ = ("_records",)

    def __init__(self, records: RecordLayer) -> None:
        self._records = records

    @property
    def pending(self) -> int:
        return self._records.unread_bytes

    def write(self, data: bytes) -> None:
        if data:
            self._records.feed(data)


class Outgoing:
    """In the place of an `ssl.MemoryBIO`: records for the client."""

    __slots__ = ("_records", "sealed")

    def __init__(self, records: RecordLayer) -> None:
        self._records = records
        self.sealed = b""

    @property
    def pending(self) -> int:
        return len(self.sealed) + self._records.owed_bytes

    def read(self) -> bytes:
        records, self.sealed = self.sealed + self._records.take_owed(), b""
        return records
