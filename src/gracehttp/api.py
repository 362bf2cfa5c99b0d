"""The programming interface: one or more servers in one program, run by a supervisor and its workers.

The supervisor starts each worker by running the same command line again. So `GraceHTTP.run()` becomes the supervisor
in the first process, and a worker in the processes that the supervisor starts.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn, Unpack

from gracehttp.compiled import check as check_build
from gracehttp.config import (
    Configuration,
    ProcessOptions,
    ServerOptions,
    process_options,
    reject_duplicates,
    server_options,
    split_keywords,
)
from gracehttp.config.certificate_files import watched_files, with_absolute_paths
from gracehttp.config.checks import (
    check_app_dir,
    check_certificates,
    check_environment,
    check_program_file,
    check_working_directory,
    reload_folders,
)
from gracehttp.config.env_file import add_variables
from gracehttp.config.types import STANDARD_OUTPUT
from gracehttp.console import echo
from gracehttp.errors import CalledInWrongPlace, ConfigurationError, GraceHTTPError
from gracehttp.events import Event, KeysLogged, SpareImpossible, StartFailed, VariableIgnored, WatcherLost
from gracehttp.events.bus import EventBus
from gracehttp.hints import for_a_script, in_python
from gracehttp.hooks.registry import E, Hooks
from gracehttp.hooks.runner import claim_events, run_hooks
from gracehttp.observe.logs import configure_logging, errors_are_logged, log_event, records_are_missing
from gracehttp.observe.terminals import shows_colors, shows_links
from gracehttp.release import RELEASE
from gracehttp.supervisor.processes.command_line import this_command_line, to_be_repeated
from gracehttp.supervisor.processes.shebang import foreign_environment
from gracehttp.supervisor.signals import HEARD
from gracehttp.system.credentials import Credentials, credentials_of
from gracehttp.system.process_title import set_title
from gracehttp.system.surroundings import enter
from gracehttp.wire.lineage import CHANNEL_VARIABLE, SPARE_VARIABLE, is_first_process, is_trial
from gracehttp.worker.forking.spare_option import wants_spare
from gracehttp.worker.hello import fleet_settings, title_of
from gracehttp.worker.manifest import claim_channel

if TYPE_CHECKING:
    import socket

    from gracehttp.config.keywords import ProgramKeywords, RunKeywords, ServerKeywords
    from gracehttp.supervisor.reloading.reloader import ReloadSettings
    from gracehttp.wire.channel import Channel

_INSTEAD = "within a running loop, async with gracehttp.serving(app) serves"

# Before the program changes its working directory or its arguments.
_COMMAND_LINE = this_command_line()
_ARGUMENTS = tuple(sys.argv)


class GraceHTTP:
    """One program with one or more servers.

    Keyword arguments are the options of the whole program (`workers`, `drain_timeout`, `pidfile` and so on, see
    docs/options.md), by the same names as in a file of options. Durations are seconds, or strings such as "1m30s".
    Raises `ConfigurationError` for an unknown option or a wrong value.
    """

    _was_worker = False
    """This process has been a worker, so it must not become a supervisor."""

    def __init__(self, **options: Unpack[ProgramKeywords]) -> None:
        try:
            self._process = process_options(**options)
        except ConfigurationError as exc:
            # Without our frames, the traceback ends at the line of the caller.
            raise for_a_script(exc).with_traceback(None) from None
        self._servers: list[ServerOptions] = []
        self._mistyped: Iterable[tuple[str, str]] = ()
        self._is_whole_program = False
        self._spell: Callable[[str], str] = in_python
        self._on_event: Callable[[Event], None] | None = None
        self._credentials: Credentials | None = None
        self._hooks = Hooks()

    @classmethod
    def from_configuration(
        cls, configuration: Configuration, on_event: Callable[[Event], None] | None = None
    ) -> GraceHTTP:
        """The program that a command line describes. `on_event` gets each event that is logged."""
        program = cls()
        program._on_event = on_event
        program._process = configuration.process
        program._servers = list(configuration.servers)
        program._mistyped = configuration.mistyped
        program._spell = str
        program._is_whole_program = True
        for event, hook, place in configuration.hooks:
            program._hooks.add_named(event, hook, place)
        return program

    def add_server(
        self, app: object, *, bind: str | Sequence[str] | None = None, **options: Unpack[ServerKeywords]
    ) -> None:
        """Serve `app` on `bind`, one address or several, or on `host` and `port`; else on 127.0.0.1:8000.

        `app` is the application or an import string such as `main:app`. The supervisor doesn't import an application
        that is given as a string. Keyword arguments are the options of a server (`certfile` and so on).
        Raises `ConfigurationError`.
        """
        try:
            added = server_options(app, bind=bind, **options)
            reject_duplicates([*self._servers, *added])
        except ConfigurationError as exc:
            raise for_a_script(exc).with_traceback(None) from None
        self._servers += added

    def on(self, event: type[E], hook: Callable[[E], object] | str) -> None:
        """Call `hook(event)` each time that such an event happens: one of the classes in `gracehttp.events`, or a class
        of several. `hook` may be an import string such as `hooks:worker_exited`.

        Hooks are called one after the other in a process of their own, which runs this same program up to `run()`.
        Those for the stages `WorkerForked`, `WorkerServing` and `WorkerEnding` are called in the worker, in its main
        thread. Raises `ConfigurationError`.
        """
        try:
            self._hooks.add(event, hook)
        except ConfigurationError as exc:
            raise for_a_script(exc).with_traceback(None) from None

    def run(self) -> None:
        """Serve until told to stop. Returns after a graceful stop.

        It returns in the first process only. In a worker, which runs the same program, it raises SystemExit when the
        worker has ended its work. So what follows the call runs once (but each `finally` runs in workers too).

        If the service can't start, prints why and exits, with status 2 for a mistake in the options and 3 otherwise.
        After a forced stop it exits with status 1.

        Raises `CalledInWrongPlace` within a running event loop and outside the main thread, because it needs the
        process for itself, and in a worker that has ended its work.
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
                configure_logging(level, "json", color=False)  # the reason is printed at any level
                log_event(StartFailed(exc.message, exc.hint, exc.details, exc.exit_status))
            else:
                told = _in_one_line(exc, self._process.log_file) if exc.is_logged else exc
                echo(f"gracehttp: error: {told}", err=True)
            status = exc.exit_status
        if status:
            sys.exit(status)

    def _run(self) -> int:
        """Be what this process is for (`wire.lineage`). Returns where it is the supervisor, when that has stopped."""
        if not self._servers:
            raise ConfigurationError("there is no server to run.", hint="call add_server() before run()")
        check_build()
        if SPARE_VARIABLE in os.environ:
            from gracehttp.worker.forking.spare import decline_to_be_spare

            decline_to_be_spare(os.environ)
        bus = EventBus()
        bus.subscribe(log_event)
        if self._on_event is not None:
            bus.subscribe(self._on_event)
        self._enter_surroundings()
        if is_trial(os.environ):
            from gracehttp.supervisor.succession.trial import answer_trial

            answer_trial(os.environ, release=RELEASE)
        if (sock := claim_events(os.environ)) is not None:
            self._call_hooks(sock)
        check_environment(foreign_environment(_COMMAND_LINE.arguments, _ARGUMENTS, sys.prefix), sys.prefix)
        if is_first_process(os.environ):
            self._check_before_the_first_start()
        self._process = _with_absolute_logs(self._process)
        if (channel := claim_channel(os.environ)) is not None:
            self._work(channel, bus)
        self._configure_logging(_stderr_is_a_terminal())
        for variable, meant in self._mistyped:
            bus.publish(VariableIgnored(variable, meant))
        if self._process.spare == "on" and not wants_spare(self._process):
            bus.publish(SpareImpossible())
        return self._supervise(bus)

    def _enter_surroundings(self) -> None:
        is_worker = CHANNEL_VARIABLE in os.environ
        if is_worker:  # before the folder changes, in which the files are
            add_variables(os.environ, self._process.env_file)
        enter(self._process.chdir, self._process.umask)
        if not is_worker:  # in a trial too, which so tells of a user that is gone
            self._credentials = credentials_of(self._process.user, self._process.group)

    def _check_before_the_first_start(self) -> None:
        """What a person mistook is told at once, and not by the first worker."""
        check_program_file(is_typed_in=_COMMAND_LINE.is_typed_in)
        check_working_directory(_COMMAND_LINE.directory)
        check_app_dir(self._process.app_dir)
        check_certificates(self._servers)
        if self._process.reload:
            reload_folders(self._process)

    def _call_hooks(self, events: socket.socket) -> NoReturn:
        GraceHTTP._was_worker = True
        self._configure_logging(_stderr_is_a_terminal())
        sys.exit(run_hooks(events, self._hooks, self._process.app_dir))

    def _work(self, channel: Channel, bus: EventBus) -> NoReturn:
        from gracehttp.worker.process import run_worker

        public = sys.modules["gracehttp"]
        for name in public.__all__:  # an application may ask for one when the folder of this release is gone
            getattr(public, name)
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
                hooks=self._hooks,
                offers_spare=self._is_whole_program and wants_spare(self._process),
            )
        )

    def _supervise(self, bus: EventBus) -> int:
        from gracehttp.supervisor.endpoints.addresses import LIVE_PATH, READY_PATH, AddressOptions
        from gracehttp.supervisor.options import SupervisorOptions
        from gracehttp.supervisor.succession.execve import claim_state
        from gracehttp.supervisor.supervisor import supervise

        process = self._process
        options = SupervisorOptions(
            release=RELEASE,
            command_line=to_be_repeated(_COMMAND_LINE, _ARGUMENTS, os.environ),
            fleet=fleet_settings(process, self._hooks.outside_workers),
            fd_store=process.fd_store,
            addresses=AddressOptions(
                admin=process.admin,
                agent_check=process.agent_check,
                metrics=process.metrics,
                live_path=process.live_path or LIVE_PATH,
                ready_path=process.ready_path or READY_PATH,
            ),
            pidfile=process.pidfile,
            control=False if process.no_control else process.control,
            log_is_json=process.log_format == "json",
            errors_are_logged=errors_are_logged(),
            user=process.user,
            group=process.group,
            credentials=self._credentials,
            tls_files=watched_files(list(map(with_absolute_paths, self._servers))),
            reload=_reload_settings(process, bus) if process.reload else None,
        )
        if (path := os.environ.get("SSLKEYLOGFILE")) and any(server.tls for server in self._servers):
            bus.publish(KeysLogged(path))
        set_title(f"gracehttp: supervisor [{title_of(process, self._servers)}]", "gracehttp")
        before = {number: signal.getsignal(number) for number in HEARD}
        predecessor = claim_state(os.environ, release=RELEASE)
        if predecessor is not None:
            records_are_missing(predecessor.log_records_dropped)
        try:
            with asyncio.Runner() as runner:
                return runner.run(supervise(options, bus, predecessor))
        finally:
            if not self._is_whole_program:  # a script may go on, and be interrupted
                for number, handler in before.items():
                    if handler is not None:  # what C code of an embedding program has set can't be set from here
                        signal.signal(number, handler)

    def _configure_logging(self, tty: bool) -> None:
        process = self._process
        if process.log_config is not None:
            from gracehttp.observe.log_config import apply_log_config

            apply_log_config(process.log_config)
        configure_logging(
            process.log_level,
            process.log_format,
            color=shows_colors(os.environ, terminal=tty),
            links=shows_links(os.environ, terminal=tty),
            log_file=process.log_file,
            access_log_file=process.access_log_file,
            owner=self._credentials,
            falls_back=GraceHTTP._was_worker,
        )


def run(app: object, *, bind: str | Sequence[str] | None = None, **options: Unpack[RunKeywords]) -> None:
    """Serve one application: `GraceHTTP`, `add_server` and `run` in one call. Takes the options of both.

    Returns, exits and raises as `GraceHTTP.run` does. A mistake in the options is told on standard error, and ends the
    process with status 2.
    """
    _check_place()
    try:
        process, server = split_keywords(options)
        program = GraceHTTP(**process)
        program.add_server(app, bind=bind, **server)
    except ConfigurationError as exc:
        echo(f"gracehttp: error: {for_a_script(exc)}", err=True)
        sys.exit(exc.exit_status)
    program.run()


def _reload_settings(process: ProcessOptions, bus: EventBus) -> ReloadSettings | None:
    from gracehttp.supervisor.reloading.reloader import ReloadSettings

    try:
        folders = reload_folders(process)
    except ConfigurationError as exc:  # the first process has checked it: this is the next image of a supervisor
        bus.publish(WatcherLost(f"can't be started ({exc.message})"))
        return None
    return ReloadSettings(folders, process.reload_include, process.reload_exclude, process.reload_polling)


def _check_place() -> None:
    """Raise `CalledInWrongPlace` outside the main thread and within a running event loop."""
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


def _with_absolute_logs(process: ProcessOptions) -> ProcessOptions:
    """The application may change the working directory, and logging is configured again behind its import."""
    paths = {name: getattr(process, name) for name in ("log_file", "access_log_file", "log_config")}
    given = {name: os.path.abspath(path) for name, path in paths.items() if path not in (None, STANDARD_OUTPUT)}
    return dataclasses.replace(process, **given)


def _stderr_is_a_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _in_one_line(error: GraceHTTPError, log_file: str | None) -> str:
    """For the last line, of an error that the log has told in full: right above that line, or in a file."""
    what = "the service could not start"
    if log_file is None:
        return f"{what}; the log tells why."
    cause = error.message.rstrip(".")
    return f"{cause if cause.startswith(what) else f'{what}: {cause}'} ({log_file} has all of it)."
