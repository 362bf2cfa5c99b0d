"""Which event loop to run, and how to run it to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gracehttp.errors import StartError
from gracehttp.events import Event, UvloopUnavailable
from gracehttp.hints import Named, hint
from gracehttp.net.shared_page import CALL_MISSING


def loop_factory(
    choice: str, publish: Callable[[Event], None] = lambda event: None
) -> Callable[[], asyncio.AbstractEventLoop]:
    """`auto` is uvloop where it is installed and runs, else asyncio. Raises `StartError` if uvloop is chosen but
    missing. `publish` is told when it is there and doesn't run."""
    if choice == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop
    except ImportError as exc:
        if choice == "auto":
            return asyncio.new_event_loop
        raise StartError(
            "--loop uvloop: uvloop is not installed.", hint=hint("pip install uvloop, or {}", Named("loop", "auto"))
        ) from exc
    new_uvloop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    if choice != "auto":
        return new_uvloop

    def new_loop() -> asyncio.AbstractEventLoop:
        try:
            return new_uvloop()
        except OSError as exc:
            if exc.errno not in CALL_MISSING:
                raise
            publish(UvloopUnavailable(str(exc)))
            return asyncio.new_event_loop()

    return new_loop


def run_to_the_end(
    runner: asyncio.Runner, main: Coroutine[Any, Any, None], on_exit: Callable[[BaseException], None]
) -> None:
    """Run `main` to its end, even if other tasks ask the process to exit; calls `on_exit` with each such error.

    A task that ends with SystemExit or KeyboardInterrupt stops the whole loop, as `sys.exit()` does in a request
    behind a middleware that runs it in a task group. Nothing is lost: run again, the loop resumes where it was.
    (`asyncio.Runner.run` would cancel all other requests.)
    """
    loop = runner.get_loop()
    task = loop.create_task(main)
    while True:
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as exc:
            if task.done():
                raise
            on_exit(exc)
        else:
            return
