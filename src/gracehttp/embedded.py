"""A server within a program that does something else: in its event loop, or in a thread. No supervisor, no workers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Unpack

from gracehttp.compiled import check as check_build
from gracehttp.config import ServerOptions, process_options, server_options, split_keywords
from gracehttp.config.model import EMBEDDED_OPTIONS
from gracehttp.errors import CalledInWrongPlace, ConfigurationError, GraceHTTPError
from gracehttp.events import KeysLogged
from gracehttp.events.bus import EventBus
from gracehttp.hints import for_a_script
from gracehttp.net.address import DescriptorAddress, TcpAddress, parse_address
from gracehttp.net.bind import bound_address, file_identity, open_listener, remove_socket_file
from gracehttp.net.limits import effective_limits, raise_descriptor_limit
from gracehttp.net.permits import LocalPermits
from gracehttp.net.tcp_keepalive import set_keepalive
from gracehttp.observe.access_log import access_log_of
from gracehttp.observe.logs import log_event
from gracehttp.observe.request_failures import log_exit_of_a_task
from gracehttp.values import Value
from gracehttp.worker.loops import loop_factory, run_to_the_end
from gracehttp.worker.manifest import GivenListener

if TYPE_CHECKING:
    from gracehttp.applications.loading import ApplicationLoader
    from gracehttp.config.keywords import EmbeddedKeywords

END_SECONDS = 20.0
"""How long what the drain timeout doesn't limit may take at the end of `running`: lifespans, tasks and threads of the
application. They have about half of that by their own limits."""


class RunningServer(Value):
    """Where a server listens. `port` is None for a Unix socket."""

    url: str
    host: str
    port: int | None


@contextlib.asynccontextmanager
async def serving(
    app: object, *, bind: str = "127.0.0.1:0", **options: Unpack[EmbeddedKeywords]
) -> AsyncIterator[RunningServer]:
    """Serve `app` in the running event loop, as long as the context lasts; for tests and notebooks.

    There is no supervisor, so there is no restart, and the limit on connections counts those of this process. With
    port 0 the kernel chooses a port, and the result has it. Leaving the context drains, for at most `drain_timeout`.

    Takes the options of a server, and of those of the program `lifespan`, `threads`, `warmup`, `access_log`,
    `log_probes`, `live_path`, `ready_path`, `drain_timeout` and `request_timeout`: the others need a supervisor and its
    workers. Raises `GraceHTTPError` if it can't start.

    An application that is given as a string is imported in a thread, and a factory called there. So no loop runs where
    the code runs, as in a worker: `asyncio.run()` at the top of a module works here too.
    """
    from gracehttp.applications.loading import ApplicationLoader
    from gracehttp.applications.probes import Health, answers_on_ports, without_probes
    from gracehttp.applications.registry import ApplicationSettings
    from gracehttp.wire.messages import DrainReason
    from gracehttp.worker.certificates import Certificates
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
        health = Health()
        probes = answers_on_ports(health, process)
        access_log = access_log_of(process, worker=0, generation=0)
        settings = ServiceSettings(
            applications=ApplicationSettings(
                lifespan=process.lifespan,
                threads=process.threads,
                multiprocess=False,
                request_timeout_seconds=process.request_timeout,
            ),
            warmup=process.warmup,
            request_finished=access_log if process.log_probes else without_probes(access_log, probes),
            probes=probes,
            drops_new_connections=True,
        )
        loader = ApplicationLoader(None)
        if isinstance(app, str) or server.factory:
            await asyncio.to_thread(_load, loader, server, asyncio.get_running_loop())
        service = Service(settings, loader, bus.publish, health)
        (limit,) = effective_limits([server.max_connections], raise_descriptor_limit())
        sock = open_listener(server.bind.address, backlog=server.backlog, unix_mode=server.unix_mode)
        set_keepalive(sock, server.tcp_keepalive)
        file = file_identity(server.bind.address)
        bound = bound_address(sock)
        try:
            inherited = isinstance(server.bind.address, DescriptorAddress)
            listener = GivenListener(0, bound, sock, LocalPermits(limit), inherited=inherited)
            await service.start([server], [listener], Certificates([server]))
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


@contextlib.contextmanager
def running(app: object, *, bind: str = "127.0.0.1:0", **options: Unpack[EmbeddedKeywords]) -> Iterator[RunningServer]:
    """Serve `app` in a thread of its own, as long as the block lasts; for tests of programs that aren't async.

    Takes what `serving` takes, and does what it does, with an event loop of its own. The process is left as it is:
    signals stay as they are, and Ctrl+C comes to the block. The end of the block waits for the drain, for at most
    `drain_timeout`, and for the lifespan of the application.

    Raises `GraceHTTPError` if it can't start, or if the application doesn't end.
    """
    _reject_running_loop()
    server: concurrent.futures.Future[RunningServer] = concurrent.futures.Future()
    ended: concurrent.futures.Future[None] = concurrent.futures.Future()
    stop = asyncio.Event()

    async def serve() -> None:
        async with serving(app, bind=bind, **options) as begun:
            server.set_result(begun)
            await stop.wait()

    def serve_in_thread() -> None:
        try:
            with runner:
                run_to_the_end(runner, serve(), log_exit_of_a_task)
        except BaseException as exc:  # noqa: BLE001  it is raised where the user is
            (ended if server.done() else server).set_exception(exc)
        finally:
            if not ended.done():
                ended.set_result(None)

    runner = asyncio.Runner(loop_factory=loop_factory("auto"))
    loop = runner.get_loop()
    thread = threading.Thread(target=serve_in_thread, name="gracehttp", daemon=True)
    thread.start()
    try:
        begun = server.result()
    except Exception:
        thread.join()  # it is at its last line
        raise
    try:
        yield begun
    finally:
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(stop.set)
        _wait_for_the_end(ended, options)
        thread.join()


def _reject_running_loop() -> None:
    """Raise `CalledInWrongPlace` where the end of the block would hold up an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise CalledInWrongPlace(
        "running() was called in an event loop, which it would block.",
        hint="there, async with gracehttp.serving(app) serves",
    )


def _wait_for_the_end(ended: concurrent.futures.Future[None], options: EmbeddedKeywords) -> None:
    """Wait for the server of `running`. Raises what it raised, and `GraceHTTPError` if it doesn't end."""
    drain_seconds = process_options(drain_timeout=options.get("drain_timeout")).drain_timeout
    try:
        ended.result(drain_seconds + END_SECONDS)
    except TimeoutError as exc:
        if ended.done():  # it is what the application raised
            raise
        raise GraceHTTPError(
            f"the application has not ended {END_SECONDS:g} s after its drain: a task or a thread of it goes on.",
            hint="a daemon thread of this process still serves it",
        ) from exc


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
        if name not in EMBEDDED_OPTIONS:
            raise ConfigurationError(
                f"{name} has no effect in serving() and running(): it is for the supervisor and its workers, and "
                "there are none.",
                hint=f"leave it away, or run a program of its own with gracehttp.run(app, {name}=...)",
            )


def _running_server(bound: str, *, tls: bool) -> RunningServer:
    """What to tell of a server that listens at `bound`, as `bound_address` writes it."""
    address = parse_address(bound)
    if not isinstance(address, TcpAddress):
        return RunningServer(bound, bound.removeprefix("unix:"), None)
    local = address.local
    return RunningServer(f"{'https' if tls else 'http'}://{local}", local.host, local.port)
