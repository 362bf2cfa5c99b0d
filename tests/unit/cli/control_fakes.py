"""A supervisor that only answers on its control socket, by a script."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gracehttp.wire.control import abstract_name

Answer = dict[str, Any] | bytes

RESTARTED = {
    "done": True,
    "ok": True,
    "message": "generation 2 serves",
    "details": "",
    "pids": [11, 12],
    "generation": 2,
}
REFUSED = {
    "done": True,
    "ok": False,
    "message": "generation 2 was given up: worker 0 failed",
    "details": "Traceback (most recent call last):\n  ...\nZeroDivisionError: division by zero\n",
    "pids": [],
    "generation": 2,
}
STOPPED = {"done": True, "ok": True, "message": "stopped", "details": "", "pids": [], "generation": 1}
STATUS = {
    "pid": 4711,
    "version": "0.1.0",
    "build": "compiled",
    "uptime_seconds": 3671.25,
    "certificates": [],
    "generations": [
        {
            "generation": 7,
            "state": "serving",
            "workers": [
                {
                    "worker": 0,
                    "pid": 4712,
                    "state": "serving",
                    "build": "compiled",
                    "connections": 3,
                    "other_code": False,
                }
            ],
            "template": None,
            "probation_seconds_left": None,
            "starts_in_seconds": [],
        },
        {
            "generation": 8,
            "state": "starting",
            "workers": [
                {"worker": 1, "pid": None, "state": "starting", "build": "", "connections": None, "other_code": False}
            ],
            "template": None,
            "probation_seconds_left": None,
            "starts_in_seconds": [],
        },
    ],
    "listeners": [
        {
            "address": ":8000",
            "bound": "0.0.0.0:8000",
            "max_connections": 100,
            "open_connections": 3,
            "tls": False,
            "shed_connections": 2,
        },
        {
            "address": "unix:/run/a",
            "bound": "unix:/run/a",
            "max_connections": 5,
            "open_connections": None,
            "tls": False,
            "shed_connections": 0,
        },
    ],
    "last_restart": {
        "ok": False,
        "message": "generation 6 was given up",
        "generation": 6,
        "source": "SIGHUP",
        "ended_at": 1700000000.5,
    },
}


@dataclass
class FakeSupervisor:
    """What was asked, and the process that listens."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    pid: int = field(default_factory=os.getpid)


@contextmanager
def supervisor(
    answers: Sequence[Answer], *, address: str | None = None, hold_open: bool = False
) -> Iterator[FakeSupervisor]:
    """Listens on `address` (default: the abstract name of this process) and serves one connection.

    It reads one line, sends `answers` (bytes as they are), and closes; with `hold_open` at the end of the context.
    """
    fake = FakeSupervisor()
    over = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address if address is not None else abstract_name(fake.pid))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, fake, answers, over if hold_open else None))
        thread.start()
        try:
            yield fake
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(
    listener: socket.socket, fake: FakeSupervisor, answers: Sequence[Answer], over: threading.Event | None
) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return
    with connection, connection.makefile("rb") as lines:
        line = lines.readline()
        if not line:
            return
        fake.requests.append(json.loads(line))
        for answer in answers:
            connection.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")
        if over is not None:
            over.wait()
