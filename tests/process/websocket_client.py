"""A WebSocket client down to its bytes: frames as they are wanted, right or wrong, and what the server says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any, NamedTuple

from deadlines import DEADLINE_SECONDS

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the example of RFC 6455 section 1.3
MASK = b"\x37\xfa\x21\x3d"


class Frame(NamedTuple):
    first: int
    payload: bytes

    @property
    def opcode(self) -> int:
        return self.first & 15


def masked(payload: bytes, mask: bytes = MASK) -> bytes:
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, flags: int = 0, mask: bytes | None = MASK) -> bytes:
    """A frame of a client; `mask` None sends it as a server would."""
    size = len(payload)
    bit = 0 if mask is None else 0x80
    first = bytes([(FIN if fin else 0) | flags | opcode])
    if size < 126:
        length = bytes([bit | size])
    elif size < 65536:
        length = bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([bit | 127]) + size.to_bytes(8, "big")
    return first + length + (payload if mask is None else mask + masked(payload, mask))


def text(message: str, **options) -> bytes:
    return frame(TEXT, message.encode(), **options)


def binary(message: bytes, **options) -> bytes:
    return frame(BINARY, message, **options)


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def frames_in(data: bytes) -> tuple[list[Frame], bytes]:
    """The server's frames in `data`, and what is left of it."""
    found = []
    while len(data) >= 2:
        assert not data[1] & 0x80, "a server masks nothing (RFC 6455 section 5.1)"
        size, header = data[1], 2
        if size == 126:
            size, header = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, header = int.from_bytes(data[2:10], "big"), 10
        if len(data) < header + size:
            break
        found.append(Frame(data[0], bytes(data[header : header + size])))
        data = data[header + size :]
    return found, data


def closing(received: Frame) -> tuple[int | None, str]:
    """Code and reason of a close frame."""
    assert received.opcode == CLOSE, received
    code = int.from_bytes(received.payload[:2], "big") if received.payload else None
    return code, received.payload[2:].decode()


def handshake(path: str = "/", headers: tuple[tuple[str, str], ...] = (), **changes: str | None) -> bytes:
    """The request; `changes` are other values of the usual fields, by their names with _ for -; None leaves one out."""
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY.decode(),
        "Sec-WebSocket-Version": "13",
    }
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


_opened: list[asyncio.StreamWriter] = []


def run(scenario: Coroutine[Any, Any, None], seconds: float = DEADLINE_SECONDS) -> None:
    """Run a scenario with WebSockets; those that it leaves open are cut. The time-out is against hanging only."""

    async def main() -> None:
        _opened.clear()  # of another loop
        try:
            await asyncio.wait_for(scenario, seconds)
        finally:
            for writer in _opened:
                writer.transport.abort()
            _opened.clear()
            await asyncio.sleep(0)  # for what they have called soon

    asyncio.run(main())


class WebSocket:
    """One that is open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        self.reader = reader
        self.writer = writer
        self.head = head
        _opened.append(writer)

    @classmethod
    async def connect(cls, port: int, path: str = "/", *, tls: ssl.SSLContext | None = None, **options) -> WebSocket:
        name = {"server_hostname": "localhost"} if tls else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, **name)
        writer.write(handshake(path, **options))
        head = await reader.readuntil(b"\r\n\r\n")
        return cls(reader, writer, head)

    @property
    def status(self) -> int:
        return int(self.head.split(b" ")[1])

    async def receive(self) -> Frame:
        """The next frame; pings are answered."""
        while True:
            first, size = await self.reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            received = Frame(first, await self.reader.readexactly(size))
            if received.opcode != PING:
                return received
            self.writer.write(frame(PONG, received.payload))

    async def echoed(self, message: str) -> None:
        self.writer.write(text(message))
        assert await self.receive() == Frame(FIN | TEXT, message.encode())

    async def close(self, code: int = 1000) -> tuple[int | None, str]:
        """Close it, and return what the server has answered."""
        self.writer.write(close(code))
        while (received := await self.receive()).opcode != CLOSE:
            pass
        assert await self.reader.read() == b""
        self.writer.close()
        return closing(received)
