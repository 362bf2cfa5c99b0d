"""How an application is told that the drain has begun."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gracehttp.applications.drain_notice import DrainNotices


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
        await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert notices.asgi.is_set()

    asyncio.run(main())


def test_wait_returns_at_once_after_the_drain_began():
    async def main():
        notices = DrainNotices()
        notices.give()
        notices.give()
        await asyncio.wait_for(notices.asgi.wait(), 10)

    asyncio.run(main())


def test_a_thread_that_waits_is_told_of_the_drain():
    notices, heard = DrainNotices(), []
    thread = threading.Thread(target=lambda: heard.append(notices.wsgi.wait(10)))
    thread.start()
    notices.give()
    thread.join(10)
    assert heard == [True]


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_an_application_can_listen_and_not_give(kind):
    notice = getattr(DrainNotices(), kind)
    assert not hasattr(notice, "set")
    assert not hasattr(notice, "clear")
