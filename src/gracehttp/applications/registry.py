"""The applications of one worker: each is told of its lifespan once, and wrapped for the protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

from gracehttp.applications.asgi.lifespan import Lifespan, check_mode
from gracehttp.applications.asgi.requests import AsgiApplication
from gracehttp.applications.drain_notice import DrainNotices
from gracehttp.applications.importer import LoadedApplication
from gracehttp.applications.loading import ApplicationLoader, Named
from gracehttp.applications.wsgi.application import WsgiApplication
from gracehttp.http.exchange import Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationSettings:
    """`threads` is how many a WSGI application gets, `multiprocess` whether it runs in other processes as well."""

    lifespan: str
    threads: int
    multiprocess: bool


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

    def __init__(self, settings: ApplicationSettings, loader: ApplicationLoader, on_done: Callable[[], None]) -> None:
        self._settings = settings
        self._loader = loader
        self._on_done = on_done
        self._notices = DrainNotices()
        self._running: dict[Hashable, RunningApplication] = {}

    def __iter__(self) -> Iterator[RunningApplication]:
        return iter(self._running.values())

    @property
    def in_flight(self) -> int:
        return sum(application.in_flight for application in self._running.values())

    def tell_of_drain(self) -> None:
        """Let all that listen know that the drain has begun."""
        self._notices.give()

    def provide(self, named: Iterable[Named]) -> list[RunningApplication]:
        """The applications that servers name. Raises `StartError` of some kind or `ConfigurationError`."""
        provided = [self._provide(one) for one in named]
        check_mode(self._settings.lifespan, [(one.name, one.interface) for one in self])
        return provided

    def _provide(self, named: Named) -> RunningApplication:
        if named.key not in self._running:
            loaded = self._loader.load(named)
            self._running[named.key] = RunningApplication(loaded, self._settings, self._notices, self._on_done)
        return self._running[named.key]
