"""Accepts clients of the supervisor itself: of its control socket, and of its addresses for probes and metrics."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from gracehttp.system.readiness import Watch

PAUSE_SECONDS: Final = 1.0
"""How long clients wait in the queue of the kernel when the system has no descriptor for one more (accept(2))."""
ACCEPTS_PER_WAKE_UP: Final = 64


class ClientAcceptor:
    """Calls `on_client(socket)` for each client of `listener`, from `begin` until `pause`, while `has_room()`.

    The listener is the caller's, non-blocking, and must be paused before it is closed. Where there was no room, `begin`
    must be called again.
    """

    def __init__(
        self,
        listener: socket.socket,
        on_client: Callable[[socket.socket], object],
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._on_client = on_client
        self._has_room = has_room
        self._watch: Watch | None = None

    def begin(self) -> None:
        """Accept, as soon as a client comes. Changes nothing where that goes on, or the listener is closed."""
        if self._watch is None and self._listener.fileno() >= 0:
            self._watch = Watch(self._loop, self._listener.fileno(), self._accept)

    def pause(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_WAKE_UP):
            if not self._has_room():
                self.pause()
                return
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            except OSError:
                self.pause()
                self._loop.call_later(PAUSE_SECONDS, self.begin)
                return
            self._on_client(client)
