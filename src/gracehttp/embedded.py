"""A server within an event loop that runs already: no supervisor, no worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from gracehttp.compiled import check as check_build
from gracehttp.config import ServerOptions, process_options, server_options, split_keywords
from gracehttp.errors import ConfigurationError, GraceHTTPError
from gracehttp.event_bus import EventBus
from gracehttp.events import KeysLogged
from gracehttp.hints import for_a_script
from gracehttp.net.address import DescriptorAddress, TcpAddress, parse_address
from gracehttp.net.bind import bound_address, file_identity, open_listener, remove_socket_file
from gracehttp.net.limits import effective_limits, raise_descriptor_limit
from gracehttp.net.permits import LocalPermits
from gracehttp.observe.access_log import access_log_of
from gracehttp.observe.logs import log_event
from gracehttp.values import Value
from gracehttp.worker.manifest import GivenListener

if TYPE_CHECKING:
    from gracehttp.applications.loading import ApplicationLoader

_OPTIONS = {"lifespan", "threads", "warmup", "access_log", "drain_timeout"}
"""The options of the program that have an effect without a supervisor."""


class RunningServer(Value):
    """A server within a running event loop. `port` is None for a Unix socket."""

    url: str
    host: str
    port: int | None


@contextlib.asynccontextmanager
async def serving(app: object, *, bind: str = "127.0.0.1:0", **options: object) -> AsyncIterator[RunningServer]:
    """Serve `app` in the running event loop, as long as the context lasts; for tests and notebooks.

    There is no supervisor, so there is no restart, and the limit on connections counts those of this process. With
    port 0 the kernel chooses a port, and the result has it. Leaving the context drains, for at most `drain_timeout`.

    Takes the options of a server, and `lifespan`, `threads`, `warmup`, `access_log` and `drain_timeout` of those of
    the program: the others need a supervisor and its workers. Raises `GraceHTTPError` if it can't start.

    An application that is given as a string is imported in a thread, and a factory called there. So no loop runs where
    the code runs, as in a worker: `asyncio.run()` at the top of a module works here too.
    """
    from gracehttp.applications.loading import ApplicationLoader
    from gracehttp.applications.registry import ApplicationSettings
    from gracehttp.wire.messages import DrainReason
    from gracehttp.worker.service import Service, ServiceSettings

    try:
        check_build()
        for_process, for_server = split_keywords(options)
        _check_options(for_process)
        process = process_options(**for_process)
        (server,) = server_options(app, bind=bind, **for_server)
        bus = EventBus()
        bus.subscribe(log_event)
        if (path := os.environ.get("SSLKEYLOGFILE")) and server.tls:
            bus.publish(KeysLogged(path))
        settings = ServiceSettings(
            applications=ApplicationSettings(lifespan=process.lifespan, threads=process.threads, multiprocess=False),
            warmup=process.warmup,
            request_finished=access_log_of(process, worker=0, generation=0),
            drops_new_connections=True,
        )
        loader = ApplicationLoader(None)
        if isinstance(app, str) or server.factory:
            await asyncio.to_thread(_load, loader, server, asyncio.get_running_loop())
        service = Service(settings, loader, bus.publish)
        (limit,) = effective_limits([server.max_connections], raise_descriptor_limit())
        sock = open_listener(server.bind.address, backlog=server.backlog, unix_mode=server.unix_mode)
        file = file_identity(server.bind.address)
        bound = bound_address(sock)
        try:
            inherited = isinstance(server.bind.address, DescriptorAddress)
            await service.start([server], [GivenListener(0, bound, sock, LocalPermits(limit), inherited=inherited)])
            service.accept()
        except BaseException:
            sock.close()
            remove_socket_file(server.bind.address, file)
            raise
    except GraceHTTPError as exc:
        for_a_script(exc)
        raise
    try:
        yield _running_server(bound, tls=server.tls)
    finally:
        service.order_drain(DrainReason.STOP, process.drain_timeout)
        await service.drain()
        remove_socket_file(server.bind.address, file)


def _load(loader: ApplicationLoader, server: ServerOptions, loop: asyncio.AbstractEventLoop) -> None:
    """To be called on a thread. As in a worker, the application finds the loop that will serve it, which does not run
    here."""
    from gracehttp.applications.loading import application_of

    asyncio.set_event_loop(loop)
    try:
        loader.load(application_of(server))
    finally:
        asyncio.set_event_loop(None)


def _check_options(names: Iterable[str]) -> None:
    """Raise `ConfigurationError` if an option of the program is named that has no effect here."""
    for name in names:
        if name not in _OPTIONS:
            raise ConfigurationError(
                f"{name} has no effect in serving(): it is for the supervisor and its workers, and there are none.",
                hint=f"leave it away, or run a program of its own with gracehttp.run(app, {name}=...)",
            )


def _running_server(bound: str, *, tls: bool) -> RunningServer:
    """What to tell of a server that listens at `bound`, as `bound_address` writes it."""
    address = parse_address(bound)
    if not isinstance(address, TcpAddress):
        return RunningServer(bound, bound.removeprefix("unix:"), None)
    local = address.local
    return RunningServer(f"{'https' if tls else 'http'}://{local}", local.host, local.port)
