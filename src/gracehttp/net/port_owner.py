"""Which process listens on a TCP port, as far as /proc tells (proc(5)). Only for messages to people."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

OURSELVES = "this program itself"
SUPERVISOR = "gracehttp"
"""The short name of a supervisor; those of its other processes have it with a hyphen behind."""
_LISTEN = "0A"  # the state TCP_LISTEN in /proc/net/tcp


def owner_of_port(port: int) -> str | None:
    """A description such as `pid 12 (nginx)`, or None if it can't be known. This process and its children
    are `OURSELVES`."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # processes of others can't be read, and processes end while we look
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        if str(os.getpid()) in (process.name, _parent_of(process)):
                            return OURSELVES
                        pid, name = process.name, _name_of(process)
                        if name.startswith(f"{SUPERVISOR}-"):  # a worker has it from its supervisor
                            pid = _parent_of(process)
                            name = _name_of(Path("/proc", pid))
                        return f"pid {pid} ({name})"
    return None


def _name_of(process: Path) -> str:
    return (process / "comm").read_text(errors="replace").strip()


def _parent_of(process: Path) -> str:
    """The PID of the parent, the fourth field of proc_pid_stat(5)."""
    return (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes
