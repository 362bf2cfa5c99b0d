"""A descriptor is heard of also where the system had no room to watch it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.system.readiness import Watch

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class FullLoop:
    """An event loop that has no room for the first `refusals` descriptors."""

    def __init__(self, refusals, error=errno.ENOSPC):
        self.loop = asyncio.get_running_loop()
        self.refusals = refusals
        self.error = error
        self.watched = set()

    def _add(self, add, fd, callback):
        if self.refusals:
            self.refusals -= 1
            raise OSError(self.error, os.strerror(self.error))
        add(fd, callback)
        self.watched.add(fd)

    def _remove(self, remove, fd):
        self.watched.remove(fd)
        remove(fd)

    def add_reader(self, fd, callback):
        self._add(self.loop.add_reader, fd, callback)

    def add_writer(self, fd, callback):
        self._add(self.loop.add_writer, fd, callback)

    def remove_reader(self, fd):
        self._remove(self.loop.remove_reader, fd)

    def remove_writer(self, fd):
        self._remove(self.loop.remove_writer, fd)

    def call_later(self, seconds, callback):
        return self.loop.call_later(seconds / 10, callback)


@pytest.fixture(params=LOOPS)
def run(request):
    def play(scenario):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))

    return play


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.mark.parametrize("refusals", [0, 1, 3])
def test_what_comes_is_heard_and_watched_as_soon_as_there_is_room(run, pair, refusals):
    async def scenario():
        ours, theirs = pair
        loop = FullLoop(refusals)
        called = asyncio.Event()
        watch = Watch(loop, ours.fileno(), called.set)
        theirs.send(b"x")
        await called.wait()
        while loop.refusals:
            called.clear()
            await called.wait()
        ours.recv(10)
        called.clear()
        theirs.send(b"x")
        await called.wait()
        assert loop.watched == {ours.fileno()}
        watch.stop()
        watch.stop()
        assert not loop.watched

    run(scenario)


def test_for_writing_too(run, pair):
    async def scenario():
        ours, _ = pair
        loop = FullLoop(1)
        called = asyncio.Event()
        watch = Watch(loop, ours.fileno(), called.set, for_writing=True)
        await called.wait()
        called.clear()
        await called.wait()
        watch.stop()
        assert not loop.watched

    run(scenario)


def test_nothing_is_watched_or_called_after_the_stop(run, pair):
    async def scenario():
        ours, _ = pair
        loop = FullLoop(1)
        watch = Watch(loop, ours.fileno(), pytest.fail)
        watch.stop()
        await asyncio.sleep(0.02)  # longer than the interval here
        assert not loop.watched

    run(scenario)


def test_the_callback_may_stop_it(run, pair):
    async def scenario():
        ours, _ = pair
        loop = FullLoop(1)
        stopped = asyncio.Event()

        def stop():
            watch.stop()
            stopped.set()

        watch = Watch(loop, ours.fileno(), stop)
        await stopped.wait()
        await asyncio.sleep(0)
        assert not loop.watched

    run(scenario)


def test_a_callback_that_raises_ends_nothing(run, pair):
    async def scenario():
        ours, theirs = pair
        loop = FullLoop(1)
        raised = asyncio.Event()
        loop.loop.set_exception_handler(lambda loop, context: raised.set())

        def fail():
            raise ValueError

        watch = Watch(loop, ours.fileno(), fail)
        await raised.wait()
        assert loop.watched == {ours.fileno()}
        raised.clear()
        theirs.send(b"x")
        await raised.wait()
        watch.stop()

    run(scenario)


def test_what_can_never_be_watched_is_an_error(run, pair):
    async def scenario():
        with pytest.raises(PermissionError):
            Watch(FullLoop(1, errno.EPERM), pair[0].fileno(), pytest.fail)

    run(scenario)
