"""What saturates a server, which is how CPU time per request is measured: wrk, and TLS handshakes of our own.

Latency is measured by clients that don't saturate it (clients.py, deploy_clients.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .session import ROOT, BenchmarkFailed, orphan_ends, session_goes_first

PATIENCE_SECONDS = 30.0
"""How long a load may take beyond its time."""
TLS_THREADS = 8


@dataclass(frozen=True)
class Answered:
    """How many requests were answered, how many in a second, and how many could not be (by the tool's own count)."""

    requests: int
    rate: float
    failed: int = 0
    resumed: int = 0
    """Of TLS handshakes."""


@dataclass(frozen=True)
class Request:
    """What wrk sends. With a body it is a POST of JSON. `pipelined` is how many are sent on a connection at a time."""

    headers: tuple[str, ...] = ()
    body: str = ""
    pipelined: int = 1


GET = Request()

BROWSER_HEADERS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Accept-Language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: session=6f1c0a8e5b7d4c2f9e3a1b0c8d7e6f5a; theme=dark; consent=essential",
    "Referer: https://www.example.com/products/overview?page=2",
    'Sec-CH-UA: "Chromium";v="142", "Not.A/Brand";v="24", "Google Chrome";v="142"',
    "Sec-CH-UA-Mobile: ?0",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "Upgrade-Insecure-Requests: 1",
)
"""Twelve, as a browser sends them; Host comes from the client."""


def wrk(
    port: int, folder: Path, *, connections: int, seconds: int, request: Request = GET, tls: bool, first: bool
) -> Answered:
    """A load of so many seconds from the core on which this process stands; `first` as of Server."""
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", str(seconds)]
    for header in request.headers:
        command += ["-H", header]
    if script := wrk_script(request):
        path = folder / "request.lua"
        path.write_text(script)
        command += ["-s", str(path)]
    said = _run([*command, f"{'https' if tls else 'http'}://127.0.0.1:{port}/"], seconds, first)
    return understood_wrk(said)


def wrk_script(request: Request) -> str:
    """In Lua, for what its options can't say; empty if they can."""
    if request.pipelined > 1:
        return (
            f"init = function(arguments)\n  all = string.rep(wrk.format(), {request.pipelined})\nend\n"
            "request = function()\n  return all\nend\n"
        )
    if request.body:
        return (
            f'wrk.method = "POST"\nwrk.body = {json.dumps(request.body)}\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
        )
    return ""


def understood_wrk(said: str) -> Answered:
    """From what wrk prints. Late answers are no errors."""
    answered = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec: +([\d.]+)", said)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", said)
    if not answered or not rate or not int(answered[1]) or "Non-2xx" in said:
        line = re.search(r"Non-2xx.*", said)
        raise BenchmarkFailed(f"wrk had not all answered: {line[0] if line else said}")
    return Answered(int(answered[1]), float(rate[1]), sum(map(int, errors.groups())) if errors else 0)


def _run(command: Sequence[str], seconds: int, first: bool) -> str:
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            orphan_ends(*command),
            stdout=pipe,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            cwd=ROOT,
        )
    except FileNotFoundError as error:
        raise BenchmarkFailed("setpriv (util-linux) is not installed.") from error
    with process:
        try:
            if first:
                session_goes_first(process.pid)
            said, _ = process.communicate(timeout=seconds + PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as late:
            raise BenchmarkFailed(f"{command[0]} did not end.") from late
        finally:
            process.kill()
    if process.returncode != 0:
        raise BenchmarkFailed(f"{command[0]}: {said}")
    return said


# --- TLS handshakes ---


def handshakes(port: int, chain: Path, *, seconds: int, resume: bool, first: bool) -> Answered:
    """A process that makes one connection after the other in each of some threads, with one GET on each.

    With `resume` each connection offers the session of the one before (RFC 8446 2.2); whether the server took it is
    counted. The connection is closed as a browser does: close_notify, then FIN.
    """
    module = [sys.executable, "-m", f"{__package__}.loads"]
    said = _run([*module, str(port), str(chain), str(seconds), "resume" if resume else "new"], seconds, first)
    count, resumed, failed, took = said.split()[-4:]
    if not int(count):
        raise BenchmarkFailed(f"No TLS connection was answered: {said}")
    return Answered(int(count), int(count) / float(took), int(failed), int(resumed))


class _Handshakes:
    def __init__(self, port: int, chain: str, resume: bool, until: float) -> None:
        self.done = self.resumed = self.failed = 0
        self._port, self._resume, self._until = port, resume, until
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE  # what the client verifies is no work of the server
        assert Path(chain).is_file()

    def run(self) -> None:
        session = None
        while time.monotonic() < self._until:
            try:
                session = self._once(session)
            except OSError:
                self.failed += 1
                session = None
                time.sleep(0.01)

    def _once(self, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        with (
            socket.create_connection(("127.0.0.1", self._port), timeout=10) as plain,
            self._context.wrap_socket(plain, server_hostname="localhost", session=session) as stream,
        ):
            stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if not stream.recv(4096).startswith(b"HTTP/1.1 200"):
                raise ConnectionError("no answer")
            self.done += 1
            self.resumed += bool(stream.session_reused)
            kept = stream.session if self._resume else None  # the tickets came before the answer
            stream.settimeout(0)
            with contextlib.suppress(OSError):
                stream.unwrap()  # sends close_notify, and doesn't wait for the server's
            return kept


def _main() -> None:
    port, chain, seconds, kind = sys.argv[1:]
    began = time.monotonic()
    loads = [_Handshakes(int(port), chain, kind == "resume", began + float(seconds)) for _ in range(TLS_THREADS)]
    threads = [threading.Thread(target=one.run, daemon=True) for one in loads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(float(seconds) + PATIENCE_SECONDS)
    took = time.monotonic() - began
    count, resumed, failed = (sum(getattr(one, name) for one in loads) for name in ("done", "resumed", "failed"))
    print(count, resumed, failed, took, flush=True)
    os._exit(0)  # a thread may hang in a handshake


if __name__ == "__main__":
    _main()
