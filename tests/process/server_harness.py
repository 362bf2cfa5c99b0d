"""Real gracehttp processes for tests: started, watched through their log, and ended without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Final

from deadlines import DEADLINE_SECONDS

LINES_SHOWN = 60
"""How much of a log stands above the reason of a failure: its last lines."""

PID_APPLICATION = """
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        body = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})
"""


PATIENT: Final = (
    *("header_timeout", "body_timeout", "keep_alive_timeout", "ws_ping_timeout"),
    *("drain_timeout", "hang_timeout", "ready_timeout"),
)
"""How long the server waits for clients and for the application. Many tests hold one of them back on purpose while they
wait for something else, which takes as long as the machine is busy."""


def patience(arguments, files):
    """Variables for the options `PATIENT` that the test doesn't name: the server waits longer than the test."""
    said = "\n".join([*map(str, arguments), *files.values()]).replace("-", "_")
    return {f"GRACEHTTP_{name.upper()}": "1h" for name in PATIENT if name not in said}


class Server:
    """One supervisor in a folder of its own; `files` are written there first.

    No timeout of the server comes before the test's own deadline, unless the arguments or files set it. `variables` is
    the environment of the supervisor.

    `arguments` are those of the interpreter (`-m gracehttp serve ...` or a script), or of `program`. `most_files` is a
    limit on the open files of each process, `launcher` a command that executes the program. The log is read by a
    thread, so that waiting for an event is waiting for its line.
    """

    def __init__(
        self,
        folder,
        *arguments,
        files=None,
        environment=None,
        most_files=None,
        pass_fds=(),
        launcher=(),
        program=(sys.executable,),
    ):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        for name, text in (files or {}).items():
            self.write(name, text)
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self.variables = {
            **os.environ,
            "NO_COLOR": "",
            "FORCE_COLOR": "",
            "PYTHONDONTWRITEBYTECODE": "1",
            "GRACEHTTP_LOG_LEVEL": "debug",  # or no line tells of a drain
            **patience(arguments, files or {}),
            "PWD": str(self.folder),
            **(environment or {}),
        }
        launcher = [*launcher] if most_files is None else ["sh", "-c", f'ulimit -n {most_files}; exec "$@"', "sh"]
        self.process = subprocess.Popen(
            [*launcher, *map(str, program), *map(str, arguments)],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,
            pass_fds=pass_fds,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self.process.pid

    # --- files ---

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    # --- the log ---

    def _read(self):
        for raw in self.process.stderr:
            with self._changed:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def log(self):
        with self._changed:
            return "\n".join(self.lines)

    def wait_for(self, pattern, *, count=1, seconds=DEADLINE_SECONDS):
        """Wait until `count` lines of the log match; returns the last of those matches."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                found = [match for line in self.lines if (match := expression.search(line))]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    ended = "the log has ended, with" if self._ended else f"after {seconds:g} s the log has"
                    reason = f"{ended} {len(found)} of {count} lines with {pattern!r}"
                    raise AssertionError(log_and_reason("\n".join(self.lines), reason))
                self._changed.wait(left)

    def wait_until_serving(self, generation=1):
        """Wait until the generation serves; returns the PIDs of its workers."""
        match = self.wait_for(rf"generation {generation} serves, pids ([\d, ]+)")
        return [int(pid) for pid in match[1].split(",")]

    def wait_until_gone(self, generation):
        self.wait_for(rf"generation {generation} is gone")

    # --- where it listens ---

    @property
    def port(self):
        return self.ports[0]

    @property
    def ports(self):
        self.wait_for("listening on")
        return [int(port) for port in re.findall(r"listening on \S*:(\d+)", self.log)]

    # --- commands ---

    def send_signal(self, number):
        os.kill(self.pid, number)

    def command(self, *arguments, seconds=DEADLINE_SECONDS):
        """Run `gracehttp ...` against this supervisor; returns the finished process."""
        with self.command_in_background(*arguments) as process:
            out, err = process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @contextlib.contextmanager
    def command_in_background(self, *arguments):
        """Start `gracehttp ...` against this supervisor; at the end of the block it is over, by force if need be."""
        with subprocess.Popen(
            [sys.executable, "-m", "gracehttp", *arguments, "--pid", str(self.pid)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def status(self):
        return json.loads(self.command("status", "--json").stdout)

    def restart(self, generation):
        """Restart by HUP and wait until `generation` serves; returns its PIDs."""
        self.send_signal(signal.SIGHUP)
        return self.wait_until_serving(generation)

    def stop(self, number=signal.SIGTERM):
        """Stop gracefully; returns the exit status."""
        self.send_signal(number)
        return self.wait()

    def wait(self, seconds=DEADLINE_SECONDS):
        status = self.process.wait(seconds)
        self._reader.join(seconds)
        return status

    # --- the end ---

    def workers(self):
        """The PIDs of all living children of the supervisor, without the spare process."""
        return [pid for pid in children_of(self.pid) if not _is_spare(pid)]

    def descriptors(self):
        """How many the supervisor has, without the channel to the spare process, which comes later, and goes."""
        return len(os.listdir(f"/proc/{self.pid}/fd")) - sum(map(_is_spare, children_of(self.pid)))

    def end(self):
        """End everything by force, if it did not end itself."""
        workers = children_of(self.pid) if self.process.poll() is None else []
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(DEADLINE_SECONDS)
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._reader.join(DEADLINE_SECONDS)
        self.process.stderr.close()


def _is_spare(pid):
    """It has its name when it has loaded; the workers that it has forked have its variables, and names of their own."""
    with contextlib.suppress(OSError):
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        variables = Path(f"/proc/{pid}/environ").read_bytes()
        return b"GRACEHTTP_SPARE_CHANNEL=" in variables and not name.startswith(("gracehttp-w", "gracehttp-t"))
    return False


def children_of(pid):
    """The PIDs of the living children of `pid` (proc(5))."""
    with contextlib.suppress(OSError):
        text = "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
        return [int(child) for child in text.split()]
    return []


def wait_until(condition, *, seconds=DEADLINE_SECONDS, what="the condition"):
    """Wait for something that only the kernel knows, and that nothing announces: look at it often."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{what} did not come about within {seconds} s"
        threading.Event().wait(0.01)
    return result


def is_alive(pid):
    """Whether the process exists and is no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def get(port, path="/", *, host="127.0.0.1", timeout=DEADLINE_SECONDS):
    """One GET on a connection of its own; returns status and body."""
    with socket.create_connection((host, port), timeout=timeout) as sock:
        return get_on(sock, path, close=True)


def get_on(sock, path="/", *, close=False):
    """One GET on a connection that is open; returns status and body."""
    last = "Connection: close\r\n" if close else ""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n{last}\r\n".encode())
    status, _headers, body = read_response(sock)
    return status, body.decode()


def chunks(body):
    while body:
        size, _, rest = body.partition(b"\r\n")
        yield rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]


def read_response(sock):
    """Read one response with a Content-Length or in chunks; returns status, headers and body."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError(f"closed after {received!r}")
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "content-length" not in headers and headers["transfer-encoding"] == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            piece = sock.recv(65536)
            if not piece:
                raise ConnectionError("closed in the middle of a body")
            body += piece
        return int(status_line.split()[1]), headers, b"".join(chunks(body))
    while len(body) < int(headers["content-length"]):
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError("closed in the middle of a body")
        body += piece
    return int(status_line.split()[1]), headers, body


def log_and_reason(log, reason):
    """What a failure says: the last lines of what was shown, and below them, where one looks first, why it failed."""
    lines = log.splitlines()
    left_out = [f"({len(lines) - LINES_SHOWN} lines above)"] if len(lines) > LINES_SHOWN else []
    return "\n".join(["shown:", *left_out, *lines[-LINES_SHOWN:], reason])


def read_until(terminal, text):
    """Read what appears on the terminal whose other end is `terminal`, until `text` does; returns all of it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    read = b""
    while text.encode() not in read:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, log_and_reason(read.decode(errors="replace"), f"{text!r} did not appear on the terminal")
        read += os.read(terminal, 65536)
    return read.decode()


_given_ports: set[int] = set()
_SHARES = 16
"""Of the ports, so that each process of the test runner has its own."""


def free_port():
    """A port that was free a moment ago; for the tests that have to know it beforehand. Another one at each call.

    It lies below the range from which the kernel chooses, so no client of another test gets it by chance.
    """
    lowest = max(20_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    while True:
        port = random.randrange(10_000, lowest) // _SHARES * _SHARES + share
        if port in _given_ports:
            continue
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            _given_ports.add(port)
            return port
