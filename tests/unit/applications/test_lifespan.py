"""How a lifespan ends, and who is told: the start, the shutdown, or, if neither waits for it, an event."""

from __future__ import annotations

import asyncio

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.applications.asgi.lifespan import Lifespan
from gracehttp.errors import ApplicationFailed
from gracehttp.events import LifespanCrashed, LifespanEnded, LifespanShutdownMissed, LifespanUnsupported, Severity


def scenario(application, steps, mode="auto"):
    """Run `steps(lifespan, events)` with the lifespan of `application`; returns the events."""
    events = []

    async def run():
        lifespan = Lifespan(application, mode, name="main:app", publish=events.append)
        await asyncio.wait_for(steps(lifespan, events), DEADLINE_SECONDS)

    asyncio.run(run())
    return events


async def start(lifespan, events):
    await lifespan.startup()


async def start_and_stop(lifespan, events):
    await lifespan.startup()
    assert await lifespan.shutdown(5) is None


async def until_told(events):
    while not events:
        await asyncio.sleep(0)


# --- startup ---


async def raises_before_it_asks(scope, receive, send):
    raise ValueError("no lifespan here")


async def raises_when_it_has_asked(scope, receive, send):
    await receive()
    raise RuntimeError("no database")


async def says_that_it_failed(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def exits(scope, receive, send):
    await receive()
    raise SystemExit(1)


async def is_cancelled(scope, receive, send):
    await receive()
    raise asyncio.CancelledError


async def raises_after_it_is_complete(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    raise RuntimeError("no database")


async def returns(scope, receive, send):
    return


def test_an_application_that_raises_in_its_startup_is_served_without_lifespan_and_that_is_told():
    (event,) = scenario(raises_when_it_has_asked, start_and_stop)
    assert isinstance(event, LifespanUnsupported)
    assert event.severity is Severity.ERROR
    sentence, _, details = str(event).partition("\n")
    assert "main:app is served without lifespan" in sentence
    assert "RuntimeError: no database" in sentence
    assert "in raises_when_it_has_asked" in details
    assert "lifespan.py" not in details.replace("test_lifespan.py", "")


@pytest.mark.parametrize("application", [raises_before_it_asks, returns])
def test_an_application_that_does_not_know_the_protocol_is_served_without_a_word(application):
    assert scenario(application, start_and_stop) == []


@pytest.mark.parametrize("application", [raises_before_it_asks, raises_when_it_has_asked])
def test_with_lifespan_on_an_application_that_raises_is_refused(application):
    def refused():
        scenario(application, start, mode="on")

    with pytest.raises(ApplicationFailed, match="failed in its lifespan startup"):
        refused()


@pytest.mark.parametrize("application", [says_that_it_failed, exits, is_cancelled, raises_after_it_is_complete])
def test_an_application_that_can_not_serve_is_refused_in_any_mode(application):
    with pytest.raises(ApplicationFailed, match="failed in its lifespan startup"):
        scenario(application, start)


# --- while it serves ---


class Living:
    """Complete at once, and ends as told."""

    def __init__(self, end):
        self._end = end

    async def __call__(self, scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.sleep(0)
        await self._end(receive, send)


async def crash(receive, send):
    raise ConnectionError("the database is away")


async def crash_in_a_group(receive, send):
    async with asyncio.TaskGroup() as group:
        group.create_task(crash(receive, send))
        await receive()


async def crash_as_starlette_does(receive, send):
    try:
        await crash_in_a_group(receive, send)
    except BaseException as exc:
        await send({"type": "lifespan.shutdown.failed", "message": repr(exc)})
        raise


async def say_that_it_failed(receive, send):
    await send({"type": "lifespan.shutdown.failed", "message": "ConnectionError: the database is away"})


async def end(receive, send):
    return


async def cancel(receive, send):
    raise asyncio.CancelledError


async def stop_when_told(lifespan, events):
    await lifespan.startup()
    await until_told(events)
    assert len(events) == 1, "when it happens"
    assert await lifespan.shutdown(5) is None
    assert len(events) == 2, "and at the end"


@pytest.mark.parametrize("how", [crash, crash_in_a_group, crash_as_starlette_does, say_that_it_failed])
def test_a_lifespan_that_crashes_while_it_serves_is_told_at_once_and_at_the_end(how):
    crashed, missed = scenario(Living(how), stop_when_told)
    assert isinstance(crashed, LifespanCrashed)
    assert crashed.severity is Severity.ERROR
    assert "ConnectionError: the database is away" in str(crashed)
    assert "the lifespan of main:app crashed" in str(crashed)
    assert isinstance(missed, LifespanShutdownMissed)
    assert "can't be told of the shutdown: it crashed before" in str(missed)


def test_a_lifespan_that_ends_while_it_serves_is_told_at_once_and_at_the_end():
    ended, missed = scenario(Living(end), stop_when_told)
    assert isinstance(ended, LifespanEnded)
    assert ended.severity is Severity.NOTICE
    assert str(missed).endswith("can't be told of the shutdown: it has ended before")


def test_a_lifespan_that_cancels_itself_is_told():
    crashed, _missed = scenario(Living(cancel), stop_when_told)
    assert "CancelledError" in str(crashed)


def test_a_lifespan_that_is_over_as_soon_as_the_startup_is_complete_is_told():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})

    assert [type(one) for one in scenario(app, start_and_stop)] == [LifespanEnded, LifespanShutdownMissed]


def test_a_lifespan_that_ends_with_the_loop_is_not_told():
    """As when another application of the process fails to start."""

    async def wait(receive, send):
        await receive()

    assert scenario(Living(wait), start) == []


# --- shutdown ---


def test_an_error_that_comes_after_the_shutdown_is_complete_is_told():
    told = asyncio.Event()

    async def late(receive, send):
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        await told.wait()
        raise RuntimeError("could not flush")

    async def steps(lifespan, events):
        await lifespan.startup()
        assert await lifespan.shutdown(5) is None
        told.set()
        await until_told(events)

    (event,) = scenario(Living(late), steps)
    assert "after its shutdown: RuntimeError: could not flush" in str(event)


@pytest.mark.parametrize("raises", [False, True])
def test_a_shutdown_that_fails_is_told_once(raises):
    told = asyncio.Event()

    async def fail(receive, send):
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "RuntimeError: could not flush"})
        await told.wait()
        if raises:
            raise RuntimeError("could not flush")

    complaints = []

    async def steps(lifespan, events):
        await lifespan.startup()
        complaints.append(await lifespan.shutdown(5))
        told.set()
        await lifespan._task

    assert scenario(Living(fail), steps) == []
    assert "failed in its lifespan shutdown: RuntimeError: could not flush" in complaints[0]


def test_a_shutdown_that_raises_is_told_once():
    async def fail(receive, send):
        await receive()
        raise RuntimeError("could not flush")

    complaints = []

    async def steps(lifespan, events):
        await lifespan.startup()
        complaints.append(await lifespan.shutdown(5))

    assert scenario(Living(fail), steps) == []
    assert "failed in its lifespan shutdown: RuntimeError: could not flush" in complaints[0]
