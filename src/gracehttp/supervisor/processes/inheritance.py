"""What a child process inherits from the supervisor, and an operator may change while that runs."""

from __future__ import annotations

import os
import resource

from gracehttp.values import Value


class Inheritance(Value):
    """Limits (prlimit(2)), processors (sched_setaffinity(2)), nice value, scheduling policy (sched(7)), control groups
    (cgroups(7)), and what a core dump has (core(5))."""

    limits: tuple[tuple[int, int], ...] = ()
    processors: frozenset[int] = frozenset()
    nice: int = 0
    groups: str = ""
    oom_score: str = ""
    policy: tuple[int, int] = (0, 0)
    core_filter: str = ""


def inheritance_now() -> Inheritance:
    """What a child of this process would inherit now."""
    kinds = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})
    return Inheritance(
        limits=tuple(map(resource.getrlimit, kinds)),
        processors=frozenset(os.sched_getaffinity(0)),
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        groups=_text_of("/proc/self/cgroup"),
        oom_score=_text_of("/proc/self/oom_score_adj"),
        policy=(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority),
        core_filter=_text_of("/proc/self/coredump_filter"),
    )


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
