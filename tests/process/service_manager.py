"""A service manager of the tests: it listens at NOTIFY_SOCKET, keeps descriptors, and passes sockets on."""

from __future__ import annotations

import array
import os
import socket
import sys
import time
from pathlib import Path

from deadlines import DEADLINE_SECONDS

_PASS_ON = """
import fcntl, os, sys
numbers = [int(one) for one in sys.argv[1].split(",") if one]
copies = [fcntl.fcntl(one, fcntl.F_DUPFD, 100) for one in numbers]
for place, copy in enumerate(copies):
    os.dup2(copy, 3 + place)
    os.set_inheritable(3 + place, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(numbers)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class Manager:
    """`said` are all messages so far, each as a dictionary; `kept` the descriptors by name."""

    def __init__(self, address):
        """`address` is a path, or `@` and an abstract name."""
        self.address = os.fspath(address)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)
        self.said = []
        self.kept = {}

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.socket.close()
        for fd in self.kept.values():
            os.close(fd)

    @property
    def environment(self):
        return {"NOTIFY_SOCKET": self.address}

    def receive(self, seconds=DEADLINE_SECONDS):
        """The next message."""
        self.socket.settimeout(seconds)
        data, ancillary, _, _ = self.socket.recvmsg(65536, 1024)
        message = dict(line.split("=", 1) for line in data.decode().split("\n"))
        descriptors = array.array("i")
        for _level, _kind, rights in ancillary:
            descriptors.frombytes(rights)
        if "FDSTORE" in message:
            (self.kept[message["FDNAME"]],) = descriptors
        if "FDSTOREREMOVE" in message:
            os.close(self.kept.pop(message["FDNAME"]))
        self.said.append(message)
        return message

    def wait_for(self, **wanted):
        """The next message that has these fields; those before are in `said`."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            message = self.receive()
            if all(message.get(name) == value for name, value in wanted.items()):
                return message
        raise AssertionError(f"no {wanted} in {self.said}")

    def drain(self):
        """All messages that are there."""
        self.socket.setblocking(False)
        try:
            while True:
                self.receive(seconds=0)
        except BlockingIOError:
            return self.said


def passing(sockets):
    """The launcher of `Server` that passes descriptors on, by name, as sd_listen_fds(3) has it; and `pass_fds`."""
    numbers = list(sockets.values())
    launcher = [sys.executable, "-c", _PASS_ON, ",".join(map(str, numbers)), ":".join(sockets)]
    return {"launcher": launcher, "pass_fds": numbers}


def environment_of(pid):
    """The variables with which a process was started (proc(5))."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(one.split("=", 1) for one in pairs if one)
