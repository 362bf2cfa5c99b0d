"""Whether a worker may be forked from the spare process, and what the supervisor does with it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys

import pytest
from deadlines import DEADLINE_SECONDS
from value_copies import changed

from gracehttp.config.release_links import LINKS_VARIABLE
from gracehttp.events import SpareLost, SpareNotUsed, SpareStarted
from gracehttp.supervisor.processes import spare as module
from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.processes.fork_server import StartReports
from gracehttp.supervisor.processes.inheritance import Inheritance, inheritance_now
from gracehttp.supervisor.processes.process import WorkerProcess
from gracehttp.supervisor.processes.spare import Spare, difference
from gracehttp.wire.channel import Channel
from gracehttp.wire.messages import Fork, Forked, TemplateBegan

PID, WORKER_PID = 4_000_001, 4_000_002
BEGAN = TemplateBegan(PID)
LAUNCH = Launch("/venv/bin/python", ("python", "-m", "gracehttp", "serve", "main:app"), "/", (("PATH", "/bin"),))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (LAUNCH, ""),
        (changed(LAUNCH, directory="/elsewhere"), ""),
        (changed(LAUNCH, variables=(("PATH", "/bin"), ("PWD", "/"), (LINKS_VARIABLE, "{}"))), ""),
        (
            changed(LAUNCH, executable="/2/bin/python"),
            "/2/bin/python is to be run, and it is /venv/bin/python",
        ),
        (changed(LAUNCH, arguments=("python", "-O", "-m", "gracehttp")), "the release has another command line"),
        (changed(LAUNCH, variables=(("PATH", "/2/bin"),)), "PATH is another one"),
        (changed(LAUNCH, variables=()), "PATH is another one"),
        (changed(LAUNCH, variables=(("PATH", "/bin"), ("PYTHONPATH", "/2"))), "PYTHONPATH is another one"),
        (changed(LAUNCH, variables=(("PATH", "/bin"), ("VIRTUAL_ENV", "/2"))), "VIRTUAL_ENV is another one"),
    ],
)
def test_it_stands_for_what_would_load_the_same(wanted, expected):
    assert difference(LAUNCH, wanted) == expected


def test_what_a_process_inherits_counts():
    before = inheritance_now()
    assert inheritance_now() == before
    assert before.limits
    assert before.processors == os.sched_getaffinity(0)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0 if soft else min(1, hard) if hard >= 0 else 1, hard))
    try:
        assert inheritance_now() != before
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_a_policy_of_scheduling_counts():
    code = (
        "import os; from gracehttp.supervisor.processes.inheritance import inheritance_now; before = inheritance_now();"
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); print(inheritance_now() == before)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )
    assert found.stdout == "False\n"


class World:
    """A spare process that the test plays, at the other end of its channel."""

    def __init__(self, monkeypatch):
        self.told, self.watched, self.killed, self.spawned = [], {}, [], []
        self.started, self.failed = asyncio.Queue(), asyncio.Queue()
        self.process = None
        self.processes = []
        monkeypatch.setattr(module, "spawn", self._spawn)
        monkeypatch.setattr(module, "DELAY_SECONDS", 0.0)
        monkeypatch.setattr(module, "is_attached", lambda: False)
        monkeypatch.setattr(Launch, "missing", lambda self: "")
        monkeypatch.setattr(module, "inheritance_now", lambda: self.inheritance)
        monkeypatch.setattr(os, "kill", lambda pid, number: self.killed.append((pid, number)))
        self.inheritance = Inheritance()
        self.spawned_now = asyncio.Event()
        self.reports = StartReports(
            lambda process, pid: self.started.put_nowait((process.number, pid)),
            lambda process, reason: self.failed.put_nowait((process.number, reason)),
        )
        self.spare = Spare(
            self.watched.__setitem__,
            self.told.append,
            adopt_orphans=lambda: True,
            stderr=2,
            credentials=None,
        )

    def _spawn(self, launch, environment, *, pass_fds, stderr, credentials):
        (fd,) = pass_fds
        assert environment == {"GRACEHTTP_SPARE_CHANNEL": str(fd)}
        self.spawned.append(launch)
        self.process = Channel(socket.socket(fileno=os.dup(fd)))
        self.spawned_now.set()
        return PID

    async def begin(self, *, says=BEGAN):
        self.spare.renew_soon(LAUNCH)
        await self.spawned_now.wait()
        self.spawned_now.clear()
        self.process.send(says)
        while not self.told:
            await asyncio.sleep(0)

    def order(self, worker=1, launch=LAUNCH):
        process, ends = WorkerProcess.prepare(worker, 1, 0, hear_nothing)
        self.processes.append(process)
        self.spare.for_launch(launch).order(process, ends, self.reports, launch)

    def reap(self, status):
        self.watched.pop(PID)(status)

    def close(self):
        self.spare.end()
        if self.process is not None:
            self.process.close()
        for process in self.processes:
            process.channel.close()


class _NoStderr:
    def close(self):
        return


def hear_nothing(read_end):
    os.close(read_end)
    return _NoStderr()


def in_world(monkeypatch, story):
    async def run():
        world = World(monkeypatch)
        try:
            await asyncio.wait_for(story(world), DEADLINE_SECONDS)
        finally:
            world.close()

    asyncio.run(run())


def test_a_worker_is_ordered_from_it_with_its_directory_and_variables(monkeypatch):
    async def story(world):
        assert world.spare.for_launch(LAUNCH) is None, "there is none yet"
        await world.begin()
        assert world.told == [SpareStarted(PID)]
        world.order()
        assert world.spare.expecting
        (order,) = world.process.receive()
        assert isinstance(order, Fork)
        assert (order.worker, order.directory, order.variables) == (1, "/", (("PATH", "/bin"),))
        for fd in (order.channel, order.stderr):
            os.close(fd)
        world.process.send(Forked(WORKER_PID))
        assert await world.started.get() == (1, WORKER_PID)
        assert not world.spare.expecting
        await world.spare.settled()

    in_world(monkeypatch, story)


def test_it_is_not_used_while_it_loads(monkeypatch):
    async def story(world):
        world.spare.renew_soon(LAUNCH)
        await world.spawned_now.wait()
        assert world.spare.for_launch(LAUNCH) is None
        assert not world.killed

    in_world(monkeypatch, story)


def test_another_release_ends_it(monkeypatch):
    async def story(world):
        await world.begin()
        assert world.spare.for_launch(changed(LAUNCH, executable="/2/bin/python")) is None
        assert world.killed == [(PID, signal.SIGKILL)]
        assert isinstance(world.told[-1], SpareNotUsed)
        world.reap(signal.SIGKILL)
        assert not any(isinstance(event, SpareLost) for event in world.told), "it was ended"

    in_world(monkeypatch, story)


def test_a_limit_that_was_changed_ends_it(monkeypatch):
    async def story(world):
        await world.begin()
        world.inheritance = Inheritance(nice=5)
        assert world.spare.for_launch(LAUNCH) is None
        assert world.killed == [(PID, signal.SIGKILL)]

    in_world(monkeypatch, story)


def test_the_same_release_keeps_it(monkeypatch):
    async def story(world):
        await world.begin()
        world.spare.renew_soon(changed(LAUNCH, directory="/elsewhere"))
        await asyncio.sleep(0.01)
        assert world.spawned == [LAUNCH]
        assert world.spare.for_launch(LAUNCH) is not None

    in_world(monkeypatch, story)


def test_one_that_declines_leaves_the_worker_to_be_started_in_another_way(monkeypatch):
    async def story(world):
        await world.begin()
        world.order()
        world.process.receive()
        world.process.send(Forked(0, "/a.py has changed"))
        assert await world.failed.get() == (1, "/a.py has changed")

    in_world(monkeypatch, story)


def test_one_that_dies_leaves_all_it_was_ordered_to_be_started_in_another_way(monkeypatch):
    async def story(world):
        await world.begin()
        world.order(1)
        world.order(2)
        world.process.close()
        assert await world.failed.get() == (1, "the spare process is gone")
        assert await world.failed.get() == (2, "the spare process is gone")
        assert world.spare.for_launch(LAUNCH) is None
        world.reap(signal.SIGKILL)
        assert world.told[-1] == SpareLost("was killed by SIGKILL")

    in_world(monkeypatch, story)


def test_one_that_hangs_is_killed(monkeypatch):
    async def story(world):
        monkeypatch.setattr(module, "FORK_SECONDS", 0.01)
        await world.begin()
        world.order()
        assert await world.failed.get() == (1, "the spare process did not fork it within 0.01 s")
        assert (PID, signal.SIGKILL) in world.killed

    in_world(monkeypatch, story)


def test_one_that_takes_too_long_to_load_is_killed(monkeypatch):
    async def story(world):
        monkeypatch.setattr(module, "LOAD_SECONDS", 0.0)
        world.spare.renew_soon(LAUNCH)
        while not world.killed:
            await asyncio.sleep(0)
        assert world.killed == [(PID, signal.SIGKILL)]

    in_world(monkeypatch, story)


def test_one_that_takes_too_long_to_load_is_killed_also_if_a_next_generation_serves_meanwhile(monkeypatch):
    async def story(world):
        monkeypatch.setattr(module, "LOAD_SECONDS", 0.2)
        world.spare.renew_soon(LAUNCH)
        await world.spawned_now.wait()
        world.spare.renew_soon(LAUNCH)
        assert world.spare.for_launch(LAUNCH) is None
        while not world.killed:
            await asyncio.sleep(0.01)
        assert world.killed == [(PID, signal.SIGKILL)]

    in_world(monkeypatch, story)


def test_one_that_has_loaded_gives_way_to_the_one_that_is_wanted_next(monkeypatch):
    async def story(world):
        world.spare.renew_soon(LAUNCH)
        await world.spawned_now.wait()
        world.spawned_now.clear()
        old = world.process
        other = changed(LAUNCH, executable="/2/bin/python")
        monkeypatch.setattr(module, "DELAY_SECONDS", 0.2)
        world.spare.renew_soon(other)
        old.send(BEGAN)
        await world.spawned_now.wait()
        old.close()
        assert world.spawned == [LAUNCH, other]
        assert world.killed == [(PID, signal.SIGKILL)]

    in_world(monkeypatch, story)


def test_one_that_can_not_be_one_says_why(monkeypatch):
    async def story(world):
        await world.begin(says=TemplateBegan(0, "its interpreter is traced"))
        assert world.told == [SpareNotUsed("its interpreter is traced")]
        assert world.spare.for_launch(LAUNCH) is None
        assert not world.spare.expecting

    in_world(monkeypatch, story)


def test_none_is_started_beside_a_worker_that_starts(monkeypatch):
    async def story(world):
        monkeypatch.setattr(module, "DELAY_SECONDS", 1000.0)
        world.spare.renew_soon(LAUNCH)
        before = world.spare._timer
        assert world.spare.for_launch(LAUNCH) is None
        assert before.cancelled()
        assert world.spare._timer.when() >= before.when(), "it is put off, and not forgotten"

    in_world(monkeypatch, story)


def no_orphan_is_adopted(monkeypatch, world):
    world.spare._adopt_orphans = lambda: False


def a_debugger_is_attached(monkeypatch, world):
    monkeypatch.setattr(module, "is_attached", lambda: True)


def the_release_is_gone(monkeypatch, world):
    monkeypatch.setattr(Launch, "missing", lambda self: "/venv/bin/python")


@pytest.mark.parametrize(
    ("prevent", "cause", "hint"),
    [
        (no_orphan_is_adopted, "the supervisor can't adopt the workers that it would fork", "use --spare off"),
        (a_debugger_is_attached, "a debugger is attached", ""),
        (the_release_is_gone, "/venv/bin/python is gone", ""),
    ],
)
def test_where_there_can_be_none_that_is_told_in_one_line(monkeypatch, prevent, cause, hint):
    async def story(world):
        prevent(monkeypatch, world)
        world.spare.renew_soon(LAUNCH)
        while not world.told:
            await asyncio.sleep(0)
        (told,) = map(str, world.told)
        assert told.startswith(f"no spare process is used: {cause}")
        assert hint in told
        assert "\n" not in told
        assert not world.spawned

    in_world(monkeypatch, story)
