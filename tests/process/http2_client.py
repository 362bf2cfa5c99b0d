"""A client of HTTP/2 that retries nothing and accounts for each stream, on the library h2, which is none of ours."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections import Counter
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from deadlines import DEADLINE_SECONDS


class Http2Connection:
    """One connection. `closing` is set when the server has said that it ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, scheme: str) -> None:
        self._reader = reader
        self._writer = writer
        self._scheme = scheme
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="ascii"))
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(1 << 24)
        self.streams: dict[int, asyncio.Queue[Any]] = {}
        self.closing = False
        self.last_stream: int | None = None
        self.goaways: list[tuple[int, int]] = []
        self.ended = asyncio.Event()
        self._flush()
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, port: int, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Http2Connection:
        options = {"ssl": tls, "server_hostname": "localhost"} if tls else {}
        reader, writer = await asyncio.open_connection(host, port, **options)
        if tls is not None:
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        return cls(reader, writer, "https" if tls else "http")

    def _flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self._writer.write(data)

    async def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._reader.read(65536):
                for one in self._events(data):
                    self._note(one)
                self._flush()
        self.closing = True
        self.ended.set()
        for queue in self.streams.values():
            queue.put_nowait(None)

    def _events(self, data: bytes) -> list[Any]:
        # h2 takes a GOAWAY for the end of all: it is read here, and taken out.
        kept = b""
        self._rest = getattr(self, "_rest", b"") + data
        while len(self._rest) >= 9:
            size = 9 + int.from_bytes(self._rest[:3], "big")
            if len(self._rest) < size:
                break
            frame, self._rest = self._rest[:size], self._rest[size:]
            if frame[3] == 7:
                self.goaways.append((int.from_bytes(frame[9:13], "big"), int.from_bytes(frame[13:17], "big")))
                self.closing = True
                self.last_stream = self.goaways[-1][0]
                for number, queue in self.streams.items():
                    if number > self.last_stream:
                        queue.put_nowait(None)
            else:
                kept += frame
        return self.h2.receive_data(kept) if kept else []

    def _note(self, one: Any) -> None:
        if isinstance(one, h2.events.DataReceived):
            self.h2.acknowledge_received_data(one.flow_controlled_length, one.stream_id)
        stream = getattr(one, "stream_id", None)
        if stream in self.streams:
            self.streams[stream].put_nowait(one)

    def begin(self, method: str = "GET", path: str = "/", *, more: bool = False, fields: Any = ()) -> int:
        """Send the head of a request; returns its stream."""
        number = self.h2.get_next_available_stream_id()
        self.streams[number] = asyncio.Queue()
        head = [(":method", method), (":scheme", self._scheme), (":authority", "localhost"), (":path", path), *fields]
        self.h2.send_headers(number, head, end_stream=not more)
        self._flush()
        return number

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        self.h2.send_data(number, data, end_stream=end)
        self._flush()

    async def answer(self, number: int) -> tuple[int, bytes, list[Any]]:
        """Status, body and trailers. Raises `ConnectionError` if the response is not whole."""
        status, body, trailers = 0, b"", []
        while True:
            one = await self.streams[number].get()
            if one is None:
                raise ConnectionError(f"the connection ended before the answer on stream {number}: {self.goaways}")
            if isinstance(one, h2.events.StreamReset):
                raise ConnectionError(f"stream {number} was reset with {one.error_code}")
            if isinstance(one, h2.events.ResponseReceived):
                status = int(dict(one.headers)[":status"])
            elif isinstance(one, h2.events.DataReceived):
                body += one.data
            elif isinstance(one, h2.events.TrailersReceived):
                trailers = list(one.headers)
            elif isinstance(one, h2.events.StreamEnded):
                del self.streams[number]
                return status, body, trailers

    async def request(self, method: str = "GET", path: str = "/", body: bytes = b"") -> tuple[int, bytes, list[Any]]:
        number = self.begin(method, path, more=bool(body))
        if body:
            self.send(number, body, end=True)
        return await self.answer(number)

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        self._task.cancel()


class Http2Load:
    """`clients` with `streams` requests each in flight all the time, until `finish`. A client that is told that its
    connection ends lets its streams finish there, and goes on on a new one. Whatever else happens is a loss."""

    def __init__(self, port: int, *, clients: int, streams: int, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls
        self._clients = clients
        self._streams = streams
        self.answered = 0
        self.lost: list[str] = []
        self.connections = 0
        self.pids: Counter[bytes] = Counter()
        self._finishing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Http2Load:
        self._thread.start()
        self.wait_for_answers(self._clients * self._streams)
        return self

    def __exit__(self, *failure: object) -> None:
        self.finish()

    def finish(self) -> None:
        self._finishing = True
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive(), "clients hang"

    def wait_for_answers(self, more: int) -> None:
        goal = self.answered + more
        with self._changed:
            assert self._changed.wait_for(lambda: self.answered >= goal or self.lost, DEADLINE_SECONDS)
        assert not self.lost, self.lost[:5]

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._clients):
                group.create_task(self._client())

    async def _client(self) -> None:
        connections: list[Http2Connection] = []

        async def current() -> Http2Connection:
            async with lock:
                if not connections or connections[-1].closing:
                    connections.append(await Http2Connection.open(self._port, tls=self._tls))
                    self.connections += 1
                return connections[-1]

        async def stream() -> None:
            while not self._finishing:
                connection = await current()
                if connection.closing:
                    continue
                number = connection.begin()
                try:
                    status, body, _ = await asyncio.wait_for(connection.answer(number), DEADLINE_SECONDS)
                    assert status == 200, body
                except (ConnectionError, TimeoutError, AssertionError) as error:
                    self.lost.append(repr(error))
                    return
                with self._changed:
                    self.answered += 1
                    self.pids[body] += 1
                    self._changed.notify_all()
                await asyncio.sleep(0.01)

        lock = asyncio.Lock()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._streams):
                    group.create_task(stream())
        finally:
            for connection in connections:
                await connection.close()
            with self._changed:
                self._changed.notify_all()
