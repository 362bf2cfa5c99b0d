"""Running a worker's loop to the end, whatever its tasks ask for."""

from __future__ import annotations

import asyncio
import errno
import sys

import pytest
import uvloop

from gracehttp.worker.loops import loop_factory, run_to_the_end

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def runner(request):
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield runner


async def leave():
    sys.exit(3)


@pytest.mark.parametrize("times", [1, 3])
def test_tasks_that_exit_end_alone_and_nothing_that_was_due_is_lost(runner, times):
    exits, turns = [], []

    async def main():
        loop = asyncio.get_running_loop()
        for turn in range(times):
            task = loop.create_task(leave())
            loop.call_soon(turns.append, turn)  # in the turn of the loop that the exit interrupts
            with pytest.raises(SystemExit):
                await task
        await asyncio.sleep(0.001)  # timers go on too

    run_to_the_end(runner, main(), exits.append)
    assert [exc.code for exc in exits] == [3] * times
    assert turns == list(range(times))


def test_tasks_that_exit_in_the_same_turn_end_each_alone(runner):
    exits = []

    async def main():
        assert all(isinstance(end, SystemExit) for end in await asyncio.gather(*others(), return_exceptions=True))

    def others():
        return [asyncio.get_running_loop().create_task(leave()) for _ in range(3)]

    run_to_the_end(runner, main(), exits.append)
    assert exits  # uvloop tells only the last one of several in one turn


def test_what_the_main_task_raises_is_raised(runner):
    async def main():
        raise ValueError("main")

    with pytest.raises(ValueError, match="main"):
        run_to_the_end(runner, main(), print)
    with pytest.raises(SystemExit):
        run_to_the_end(runner, leave(), print)


@pytest.mark.parametrize("choice", ["auto", "uvloop"])
def test_uvloop_that_the_kernel_refuses_is_replaced_unless_it_was_asked_for(monkeypatch, choice):
    def refused():
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(uvloop, "new_event_loop", refused)
    told = []
    new_loop = loop_factory(choice, told.append)
    if choice == "uvloop":
        with pytest.raises(OSError, match="Function not implemented"):
            new_loop()
        return
    loop = new_loop()
    loop.close()
    assert isinstance(loop, asyncio.SelectorEventLoop)
    assert "the event loop is asyncio's" in str(told[0])


def test_a_shortage_is_not_taken_for_a_system_that_refuses_uvloop(monkeypatch):
    def short():
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(uvloop, "new_event_loop", short)
    with pytest.raises(OSError, match="Too many open files"):
        loop_factory("auto")()
