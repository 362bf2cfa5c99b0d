"""Errors of system calls in real processes: `Faults` writes a `sitecustomize` that patches the sockets of supervisor
and workers before any code of gracehttp runs."""

from __future__ import annotations

import json
import os

_CODE = """
import json, os, socket, struct

_rules = [dict(rule, left=rule["times"]) for rule in json.loads(os.environ["TEST_FAULTS"])]


def _failing(name):
    original = getattr(socket.socket, name)

    def call(self, *arguments):
        for rule in _rules:
            if rule["call"] == name and rule["left"] and _is_meant(rule, self, arguments):
                rule["left"] -= 1
                raise OSError(rule["errno"], os.strerror(rule["errno"]))
        return original(self, *arguments)

    setattr(socket.socket, name, call)


def _maker_of(pair):
    return struct.unpack("3i", pair.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def _is_meant(rule, sock, arguments):
    if sock.family != socket.AF_UNIX or rule["in_queue"] != (sock.type == socket.SOCK_SEQPACKET):
        return False
    if rule["in_queue"] and _maker_of(sock) == os.getpid():
        return False  # a rehearsal
    if not rule["contains"]:
        return True
    data = arguments[0] if isinstance(arguments[0], (bytes, bytearray)) else b"".join(arguments[0])
    return rule["contains"].encode() in data


for _name in ("send", "sendmsg", "recvmsg", "recvmsg_into"):
    _failing(_name)
"""


class Faults:
    """Each process meets each fault as often as it says."""

    def __init__(self, folder):
        self._folder = folder / "faults"
        self._folder.mkdir()
        (self._folder / "sitecustomize.py").write_text(_CODE)
        self._rules = []

    def add(self, call, number, *, times=1, contains="", in_queue=False):
        """`call` of a Unix socket fails with the error `number`, so many times, if what it sends `contains` that;
        `in_queue`: of a handover queue, else of any other one."""
        rule = {"call": call, "errno": number, "times": times, "contains": contains, "in_queue": in_queue}
        self._rules.append(rule)

    def order(self, kind, number, *, times=1):
        """An order or a report of this type can't be sent."""
        for call in ("send", "sendmsg"):
            self.add(call, number, times=times, contains=f'"type":"{kind}"')

    @property
    def environment(self):
        path = os.pathsep.join(filter(None, [str(self._folder), os.environ.get("PYTHONPATH", "")]))
        return {"PYTHONPATH": path, "TEST_FAULTS": json.dumps(self._rules)}
