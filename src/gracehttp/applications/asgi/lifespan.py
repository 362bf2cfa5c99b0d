"""The lifespan protocol of ASGI: the worker tells the application when it starts and when it ends.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from __future__ import annotations

import asyncio
import enum
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from gracehttp.applications.asgi.types import AsgiCallable, Message, Scope
from gracehttp.errors import ApplicationFailed
from gracehttp.events import Event, LifespanCrashed, LifespanEnded, LifespanShutdownMissed, LifespanUnsupported
from gracehttp.hints import Named, hint
from gracehttp.observe.tracebacks import application_traceback


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


class _Phase(enum.Enum):
    NOT_SERVING = enum.auto()
    """Before the startup is complete; and for good if the application does without lifespan."""
    SERVING = enum.auto()
    ENDING = enum.auto()
    """It is told of the shutdown."""
    ENDED = enum.auto()
    """Nothing waits for it any more."""


class Lifespan:
    """One run of the protocol. `state` is the namespace that the application fills for its requests.

    `mode` is `on`, `off`, or `auto`. With `auto` an application that raises during startup is served without lifespan:
    most don't know the protocol ("the server must continue but not send any lifespan events"). One that has asked for
    the startup message may know it, so that is told. One that exits, or says that its startup failed, is not served.

    `name` is what events call the application. An end of the lifespan that nothing waits for is published when it
    happens.
    """

    def __init__(
        self,
        application: AsgiCallable,
        mode: str,
        *,
        name: str = "",
        publish: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._mode = mode
        self._name = name
        self._publish = publish
        self._phase = _Phase.NOT_SERVING
        self._to_application: asyncio.Queue[Message] = asyncio.Queue()
        self._asked = False
        self._complete = False
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failed: str | None = None
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._over = False

    async def startup(self) -> None:
        """Wait until the application is ready. Raises `ApplicationFailed` with the traceback of the application."""
        if self._mode == "off":
            return
        self._task = asyncio.get_running_loop().create_task(self._run(), name="lifespan")
        self._to_application.put_nowait({"type": "lifespan.startup"})
        await self._started.wait()
        if self._failed is not None or (self._error is not None and not self._does_without):
            raise ApplicationFailed(self._what_went_wrong("startup"), details=self._details())
        if self._error is not None and self._asked:
            self._publish(LifespanUnsupported(self._name, _last_line(self._error), self._details()))
        if self._complete:
            self._phase = _Phase.SERVING
            if self._over:
                self._tell_of_the_end()

    async def shutdown(self, timeout_seconds: float) -> str | None:
        """Tell the application to end, and wait for it. Returns what went wrong, None if nothing did."""
        if self._task is None or self._phase is not _Phase.SERVING:
            return None
        self._phase = _Phase.ENDING
        try:
            if self._over:
                self._publish(LifespanShutdownMissed(self._name, self._reason()))
                return None
            self._to_application.put_nowait({"type": "lifespan.shutdown"})
            await asyncio.wait_for(self._stopped.wait(), timeout_seconds)
        except TimeoutError:
            self._task.cancel()
            return f"the lifespan shutdown of the application took longer than {timeout_seconds:g} s"
        finally:
            self._phase = _Phase.ENDED
        if self._failed is None and self._error is None:
            return None
        return f"{self._what_went_wrong('shutdown')}\n{self._details()}".rstrip("\n")

    async def _run(self) -> None:
        scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        cancelled = False
        try:
            await self._application(scope, self._receive, self._send)
        except asyncio.CancelledError as exc:
            self._error = exc
            task = asyncio.current_task()
            cancelled = task is not None and task.cancelling() > 0  # else the application has raised it by itself
            raise
        except BaseException as exc:  # noqa: BLE001  also SystemExit, with which an application must not end a worker
            self._error = exc
        finally:
            self._over = True
            self._started.set()
            self._stopped.set()
            if not cancelled:
                self._tell_of_the_end()

    def _tell_of_the_end(self) -> None:
        """Publish it, unless `startup` or `shutdown` waits for it and tells."""
        crashed = self._error is not None
        if self._phase is _Phase.SERVING and not crashed and self._failed is None:
            self._publish(LifespanEnded(self._name))
        elif self._phase is _Phase.SERVING or (self._phase is _Phase.ENDED and crashed and self._failed is None):
            after = self._phase is _Phase.ENDED
            self._publish(LifespanCrashed(self._name, self._reason(), self._details(), after_shutdown=after))

    async def _receive(self) -> Message:
        self._asked = True
        return await self._to_application.get()

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                self._complete = True
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

    @property
    def _does_without(self) -> bool:
        """Whether the error of the startup means that the application is served without lifespan."""
        return self._mode == "auto" and not self._complete and isinstance(self._error, Exception)

    def _what_went_wrong(self, phase: str) -> str:
        reason = self._reason()
        return f"the application failed in its lifespan {phase}" + (f": {reason}" if reason else "")

    def _reason(self) -> str:
        if self._error is not None:
            return _last_line(self._error)
        return (self._failed or "").strip().rpartition("\n")[2]

    def _details(self) -> str:
        if self._error is not None:
            return application_traceback(self._error)
        told = (self._failed or "").strip()
        return told if "\n" in told else ""  # a single line is the reason already


def _last_line(exc: BaseException) -> str:
    return "".join(traceback.format_exception_only(exc)).strip().rpartition("\n")[2]
