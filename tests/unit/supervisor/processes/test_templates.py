"""Ordering workers from templates, which are played here by the test at the other end of the channel."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS
from value_copies import changed

from gracehttp.events import PreloadUnavailable, TemplateLost, TemplateStarted
from gracehttp.release import RELEASE
from gracehttp.supervisor.processes import templates
from gracehttp.supervisor.processes.early_stderr import EarlyStderr
from gracehttp.supervisor.processes.fork_server import StartReports
from gracehttp.supervisor.processes.process import WorkerProcess
from gracehttp.supervisor.processes.templates import Templates, TemplatesRecord
from gracehttp.values import Descriptor, from_plain, to_plain
from gracehttp.wire.channel import Channel, ChannelClosed
from gracehttp.wire.messages import Fork, Forked, TemplateBegan

VECTORS = Path(__file__).parents[3] / "vectors"
RELEASES = sorted(folder.name for folder in VECTORS.iterdir() if folder.is_dir())
PID_OF_TEMPLATE = 4_000_001
PID_OF_WORKER = 4_000_002
KILLED = signal.SIGKILL.value  # as a wait status


class Fleet:
    """Templates and what they tell; the kernel is left out."""

    def __init__(self, record=None):
        self.told = []
        self.watched = {}
        self.started = asyncio.Queue()
        self.failed = asyncio.Queue()
        self.reports = StartReports(
            lambda process, pid: self.started.put_nowait((process.number, pid)),
            lambda process, reason: self.failed.put_nowait((process.number, reason)),
        )
        self.templates = Templates(self.watched.__setitem__, self.told.append, record)
        self.processes = []

    def leave_template(self, generation=1):
        """The other end of a template that exists."""
        template = Channel(socket.socket(fileno=os.dup(self.templates.expect(generation))))
        template.send(TemplateBegan(PID_OF_TEMPLATE))
        return template

    def order(self, worker, generation=1):
        process, ends = WorkerProcess.prepare(worker, generation, 0, hear_nothing)
        self.processes.append(process)
        self.templates.of(generation).order(process, ends, self.reports)

    def reap(self, pid, status):
        self.watched.pop(pid)(status)

    def close(self):
        for generation in (1, 2):
            self.templates.end(generation)
        for process in self.processes:
            process.discard()


@pytest.fixture
def killed(monkeypatch):
    sent = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(templates, "adopt_orphans", lambda: True)
    return sent


def take_order(template):
    (order,) = template.receive()
    assert isinstance(order, Fork)
    os.close(order.channel)
    os.close(order.stderr)
    return order.worker


def hear_nothing(read_end):
    return EarlyStderr(asyncio.get_running_loop(), read_end, lambda data: None)


async def started(fleet):
    """Until the template has said that it exists."""
    while PID_OF_TEMPLATE not in fleet.watched:
        await asyncio.sleep(0)


def run(scenario):
    async def play():
        fleet = Fleet()
        try:
            await asyncio.wait_for(scenario(fleet), DEADLINE_SECONDS)
        finally:
            fleet.close()

    asyncio.run(play())


@pytest.mark.usefixtures("killed")
def test_workers_are_forked_one_after_the_other_in_the_order_in_which_they_were_ordered():
    async def scenario(fleet):
        template = fleet.leave_template()
        for worker in (7, 8):
            fleet.order(worker)
        for worker in (7, 8):
            assert take_order(template) == worker
            assert not fleet.templates.may_reap_orphans, "one of them may be that worker"
            template.send(Forked(PID_OF_WORKER + worker))
            assert await fleet.started.get() == (worker, PID_OF_WORKER + worker)
        assert fleet.templates.may_reap_orphans
        assert fleet.told == [TemplateStarted(1, PID_OF_TEMPLATE)]
        template.close()

    run(scenario)


@pytest.mark.parametrize("release", RELEASES)
def test_a_template_of_another_release_is_told_and_says_what_the_vectors_have(release):
    def vectors(name, of):
        lines = map(json.loads, (VECTORS / of / name).read_text().splitlines())
        return {line["type"]: line for line in lines}

    async def scenario(fleet):
        says = vectors("worker-says.jsonl", release)
        with socket.socket(fileno=os.dup(fleet.templates.expect(1))) as template:
            template.sendall(json.dumps({**says["template_began"], "added": 1}).encode() + b"\n")
            fleet.order(2)
            line, fds, _, _ = socket.recv_fds(template, 4096, 2)
            assert json.loads(line) == vectors("supervisor-says.jsonl", RELEASE)["fork"] | {
                "directory": "",
                "variables": [],
            }  # those are for the spare process
            for fd in fds:
                os.close(fd)
            template.sendall(json.dumps({**says["forked"], "added": 1}).encode() + b"\n")
            assert await fleet.started.get() == (2, says["forked"]["pid"])
        assert fleet.told == [TemplateStarted(1, says["template_began"]["pid"])]

    run(scenario)


@pytest.mark.usefixtures("killed")
def test_a_worker_can_be_ordered_before_the_template_has_said_that_it_exists():
    """The first worker may say that it is ready before the template is heard: they have a channel each."""

    async def scenario(fleet):
        template = Channel(socket.socket(fileno=os.dup(fleet.templates.expect(1))))
        fleet.order(7)
        template.send(TemplateBegan(PID_OF_TEMPLATE))
        assert take_order(template) == 7
        template.send(Forked(PID_OF_WORKER))
        assert await fleet.started.get() == (7, PID_OF_WORKER)
        template.close()

    run(scenario)


@pytest.mark.usefixtures("killed")
def test_a_worker_that_can_not_be_forked_is_told_with_the_reason():
    async def scenario(fleet):
        template = fleet.leave_template()
        fleet.order(7)
        take_order(template)
        template.send(Forked(0, "Resource temporarily unavailable"))
        assert await fleet.failed.get() == (7, "Resource temporarily unavailable")
        assert fleet.templates.of(1) is not None
        template.close()

    run(scenario)


def test_a_template_that_hangs_is_killed_and_what_was_ordered_from_it_is_told(monkeypatch, killed):
    monkeypatch.setattr(templates, "FORK_SECONDS", 0.05)

    async def scenario(fleet):
        template = fleet.leave_template()
        fleet.order(7)
        fleet.order(8)
        assert [(await fleet.failed.get())[0] for _ in range(2)] == [7, 8]
        assert killed == [(PID_OF_TEMPLATE, signal.SIGKILL)]
        assert fleet.templates.of(1) is None
        template.close()

    run(scenario)


@pytest.mark.usefixtures("killed")
def test_a_generation_that_lost_its_template_gets_no_second_one():
    async def scenario(fleet):
        template = fleet.leave_template()
        fleet.order(7)
        template.close()
        assert await fleet.failed.get() == (7, "the template of its generation is gone")
        assert fleet.watched.keys() == {PID_OF_TEMPLATE}
        fleet.reap(PID_OF_TEMPLATE, KILLED)
        assert fleet.told[-1] == TemplateLost(1, "was killed by SIGKILL")
        assert fleet.templates.of(1) is None
        assert fleet.templates.expect(1) is None
        assert fleet.templates.expect(2) is not None
        fleet.templates.end(2)

    run(scenario)


@pytest.mark.usefixtures("killed")
def test_what_a_template_did_before_it_died_counts():
    async def scenario(fleet):
        template = fleet.leave_template()
        for worker in (6, 7):
            fleet.order(worker)
            template.send(Forked(PID_OF_WORKER))
            if worker == 6:
                await fleet.started.get()
        fleet.reap(PID_OF_TEMPLATE, KILLED)
        assert fleet.started.get_nowait() == (7, PID_OF_WORKER)
        template.close()

    run(scenario)


def test_a_template_that_was_waited_for_is_sent_no_signal_any_more(killed):
    async def scenario(fleet):
        template = fleet.leave_template()
        await started(fleet)
        template.close()
        fleet.reap(PID_OF_TEMPLATE, KILLED)
        assert killed == [], "the PID may be somebody else's"
        assert fleet.told[-1] == TemplateLost(1, "was killed by SIGKILL")

    run(scenario)


@pytest.mark.parametrize("nonsense", [Forked(1), TemplateBegan(PID_OF_WORKER)])
def test_a_template_that_tells_of_what_was_not_ordered_is_ended(killed, nonsense):
    async def scenario(fleet):
        template = fleet.leave_template()
        await started(fleet)
        template.send(nonsense)
        while not killed:
            await asyncio.sleep(0)
        assert killed == [(PID_OF_TEMPLATE, signal.SIGKILL)]
        assert fleet.templates.of(1) is None
        template.close()

    run(scenario)


def test_a_template_ends_by_force_with_its_generation_and_is_waited_for(killed):
    async def scenario(fleet):
        template = fleet.leave_template()
        fleet.order(7)
        take_order(template)
        template.send(Forked(PID_OF_WORKER))
        await fleet.started.get()
        fleet.templates.end(1)
        assert killed == [(PID_OF_TEMPLATE, signal.SIGKILL)]
        assert fleet.watched.keys() == {PID_OF_TEMPLATE}
        ended = asyncio.ensure_future(fleet.templates.ended())
        await asyncio.sleep(0)
        assert not ended.done()
        fleet.reap(PID_OF_TEMPLATE, KILLED)
        await ended
        assert not any(isinstance(event, TemplateLost) for event in fleet.told)
        template.close()

    run(scenario)


@pytest.mark.usefixtures("killed")
def test_a_template_that_has_not_said_that_it_exists_reads_the_end_of_the_file():
    async def scenario(fleet):
        template = Channel(socket.socket(fileno=os.dup(fleet.templates.expect(1))))
        fleet.templates.end(1)
        with pytest.raises(ChannelClosed):
            template.receive()
        template.close()

    run(scenario)


def test_without_subreapers_there_are_no_templates(monkeypatch):
    monkeypatch.setattr(templates, "adopt_orphans", lambda: False)

    async def scenario(fleet):
        assert fleet.templates.expect(1) is None
        assert isinstance(fleet.told[0], PreloadUnavailable)
        assert not fleet.templates.may_reap_orphans, "they are children of the user's script"

    run(scenario)


def test_a_signal_to_a_worker_that_has_no_process_yet_waits_for_it(killed):
    async def scenario(fleet):
        process, ends = WorkerProcess.prepare(7, 1, 0, hear_nothing)
        fleet.processes.append(process)
        ends.close()
        process.signal(signal.SIGKILL)
        assert killed == [], "a PID of 0 would be the own process group (kill(2))"
        process.started(PID_OF_WORKER)
        assert killed == [(PID_OF_WORKER, signal.SIGKILL)]

    run(scenario)


# --- when the supervisor replaces itself ---


def carried(fleet):
    """What the next image is given; the descriptors are copies, because this test is both images."""
    record = fleet.templates.carry()
    copies = [
        changed(
            one,
            channel=changed(one.channel, socket=Descriptor(os.dup(one.channel.socket))),
            their_end=None if one.their_end is None else Descriptor(os.dup(one.their_end)),
        )
        for one in record.templates
    ]
    return from_plain(TemplatesRecord, to_plain(changed(record, templates=copies)))


@pytest.mark.usefixtures("killed")
def test_the_next_image_orders_from_the_template_of_the_one_before_and_waits_for_it():
    async def scenario(fleet):
        template = fleet.leave_template()
        await started(fleet)
        after = Fleet(carried(fleet))
        fleet.templates.end(1)
        assert after.watched.keys() == {PID_OF_TEMPLATE}
        assert after.templates.may_reap_orphans, "it is still a subreaper (PR_SET_CHILD_SUBREAPER(2const))"
        after.order(7)
        assert take_order(template) == 7
        template.send(Forked(PID_OF_WORKER))
        assert await after.started.get() == (7, PID_OF_WORKER)
        after.reap(PID_OF_TEMPLATE, KILLED)
        assert after.told == [TemplateLost(1, "was killed by SIGKILL")]
        template.close()
        after.close()

    run(scenario)


@pytest.mark.usefixtures("killed")
def test_a_template_that_is_still_to_come_comes_to_the_next_image():
    async def scenario(fleet):
        template = Channel(socket.socket(fileno=os.dup(fleet.templates.expect(1))))
        after = Fleet(carried(fleet))
        template.send(TemplateBegan(PID_OF_TEMPLATE))
        await started(after)
        assert after.told == [TemplateStarted(1, PID_OF_TEMPLATE)]
        template.close()
        after.close()

    run(scenario)


@pytest.mark.usefixtures("killed")
def test_a_generation_that_lost_its_template_gets_no_second_one_of_the_next_image_either():
    async def scenario(fleet):
        template = fleet.leave_template()
        await started(fleet)
        fleet.reap(PID_OF_TEMPLATE, KILLED)
        after = Fleet(carried(fleet))
        assert after.templates.of(1) is None
        assert after.templates.expect(1) is None
        template.close()

    run(scenario)


@pytest.mark.usefixtures("killed")
def test_it_is_settled_when_no_order_is_under_way():
    async def scenario(fleet):
        template = fleet.leave_template()
        await fleet.templates.settled()
        fleet.order(7)
        settled = asyncio.ensure_future(fleet.templates.settled())
        take_order(template)
        await asyncio.sleep(0)
        assert not settled.done()
        template.send(Forked(PID_OF_WORKER))
        await settled
        assert fleet.started.get_nowait() == (7, PID_OF_WORKER)
        template.close()

    run(scenario)


def test_an_order_that_meets_a_shortage_is_sent_when_that_is_over(killed, monkeypatch):
    async def scenario():
        fleet = Fleet()
        template = fleet.leave_template()
        failures = ["ETOOMANYREFS"] * 3
        original = socket.send_fds

        def send_fds(*arguments):
            if failures:
                name = failures.pop()
                raise OSError(getattr(errno, name), name)
            return original(*arguments)

        monkeypatch.setattr(socket, "send_fds", send_fds)
        fleet.order(5)
        while failures:
            await asyncio.sleep(0.001)
        template.set_blocking(False)
        received = []
        while not received:
            await asyncio.sleep(0.001)
            received = template.receive()
        (order,) = received
        os.close(order.channel)
        os.close(order.stderr)
        assert order.worker == 5
        fleet.close()
        template.close()

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
