"""How an application is told that the drain has begun."""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.applications.drain_notice import DrainNotices, drain_notice, put_into


def test_nothing_is_set_before_the_drain():
    notices = DrainNotices()
    assert not notices.asgi.is_set()
    assert not notices.wsgi.is_set()
    assert notices.wsgi.wait(0) is False


def test_all_tasks_that_wait_are_told_of_the_drain():
    async def main():
        notices = DrainNotices()
        waiting = [asyncio.create_task(notices.asgi.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        notices.give()
        await asyncio.wait_for(asyncio.gather(*waiting), DEADLINE_SECONDS)
        assert notices.asgi.is_set()

    asyncio.run(main())


def test_wait_returns_at_once_after_the_drain_began():
    async def main():
        notices = DrainNotices()
        notices.give()
        notices.give()
        await asyncio.wait_for(notices.asgi.wait(), DEADLINE_SECONDS)

    asyncio.run(main())


def test_a_thread_that_waits_is_told_of_the_drain():
    notices, heard = DrainNotices(), []
    thread = threading.Thread(target=lambda: heard.append(notices.wsgi.wait(DEADLINE_SECONDS)))
    thread.start()
    notices.give()
    thread.join(DEADLINE_SECONDS)
    assert heard == [True]


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_an_application_can_listen_and_not_give(kind):
    notice = getattr(DrainNotices(), kind)
    assert not hasattr(notice, "set")
    assert not hasattr(notice, "clear")


def test_the_notice_of_a_context_reaches_its_tasks_and_threads():
    async def main():
        notices, context = DrainNotices(), copy_context()
        put_into(context, notices.asgi)

        async def request():
            async with asyncio.TaskGroup() as tasks:
                below = tasks.create_task(asyncio.to_thread(drain_notice))
                assert drain_notice() is notices.asgi
            assert below.result() is notices.asgi

        await asyncio.get_running_loop().create_task(request(), context=context)
        assert drain_notice() is not notices.asgi

    asyncio.run(main())


def test_without_a_server_there_is_a_notice_that_is_never_given():
    async def main():
        notice = drain_notice()
        assert not notice.is_set()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(notice.wait(), 0.001)

    for _ in range(2):  # each in a loop of its own
        asyncio.run(main())
