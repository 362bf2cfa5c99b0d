"""When a client's behaviour is a flood. Pure.

Each flood that is known makes a server work for frames that carry nothing: resets (CVE-2023-44487, and CVE-2025-8671,
where the client makes the server send them), PING, SETTINGS, PRIORITY, WINDOW_UPDATE for a byte at a time, empty DATA
(CVE-2019-9511 to 9518). So two things are counted, whatever the frames are: bytes that carry nothing of a message, and
streams that ended in an error which the client has caused. Each has an allowance that time gives back.
"""

from __future__ import annotations

from typing import Final

WASTE_BYTES: Final = 65536
"""So many bytes may come that carry nothing of a message, beyond as many as message bytes were exchanged."""
MOST_CREDIT_BYTES: Final = 262144
"""What message bytes can earn: a client that was busy for hours must not save that up for a flood."""
WASTE_BYTES_PER_SECOND: Final = 2048.0
"""A PING and the answer to a SETTINGS now and then are no flood."""
MOST_RESETS: Final = 1000
"""A browser that leaves a page resets all of its streams at once."""
RESETS_PER_SECOND: Final = 33.0


class FloodGuard:
    """The two accounts of one connection. Times are seconds of one clock."""

    __slots__ = ("_looked_at", "_resets", "_waste")

    def __init__(self, now: float) -> None:
        self._waste = float(WASTE_BYTES)
        self._resets = float(MOST_RESETS)
        self._looked_at = now

    def earn(self, size: int) -> None:
        """`size` bytes of messages were exchanged."""
        waste = self._waste + size
        self._waste = waste if waste < MOST_CREDIT_BYTES else float(MOST_CREDIT_BYTES)

    def count(self, received: int, resets: int, now: float) -> bool:
        """Whether it is a flood, now that `received` bytes have come and `resets` streams have ended in an error."""
        self._waste -= received
        self._resets -= resets
        if self._waste >= 0 and self._resets >= 0:
            return False
        passed = now - self._looked_at
        self._looked_at = now
        self._waste = min(self._waste + passed * WASTE_BYTES_PER_SECOND, MOST_CREDIT_BYTES)
        self._resets = min(self._resets + passed * RESETS_PER_SECOND, MOST_RESETS)
        return self._waste < 0 or self._resets < 0
