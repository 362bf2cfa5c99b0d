"""Who has the ends of a worker's channel and stderr, whatever becomes of its start. Nothing is started here."""

from __future__ import annotations

import asyncio
import os

import pytest

from gracehttp.supervisor.processes import starter as module
from gracehttp.supervisor.processes.children import Children
from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.processes.early_stderr import EarlyStderr
from gracehttp.supervisor.processes.fork_server import StartReports
from gracehttp.supervisor.processes.process import WorkerProcess
from gracehttp.supervisor.processes.starter import Starter

PID = 4_000_001


class ForkServer:
    """Takes orders, and with them the ends."""

    def __init__(self):
        self.ordered = []

    def order(self, process, ends, reports, launch):
        self.ordered.append((process.number, ends, launch))


def refuse(*what):
    raise FileNotFoundError("the working directory is gone")


def no_launch(starter, monkeypatch):
    monkeypatch.setattr(starter.launches, "of", refuse)


def no_spare(starter, monkeypatch):
    monkeypatch.setattr(starter._spare, "for_launch", refuse)


def no_process(starter, monkeypatch):
    monkeypatch.setattr(module, "spawn", lambda *what, **how: refuse())


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def in_world(story):
    """Run `story(starter, process, ends, reports, started)`; `started` has the PIDs that were reported."""

    async def scenario():
        loop = asyncio.get_running_loop()
        started = []
        starter = Starter(CommandLine(("none",), "."), Children(), started.append, stderr=2)
        process, ends = WorkerProcess.prepare(1, 1, 0, lambda read_end: EarlyStderr(loop, read_end, print))
        reports = StartReports(lambda _process, pid: started.append(pid), lambda _process, reason: None)
        try:
            story(starter, process, ends, reports, started)
        finally:
            process.discard()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("start", "fail"),
    [
        ("start", no_launch),
        ("start", no_spare),
        ("start", no_process),
        ("start_without_spare", no_launch),
        ("start_without_spare", no_process),
    ],
)
def test_a_worker_that_can_not_be_started_leaves_no_descriptor_open(monkeypatch, start, fail):
    def story(starter, process, ends, reports, started):
        fail(starter, monkeypatch)
        with pytest.raises(FileNotFoundError):
            getattr(starter, start)(process, ends, reports)
        assert not is_open(ends.channel)
        assert not is_open(ends.early_stderr)
        assert started == []

    in_world(story)


@pytest.mark.parametrize("start", ["start", "start_without_spare"])
def test_a_process_of_its_own_has_copies_of_the_ends(monkeypatch, start):
    def spawn(launch, environment, *, pass_fds, stderr, credentials):
        assert all(map(is_open, (*pass_fds, stderr)))
        return PID

    def story(starter, process, ends, reports, started):
        monkeypatch.setattr(module, "spawn", spawn)
        getattr(starter, start)(process, ends, reports)
        assert started == [PID]
        assert not process.is_of_spare
        assert not is_open(ends.channel)
        assert not is_open(ends.early_stderr)

    in_world(story)


@pytest.mark.parametrize("kind", ["template", "spare"])
def test_a_fork_server_takes_the_ends_with_its_order(monkeypatch, kind):
    def story(starter, process, ends, reports, started):
        server = ForkServer()
        if kind == "template":
            monkeypatch.setattr(starter.templates, "of", lambda generation: server)
        else:
            monkeypatch.setattr(starter._spare, "for_launch", lambda launch: server)
        starter.start(process, ends, reports)
        ((number, given, launch),) = server.ordered
        assert (number, given) == (1, ends)
        assert (launch is None) == (kind == "template"), "a template has what its generation has"
        assert process.is_of_spare == (kind == "spare")
        assert is_open(ends.channel)
        assert is_open(ends.early_stderr)
        ends.close()

    in_world(story)
