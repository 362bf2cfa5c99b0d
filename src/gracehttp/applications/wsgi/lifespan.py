"""The lifespan of a WSGI application: two functions of the user, which PEP 3333 has no place for."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable

from gracehttp.errors import ApplicationFailed
from gracehttp.observe.tracebacks import application_traceback

Function = Callable[[], object]


class Lifespan:
    """Calls both functions on a thread, as most requests are. Each of them may be missing."""

    def __init__(self, startup: Function | None, shutdown: Function | None, name: str) -> None:
        """`name` is what the log calls the application."""
        self._startup = startup
        self._shutdown = shutdown
        self._name = name

    async def startup(self) -> None:
        """Raises `ApplicationFailed`."""
        if self._startup is None:
            return
        try:
            await asyncio.to_thread(self._startup)
        except (Exception, SystemExit) as exc:
            raise ApplicationFailed(
                f"the startup function of {self._name} raised {type(exc).__name__}: {exc}.",
                details=application_traceback(exc),
            ) from exc

    async def shutdown(self, timeout_seconds: float) -> str | None:
        """Returns what went wrong."""
        if self._shutdown is None:
            return None
        try:
            await asyncio.wait_for(asyncio.to_thread(self._shutdown), timeout_seconds)
        except TimeoutError:
            return f"the shutdown function of {self._name} was not done within {timeout_seconds:g} s"
        except (Exception, SystemExit) as exc:  # noqa: BLE001  foreign code, and the worker ends in good order
            return f"the shutdown function of {self._name} raised {type(exc).__name__}:\n{traceback.format_exc()}"
        return None
