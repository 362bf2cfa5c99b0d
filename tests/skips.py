"""Which tests may be skipped where all that they need can be had, as in CI.

`.ci/run` installs it, and sets GRACEHTTP_SKIPS=refuse in GitHub's workflows. Then a test that is skipped for a reason
that isn't in the list below fails, and so does a file that is skipped as a whole. Without the variable a test whose
program or package is missing is skipped, and says so.
"""

from __future__ import annotations

import os
import re

import pytest

HOLD = {
    r"this (machine|system) has no IPv6": "a container may have none, and nothing that is installed changes that",
    r"open files are allowed": "the machine sets that",
    r"another PID namespace is not permitted here": "a container may be forbidden to make one",
    r"compiled code takes no subclass of bytes": "run a second time by `.ci/run`, with the code interpreted",
    r"asyncio keeps them in another way": "Python 3.12 and later have eager tasks of their own",
    r"this interpreter can't even import asyncio there": "CPython 3.13.0 alone",
    r"^(Skipped: )?only root can ": "run a second time by `.ci/run`, as root of a user namespace",
    r"this interpreter can't tell it": "CPython 3.13 exports no function for it",
    r"no user namespace with limits of its own can be made here": "a container may be forbidden to make one",
    r"another user may execute no interpreter here": "the machine's interpreter may lie in root's home",
    r"compiled modules make the call": "one half is run by each build",
    r"it is older than Linux 6\.12": "the kernel is the machine's",
    r"systemd-analyze": "`.ci/run` doesn't install an init system",
    r"needs the extra docs": "run a second time by `.ci/run`, behind `mkdocs build`",
}
"""Patterns of reasons, and why each holds even there."""


def is_refused(reason: str) -> bool:
    return os.environ.get("GRACEHTTP_SKIPS") == "refuse" and not any(re.search(one, reason) for one in HOLD)


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if is_refused(reason):
        report.outcome = "failed"
        report.longrepr = f"{reason}\nIt may not be skipped where GRACEHTTP_SKIPS=refuse: see tests/skips.py."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    _refuse(report)
    return report
