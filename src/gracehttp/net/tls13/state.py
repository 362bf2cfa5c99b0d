"""What another process needs to go on with a session of TLS 1.3."""

from __future__ import annotations

from typing import NamedTuple


class TlsState(NamedTuple):
    """A cipher suite by its name in RFC 8446 appendix B.4, and for each direction the traffic secret (section 7.2) and
    the number of the next record (section 5.3). `read` is what the client sends. Its owner must `wipe` it."""

    cipher: str
    read_secret: bytearray
    read_sequence: int
    write_secret: bytearray
    write_sequence: int

    def __repr__(self) -> str:
        return f"TlsState({self.cipher}, {self.read_sequence} records read, {self.write_sequence} written)"

    def wipe(self) -> None:
        """Overwrite the secrets."""
        wipe(self.read_secret)
        wipe(self.write_secret)


def wipe(secret: bytearray) -> None:
    """Overwrite `secret` where it stands. Copies that Python or a library has made are out of reach."""
    secret[:] = bytes(len(secret))
