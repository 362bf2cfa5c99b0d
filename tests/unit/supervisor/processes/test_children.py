"""Which children are reaped, when, and who hears of it."""

from __future__ import annotations

import asyncio
import os
import subprocess

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.supervisor.processes.children import Children, ended_children


def test_a_child_keeps_its_pid_until_the_one_before_has_been_dealt_with():
    children = [subprocess.Popen(["true"]) for _ in range(2)]
    pids = sorted(child.pid for child in children)
    for pid in pids:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    reaped = ended_children(pids, orphans=lambda: False)
    assert next(reaped) == (pids[0], 0)
    assert os.waitid(os.P_PID, pids[1], os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    assert list(reaped) == [(pids[1], 0)]
    for child in children:
        child.returncode = 0


def test_a_child_that_has_ended_before_it_is_watched_is_waited_for():
    async def scenario():
        child = subprocess.Popen(["sh", "-c", "exit 3"])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        children = Children()  # so late that SIGCHLD has come and gone
        children.reap()  # what SIGCHLD makes it do; it must leave a child alone that it doesn't know
        ended = asyncio.get_running_loop().create_future()
        children.watch(child.pid, ended.set_result)
        assert os.waitstatus_to_exitcode(await asyncio.wait_for(ended, DEADLINE_SECONDS)) == 3
        child.returncode = 3  # or Popen would warn that nobody waited for it

    asyncio.run(scenario())


def test_the_next_child_is_reaped_also_if_the_end_of_the_one_before_could_not_be_acted_on():
    async def scenario():
        loop = asyncio.get_running_loop()
        defects = []
        loop.set_exception_handler(lambda _loop, context: defects.append(str(context["exception"])))
        ended_before = sorted((subprocess.Popen(["true"]) for _ in range(2)), key=lambda child: child.pid)
        for child in ended_before:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        children = Children()
        ended = loop.create_future()
        children.watch(ended_before[0].pid, {}.__getitem__)
        children.watch(ended_before[1].pid, ended.set_result)
        children.reap()
        assert ended.result() == 0
        assert defects == ["0"], "the key that was not there"
        for child in ended_before:
            child.returncode = 0

    asyncio.run(scenario())


def test_a_child_that_is_not_watched_is_left_to_the_script_of_the_user_unless_it_may_be_an_orphan():
    async def scenario():
        child = subprocess.Popen(["true"])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        children = Children()
        children.reap()
        assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
        # The real question reaps whatever child this process has: so it is asked about this one alone.
        asked = iter([True, False])
        waited = []
        real = os.waitpid

        def waitpid(pid, options):
            waited.append(pid)
            return real(child.pid if pid == -1 else pid, options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "waitpid", waitpid)
            children.may_reap_orphans = lambda: next(asked)
            children.reap()
        assert waited == [-1]
        with pytest.raises(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)
        child.returncode = 0

    asyncio.run(scenario())
