"""How many connections the ports of one program may have, given how many files a process may open.

Pure, but for `raise_descriptor_limit`.
"""

from __future__ import annotations

import resource
from collections.abc import Sequence


def raise_descriptor_limit() -> int:
    """Raise the soft limit on open files to the hard one (getrlimit(2)); returns the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS refuses an unlimited hard limit
            return soft
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def reserved_descriptors(descriptors: int) -> int:
    """How many of `descriptors` stay for the application: its files, its database, its own client connections."""
    return min(256, descriptors // 4)


def effective_limits(wanted: Sequence[int], descriptors: int) -> list[int]:
    """The limits of all ports, lowered in proportion so that one process could hold all their connections.

    One process, because nothing forces the kernel to spread connections evenly over the workers. A limit is never
    lowered below 1.
    """
    room = max(descriptors - reserved_descriptors(descriptors), 1)
    total = sum(wanted)
    if total <= room:
        return list(wanted)
    # A port that asks for little keeps it; the others share what is left.
    effective = list(wanted)
    open_ports = set(range(len(wanted)))
    while True:
        share = room // len(open_ports)
        modest = {port for port in open_ports if wanted[port] <= share}
        if not modest:
            break
        for port in modest:
            room -= wanted[port]
        open_ports -= modest
    for port in open_ports:
        effective[port] = max(share, 1)
    return effective
