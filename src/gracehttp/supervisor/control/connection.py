"""One client of the control socket: it sends a line, and is sent lines."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from gracehttp.system.readiness import Watch
from gracehttp.values import Descriptor, Value
from gracehttp.wire.control import MOST_REQUEST_BYTES, Outcome, Progress, write_answer
from gracehttp.wire.json_lines import LineBuffer

REQUEST_TIMEOUT_SECONDS = 10.0
MOST_UNREAD_BYTES = 1 << 20
"""With more unread, a client is dropped: it reads no answers, and they would fill the supervisor's memory."""


class ClientRecord(Value):
    """A client, to go on with in another process. `awaits` is the generation whose outcome it waits for."""

    socket: Descriptor
    asked: bool
    incoming: bytes = b""
    outgoing: bytes = b""
    awaits: int | None = None


class ControlConnection:
    """Owns its socket. What was read and not understood yet, and what was not sent yet, are kept here alone. So the
    connection can be carried to another process between any two of its bytes.

    `on_request(connection, line)` is called once, `on_end(connection)` when the connection is closed.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_request: Callable[[ControlConnection, bytes], None],
        on_end: Callable[[ControlConnection], None],
        record: ClientRecord | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.socket = sock
        self._on_request = on_request
        self._on_end = on_end
        self._asked = record.asked if record else False
        self._incoming = LineBuffer(record.incoming if record else b"")
        self._outgoing = bytearray(record.outgoing if record else b"")
        self._last_line_is_written = record is not None and record.asked and record.awaits is None
        self._timeout = self._loop.call_later(REQUEST_TIMEOUT_SECONDS, self.close)
        self._reading: Watch | None = None
        self._writing: Watch | None = None
        sock.setblocking(False)
        if self._asked:
            self._timeout.cancel()
        else:
            self._reading = Watch(self._loop, sock.fileno(), self._read)
        if self._outgoing:
            self._loop.call_soon(self._flush)

    @property
    def answered(self) -> bool:
        """True when only the sending of the last line, if that, is left."""
        return self._last_line_is_written

    def tell(self, outcome: Outcome) -> None:
        """Send the last line, then close."""
        self._last_line_is_written = True
        self.send(outcome)

    def send(self, answer: Progress | Outcome) -> None:
        """Send one line, as soon as the client takes it."""
        if self.socket.fileno() >= 0:
            self._outgoing += write_answer(answer)
            self._flush()

    def carry(self, awaits: int | None) -> ClientRecord:
        return ClientRecord(
            socket=Descriptor(self.socket.fileno()),
            asked=self._asked,
            incoming=self._incoming.rest,
            outgoing=bytes(self._outgoing),
            awaits=awaits,
        )

    def close(self) -> None:
        if self.socket.fileno() < 0:
            return
        self._timeout.cancel()
        self._stop_reading()
        self._stop_writing()
        self.socket.close()
        self._on_end(self)

    def _read(self) -> None:
        try:
            data = self.socket.recv(MOST_REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        lines = self._incoming.feed(data)
        if lines or not data or len(self._incoming.rest) > MOST_REQUEST_BYTES:
            self._asked = True  # nothing that it sends after that counts, nor that it closes its side
            self._timeout.cancel()
            self._stop_reading()
            self._on_request(self, lines[0] if lines else self._incoming.rest)

    def _flush(self) -> None:
        try:
            while self._outgoing:
                del self._outgoing[: self.socket.send(self._outgoing)]
        except BlockingIOError:
            if len(self._outgoing) > MOST_UNREAD_BYTES:
                self.close()
            elif self._writing is None:
                self._writing = Watch(self._loop, self.socket.fileno(), self._flush, for_writing=True)
            return
        except OSError:
            self.close()
            return
        self._stop_writing()
        if self._last_line_is_written:
            self.close()

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.stop()
            self._reading = None

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.stop()
            self._writing = None
