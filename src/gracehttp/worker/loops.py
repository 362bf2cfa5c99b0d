"""Which event loop to run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gracehttp.errors import StartError


def loop_factory(choice: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """`auto` is uvloop where it is installed, else asyncio. Raises `StartError` if uvloop is wanted and missing."""
    if choice == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop
    except ImportError as exc:
        if choice == "auto":
            return asyncio.new_event_loop
        raise StartError("--loop uvloop: uvloop is not installed.", hint="pip install uvloop, or --loop auto") from exc
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
