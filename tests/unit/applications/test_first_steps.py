"""Tasks whose first steps run at once: they are tasks as all others, and the loop is left as it was."""

import asyncio
import contextvars
import gc

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.applications import interpreter_calls
from gracehttp.applications.asgi.first_steps import FirstSteps

variable = contextvars.ContextVar("variable", default=0)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def loop(request):
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.get_loop()


def outside_of_tasks(loop, call):
    """What `call` gives as a callback of the loop."""

    async def main():
        done = loop.create_future()
        loop.call_soon(lambda: done.set_result(call()))
        return await done

    return loop.run_until_complete(main())


async def noted(notes):
    task = asyncio.current_task()
    assert task is not None
    notes.append((task, variable.get()))
    variable.set(variable.get() + 1)


def test_a_task_that_never_waits_is_done_at_once(loop):
    notes = []
    task = outside_of_tasks(loop, lambda: FirstSteps(loop).take(noted(notes), contextvars.copy_context()))
    assert task.done()
    assert task.result() is None
    assert notes == [(task, 0)]


def test_a_task_that_waits_goes_on_as_the_same_task_in_the_same_context(loop):
    notes = []

    async def waits():
        await noted(notes)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.sleep(0)
        await noted(notes)

    def call():
        task = FirstSteps(loop).take(waits(), contextvars.copy_context())
        return task, task.done(), len(notes)

    task, done, noted_at_once = outside_of_tasks(loop, call)
    assert not done
    assert noted_at_once == 1
    loop.run_until_complete(task)
    assert notes == [(task, 0), (task, 1)]
    assert variable.get() == 0


def test_within_another_task_it_begins_later(loop):
    notes = []

    async def main():
        task = FirstSteps(loop).take(noted(notes), contextvars.copy_context())
        began_at_once = bool(notes)
        await task
        return began_at_once

    # CPython 3.12 begins it at once there, too.
    assert loop.run_until_complete(main()) == hasattr(asyncio, "eager_task_factory")
    assert len(notes) == 1


def test_no_task_is_current_afterwards_and_the_loop_has_its_own_method(loop):
    def call():
        FirstSteps(loop).take(noted([]), contextvars.copy_context())
        return asyncio.current_task(loop), "call_soon" in vars(loop)

    assert outside_of_tasks(loop, call) == (None, False)


def test_callbacks_of_the_first_steps_run(loop):
    ran = []

    async def asks():
        loop.call_soon(ran.append, 1)
        asyncio.get_running_loop().create_task(noted(ran))

    outside_of_tasks(loop, lambda: FirstSteps(loop).take(asks(), contextvars.copy_context()))
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    assert len(ran) == 2


def test_an_error_is_the_error_of_the_task(loop):
    async def fails():
        raise ValueError

    task = outside_of_tasks(loop, lambda: FirstSteps(loop).take(fails(), contextvars.copy_context()))
    assert isinstance(task.exception(), ValueError)


def test_cancelling_reaches_the_task_that_has_begun(loop):
    ended = []

    async def waits():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    task = outside_of_tasks(loop, lambda: FirstSteps(loop).take(waits(), contextvars.copy_context()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert ended == [True]


# --- the set of all tasks ---


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.skipif(hasattr(asyncio, "eager_task_factory"), reason="asyncio keeps them in another way")
def test_all_tasks_has_a_task_from_its_first_step_until_nobody_holds_it(loop):
    seen = []

    async def looks():
        seen.append(asyncio.current_task() in asyncio.all_tasks())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task() in asyncio.all_tasks())

    before = len(asyncio.tasks._all_tasks)
    task = outside_of_tasks(loop, lambda: FirstSteps(loop).take(looks(), contextvars.copy_context()))
    assert task in asyncio.tasks._all_tasks
    loop.run_until_complete(task)
    assert seen == [True, True]
    del task
    gc.collect()
    assert len(asyncio.tasks._all_tasks) == before


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.skipif(hasattr(asyncio, "eager_task_factory"), reason="asyncio keeps them in another way")
def test_what_goes_while_somebody_looks_through_all_tasks_leaves_the_set_later(loop):
    async def waits():
        await asyncio.sleep(0)

    def make():
        return FirstSteps(loop).take(waits(), contextvars.copy_context())

    tasks = asyncio.tasks._all_tasks
    held = [outside_of_tasks(loop, make), outside_of_tasks(loop, make)]
    for task in held:
        loop.run_until_complete(task)
    del task
    looks = iter(tasks)
    next(looks)  # it holds one of them
    size = len(tasks.data)
    held.clear()
    gc.collect()
    assert len(tasks.data) == size, "a set that changes ends the look with an error"
    assert tasks._pending_removals
    looks.close()
    held.append(outside_of_tasks(loop, make))
    gc.collect()
    assert not tasks._pending_removals
    assert len(tasks.data) < size


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.skipif(hasattr(asyncio, "eager_task_factory"), reason="asyncio keeps them in another way")
def test_a_task_that_is_done_after_its_first_steps_is_not_put_into_the_set(loop):
    task = outside_of_tasks(loop, lambda: FirstSteps(loop).take(noted([]), contextvars.copy_context()))
    assert task.done()
    assert task not in asyncio.tasks._all_tasks
    assert gc.get_referrers(task) == [], "nothing waits with it"


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("look", [list, len, lambda tasks: tasks.copy(), lambda tasks: asyncio.current_task() in tasks])
@pytest.mark.skipif(hasattr(asyncio, "eager_task_factory"), reason="asyncio keeps them in another way")
def test_whoever_looks_into_the_set_meanwhile_finds_a_task_in_its_first_steps(loop, look):
    found = []

    async def looks():
        task = asyncio.current_task()
        look(asyncio.tasks._all_tasks)
        found.extend(one for one in set.__iter__(asyncio.tasks._all_tasks.data) if one() is task)

    outside_of_tasks(loop, lambda: FirstSteps(loop).take(looks(), contextvars.copy_context()))
    assert len(found) == 1


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.skipif(hasattr(asyncio, "eager_task_factory"), reason="asyncio keeps them in another way")
def test_first_steps_on_two_loops_at_a_time_lose_no_task(loop):
    """As of servers in several threads, of which one runs in the middle of the other's first steps."""
    other = asyncio.new_event_loop()
    inner, seen = [], []

    async def waits():
        await asyncio.sleep(0)

    async def takes():
        inner.append(FirstSteps(other).take(waits(), contextvars.copy_context()))
        seen.append(asyncio.current_task() in asyncio.tasks._all_tasks)
        await asyncio.sleep(0)

    outer = outside_of_tasks(loop, lambda: FirstSteps(loop).take(takes(), contextvars.copy_context()))
    assert seen == [True]
    assert {outer, *inner} <= set(asyncio.tasks._all_tasks)
    loop.run_until_complete(outer)
    other.run_until_complete(inner[0])
    other.close()


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.skipif(hasattr(asyncio, "eager_task_factory"), reason="asyncio keeps them in another way")
def test_a_task_that_others_make_while_one_is_made_is_put_into_the_set(loop):
    """Such as a finalizer that the garbage collector calls in the middle."""
    others = []

    async def waits():
        await asyncio.sleep(0)

    def disturb():
        del loop.get_debug
        others.append(asyncio.Task(waits(), loop=loop))
        return False

    def make():
        loop.get_debug = disturb  # which a task that is made calls
        return FirstSteps(loop).take(waits(), contextvars.copy_context())

    task = outside_of_tasks(loop, make)
    assert len(others) == 1
    assert {task, *others} <= set(asyncio.tasks._all_tasks)
    for one in (task, *others):
        loop.run_until_complete(one)


@pytest.mark.skipif(hasattr(asyncio, "eager_task_factory"), reason="nothing is captured there")
def test_what_others_ask_of_the_loop_while_a_task_is_made_is_done(loop):
    """Such as a finalizer that the garbage collector calls in the middle."""
    notes, called = [], asyncio.Event()

    def disturb():
        del loop.get_debug
        loop.call_soon(called.set)
        return False

    def make():
        loop.get_debug = disturb  # which a task that is made calls
        return FirstSteps(loop).take(noted(notes), contextvars.copy_context())

    async def hears():
        async with asyncio.timeout(DEADLINE_SECONDS):
            await called.wait()

    task = outside_of_tasks(loop, make)
    assert task.done()
    assert notes == [(task, 0)]
    loop.run_until_complete(hears())


# --- what both builds ask of the interpreter ---


def test_a_copied_context_keeps_its_changes_to_itself():
    context = contextvars.copy_context()
    other = interpreter_calls.copied(context)
    interpreter_calls.run_in(other, lambda: variable.set(7))
    assert (other[variable], context.get(variable), variable.get()) == (7, None, 0)


def test_an_error_leaves_the_context():
    context = contextvars.copy_context()

    def fails():
        variable.set(7)
        raise ValueError("of the step")

    with pytest.raises(ValueError, match="of the step"):
        interpreter_calls.run_in(context, fails)
    assert variable.get() == 0
    interpreter_calls.run_in(context, lambda: None)
