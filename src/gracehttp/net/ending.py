"""The last part of a stream's life, when the server has decided to close it.

    all is with the kernel  ->  our half is shut  ->  (linger: the client's last bytes are discarded)  ->  closed

A client that takes nothing of what waits for it, or sends on and on, is not waited for without end.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gracehttp.net.progress import Progress

if TYPE_CHECKING:
    from gracehttp.net.stream import PlainStream, StreamServices

LINGER_SECONDS: Final = 2.0
"""How long a client may be silent before our patience ends."""
LONGEST_LINGER_SECONDS: Final = 30.0
"""For a client that sends on and on, from the time at which the kernel has all that was written: many clients read only
when all their upload is sent."""


class Ending:
    """Made when nothing more will be written. The stream passes on what happens to it."""

    __slots__ = ("_client_ended", "_ends_at", "_linger", "_progress", "_services", "_stream", "_took_at")

    def __init__(
        self,
        stream: PlainStream,
        services: StreamServices,
        sock: socket.SocketType,
        *,
        linger: bool,
        client_ended: Callable[[bytes], bool] | None,
    ) -> None:
        """Begins at once; see `PlainStream.close`."""
        self._client_ended = client_ended
        self._stream = stream
        self._services = services
        self._linger = linger
        self._took_at = services.loop.time()
        self._ends_at = self._took_at + LONGEST_LINGER_SECONDS
        # In the usual case all is with the kernel, and there is nothing to look after.
        self._progress = Progress(sock, stream.unsent_bytes) if stream.unsent_bytes else None
        self._look_later()

    def received(self, data: bytes) -> None:
        """The client has sent more, which is discarded."""
        if self._client_ended is not None and self._client_ended(data):
            self.input_ended()
            return
        if self._progress is not None:
            return  # what counts is whether it takes what waits for it
        if self._services.loop.time() > self._ends_at:
            self._stream.abort()
        else:
            self._look_later()

    def input_ended(self) -> None:
        """The client has ended its half: there is nothing more to discard."""
        self._linger = False
        if not self._stream.unsent_bytes:
            self._stream.abort()

    def all_sent(self) -> None:
        """The kernel has all that was written."""
        self._progress = None
        self._stream.shut_our_half()
        if self._linger:
            self._ends_at = self._services.loop.time() + LONGEST_LINGER_SECONDS
            self._look_later()
        else:
            self._stream.abort()

    def timed_out(self) -> None:
        """Go on only while the client takes what waits for it."""
        if self._progress is not None and self._still_takes(self._progress):
            self._look_later()
        else:
            self._stream.abort()

    def _still_takes(self, progress: Progress) -> bool:
        now = self._services.loop.time()
        if progress.went_on(self._stream.unsent_bytes):
            self._took_at = now
        return now - self._took_at < self._services.stall.seconds

    def _look_later(self) -> None:
        linger = self._services.linger
        linger.discard(self._stream)
        # With something unsent, look as often as a client may stand still, if that is less.
        stall_seconds = self._services.stall.seconds
        hurry = LINGER_SECONDS - stall_seconds if self._progress is not None and stall_seconds < LINGER_SECONDS else 0.0
        linger.add(self._stream, waited=hurry)
