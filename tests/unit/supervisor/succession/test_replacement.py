"""From the request for another supervisor to its beginning, with the trial and execve stubbed."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.signals import HEARD
from gracehttp.supervisor.succession import replacement
from gracehttp.supervisor.succession.replacement import Replacement
from gracehttp.supervisor.succession.trial import Verdict


class SettledWorkers:
    """Stands for the workers, and what starts them."""

    @property
    def starter(self):
        return self

    async def settled(self):
        return


class UnsettledWorkers(SettledWorkers):
    """It has ordered a worker from a template."""

    def __init__(self, events):
        self.events = events

    async def settled(self):
        await asyncio.sleep(0)
        self.events.append("started")


class World:
    """What the replacement meets: the trial's verdict, and what execve does (it doesn't return)."""

    def __init__(self, monkeypatch):
        self.verdict = Verdict(ok=True)
        self.during_the_trial = lambda: None
        self.execve = FileNotFoundError("no such interpreter")
        self.events = []
        self.mask_at_execve = None
        self.workers = SettledWorkers()
        monkeypatch.setattr(replacement, "try_image", self.try_image)
        monkeypatch.setattr(replacement, "become", self.become)

    async def try_image(self, *_, timeout_seconds):
        self.events.append(f"trial of {timeout_seconds} s")
        await asyncio.sleep(0)
        self.during_the_trial()
        return self.verdict

    def become(self, *_):
        self.mask_at_execve = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        self.events.append("execve")
        raise self.execve

    def carry(self, source):
        return source

    def failed(self, reason, details, unlogged):
        self.events.append((reason, details))

    def play(self, script=lambda _: None):
        """Begin, let `script(replacement)` act, and wait until nothing is left to do."""

        async def run():
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.events.append, "signal")
            one = Replacement(CommandLine(("none",), "."), self.workers, carry=self.carry, on_failure=self.failed)
            one.begin("somebody", timeout_seconds=5)
            script(one)
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

        asyncio.run(run())


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


def test_a_trial_that_fails_is_told_and_nothing_is_executed(world):
    world.verdict = Verdict(ok=False, reason="refuses: too old", details="said")
    world.play()
    assert world.events == ["trial of 5 s", ("the new image refuses: too old", "said")]


def test_an_execve_that_fails_is_told(world):
    world.play()
    assert world.events == ["trial of 5 s", "execve", ("the new image can't be executed (no such interpreter)", "")]


def test_a_defect_of_ours_is_told_too(world):
    world.execve = KeyError("x")
    world.play()
    assert world.events[-1] == ("unexpected KeyError: 'x'", "")


def test_signals_are_held_back_for_execve_and_come_again_when_it_fails(world):
    world.play()
    assert world.mask_at_execve >= HEARD
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & HEARD


def test_a_signal_that_was_caught_before_is_acted_on_by_the_old_image(world):
    world.during_the_trial = lambda: os.kill(os.getpid(), signal.SIGUSR1)
    world.play()
    assert world.events[:3] == ["trial of 5 s", "signal", "execve"]


def test_execve_waits_until_no_worker_is_half_started(world):
    world.workers = UnsettledWorkers(world.events)
    world.play()
    assert world.events[:3] == ["trial of 5 s", "started", "execve"]


def test_a_stop_cancels_the_attempt(world):
    cancelled = []
    world.play(lambda one: cancelled.append(one.cancel()))
    assert cancelled == [True]
    assert world.events == []


def test_a_stop_between_the_trial_and_execve_keeps_the_old_image(world):
    def stop():
        asyncio.get_running_loop().call_soon(attempts[0].cancel)

    attempts = []
    world.during_the_trial = stop
    world.play(attempts.append)
    assert world.events == ["trial of 5 s"]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & HEARD


def test_a_newer_request_supersedes_the_one_before(world):
    world.play(lambda one: one.begin("another", timeout_seconds=7))
    assert world.events[0] == "trial of 7 s"
    assert world.events.count("execve") == 1


def test_there_is_nothing_to_cancel_without_an_attempt_or_after_it(world):
    async def run():
        one = Replacement(CommandLine(("none",), "."), SettledWorkers(), carry=world.carry, on_failure=world.failed)
        before = one.cancel()
        one.begin("somebody", timeout_seconds=5)
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
        return before, one.cancel()

    assert asyncio.run(run()) == (False, False)
