"""A signal is heard once, with the byte that wakes the loop up and without it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.supervisor import signals
from gracehttp.supervisor.signals import hear


@pytest.fixture
def full():
    """A socket that takes no byte."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(b"x")
        yield ours


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def play(scenario):
    async def run():
        heard = []
        loop = asyncio.get_running_loop()
        hear(loop, signal.SIGUSR1, lambda: heard.append("one"))
        hear(loop, signal.SIGUSR2, lambda: heard.append("other"))
        await scenario(heard)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            loop.remove_signal_handler(number)

    asyncio.run(asyncio.wait_for(run(), DEADLINE_SECONDS))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_is_heard_as_often_as_it_comes(monkeypatch, count):
    monkeypatch.setattr(signals, "BYTE_SECONDS", 0.01)

    async def scenario(heard):
        for _ in range(count):
            os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        await until(lambda: len(heard) > count)
        await asyncio.sleep(0.03)  # longer than a byte is waited for
        assert heard == ["one"] * count + ["other"]

    play(scenario)


def test_it_is_heard_without_the_byte(full):
    async def scenario(heard):
        before = signal.set_wakeup_fd(full.fileno(), warn_on_full_buffer=False)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        await until(lambda: len(heard) == 2)
        assert heard == ["one", "other"]
        signal.set_wakeup_fd(before)
        os.kill(os.getpid(), signal.SIGUSR1)
        await until(lambda: len(heard) == 3)

    play(scenario)


def test_a_byte_that_comes_late_is_no_second_signal(full):
    async def scenario(heard):
        before = signal.set_wakeup_fd(full.fileno(), warn_on_full_buffer=False)
        os.kill(os.getpid(), signal.SIGUSR1)
        await until(lambda: heard)
        signal.set_wakeup_fd(before)
        os.write(before, bytes([signal.SIGUSR1]))
        os.kill(os.getpid(), signal.SIGUSR2)
        await until(lambda: "other" in heard)
        os.kill(os.getpid(), signal.SIGUSR1)
        await until(lambda: len(heard) == 3)
        assert heard == ["one", "other", "one"]

    play(scenario)


def test_it_ends_a_wait(full):
    async def scenario(heard):
        before = signal.set_wakeup_fd(full.fileno(), warn_on_full_buffer=False)
        sender = await asyncio.create_subprocess_shell(f"sleep 0.05; kill -USR1 {os.getpid()}")
        await sender.wait()
        await until(lambda: heard)
        signal.set_wakeup_fd(before)

    play(scenario)
