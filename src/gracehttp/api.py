"""The programming interface: several servers in one program, run under a supervisor, or within a loop that runs.

`GraceHTTP.run()` in the first process becomes the supervisor; in a process that the supervisor started, which is the
same command line once more, it becomes a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from gracehttp.config import OPTIONS, Configuration, ProcessOptions, ServerOptions, process_options, server_options
from gracehttp.config.files import (
    check_app_dir,
    check_certificates,
    check_program_file,
    check_working_directory,
)
from gracehttp.config.sources import unknown_key
from gracehttp.config.spelling import in_python
from gracehttp.errors import CalledInWrongPlace, ConfigurationError, GraceHTTPError
from gracehttp.event_bus import EventBus
from gracehttp.events import Event, StartFailed, VariableIgnored
from gracehttp.listeners.bind import bound_address, file_identity, open_listener, remove_socket_file
from gracehttp.listeners.limit import effective_limits, raise_descriptor_limit
from gracehttp.listeners.permits import LocalPermits
from gracehttp.observe.access_log import AccessLog
from gracehttp.observe.logs import configure_logging, errors_are_logged, log_event
from gracehttp.observe.saying import say
from gracehttp.release import RELEASE
from gracehttp.supervisor.processes.command_line import this_command_line
from gracehttp.wire.lineage import is_first_process, is_trial
from gracehttp.wire.signals import SIGNALS
from gracehttp.worker.hello import fleet_settings
from gracehttp.worker.manifest import GivenListener, claim_channel

_OPTIONS_OF_SERVING = {"lifespan", "threads", "warmup", "access_log", "drain_timeout"}
_Error = TypeVar("_Error", bound=GraceHTTPError)
_INSTEAD = "in a loop that runs, async with gracehttp.serving(app) serves"

_COMMAND_LINE = this_command_line()  # before the program changes its working directory


class GraceHTTP:
    """One program with one or more servers.

    Keyword arguments are the options of the whole program (`workers`, `drain_timeout`, `pidfile` and so on, see
    docs/options.md), by the same names as in a file of options; durations are seconds, or strings such as "1m30s".
    Raises `ConfigurationError` for one that doesn't exist or can't be read.
    """

    _was_worker = False
    """Whether this process has been a worker: then it must not become a supervisor."""

    def __init__(self, **options: object) -> None:
        try:
            self._process = process_options(**options)
        except ConfigurationError as exc:
            # It is found at the caller's line, not at one of ours.
            raise _for_a_script(exc).with_traceback(None) from None
        self._servers: list[ServerOptions] = []
        self._mistyped: Iterable[tuple[str, str]] = ()
        self._is_whole_program = False
        self._spell: Callable[[str], str] = in_python
        self._on_event: Callable[[Event], None] | None = None

    @classmethod
    def from_configuration(
        cls, configuration: Configuration, on_event: Callable[[Event], None] | None = None
    ) -> GraceHTTP:
        """What a command line, the environment and a file of options amount to. `on_event` is told what is logged."""
        program = cls()
        program._on_event = on_event
        program._process = configuration.process
        program._servers = list(configuration.servers)
        program._mistyped = configuration.mistyped
        program._spell = str
        program._is_whole_program = True
        return program

    def add_server(self, app: object, *, bind: str | Sequence[str] = "127.0.0.1:8000", **options: object) -> None:
        """Serve `app` on `bind`, one address or several.

        `app` is the application or an import string such as `main:app`; with a string, the supervisor doesn't import
        it. Keyword arguments are the options of a server (`certfile`, `max_connections` and so on).
        Raises `ConfigurationError`.
        """
        try:
            added = server_options(app, bind=bind, **options)
        except ConfigurationError as exc:
            raise _for_a_script(exc).with_traceback(None) from None
        taken = {server.bind.address for server in self._servers}
        for server in added:
            if server.bind.address in taken:
                raise ConfigurationError(
                    f"two servers are to listen on {server.bind.address}.", hint="give each its own address"
                )
        self._servers += added

    def run(self) -> None:
        """Serve until told to stop. Returns after a graceful stop.

        It returns once, in the process that was started first. In a worker, which runs the same program, it ends with
        SystemExit when the worker has done its work: what comes after the call is not run there. (`finally` is.)

        When it can't start, the reason is printed and the process exits, with status 2 for a mistake in the options
        and 3 otherwise; after a forced stop it exits with status 1.

        Raises `CalledInWrongPlace` in an event loop that runs, and beside the main thread: it wants the process for
        itself. Also in a worker that has done its work.
        """
        _check_place()
        if GraceHTTP._was_worker:
            raise CalledInWrongPlace(
                "run() was called again in a worker, whose service goes on in other processes.",
                hint="let the SystemExit pass with which run() ends a worker",
            )
        try:
            status = self._run()
        except GraceHTTPError as exc:
            exc.hint = self._spell(exc.hint)
            if self._process.log_format == "json":
                level = "error" if self._process.log_level == "critical" else self._process.log_level
                configure_logging(level, "json", color=False)  # the last word is said at any level
                log_event(StartFailed(exc.message, exc.hint, exc.details, exc.exit_status))
            else:
                say(f"gracehttp: error: {exc}", err=True)
            status = exc.exit_status
        if status:
            sys.exit(status)

    def _run(self) -> int:
        if not self._servers:
            raise ConfigurationError("there is no server to run.", hint="call add_server() before run()")
        bus = EventBus()
        bus.subscribe(log_event)
        if self._on_event is not None:
            bus.subscribe(self._on_event)
        if is_trial(os.environ):
            from gracehttp.supervisor.succession.trial import answer_trial

            answer_trial(os.environ, release=RELEASE)
        if is_first_process(os.environ):
            check_program_file(is_typed_in=_COMMAND_LINE.is_typed_in)
            check_working_directory(_COMMAND_LINE.directory)
            check_app_dir(self._process.app_dir)
            check_certificates(self._servers)
        channel = claim_channel(os.environ)
        if channel is None:
            self._configure_logging(_stderr_is_a_terminal())
            for variable, meant in self._mistyped:
                bus.publish(VariableIgnored(variable, meant))
            return self._supervise(bus)
        from gracehttp.worker.process import run_worker

        GraceHTTP._was_worker = True
        sys.exit(
            run_worker(
                channel,
                self._servers,
                self._process,
                release=RELEASE,
                bus=bus,
                configure_logging=self._configure_logging,
                spell=self._spell,
            )
        )

    def _supervise(self, bus: EventBus) -> int:
        from gracehttp.supervisor.succession.execve import claim_state
        from gracehttp.supervisor.supervisor import Supervisor, SupervisorOptions

        process = self._process
        options = SupervisorOptions(
            release=RELEASE,
            command_line=_COMMAND_LINE,
            fleet=fleet_settings(process),
            pidfile=process.pidfile,
            control=False if process.no_control else process.control,
            log_is_json=process.log_format == "json",
            errors_are_logged=errors_are_logged(),
        )
        before = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            with asyncio.Runner() as runner:
                return runner.run(Supervisor(options, bus, claim_state(os.environ, release=RELEASE)).run())
        finally:
            if not self._is_whole_program:  # a script may go on, and be interrupted
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _configure_logging(self, tty: bool) -> None:
        configure_logging(self._process.log_level, self._process.log_format, color=tty)


def run(app: object, *, bind: str | Sequence[str] = "127.0.0.1:8000", **options: object) -> None:
    """Serve one application: `GraceHTTP`, `add_server` and `run` in one call. Takes the options of both."""
    _check_place()
    try:
        process, server = _split(options)
        program = GraceHTTP(**process)
        program.add_server(app, bind=bind, **server)
    except ConfigurationError as exc:
        say(f"gracehttp: error: {_for_a_script(exc)}", err=True)
        sys.exit(exc.exit_status)
    program.run()


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server within a running event loop. `port` is None for a Unix socket."""

    url: str
    host: str
    port: int | None


@contextlib.asynccontextmanager
async def serving(app: object, *, bind: str = "127.0.0.1:0", **options: object) -> AsyncIterator[RunningServer]:
    """Serve `app` in the event loop that runs, for as long as the context lasts; for tests and notebooks.

    There is no supervisor, so no restart, and the limit on connections is this process's own. Port 0 lets the kernel
    choose; the result tells which. Takes the options of a server, and of those of the program `lifespan`, `threads`,
    `warmup`, `access_log` and `drain_timeout`: the others are about a supervisor and its workers.
    Raises `GraceHTTPError` when it can't start. Leaving the context drains, for at most `drain_timeout`.
    """
    from gracehttp.wire.messages import DrainReason
    from gracehttp.worker.applications import ApplicationSettings
    from gracehttp.worker.loading import ApplicationLoader
    from gracehttp.worker.service import Service, ServiceSettings

    try:
        for_process, for_server = _split(options)
        _check_options_of_serving(for_process)
        process = process_options(**for_process)
        (server,) = server_options(app, bind=bind, **for_server)
        bus = EventBus()
        bus.subscribe(log_event)
        settings = ServiceSettings(
            applications=ApplicationSettings(lifespan=process.lifespan, threads=process.threads, multiprocess=False),
            warmup=process.warmup,
            request_finished=_access_log(process),
            closes_doors=True,
        )
        service = Service(settings, ApplicationLoader(None), bus.publish)
        (limit,) = effective_limits([server.max_connections], raise_descriptor_limit())
        sock = open_listener(server.bind.address, backlog=server.backlog, unix_mode=server.unix_mode)
        file = file_identity(server.bind.address)
        where = bound_address(sock)
        try:
            await service.start([server], [GivenListener(0, where, sock, LocalPermits(limit))])
            service.accept()
        except BaseException:
            sock.close()
            raise
    except GraceHTTPError as exc:
        _for_a_script(exc)
        raise
    try:
        yield _running(server, where)
    finally:
        service.order_drain(DrainReason.STOP, process.drain_timeout)
        await service.drain()
        remove_socket_file(server.bind.address, file)


def _check_place() -> None:
    """Raise `CalledInWrongPlace` if this is no place to become a supervisor or a worker."""
    if threading.current_thread() is not threading.main_thread():
        raise CalledInWrongPlace(
            "run() was called beside the main thread, and only that one hears signals.",
            hint=f"call it in the main thread; {_INSTEAD}",
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise CalledInWrongPlace(
        "run() was called in an event loop that runs already, and it needs one of its own.",
        hint=f"call it outside of async functions; {_INSTEAD}",
    )


def _for_a_script(error: _Error) -> _Error:
    """`error` with the options in its hint as a script writes them."""
    error.hint = in_python(error.hint)
    return error


def _check_options_of_serving(options: Iterable[str]) -> None:
    for name in options:
        if name not in _OPTIONS_OF_SERVING:
            raise ConfigurationError(
                f"{name} has no effect in serving(): it is for the supervisor and its workers, and there are none.",
                hint=f"leave it away, or run a program of its own with gracehttp.run(app, {name}=...)",
            )


def _running(server: ServerOptions, where: str) -> RunningServer:
    if where.startswith("unix:"):
        return RunningServer(where, where.removeprefix("unix:"), None)
    host, _, port = where.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104  to connect to, not to bind
    scheme = "https" if server.tls else "http"
    return RunningServer(f"{scheme}://{host}:{port}", host.strip("[]"), int(port))


def _access_log(process: ProcessOptions) -> AccessLog | None:
    return AccessLog(worker=0, generation=0) if process.access_log else None


def _split(options: dict[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """The options of the program, and the rest, which must be those of a server."""
    for name in options:
        if name not in OPTIONS:
            raise unknown_key(name, OPTIONS, "a keyword argument")
    names = _names(ProcessOptions)
    process = {name: value for name, value in options.items() if name in names}
    return process, {name: value for name, value in options.items() if name not in names}


def _names(model: type) -> Iterable[str]:
    return {field.name for field in fields(model)}


def _stderr_is_a_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
