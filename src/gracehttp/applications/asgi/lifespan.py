"""The lifespan protocol of ASGI: the worker tells the application when it starts and when it ends.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from typing import Any

from gracehttp.applications.asgi.types import AsgiCallable, Message, Scope
from gracehttp.errors import ApplicationFailed
from gracehttp.hints import Named, hint


def check_mode(mode: str, applications: Sequence[tuple[str, str]]) -> None:
    """Raise `ApplicationFailed` if `mode` is "on" and all applications speak WSGI, which has no lifespan.

    `applications` are pairs of name and interface. Beside an ASGI application a WSGI application may do without.
    """
    if mode == "on" and all(interface == "wsgi" for _, interface in applications):
        names = ", ".join(name for name, _ in applications)
        raise ApplicationFailed(
            f"the lifespan protocol is asked for, and {names} speaks WSGI, which has none.",
            hint=hint("leave out {}; it is for ASGI applications", Named("lifespan", "on")),
        )


class Lifespan:
    """One run of the protocol. `state` is the namespace that the application fills for its requests.

    `mode` is `on`, `off`, or `auto`. With `auto` an application that raises before it asks for the first message is
    taken for one that doesn't know the protocol, and is served without it.
    """

    def __init__(self, application: AsgiCallable, mode: str) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._mode = mode
        self._to_application: asyncio.Queue[Message] = asyncio.Queue()
        self._asked = False
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failed: str | None = None
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Wait until the application is ready. Raises `ApplicationFailed` with the traceback of the application."""
        if self._mode == "off":
            return
        self._task = asyncio.get_running_loop().create_task(self._run(), name="lifespan")
        self._to_application.put_nowait({"type": "lifespan.startup"})
        await self._started.wait()
        if self._failed is None and self._error is None:
            return
        if self._failed is None and not self._asked and self._mode == "auto":
            return
        raise ApplicationFailed(self._what_went_wrong("startup"), details=self._details())

    async def shutdown(self, timeout_seconds: float) -> str | None:
        """Tell the application to end, and wait for it. Returns what went wrong, None if nothing did."""
        if self._task is None or self._task.done():
            return None
        self._failed = self._error = None
        self._to_application.put_nowait({"type": "lifespan.shutdown"})
        try:
            await asyncio.wait_for(self._stopped.wait(), timeout_seconds)
        except TimeoutError:
            self._task.cancel()
            return f"the lifespan shutdown of the application took longer than {timeout_seconds:g} s"
        if self._failed is None and self._error is None:
            return None
        return f"{self._what_went_wrong('shutdown')}\n{self._details()}"

    async def _run(self) -> None:
        scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001  also SystemExit, with which an application must not end a worker
            self._error = exc
        finally:
            self._started.set()
            self._stopped.set()

    async def _receive(self) -> Message:
        self._asked = True
        return await self._to_application.get()

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                self._started.set()
            case "lifespan.startup.failed":
                self._failed = str(message.get("message", ""))
                self._started.set()
            case "lifespan.shutdown.complete":
                self._stopped.set()
            case "lifespan.shutdown.failed":
                self._failed = str(message.get("message", ""))
                self._stopped.set()
            case unknown:
                raise RuntimeError(f"the lifespan protocol has no message {unknown!r}")

    def _what_went_wrong(self, phase: str) -> str:
        if self._error is not None:
            return f"the application failed in its lifespan {phase}: {_last_line(self._error)}"
        first_line = (self._failed or "").strip().rpartition("\n")[2]
        return f"the application failed in its lifespan {phase}" + (f": {first_line}" if first_line else "")

    def _details(self) -> str:
        if self._error is not None:
            return "".join(traceback.format_exception(self._error))
        return self._failed or ""


def _last_line(exc: BaseException) -> str:
    return "".join(traceback.format_exception_only(exc)).strip().rpartition("\n")[2]
