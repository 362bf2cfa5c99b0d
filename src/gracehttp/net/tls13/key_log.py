"""The secrets of TLS sessions as OpenSSL tells them: lines of a key log, in memory, and only for a moment.

The format is that of SSLKEYLOGFILE (RFC 9850): a label, the client random, the secret, in hexadecimal digits. OpenSSL
writes a line while it derives a secret, into a file whose name it is given. Here that is a memfd (memfd_create(2)):
nothing of it is ever on a disk. `take` reads and overwrites it after each step of a handshake. Two copies are out of
reach: those in OpenSSL's own session, which would be there anyway, and the buffer of the C library, which has a line
until the next one is written.

A context has one key log. If it has one already, for people (SSLKEYLOGFILE), each line is copied there.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from typing import Final

from gracehttp.net.tls13.state import wipe

READ_LABEL: Final = b"CLIENT_TRAFFIC_SECRET_0"
WRITE_LABEL: Final = b"SERVER_TRAFFIC_SECRET_0"
_LABELS: Final = (READ_LABEL, WRITE_LABEL)
_DIGITS: Final = {digit: value for value, digit in enumerate(b"0123456789abcdef")} | {
    digit: value for value, digit in enumerate(b"ABCDEF", 10)
}

Secrets = dict[tuple[bytes, bytes], bytearray]
"""By label and client random, in hexadecimal digits of lower case."""


class KeyLog:
    """The key log of the contexts that it is attached to, in one thread."""

    def __init__(self) -> None:
        """Raises `OSError`."""
        self._file = os.memfd_create("gracehttp-key-log")
        self._name = f"/proc/self/fd/{self._file}"
        self._copies: dict[str, int] = {}  # descriptors of the key logs for people, by their names

    def attach(self, context: ssl.SSLContext) -> None:
        """To be called for each context of a port, before its first handshake. Raises `OSError`."""
        for_people = context.keylog_filename
        if for_people is not None and for_people != self._name and for_people not in self._copies:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._copies[for_people] = os.open(for_people, flags, 0o600)
        context.keylog_filename = self._name
        self._forget(os.fstat(self._file).st_size)  # a comment

    def take(self) -> Secrets:
        """The traffic secrets that were written since the last call. Nothing is left of them here."""
        size = os.fstat(self._file).st_size
        if not size:
            return {}
        lines = bytearray(size)
        os.preadv(self._file, [lines], 0)
        self._forget(size)
        for copy in self._copies.values():
            with contextlib.suppress(OSError):  # no client must wait, or go, for a disk that is full
                os.write(copy, lines)
        secrets = _parse(lines)
        wipe(lines)
        return secrets

    def close(self) -> None:
        """OpenSSL has a descriptor of its own, as long as the context lives."""
        os.close(self._file)
        while self._copies:
            os.close(self._copies.popitem()[1])

    def _forget(self, size: int) -> None:
        # The pages are overwritten before they are free. OpenSSL appends, so the next line stands at the begin again.
        os.pwrite(self._file, bytes(size), 0)
        os.ftruncate(self._file, 0)


def _parse(lines: bytearray) -> Secrets:
    """Without a copy of a secret that can't be overwritten."""
    secrets: Secrets = {}
    at = 0
    while (end := lines.find(b"\n", at)) >= 0:
        for label in _LABELS:
            if lines.startswith(label + b" ", at):
                begin = at + len(label) + 1
                middle = lines.find(b" ", begin, end)
                if middle >= 0:
                    secrets[label, bytes(lines[begin:middle]).lower()] = _unhex(lines, middle + 1, end)
        at = end + 1
    return secrets


def _unhex(lines: bytearray, begin: int, end: int) -> bytearray:
    secret = bytearray((end - begin) // 2)
    for at in range(len(secret)):
        digit = begin + 2 * at
        secret[at] = _DIGITS.get(lines[digit], 0) << 4 | _DIGITS.get(lines[digit + 1], 0)
    return secret
