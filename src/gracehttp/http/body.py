"""The body of a request between the protocol and the application."""

from __future__ import annotations

from collections.abc import Sequence

from gracehttp.http.head import Header

HIGH_WATER_BYTES = 65536
"""When more than this waits for the application, the connection reads no further."""

_MOST_PIECES = 128
"""More are made one: a piece of a few bytes takes 20 times as much memory, and clients choose the size."""

_NOTHING_LEFT = (b"", False)


class RequestBody:
    """Pieces that have arrived and that the application has not taken yet."""

    __slots__ = ("_pieces", "buffered", "complete", "trailers")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.buffered = 0
        self.complete = False
        self.trailers: Sequence[Header] = ()
        """The trailer fields, names in lower case, when the body is complete."""

    @property
    def full(self) -> bool:
        """Whether more waits than memory should be spent on."""
        return self.buffered > HIGH_WATER_BYTES

    def put(self, pieces: list[bytes], complete: bool) -> None:
        """Add what has arrived; `complete`: that was the end."""
        for piece in pieces:
            self._pieces.append(piece)
            self.buffered += len(piece)
        if len(self._pieces) > _MOST_PIECES:
            self._pieces = [b"".join(self._pieces)]
        self.complete = complete

    def take(self) -> tuple[bytes, bool] | None:
        """All that waits, and whether more will come; None if nothing waits but more is expected."""
        pieces = self._pieces
        if not pieces:
            return _NOTHING_LEFT if self.complete else None
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self.buffered = 0
        return data, not self.complete


NO_REQUEST_BODY = RequestBody()
"""Shared by all requests without a body: complete from the start, so nothing is ever put into it."""
NO_REQUEST_BODY.complete = True
