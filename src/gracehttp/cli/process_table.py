"""What the system knows of a process that a command was pointed at (proc_pid_stat(5)), and which supervisors run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from gracehttp.values import Value

SUPERVISOR_NAME: Final = "gracehttp"
"""The short name of a supervisor; those of workers and templates have it with a hyphen behind (docs/running.md)."""

_SUPERVISOR_TITLE = "gracehttp: supervisor"  # as gracehttp.system.process_title writes it; the application follows
_ENDED_STATES = ("Z", "X")


class Entry(Value):
    """A process by its short name (`comm`), its parent's PID, and whether it has ended and only waits to be reaped."""

    name: str
    parent: int
    has_ended: bool


def entry_of(pid: int) -> Entry | None:
    """The entry of `pid`; None where the system has none, or doesn't show it."""
    try:
        return read_stat(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return None


def supervisors() -> list[tuple[int, str]]:
    """The PID of each supervisor of this user (of all users for root), and what its title has in brackets; empty where
    the system has no /proc."""
    found = []
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda one: int(one.name)):
        try:
            title = (folder / "cmdline").read_bytes().rstrip(b"\0 ").decode("utf-8", "replace")
            if title.startswith(_SUPERVISOR_TITLE) and os.geteuid() in (0, folder.stat().st_uid):
                found.append((int(folder.name), title.removeprefix(_SUPERVISOR_TITLE).strip(" []")))
        except OSError:  # it has just ended
            continue
    return found


def read_stat(text: str) -> Entry:
    """The entry in a line such as `12 (a name) S 1 ...`. Raises `ValueError`."""
    before, bracket, after = text.rpartition(")")  # a name may have brackets, too
    state, parent, *_ = after.split()
    name = before.partition("(")[2]
    if not bracket or not name:
        raise ValueError(f"no entry of a process: {text!r}")
    return Entry(name, int(parent), state in _ENDED_STATES)
