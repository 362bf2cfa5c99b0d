"""What a proxy has passed on and what a server took from that, as both have logged it."""

from __future__ import annotations

import re

from proxies import haproxy, nginx
from server_harness import wait_until


def with_log(proxy, folder, port, configuration):
    """The context in which that proxy runs, and the path of the log that `configuration` has it write."""
    if proxy == "nginx":
        return nginx(folder, [port], configuration), folder / "passed.log"
    return haproxy(folder, [port], configuration), folder / "log"


class Journal:
    """A log that grows: what it says between two probes."""

    def __init__(self, path):
        self._path = path
        self._read = 0

    def up_to(self, path):
        """The lines before that of the request for `path`."""
        before = []

        def complete():
            nonlocal before
            lines = self._path.read_bytes().decode("latin-1").split("\n")[self._read : -1]
            found = next((number for number, line in enumerate(lines) if line.endswith(path)), None)
            before = lines[:found]
            return found is not None

        wait_until(complete)
        self._read += len(before) + 1
        return before


def reached(line):
    """Whether the proxy has spoken with the server about it: then it has a status of it."""
    return re.match(r"\S+ app/\d+ ", line) is not None


def answered(lines):
    """Those that the server has answered. The others have their end when the proxy goes, before the next probe or after
    it: one that the proxy left is 499 at the server, and one that the proxy gave up is 504 at HAProxy."""
    return [line for line in lines if re.match(r"\S+ (499|app/504) ", line) is None]


def same(passed, taken):
    """Whether the server answered as many requests, with these methods; of one that it refuses it need not know any."""
    passed, taken = answered(passed), answered(taken)
    methods = [line.split(" ")[0].replace("#23", "#") for line in passed]  # HAProxy escapes it in its log
    return len(methods) == len(taken) and all(
        line.split(" ")[0] in (method, "-") for method, line in zip(methods, taken, strict=True)
    )
