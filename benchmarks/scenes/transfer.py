"""Scene 16: 1 GB up and down."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..applications import FILE_VARIABLE, GIGABYTE, PIECE
from ..figures import Figure
from ..peers import Contender, Needs, Work
from ..server import Server
from ..session import BenchmarkFailed
from .bench import Bench

TRANSFER_SECONDS = 20.0
"""The longest that one transfer may take."""
_BUFFER = bytearray(1 << 20)


@dataclass(frozen=True)
class TransferScene:
    number = 16
    title = "transfer of 1 GB"
    measures = (
        "One client: an upload that the application reads and counts; a download that it sends in pieces of 64 KiB; "
        "and a file, by `http.response.pathsend` where the server offers that, else in pieces of 64 KiB. nginx sends "
        "the file with sendfile(2) for both downloads, and throws the upload away. Throughput, CPU time for a "
        "gigabyte, and the most resident memory of all processes. A transfer has 20 s."
    )
    served = Work("benchmarks.applications:transfer")
    needs = Needs(large=True, first=True)

    def run(self, bench: Bench) -> Iterator[Figure]:
        kinds = {"upload": _upload, "download": _download, "file": _file}
        figures = {
            (kind, what): Figure(self.number, "asgi", f"{kind}: {what}", unit)
            for kind in kinds
            for what, unit in (("throughput", "MB/s"), ("CPU time", "s"), ("peak memory", "MB"))
        }
        with bench.session.part() as part:
            path = part.folder / "gigabyte"
            with path.open("wb") as file:
                file.truncate(GIGABYTE)  # sparse
            with path.open("rb") as file:
                while file.readinto(_BUFFER):  # into the page cache: else the first server would pay for that
                    pass
            files = f"root {path.parent}; try_files /{path.name} =404;"
            block = f"location = /upload {{ return 200; }} location / {{ {files} }}"
            work = dataclasses.replace(self.served, nginx=block)
            needs = dataclasses.replace(self.needs, more={FILE_VARIABLE: str(path)})
            for one in bench.who(work, "asgi", needs):
                for kind, transfer in kinds.items():
                    try:
                        found = self._measure(bench, one, work, needs, transfer)
                    except BenchmarkFailed as failed:
                        bench.failed(self, one.name, f"{kind}: {failed}")
                        continue
                    for what, value in found.items():
                        figures[kind, what].samples.setdefault(one.name, []).append(value)
                    bench.say(f"16: {one.name} {kind} {found}")
        yield from (figure for figure in figures.values() if figure.samples)

    def _measure(
        self, bench: Bench, contender: Contender, work: Work, needs: Needs, transfer: Callable[[Server], None]
    ) -> dict[str, float]:
        with bench.session.part() as part:
            server = _ready(bench.start(part, self, contender, work, needs))
            server.forget_peak()
            before, began = server.cpu_seconds(), time.monotonic()
            try:
                transfer(server)
            except OSError as error:
                raise BenchmarkFailed(f"{error!r}") from error
            took = time.monotonic() - began
            return {
                "throughput": GIGABYTE / took / 1e6,
                "CPU time": server.cpu_seconds() - before,
                "peak memory": server.peak_bytes() / 1e6,
            }


def _ready(server: Server) -> Server:
    """Without a GET of everything: an upload of nothing is answered at once."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError):
            if server.get("/upload").startswith(b"HTTP/1.1 200"):
                return server
        time.sleep(0.02)
    raise BenchmarkFailed(f"{server.name} doesn't answer:\n{server.log()[-2000:]}")


def _connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=TRANSFER_SECONDS)


def _upload(server: Server) -> None:
    head = f"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {GIGABYTE}\r\n\r\n".encode()
    deadline = time.monotonic() + TRANSFER_SECONDS
    with _connected(server) as connection:
        connection.sendall(head)
        left = GIGABYTE
        while left > 0:
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"{left} bytes were left after {TRANSFER_SECONDS:g} s.")
            connection.sendall(PIECE[: min(left, len(PIECE))])
            left -= min(left, len(PIECE))
        answer = connection.recv(65536)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise BenchmarkFailed(f"{answer[:200]!r}")


def _download(server: Server) -> None:
    _receive(server, "/download")


def _file(server: Server) -> None:
    _receive(server, "/file")


def _receive(server: Server, path: str) -> None:
    deadline = time.monotonic() + TRANSFER_SECONDS
    with _connected(server) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        received = 0
        while received < GIGABYTE:
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"Only {received} bytes came in {TRANSFER_SECONDS:g} s.")
            count = connection.recv_into(_BUFFER)
            if not count:
                raise BenchmarkFailed(f"The connection ended after {received} bytes.")
            received += count
