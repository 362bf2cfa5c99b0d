"""The applications of one process. Servers that name the same application share it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING

from gracehttp.applications.asgi.lifespan import check_mode
from gracehttp.applications.drain_notice import DrainNotices
from gracehttp.applications.importer import LoadedApplication
from gracehttp.applications.loading import ApplicationLoader, ApplicationReference
from gracehttp.events import Event
from gracehttp.http.handler import Application
from gracehttp.values import Value

if TYPE_CHECKING:
    from gracehttp.applications.wsgi.application import WsgiApplication
    from gracehttp.applications.wsgi.threads import ThreadPool

LONGEST_BETWEEN_LOOKS_SECONDS = 1.0
LOOKS_PER_TIMEOUT = 10
"""How often, within the request timeout, it is looked for requests that take longer. That costs a request nothing."""


class ApplicationSettings(Value):
    """`lifespan` is the mode for ASGI applications (see `Lifespan`), `threads` how many each WSGI application gets.
    With 0 it is called on the loop.

    `multiprocess` tells WSGI applications whether other processes run them as well.
    """

    lifespan: str
    threads: int
    multiprocess: bool
    request_timeout_seconds: float = 0.0
    """How long one of their requests may take. 0: for ever."""


class Applications:
    """Wraps each application once, and iterates over all of them.

    `on_idle` is called each time one of them has come to work on no request any more. `publish` is told how a lifespan
    ends that nothing waits for. All methods are for the thread of the loop.
    """

    def __init__(
        self,
        settings: ApplicationSettings,
        loader: ApplicationLoader,
        on_idle: Callable[[], object],
        publish: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self._settings = settings
        self._loader = loader
        self._on_idle = on_idle
        self._publish = publish
        self._notices = DrainNotices()
        self._applications: dict[Hashable, Application] = {}
        self._with_threads: list[WsgiApplication] = []
        self._timer: asyncio.TimerHandle | None = None

    def __iter__(self) -> Iterator[Application]:
        return iter(self._applications.values())

    @property
    def in_flight(self) -> int:
        """How many requests all of them work on."""
        return sum(application.in_flight for application in self._applications.values())

    @property
    def thread_pools(self) -> list[ThreadPool]:
        """Those of the WSGI applications."""
        return [one.pool for one in self._with_threads]

    def room_of(self, application: Application) -> ThreadPool | None:
        """The threads in which the requests of `application` run, if other processes run it as well."""
        if self._settings.multiprocess:
            for one in self._with_threads:
                if one is application:
                    return one.pool
        return None

    def limit_requests(self) -> None:
        """From now on requests that take too long are ended, if there is a limit."""
        if self._settings.request_timeout_seconds and self._timer is None:
            self._end_overdue()

    def limit_no_more(self) -> None:
        """No request is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_overdue(self) -> None:
        seconds = self._settings.request_timeout_seconds
        for application in self._applications.values():
            application.time_out(seconds)
        pause = min(LONGEST_BETWEEN_LOOKS_SECONDS, seconds / LOOKS_PER_TIMEOUT)
        self._timer = asyncio.get_running_loop().call_later(pause, self._end_overdue)

    def refuse_waiting(self) -> None:
        """Answer the requests that wait for an application, which will not begin with them any more."""
        for one in self._with_threads:
            one.refuse_waiting()

    def tell_of_drain(self) -> None:
        """Tell the applications that the drain has begun, if they listen."""
        self._notices.give()

    def provide(self, references: Iterable[ApplicationReference]) -> list[Application]:
        """The applications that servers refer to, in the same order.

        Raises `ApplicationNotFound`, `ConfigurationError`, and `ApplicationFailed` if none has the lifespan that the
        settings demand.
        """
        keys = []
        loaded: dict[Hashable, LoadedApplication] = {}
        for reference in references:
            keys.append(reference.key)
            loaded[reference.key] = self._loader.load(reference)
        check_mode(self._settings.lifespan, [(one.name, one.interface) for one in loaded.values()])
        for key, one in loaded.items():
            if key not in self._applications:
                self._applications[key] = self._wrap(one)
        return [self._applications[key] for key in keys]

    def _wrap(self, loaded: LoadedApplication) -> Application:
        """What one interface needs takes a megabyte, and most workers have applications of one alone."""
        return self._wrap_wsgi(loaded) if loaded.interface == "wsgi" else self._wrap_asgi(loaded)

    def _wrap_wsgi(self, loaded: LoadedApplication) -> Application:
        from gracehttp.applications.wsgi import modes
        from gracehttp.applications.wsgi.application import WsgiApplication

        wrapped = modes.wrap(
            loaded.application,
            name=loaded.name,
            loop=asyncio.get_running_loop(),
            threads=self._settings.threads,
            multiprocess=self._settings.multiprocess,
            draining=self._notices.wsgi,
            on_idle=self._on_idle,
            timed=self._settings.request_timeout_seconds > 0,
            startup=loaded.startup,
            shutdown=loaded.shutdown,
        )
        if isinstance(wrapped, WsgiApplication):
            self._with_threads.append(wrapped)
        return wrapped

    def _wrap_asgi(self, loaded: LoadedApplication) -> Application:
        from gracehttp.applications.asgi.application import AsgiApplication
        from gracehttp.http.websocket import handshake

        handshake.prepare()
        return AsgiApplication(
            loaded.application,
            name=loaded.name,
            loop=asyncio.get_running_loop(),
            lifespan=self._settings.lifespan,
            draining=self._notices.asgi,
            on_idle=self._on_idle,
            publish=self._publish,
        )
