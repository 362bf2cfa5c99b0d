"""One WebSocket of an ASGI application: its scope, and its messages in both directions.

https://asgi.readthedocs.io/en/latest/specs/www.html, format 2.5, with the extension "WebSocket Denial Response".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gracehttp.applications.asgi.extensions import OF_WEBSOCKETS
from gracehttp.applications.asgi.requests import is_explained, is_taken_down
from gracehttp.applications.asgi.types import Message, Scope
from gracehttp.http.exchange import ClientDisconnected, ResponseError

if TYPE_CHECKING:
    from gracehttp.applications.asgi.application import AsgiApplication
    from gracehttp.http.websocket.session import WebSocketSession

_SCHEMES = {"http": "ws", "https": "wss"}


class WebSocketCycle:
    """One call of the application. `receive` and `send` are what the application gets."""

    __slots__ = ("_application", "_connect_given", "_end_given", "_session", "begun", "ended")

    def __init__(self, application: AsgiApplication, session: WebSocketSession) -> None:
        self._application = application
        self._session = session
        self._connect_given = False
        self._end_given = False  # the application has ended it
        self.begun = False
        self.ended = False

    def time_out(self, _seconds: float) -> bool:
        """Never: a WebSocket lasts as long as it lasts."""
        return False

    async def run(self) -> None:
        """Await the application, and end the WebSocket with what it raised. See `RequestCycle.run`."""
        self.begun = True
        application = self._application
        session = self._session
        head = session.head
        line = head.line
        scope: Scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": line.http_version,
            "scheme": _SCHEMES[head.scheme],
            "path": line.path,
            "raw_path": line.raw_path,
            "query_string": line.query_string,
            "root_path": line.root_path,
            "headers": head.headers,
            "client": head.client,
            "server": head.server,
            "subprotocols": session.subprotocols,
            "state": application.lifespan.state.copy(),
            "extensions": {name: {} for name in OF_WEBSOCKETS},
        }
        if head.tls is not None:
            head.tls.add_to(scope["extensions"])
        try:
            await application.app(scope, self.receive, self.send)
        except asyncio.CancelledError as error:
            self.finish(error)
            raise
        except BaseException as error:
            if is_taken_down(error):
                raise
            self.finish(error)
        else:
            self.finish(None)

    def finish(self, error: BaseException | None) -> None:
        """End the WebSocket with `error`, which the application raised, unless the client's departure explains it."""
        if error is not None and self._session.ended and is_explained(error, self._application.cancelled):
            error = None
        self.ended = True
        self._application.finished(self)
        self._session.end(error)

    async def receive(self) -> Message:
        """`websocket.connect`, then the messages of the client in order, and `websocket.disconnect` after the last."""
        session = self._session
        if not self._connect_given:
            self._connect_given = True
            return {"type": "websocket.connect"}
        while True:
            message = session.take()
            if message is not None:
                kind = "text" if isinstance(message, str) else "bytes"
                return {"type": "websocket.receive", kind: message}
            if session.ended:
                return {"type": "websocket.disconnect", "code": session.close_code, "reason": session.close_reason}
            await session.input()

    async def send(self, message: Message) -> None:
        """Pass `message` on. Returns when the client has read enough to be sent more.

        Raises `ClientDisconnected` when the WebSocket has ended, and `ResponseError` for a message that is unknown, out
        of order or malformed.
        """
        session = self._session
        kind = message.get("type")
        if kind == "websocket.send":
            if self._end_given:
                raise ResponseError("websocket.send after the application has ended the WebSocket")
            session.send(_payload(message))
            if not session.writable:
                await session.wait_until_writable()
                if session.ended:
                    raise ClientDisconnected("the WebSocket has ended")
            return
        if self._end_given:
            raise ResponseError(f"{kind!r} after the application has ended the WebSocket")
        if kind == "websocket.accept":
            session.accept(message.get("subprotocol"), message.get("headers") or ())
        elif kind == "websocket.close":
            code = message.get("code")
            session.close(1000 if code is None else code, message.get("reason") or "")
            self._end_given = True
        elif kind == "websocket.http.response.start":
            if "status" not in message:
                raise ResponseError("websocket.http.response.start has no status")
            session.start_denial(message["status"], message.get("headers", ()))
        elif kind == "websocket.http.response.body":
            await self._send_denial(message)
        else:
            raise ResponseError(f"{kind!r} is no message that can be sent to a WebSocket")

    async def _send_denial(self, message: Message) -> None:
        exchange = self._session.exchange
        if exchange.disconnected:
            raise ClientDisconnected("the client is gone")
        more = message.get("more_body", False)
        self._session.write_denial(message.get("body", b""), more)
        self._end_given = not more
        if not exchange.writable:
            await exchange.wait_until_writable()


def _payload(message: Message) -> str | bytes:
    """What `websocket.send` has: text, or bytes if that is None."""
    text = message.get("text")
    if text is not None:
        if isinstance(text, str):
            return text
        raise ResponseError(f"text of websocket.send must be str, not {type(text).__name__}")
    data = message.get("bytes")
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    raise ResponseError("websocket.send needs text or bytes")
