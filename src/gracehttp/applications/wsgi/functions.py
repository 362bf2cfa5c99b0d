"""The lifespan of a WSGI application: two functions of the user, which PEP 3333 has no place for."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable

from gracehttp.errors import ApplicationFailed
from gracehttp.observe.tracebacks import application_traceback

Function = Callable[[], object]


async def call_startup(function: Function, name: str) -> None:
    """On a thread, as requests are. Raises `ApplicationFailed`."""
    try:
        await asyncio.to_thread(function)
    except (Exception, SystemExit) as exc:
        raise ApplicationFailed(
            f"the startup function of {name} raised {type(exc).__name__}: {exc}.", details=application_traceback(exc)
        ) from exc


async def call_shutdown(function: Function, name: str, timeout_seconds: float) -> str | None:
    """As `call_startup`; returns what went wrong."""
    try:
        await asyncio.wait_for(asyncio.to_thread(function), timeout_seconds)
    except TimeoutError:
        return f"the shutdown function of {name} was not done within {timeout_seconds:g} s"
    except (Exception, SystemExit) as exc:  # noqa: BLE001  foreign code, and the worker ends in good order
        return f"the shutdown function of {name} raised {type(exc).__name__}:\n{traceback.format_exc()}"
    return None
