"""Descriptors that a service manager passes on: sockets that it listens on itself, and what it has kept for us.

The protocol of sd_listen_fds(3): `LISTEN_PID` is our process, `LISTEN_FDS` how many descriptors there are, from 3 on,
and `LISTEN_FDNAMES` their names with colons between them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START."""


def passed_descriptors(environ: Mapping[str, str], pid: int) -> list[tuple[str, int]]:
    """Name and number of each descriptor that was passed to the process `pid`. `unknown` is one without a name."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return []
    names = environ.get("LISTEN_FDNAMES", "")
    given = names.split(":") if names else []
    numbers = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
    return [(given[place] if place < len(given) else "unknown", fd) for place, fd in enumerate(numbers)]


def named(name: str) -> list[int]:
    """The descriptors with this name that were passed to this process."""
    return [fd for given, fd in passed_descriptors(os.environ, os.getpid()) if given == name]
