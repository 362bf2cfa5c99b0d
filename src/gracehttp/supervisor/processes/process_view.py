"""What the kernel tells of a process: memory, CPU time, and whether it is stopped (proc(5)). Linux only."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from gracehttp.values import Value

_PAGE_BYTES = resource.getpagesize()
_STOPPED = frozenset("Tt")
"""Stopped by a signal, or by a debugger (proc_pid_stat(5))."""


class ProcessView(Value):
    resident_bytes: int
    cpu_seconds: float
    stopped: bool


def view_of(pid: int) -> ProcessView | None:
    """None if the process is gone, or the system doesn't tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat[stat.rfind(")") + 2 :].split()  # the name may hold spaces and parentheses; then the state follows
    try:
        ticks = os.sysconf("SC_CLK_TCK")
        return ProcessView(
            resident_bytes=int(fields[21]) * _PAGE_BYTES,
            cpu_seconds=(int(fields[11]) + int(fields[12])) / ticks,
            stopped=fields[0] in _STOPPED or _is_traced(pid),
        )
    except (ValueError, IndexError):
        return None


def _is_traced(pid: int) -> bool:
    """Whether a debugger is attached, at the moment of which the process may run (ptrace(2))."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in status.splitlines())
