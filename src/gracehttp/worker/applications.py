"""The applications of one worker: each is imported once, told of its lifespan once, and wrapped for the protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gracehttp.drain_notice import DrainNotices
from gracehttp.http.exchange import Exchange
from gracehttp.interfaces.asgi import AsgiApplication
from gracehttp.interfaces.importer import LoadedApplication, add_app_dir, load_application
from gracehttp.interfaces.wsgi import WsgiApplication
from gracehttp.worker.lifespan import Lifespan, check_mode


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationSettings:
    """`app_dir` is where applications are imported from, None to leave `sys.path` alone."""

    app_dir: str | None
    lifespan: str
    threads: int
    multiprocess: bool


@dataclass(frozen=True, slots=True)
class Named:
    """What a server says of its application: an import string or the object itself, and how to read it."""

    target: object
    factory: bool
    interface: str


class RunningApplication:
    """One application that is loaded; servers that name the same one share it."""

    def __init__(
        self,
        loaded: LoadedApplication,
        settings: ApplicationSettings,
        notices: DrainNotices,
        on_done: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.name = loaded.name
        self.interface = loaded.interface
        self._lifespan: Lifespan | None = None
        self._wrapped: AsgiApplication | WsgiApplication
        if loaded.interface == "wsgi":
            self._wrapped = WsgiApplication(
                loaded.application,
                loop=loop,
                threads=settings.threads,
                multiprocess=settings.multiprocess,
                draining=notices.wsgi,
                on_done=on_done,
            )
        else:
            self._lifespan = Lifespan(loaded.application, settings.lifespan)
            self._wrapped = AsgiApplication(
                loaded.application,
                loop=loop,
                state=self._lifespan.state,
                draining=notices.asgi,
                on_done=on_done,
            )

    @property
    def in_flight(self) -> int:
        """How many requests it works on, also those whose client is gone or has its answer already."""
        return self._wrapped.in_flight

    def handle(self, exchange: Exchange) -> None:
        self._wrapped.handle(exchange)

    async def startup(self) -> None:
        """Raises `ApplicationFailed`."""
        if self._lifespan is not None:
            await self._lifespan.startup()

    def cancel_all(self) -> None:
        """Cancel what is still in flight. Threads can't be cancelled: they end with the process."""
        if isinstance(self._wrapped, AsgiApplication):
            self._wrapped.cancel_all()

    async def shutdown(self, timeout_seconds: float) -> str | None:
        """Returns what went wrong, if something did."""
        if isinstance(self._wrapped, WsgiApplication):
            self._wrapped.close()
        return await self._lifespan.shutdown(timeout_seconds) if self._lifespan is not None else None


class Applications:
    """All of them. `on_done` is called whenever one has finished a request."""

    def __init__(self, settings: ApplicationSettings, on_done: Callable[[], None]) -> None:
        self._settings = settings
        self._on_done = on_done
        self._notices = DrainNotices()
        self._running: dict[tuple[object, bool, str], RunningApplication] = {}

    def __iter__(self) -> Iterator[RunningApplication]:
        return iter(self._running.values())

    @property
    def in_flight(self) -> int:
        return sum(application.in_flight for application in self._running.values())

    def tell_of_drain(self) -> None:
        """Let all that listen know that the drain has begun."""
        self._notices.give()

    def load(self, named: Iterable[Named]) -> list[RunningApplication]:
        """The applications that servers name. Raises `StartError` of some kind or `ConfigurationError`."""
        loaded = [self._load(one) for one in named]
        check_mode(self._settings.lifespan, [(one.name, one.interface) for one in self])
        return loaded

    def _load(self, named: Named) -> RunningApplication:
        target = named.target
        key = (target if isinstance(target, str) else id(target), named.factory, named.interface)
        if key not in self._running:
            if isinstance(target, str) and self._settings.app_dir is not None:
                add_app_dir(self._settings.app_dir)
            loaded = load_application(target, factory=named.factory, interface=named.interface)
            self._running[key] = RunningApplication(loaded, self._settings, self._notices, self._on_done)
        return self._running[key]
