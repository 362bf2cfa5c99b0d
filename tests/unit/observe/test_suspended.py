"""Where suspended coroutines wait is found through whatever stands between them, and told without the server's part."""

from __future__ import annotations

import asyncio
import contextlib
import re
import types

import pytest

from gracehttp.applications.asgi.lifespan import Lifespan
from gracehttp.observe import suspended
from gracehttp.observe.suspended import describe_suspended_tasks, waiting_frames


async def forever():
    await asyncio.Event().wait()


async def outer():
    await middle()


async def middle():
    await forever()


async def ticks():
    yield 1
    await forever()


async def over_a_generator():
    async for _ in ticks():
        pass


async def next_with_a_default():
    ticking = ticks()
    await anext(ticking)
    await anext(ticking, None)


@contextlib.asynccontextmanager
async def database():
    await forever()
    yield


async def in_a_context():
    async with database():
        pass


class Awaitable:
    def __await__(self):
        return (yield from forever().__await__())


async def on_an_object():
    await Awaitable()


@types.coroutine
def by_a_generator():
    yield from forever()


async def on_a_generator():
    await by_a_generator()


async def closing():
    ticking = closes_late()
    await anext(ticking)
    await ticking.aclose()


async def closes_late():
    try:
        yield
    finally:
        await forever()


async def on_a_future():
    await asyncio.get_running_loop().create_future()


async def deep(left):
    await (deep(left - 1) if left else forever())


FOREVER = ["forever", "wait"]  # wait is that of asyncio.Event

CHAINS = {
    outer: ["outer", "middle", *FOREVER],
    over_a_generator: ["over_a_generator", "ticks", *FOREVER],
    next_with_a_default: ["next_with_a_default", "ticks", *FOREVER],
    in_a_context: ["in_a_context", "__aenter__", "database", *FOREVER],
    on_an_object: ["on_an_object", "__await__", *FOREVER],
    on_a_generator: ["on_a_generator", "by_a_generator", *FOREVER],
    closing: ["closing", "closes_late", *FOREVER],
    on_a_future: ["on_a_future"],
}


def described(*coroutines, steps=3):
    """What is told of tasks with these coroutines, when they have come as far as they can."""

    async def scenario():
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(one, name=f"T-{number}") for number, one in enumerate(coroutines, 1)]
        for _ in range(steps):
            await asyncio.sleep(0)
        told = loop.create_future()
        loop.call_soon(lambda: told.set_result(describe_suspended_tasks(loop)))
        try:
            # The task of the test waits too; it is none of those that are looked at.
            return "".join(
                part for part in re.split(r"^(?=Tasks? )", await told, flags=re.M) if "in scenario" not in part
            )
        finally:
            for task in tasks:
                task.cancel()

    return asyncio.run(scenario())


def functions(text):
    return re.findall(r"line \d+, in (\w+)", text)


@pytest.mark.parametrize("coroutine", CHAINS, ids=lambda one: one.__name__)
def test_the_chain_goes_from_the_outermost_coroutine_to_what_it_waits_for(coroutine):
    told = described(coroutine())
    assert told.startswith("Task 'T-1' waits here (most recent call last):\n  File ")
    assert functions(told) == CHAINS[coroutine]


def test_each_line_has_its_source():
    told = described(outer())
    line = middle.__code__.co_firstlineno + 1
    assert f'  File "{__file__}", line {line}, in middle\n    await forever()\n' in told


def test_children_of_a_gather_and_of_a_group_are_told_beside_their_parents():
    async def gathering():
        await asyncio.gather(outer(), on_a_future())

    async def grouping():
        async with asyncio.TaskGroup() as group:
            group.create_task(over_a_generator())

    told = described(gathering(), grouping(), steps=5)
    chains = [functions(part) for part in told.split(" here ")[1:]]
    assert ["gathering"] in chains
    assert [one for one in chains if one[0] == "grouping"]
    for child in (outer, on_a_future, over_a_generator):
        assert CHAINS[child] in chains


def test_tasks_that_wait_at_the_same_place_are_told_once():
    told = described(*(outer() for _ in range(5)))
    assert told.startswith("Tasks 'T-1', 'T-2', 'T-3' and 2 more wait here (most recent call last):\n")
    assert functions(told) == CHAINS[outer]


def test_of_very_many_places_only_some_are_told(monkeypatch):
    monkeypatch.setattr(suspended, "_MOST_SHOWN", 2)
    told = described(outer(), on_a_future(), over_a_generator(), in_a_context())
    assert functions(told)[0] in {"outer", "on_a_future", "scenario"}
    assert re.search(r"^Tasks wait at [23] places more\.$", told, re.M)


def test_a_chain_without_end_is_cut():
    async def scenario():
        task = asyncio.get_running_loop().create_task(deep(300))
        await asyncio.sleep(0)
        assert len(waiting_frames(task.get_coro())) == 303
        task.cancel()

    asyncio.run(scenario())

    class Endless:
        gi_frame = None

        @property
        def gi_yieldfrom(self):
            return self

    assert waiting_frames(Endless()) == []


def test_a_task_in_which_only_the_server_waits_is_not_told():
    async def never():
        raise AssertionError("it is not called")

    lifespan = Lifespan(never, "on")
    assert described(lifespan._receive(), lifespan._started.wait()) == ""


def test_the_servers_own_frames_are_left_out_and_the_tasks_for_which_it_waits_come_first():
    async def application(scope, receive, send):
        await receive()
        await receive()

    lifespan = Lifespan(application, "on")
    told = described(outer(), lifespan.startup(), steps=6)
    assert told.startswith("Task 'lifespan' waits here")
    assert functions(told)[:2] == ["application", "get"]  # get is that of asyncio.Queue
    assert "lifespan.py" not in told


def test_what_is_no_coroutine_has_no_frames():
    assert waiting_frames(None) == []
    assert waiting_frames(object()) == []
