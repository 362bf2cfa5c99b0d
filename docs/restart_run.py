"""One restart, watched from the client side: each kind of connection, and when what happened to it.

`watch()` starts a server with a plain and a TLS port, opens the connections, writes new code, sends HUP, and returns
what was seen. All times are seconds since the HUP. Nothing is retried, and nothing is known but what came over the wire
and what stands in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

BEFORE_SECONDS = 2.0
AFTER_SECONDS = 10.5
DRAIN_SECONDS = 8.0

APPLICATION = """
import asyncio

import gracehttp

CODE = {code}

async def app(scope, receive, send):
    assert scope["type"] == "http"
    path, drain = scope["path"], gracehttp.drain_notice()
    if not path.startswith("/events"):
        await asyncio.sleep(float(path[1:] or 0))
        body = b"%d" % CODE
        headers = [(b"content-length", b"%d" % len(body))]
        await send({{"type": "http.response.start", "status": 200, "headers": headers}})
        await send({{"type": "http.response.body", "body": body}})
        return
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}})
    while not (path == "/events/listens" and drain.is_set()):
        await send({{"type": "http.response.body", "body": b"data: %d\\n\\n" % CODE, "more_body": True}})
        with_notice = drain.wait() if path == "/events/listens" else asyncio.Event().wait()
        try:
            await asyncio.wait_for(with_notice, 0.5)
        except TimeoutError:
            pass
    await send({{"type": "http.response.body", "body": b"retry: 500\\ndata: goodbye\\n\\n"}})
"""


@dataclass(slots=True)
class Request:
    """`code` tells which code answered, 1 the old and 2 the new; `whole` whether all of the answer came."""

    lane: str
    row: int
    began_at: float
    ended_at: float = AFTER_SECONDS
    code: int = 0
    whole: bool = True
    events: list[float] = field(default_factory=list)


@dataclass(slots=True)
class TcpConnection:
    """`closed_by` is "server", "client", or "" for one that was open at the end."""

    lane: str
    row: int
    opened_at: float
    closed_at: float = AFTER_SECONDS
    closed_by: str = ""
    told: bool = False
    """Whether its last answer said `Connection: close`."""


@dataclass(slots=True)
class Seen:
    """All that was seen. `log` has the events of the server by name, and when they were logged."""

    requests: list[Request] = field(default_factory=list)
    connections: list[TcpConnection] = field(default_factory=list)
    log: list[tuple[float, str, str]] = field(default_factory=list)

    def logged_at(self, event: str, text: str = "") -> float:
        """When the first event of that name, with `text` in its sentence, was logged."""
        return next(at for at, name, message in self.log if name == event and text in message and at > -BEFORE_SECONDS)


class Client:
    """One client in one row of the picture: at most one connection at a time."""

    def __init__(
        self, seen: Seen, clock: Callable[[], float], lane: str, row: int, port: int, tls: ssl.SSLContext | None
    ) -> None:
        self.lane, self.row = lane, row
        self.now = clock
        self._seen = seen
        self._port = port
        self._tls = tls
        self._connection: TcpConnection | None = None

    @property
    def open(self) -> bool:
        return self._connection is not None

    async def connect(self) -> None:
        host, name = ("127.0.0.2", "localhost") if self._tls else ("127.0.0.1", None)
        self._reader, self._writer = await asyncio.open_connection(
            host, self._port, ssl=self._tls, server_hostname=name
        )
        self._connection = TcpConnection(self.lane, self.row, self.now())
        self._seen.connections.append(self._connection)

    def close(self, by: str) -> None:
        if self._connection is not None:
            self._connection.closed_at, self._connection.closed_by = self.now(), by
            self.leave()

    def leave(self) -> None:
        """Close without a note of it: the run is over."""
        if self._connection is not None:
            self._connection = None
            self._writer.close()

    async def get(self, path: str) -> None:
        """One request, on the connection that is open, or a new one."""
        if not self.open:
            await self.connect()
        request, headers = await self._send(path)
        body = await self._reader.readexactly(int(headers["content-length"]))
        request.code, request.ended_at = int(body), self.now()
        self._heed(headers)

    async def stream(self, path: str) -> float:
        """One stream of events to its end; returns after how many seconds to come back, as the stream said."""
        if not self.open:
            await self.connect()
        request, headers = await self._send(path)
        retry = 0.5
        try:
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                chunk = (await self._reader.readexactly(size + 2)).decode()
                request.events.append(self.now())
                if chunk.startswith("retry: "):
                    retry = int(chunk.removeprefix("retry: ").partition("\n")[0]) / 1000
                else:
                    request.code = int(chunk.removeprefix("data: "))
            await self._reader.readexactly(2)
        except (asyncio.IncompleteReadError, ConnectionError):
            request.whole = False
        request.ended_at = self.now()
        if request.whole:
            self._heed(headers)
        else:
            self.close("server")
        return retry

    async def wait_until_closed(self) -> None:
        """Say nothing more, until the server closes."""
        with contextlib.suppress(ConnectionError):
            assert await self._reader.read(1) == b""
        self.close("server")

    async def _send(self, path: str) -> tuple[Request, dict[str, str]]:
        request = Request(self.lane, self.row, self.now())
        self._seen.requests.append(request)
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        return request, dict(line.lower().split(": ", 1) for line in head.splitlines()[1:-1])

    def _heed(self, headers: dict[str, str]) -> None:
        if headers.get("connection") == "close":
            assert self._connection is not None
            self._connection.told = True
            self.close("server")


# --- what the clients do; each is one lane ---


async def new_connections(client: Client) -> None:
    while True:
        await client.get("/0")
        client.close("client")
        await asyncio.sleep(0.25)


async def plain_busy(client: Client) -> None:
    while True:
        await client.get("/0.3")
        await asyncio.sleep(0.1)


async def plain_slow(client: Client) -> None:
    await asyncio.sleep(1)
    await client.get("/4")
    while True:
        await asyncio.sleep(1)
        await client.get("/0.3")


async def plain_idle(client: Client) -> None:
    await client.get("/0.1")
    await asyncio.sleep(BEFORE_SECONDS + 9)
    await client.get("/0.1")
    await asyncio.Event().wait()


async def tls_idle(client: Client) -> None:
    await client.get("/0.1")
    await client.wait_until_closed()
    await asyncio.sleep(0.25)
    await client.get("/0.1")
    await asyncio.Event().wait()


async def events_heard(client: Client) -> None:
    while True:
        await asyncio.sleep(await client.stream("/events/listens"))


async def events_endless(client: Client) -> None:
    while True:
        await asyncio.sleep(await client.stream("/events/endless"))


Play = Callable[[Client], Awaitable[None]]
LANES: tuple[tuple[str, Play, bool, int], ...] = (
    ("new connections", new_connections, False, 1),
    ("keep-alive, busy", plain_busy, False, 1),
    ("keep-alive, idle", plain_idle, False, 1),
    ("keep-alive, a slow request", plain_slow, False, 1),
    ("TLS, busy", plain_busy, True, 1),
    ("TLS, idle: four of them", tls_idle, True, 4),
    ("event stream that listens", events_heard, False, 1),
    ("event stream that doesn't", events_endless, False, 1),
)
"""Name, what the client does, whether over TLS, and how many of them."""


# --- the run ---


async def watch() -> Seen:
    """One run from start to stop."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_certificate(folder)
        _write_code(folder, 1)
        async with _server(folder) as (server, lines):
            plain, secure = await _ports(lines)
            hup_at = time.time() + BEFORE_SECONDS
            seen = Seen()
            tls = ssl.create_default_context(cafile=folder / "cert.pem")
            clients = [
                asyncio.create_task(_play(play, Client(seen, lambda: time.time() - hup_at, lane, row, *where)))
                for lane, play, over_tls, rows in LANES
                for where in [(secure, tls) if over_tls else (plain, None)]
                for row in range(rows)
            ]
            await asyncio.sleep(hup_at - time.time())
            _write_code(folder, 2)
            os.kill(server.pid, signal.SIGHUP)
            await asyncio.sleep(hup_at + AFTER_SECONDS - time.time())
            for task in clients:
                assert not task.done(), task
                task.cancel()
        seen.log = [entry for line in lines if (entry := _entry(line, hup_at))[0] < AFTER_SECONDS]
        return seen


async def _play(play: Play, client: Client) -> None:
    try:
        await play(client)
    finally:
        client.leave()


@contextlib.asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[bytes]]]:
    binds = ("--bind", "127.0.0.1:0", "--bind", "https://127.0.0.2:0?certfile=cert.pem&keyfile=key.pem")
    options = ("--drain-timeout", f"{DRAIN_SECONDS}s", "--log-format", "json")
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gracehttp", "serve", "application:app", *binds, *options),
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stderr=subprocess.PIPE,
    )
    lines: list[bytes] = []
    assert server.stderr is not None
    reading = asyncio.create_task(_read(server.stderr, lines))
    try:
        yield server, lines
    finally:
        server.terminate()
        await server.wait()
        await reading


async def _read(log: asyncio.StreamReader, lines: list[bytes]) -> None:
    async for line in log:
        lines.append(line)


async def _ports(lines: list[bytes]) -> list[int]:
    while not any(b"GenerationPromoted" in line for line in lines):
        await asyncio.sleep(0.05)
    opened = [json.loads(line) for line in lines if b'"ListenerOpened"' in line]
    return [int(entry["address"].rpartition(":")[2]) for entry in opened]


def _entry(line: bytes, hup_at: float) -> tuple[float, str, str]:
    entry = json.loads(line)
    return datetime.datetime.fromisoformat(entry["time"]).timestamp() - hup_at, entry.get("event", ""), entry["message"]


def _write_code(folder: Path, code: int) -> None:
    (folder / "application.py").write_text(APPLICATION.format(code=code))


def _write_certificate(folder: Path) -> None:
    """With curl, which most machines have, so that the picture needs nothing but gracehttp."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -keyout key.pem -out cert.pem -subj /CN=localhost"
    names = ("-addext", "subjectAltName=DNS:localhost")
    subprocess.run([*command.split(), *names], cwd=folder, check=True, capture_output=True)
