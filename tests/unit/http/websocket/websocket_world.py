"""One WebSocket in the world of `http_fakes`: the session for the test's application, the frames for its client."""

from __future__ import annotations

from typing import Any

from http_fakes import Wire
from websocket_client import Frame, closing, frames_in, handshake

from gracehttp.http.settings import WebSocketSettings
from gracehttp.http.websocket.session import WebSocketSession


class Socket(Wire):
    """A connection whose client asks for a WebSocket at once, unless `asks` says otherwise."""

    def __init__(self, *, asks: bytes | None = None, accepts: bool = True, tls: bool = False, **settings: Any) -> None:
        super().__init__(tls=tls, websocket=WebSocketSettings(**settings))
        self.sessions: list[WebSocketSession] = []
        self.application.handle_websocket = self.sessions.append
        self._seen = 0
        self.head = b""
        request = handshake() if asks is None else asks
        if request:
            self.send(request)
        if accepts and self.sessions:
            self.session.accept()
            self.turn()
            self.read_head()

    @property
    def session(self) -> WebSocketSession:
        return self.sessions[-1]

    def read_head(self) -> bytes:
        """The head of the answer to the handshake."""
        sent = bytes(self.kernel.sent[self._seen :])
        self.head, _, _ = sent.partition(b"\r\n\r\n")
        self._seen += len(self.head) + 4
        return self.head

    def frames(self) -> list[Frame]:
        """What has come since the last call."""
        found, rest = frames_in(bytes(self.kernel.sent[self._seen :]))
        assert not rest
        self._seen = len(self.kernel.sent)
        return found

    def closing(self) -> tuple[int | None, str]:
        """Code and reason of the only frame that has come."""
        (received,) = self.frames()
        return closing(received)

    def taken(self) -> list[str | bytes]:
        """All messages that wait for the application."""
        found = []
        while (message := self.session.take()) is not None:
            found.append(message)
        self.turn()
        return found

    @property
    def reading(self) -> bool:
        return self.stream.reading
