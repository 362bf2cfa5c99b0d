"""What workers say and how they end, with children that only sleep."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
from types import SimpleNamespace

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.events import WorkerOutputDropped
from gracehttp.supervisor.processes import workers as module
from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.processes.early_stderr import EarlyStderr
from gracehttp.supervisor.processes.process import WorkerProcess
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.wire.channel import ChannelBroken, channel_pair
from gracehttp.wire.messages import Drain, DrainReason, Serve


class World:
    """Worker processes with one worker, which is a child that sleeps."""

    def __init__(self, on_message):
        self.ended, self.defects, self.published = [], [], []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: self.defects.append(context))
        read_end, write_end = os.pipe()
        os.close(read_end)
        self.stderr = write_end
        self.workers = WorkerProcesses(
            CommandLine(("none",), "."),
            write_end,
            on_message=on_message,
            on_exit=lambda process, ending: self.ended.append(ending.reason),
            publish=self.published.append,
            hold_early_stderr=False,
        )
        self.child = subprocess.Popen(["sleep", "60"])
        channel, self.theirs = channel_pair()
        words = EarlyStderr(loop, None, print)
        self.worker = WorkerProcess(1, 1, 0, pid=self.child.pid, started_at=0.0, channel=channel, early_stderr=words)
        self.workers._add(self.worker)

    async def end(self):
        self.child.send_signal(signal.SIGKILL)
        while not self.ended:
            await asyncio.sleep(0)
        self.child.returncode = 0
        self.theirs.close()
        os.close(self.stderr)


def test_for_a_defect_of_ours_no_worker_is_killed():
    async def scenario():
        heard = []

        def fail(process, message):
            heard.append(message)
            raise KeyError("ours")

        world = World(fail)
        world.theirs.send(b'{"type": "ready"}\n{"type": "paused"}\n')
        while len(heard) < 2:
            await asyncio.sleep(0)
        assert world.worker.failure is None
        assert [str(context["exception"]) for context in world.defects] == ["'ours'"] * 2
        await world.end()
        assert world.ended == ["was killed by SIGKILL"], "by the test"

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


@pytest.mark.parametrize(
    "line",
    [b"nonsense", b"[]", b"[" * 60_000, b'{"type": "due_for_recycling"}', b'{"type": "ready", "descriptors": 1}'],
    ids=lambda line: line[:40].decode(),
)
def test_who_does_not_speak_our_language_is_ended(line):
    async def scenario():
        world = World(lambda process, message: None)
        world.theirs.send(line + b"\n")
        while not world.ended:
            await asyncio.sleep(0)
        assert world.ended[0].startswith("failed: it said what the supervisor can't read")
        await world.end()

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def broken_channel(world):
    def broken(_message):
        raise ChannelBroken("Bad file descriptor")

    world.worker.channel.send = broken
    world.workers.send(1, Serve())


def closed_channel(world):
    world.theirs.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("lose", "reason"),
    [
        (broken_channel, "its channel to the supervisor broke (Bad file descriptor)"),
        (closed_channel, "it closed its channel to the supervisor"),
    ],
    ids=["broken", "closed"],
)
def test_a_worker_without_a_channel_is_ended_and_that_is_told(monkeypatch, lose, reason):
    monkeypatch.setattr(module, "CLOSED_CHANNEL_SECONDS", 0.01)

    async def scenario():
        world = World(lambda process, message: None)
        lose(world)
        while not world.ended:
            await asyncio.sleep(0)
        assert world.ended == [f"failed: {reason}"]
        assert [str(event) for event in world.published] == [
            f"worker 1 of generation 1 (pid {world.child.pid}) is ended by force: {reason}"
        ]
        await world.end()

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def test_a_worker_that_drains_may_close_its_channel(monkeypatch):
    monkeypatch.setattr(module, "CLOSED_CHANNEL_SECONDS", 0.01)

    async def scenario():
        world = World(lambda process, message: None)
        world.workers.send(1, Drain(DrainReason.RESTART, 1.0))
        closed_channel(world)
        await asyncio.sleep(0.1)
        assert world.ended == world.published == []
        await world.end()

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def no_workers():
    return WorkerProcesses(
        CommandLine(("none",), "."),
        2,
        on_message=lambda process, message: None,
        on_exit=lambda process, ending: None,
        publish=lambda event: None,
        hold_early_stderr=False,
    )


def test_a_fork_that_was_ordered_while_another_one_was_waited_for_is_waited_for_too():
    """Or the next image of the supervisor would have a worker without a process."""

    async def scenario():
        workers = no_workers()
        of_template, of_spare = asyncio.Event(), asyncio.Event()
        workers.starter.templates._templates[1] = SimpleNamespace(idle=of_template)
        workers.starter._spare._process = SimpleNamespace(idle=of_spare)
        of_template.set()
        settled = asyncio.create_task(workers.starter.settled())
        await asyncio.sleep(0)
        of_template.clear()
        of_spare.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not settled.done()
        of_template.set()
        await settled

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def test_who_has_ended_is_told_also_if_its_last_message_can_not_be_read():
    async def scenario():
        def refuse():
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

        world = World(lambda process, message: None)
        world.worker.channel.receive = refuse
        await world.end()
        assert world.ended == ["was killed by SIGKILL"]
        assert world.defects

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def test_what_was_dropped_of_the_output_of_starting_workers_is_told():
    async def scenario():
        world = World(lambda process, message: None)
        world.workers.pass_on(b"its reader is gone")
        world.workers.pass_on(b"so is this one")
        assert world.published == [WorkerOutputDropped(1)]
        await world.end()

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
