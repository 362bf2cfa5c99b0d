"""One direction of TLS 1.3: its traffic secret, the keys that come of it, and its sequence number (RFC 8446).

Needs the package `cryptography`.
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from gracehttp.net.tls13.state import wipe

HEADER_BYTES: Final = 5
TAG_BYTES: Final = 16
IV_BYTES: Final = 12
MOST_PLAIN_BYTES: Final = 16384
"""Of the content of one record (RFC 8446 section 5.1)."""
MOST_SEALED_BYTES: Final = MOST_PLAIN_BYTES + 256
"""Of one record after its header (section 5.2)."""
LAST_SEQUENCE: Final = 2**64 - 1

ALERT: Final = 21
HANDSHAKE: Final = 22
APPLICATION_DATA: Final = 23

_RECORD: Final = b"\x17\x03\x03"  # what each protected record says that it is (section 5.2)


class Cipher(NamedTuple):
    """A cipher suite. `most_records` may be sealed with one key: section 5.5 allows 2^24.5 full ones for AES-GCM, and
    for ChaCha20-Poly1305 more than there are sequence numbers."""

    digest: str
    secret_bytes: int
    key_bytes: int
    aead: type[AESGCM] | type[ChaCha20Poly1305]
    most_records: int


CIPHERS: Final = {
    "TLS_AES_128_GCM_SHA256": Cipher("sha256", 32, 16, AESGCM, 2**24),
    "TLS_AES_256_GCM_SHA384": Cipher("sha384", 48, 32, AESGCM, 2**24),
    "TLS_CHACHA20_POLY1305_SHA256": Cipher("sha256", 32, 32, ChaCha20Poly1305, LAST_SEQUENCE),
}
"""By their names in RFC 8446 appendix B.4, which are OpenSSL's too."""


class NotGenuine(Exception):
    """A record is not what the peer has sealed under this key as its next one."""


def expand_label(digest: str, secret: bytes | bytearray, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 section 7.1). `length` is at most that of the digest, so that
    one block of HKDF-Expand is enough (RFC 5869 section 2.3)."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes((len(label),)) + label + b"\x00" + b"\x01"
    return hmac.digest(secret, info, digest)[:length]


class TrafficKeys:
    """Seals or opens the records of one direction, each with the next sequence number."""

    __slots__ = ("_aead", "_iv", "cipher", "secret", "sequence")

    def __init__(self, cipher: Cipher, secret: bytearray, sequence: int = 0) -> None:
        """Owns `secret`. `sequence` is the number of the next record."""
        self.cipher = cipher
        self.secret = secret
        self.sequence = sequence
        self._derive()

    def _derive(self) -> None:
        """RFC 8446 section 7.3."""
        cipher = self.cipher
        self._aead = cipher.aead(expand_label(cipher.digest, self.secret, b"key", cipher.key_bytes))
        self._iv = int.from_bytes(expand_label(cipher.digest, self.secret, b"iv", IV_BYTES), "big")

    @property
    def worn_out(self) -> bool:
        """Whether no more should be sealed under this key."""
        return self.sequence >= self.cipher.most_records

    def seal(self, kind: int, content: bytes | memoryview, padding: int = 0) -> bytes:
        """One record of at most `MOST_PLAIN_BYTES`, with `padding` zeros behind it (section 5.4)."""
        header = _RECORD + (len(content) + 1 + padding + TAG_BYTES).to_bytes(2, "big")
        inner = b"".join((content, bytes((kind,)), bytes(padding)))
        nonce = (self._iv ^ self.sequence).to_bytes(IV_BYTES, "big")
        self.sequence += 1
        return header + self._aead.encrypt(nonce, inner, header)

    def open(self, header: bytes, sealed: bytes) -> bytes:
        """What the peer has sealed: content, its kind, padding. Raises `NotGenuine`."""
        nonce = (self._iv ^ self.sequence).to_bytes(IV_BYTES, "big")
        if len(sealed) < TAG_BYTES:
            raise NotGenuine
        try:
            inner = self._aead.decrypt(nonce, sealed, header)
        except InvalidTag as exc:
            raise NotGenuine from exc
        self.sequence += 1
        return inner

    def update(self) -> None:
        """Go on with the next secret (section 7.2). The first record under it has the number 0."""
        following = expand_label(self.cipher.digest, self.secret, b"traffic upd", self.cipher.secret_bytes)
        self.secret[:] = following
        self.sequence = 0
        self._derive()

    def wipe(self) -> None:
        """Overwrite the secret. The keys are the library's, which overwrites them when it frees them."""
        wipe(self.secret)
