"""The life of a worker process, from the hello to its supervisor to the end of its drain; and where templates begin."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import errno
import faulthandler
import logging
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence

from gracehttp.applications.loading import ApplicationLoader
from gracehttp.applications.probes import Answers, Health, answers_on_ports
from gracehttp.applications.registry import ApplicationSettings
from gracehttp.compiled import BUILD
from gracehttp.config import ProcessOptions, ServerOptions
from gracehttp.config.certificate_files import watched_files, with_absolute_paths
from gracehttp.errors import EXIT_COULD_NOT_START, EXIT_DONE, GraceHTTPError, StartError
from gracehttp.events import ThreadsNotForked, WorkerEnding, WorkerForked, WorkerServing
from gracehttp.events.bus import EventBus
from gracehttp.hooks.registry import Hooks
from gracehttp.net.shared_page import SharedPage
from gracehttp.net.time_slice import take_usual_turns
from gracehttp.net.worker_page import WORKER_LAYOUT
from gracehttp.observe.local_time import use_offsets
from gracehttp.observe.request_failures import log_exit_of_a_task
from gracehttp.system.process_title import set_title
from gracehttp.values import Descriptor, Value
from gracehttp.wire import messages
from gracehttp.wire.channel import Channel, ChannelBroken, ChannelClosed
from gracehttp.worker.breakpoints import leave_ctrl_c_to_the_supervisor
from gracehttp.worker.certificates import Certificates, read_contents
from gracehttp.worker.code_record import ImportNotes, can_record
from gracehttp.worker.forking.template import leave_template, threads
from gracehttp.worker.heartbeat import Heartbeat
from gracehttp.worker.hello import fixed_options, fleet_settings, listen_requests, title_of
from gracehttp.worker.link import SupervisorLink
from gracehttp.worker.loops import loop_factory, run_to_the_end
from gracehttp.worker.manifest import Manifest, introduce
from gracehttp.worker.observers import Observers, has_metrics
from gracehttp.worker.service import Service, ServiceSettings
from gracehttp.worker.signals import ignore_signals_to_the_end, leave_signals_to_the_supervisor
from gracehttp.worker.standard_streams import print_whole_lines, write_to_stderr_directly

LEAVE_SECONDS = 5.0
"""How long tasks, threads and exit handlers of the application may hold the process up when all its work is done."""

LAST_NICE = 5
"""By how much the nice value of a worker rises that has drained: a third of the weight (sched(7)). With less of it,
exit handlers would not be done within `LEAVE_SECONDS` on a busy machine."""

MORE_FILES = "raise the limit on open files: ulimit -n in a shell, LimitNOFILE= in a unit"
_open_to_the_end: list[Channel] = []
"""The end of file on its channel tells the supervisor that a worker is gone: so exit handlers run before that."""


class _Program(Value):
    """What a worker shares with all workers that are forked from it."""

    servers: Sequence[ServerOptions]
    process: ProcessOptions
    release: str
    bus: EventBus
    configure_logging: Callable[[bool], None]
    spell: Callable[[str], str]
    loader: ApplicationLoader
    hooks: Hooks
    offers_spare: bool


def run_worker(
    channel: Channel,
    servers: Sequence[ServerOptions],
    process: ProcessOptions,
    *,
    release: str,
    bus: EventBus,
    configure_logging: Callable[[bool], None],
    spell: Callable[[str], str] = str,
    hooks: Hooks | None = None,
    offers_spare: bool = False,
) -> int:
    """Serve until the supervisor says drain, or is gone. Returns the exit status.

    `configure_logging(manifest.tty)` is called as soon as it is known whether the logs end on a terminal. `spell`
    writes hints in the form that suits the program, a command line or a script. `offers_spare`: see `Hello`. With
    `preload` it also returns in each worker that is forked from this one.
    """
    faulthandler.enable()  # the supervisor has seen to it already, unless the interpreter ignores the environment (-I)
    leave_ctrl_c_to_the_supervisor()
    print_whole_lines()
    # Registered before the application is imported, so that its exit handlers run before this one.
    atexit.register(ignore_signals_to_the_end)
    program = _Program(
        servers=[with_absolute_paths(server) for server in servers],
        process=process,
        release=release,
        bus=bus,
        configure_logging=configure_logging,
        spell=spell,
        loader=ApplicationLoader(process.app_dir),
        hooks=hooks if hooks is not None else Hooks(),
        offers_spare=offers_spare,
    )
    return _Worker(program, channel).live()


class _Worker:
    """One worker: its program, the channel to its supervisor, and what the supervisor has given it (`manifest`).

    `live` is its whole life. The methods below stand in the order in which they are called.
    """

    manifest: Manifest
    imports: ImportNotes | None

    def __init__(self, program: _Program, channel: Channel, *, is_forked: bool = False) -> None:
        self.program = program
        self.channel = channel
        self.is_forked = is_forked

    def live(self) -> int:
        """Returns the exit status. A worker that is forked from this one lives the same life, on a channel of its own,
        and returns here too."""
        leave_signals_to_the_supervisor()
        _open_to_the_end.append(self.channel)
        return self._reporting(self._begin)

    def _begin(self) -> int:
        program = self.program
        self.manifest = manifest = self._introduce()
        new_loop = loop_factory(program.process.loop, program.bus.publish)
        self.imports = _note_imports(manifest)
        if manifest.template is not None:
            self._load_applications()
            own_channel = self._leave_template(manifest.template)
            if own_channel is not None:  # this process was forked: it has its generation's code, whatever is on disk
                if self.imports is not None:
                    self.imports.end()
                return _Worker(program, own_channel, is_forked=True).live()
        if self.is_forked or manifest.template is not None:
            # Also the first worker: its template has what the import made, such as connections, as every fork has.
            program.hooks.at_stage(WorkerForked(*self._identity), program.process.app_dir)
        return self._run(new_loop)

    def _introduce(self) -> Manifest:
        """Say hello, and become the worker that the supervisor says."""
        program, process = self.program, self.program.process
        manifest = introduce(
            self.channel,
            messages.Hello(
                versions=messages.VERSIONS,
                settings=fleet_settings(process, program.hooks.outside_workers),
                listeners=listen_requests(program.servers),
                fixed=fixed_options(process),
                offers=self._offers(),
                release=program.release,
                pid=os.getpid(),
                tls_files=watched_files(program.servers),
                build=str(BUILD),
            ),
        )
        what = f"worker {manifest.worker} of generation {manifest.generation}"
        self._show_role(what, f"gracehttp-w{manifest.worker}")
        use_offsets(manifest.utc_offsets)
        program.configure_logging(manifest.tty)
        return manifest

    def _offers(self) -> tuple[str, ...]:
        """See `Hello.offers`. One that is forked has the code of its template, and leaves none itself."""
        process = self.program.process
        offers = {
            "template": process.preload and not self.is_forked,
            "code": can_record() and not self.is_forked,
            "page": bool(process.hang_timeout) or has_metrics(process),
            "spare": self.program.offers_spare and not self.is_forked,
        }
        return tuple(name for name, offered in offers.items() if offered)

    def _load_applications(self) -> None:
        """Import them, if that has not been done yet. No loop runs meanwhile, wherever an application is imported. So
        `asyncio.run()` at the top of a module, and a framework that refuses blocking calls within a loop, work alike
        under `serve`, `--preload` and `check`."""

        def report_stage(doing: str) -> None:
            self.channel.send(messages.StageBegan(doing))  # blocks until it is sent: nothing listens yet

        self.program.loader.load_all(self.program.servers, report_stage)

    def _leave_template(self, end: socket.socket) -> Channel | None:
        """See `leave_template`. Raises `StartError`."""
        program, manifest = self.program, self.manifest
        if others := threads():
            program.bus.publish(ThreadsNotForked(others))

        def become_template() -> None:
            leave_signals_to_the_supervisor()
            self._show_role(f"template of generation {manifest.generation}", f"gracehttp-t{manifest.generation}")
            os.dup2(manifest.stderr, 2)
            program.configure_logging(manifest.tty)  # or the log would go to the stderr of the copied worker
            self.channel.close()
            manifest.close()

        try:
            return leave_template(end, become_template=become_template)
        except OSError as exc:
            raise StartError(f"the template can't be forked: {exc.strerror}.") from exc

    def _run(self, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> int:
        """Load the applications, unless that has been done, and serve until all is drained. Returns the exit status."""
        status = EXIT_DONE
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                # A failure is reported, and the time measured, before the runner closes: that waits for tasks that
                # don't let themselves be cancelled, and for threads of the default executor. The log says what held the
                # process up.
                status = self._reporting(lambda: self._serve(runner))
                if status == EXIT_DONE:
                    self._tell_of_the_end()
                _give_way()
                faulthandler.dump_traceback_later(LEAVE_SECONDS, exit=True)
        except RuntimeError:
            if status == EXIT_DONE:
                raise
            # What was wrong is reported: a loop that could not even begin to run (uvloop, without a descriptor for its
            # signals) can't be closed either.
        return status

    def _serve(self, runner: asyncio.Runner) -> None:
        # An application that asks for the current loop, to use it later, gets the one that will run.
        asyncio.set_event_loop(runner.get_loop())
        self._load_applications()
        run_to_the_end(runner, self._work(), log_exit_of_a_task)

    async def _work(self) -> None:
        program, manifest = self.program, self.manifest
        process, bus = program.process, program.bus
        page = _page(manifest)
        health = Health()
        probes = answers_on_ports(health, process, supervisor_answers=manifest.probes_are_answered)
        observers = Observers(process, manifest, page, probes)
        service = Service(_service_settings(process, manifest, observers, probes), program.loader, bus.publish, health)
        certificates = Certificates(program.servers, _given_certificates(manifest), manifest.ticket_secret)
        with (
            SupervisorLink(
                self.channel,
                service,
                certificates,
                observers.usage,
                observers.error_counter,
                process.drain_timeout,
                bus,
                hooks=program.hooks.outside_workers,
            ) as link,
            contextlib.ExitStack() as at_the_end,
        ):
            await service.start(program.servers, manifest.listeners, certificates, link.report_stage)
            link.report_certificates()
            write_to_stderr_directly(manifest.stderr)
            # The application may have configured logging for itself, and disabled ours.
            program.configure_logging(manifest.tty)
            program.hooks.at_stage(WorkerServing(*self._identity), process.app_dir)
            if page is not None:
                at_the_end.enter_context(_heartbeat(page, service, process, bus))
            if self.imports is not None:
                at_the_end.enter_context(_account_for_code(self.imports, manifest.code, link))
            link.report(messages.Ready())
            await service.drain()

    def _tell_of_the_end(self) -> None:
        try:
            self.program.hooks.at_stage(WorkerEnding(*self._identity), self.program.process.app_dir)
        except StartError as exc:  # the worker has done its work
            logging.getLogger("gracehttp").exception("%s", exc.message, exc_info=exc.__cause__)

    # --- what it tells of itself ---

    @property
    def _identity(self) -> tuple[int, int, int]:
        """Its generation, its number, its PID."""
        return self.manifest.generation, self.manifest.worker, os.getpid()

    def _show_role(self, role: str, comm: str) -> None:
        """In the title of this process and its `comm` (proc_pid_comm(5))."""
        set_title(f"gracehttp: {role} [{title_of(self.program.process, self.program.servers)}]", comm)

    def _reporting(self, call: Callable[[], int | None]) -> int:
        """Call `call`, and report to the supervisor if it fails. Returns the exit status."""
        try:
            return call() or EXIT_DONE
        except ChannelBroken as exc:
            sys.stderr.write(f"gracehttp: error: the channel to the supervisor broke ({exc}).\n")
        except ChannelClosed:
            pass  # the supervisor is gone
        except GraceHTTPError as exc:
            self._report(exc.message, self.program.spell(exc.hint), exc.details)
        except Exception as exc:  # noqa: BLE001  a defect of gracehttp, or of a loop: the requester must see it
            if isinstance(exc, OSError) and exc.errno in (errno.EMFILE, errno.ENFILE):
                sentence = f"a worker needs more open files than it may have: {exc.strerror}."
                self._report(sentence, MORE_FILES, traceback.format_exc())
            else:
                self._report(f"unexpected {type(exc).__name__}: {exc}", "", traceback.format_exc())
        return EXIT_COULD_NOT_START

    def _report(self, message: str, hint: str, details: str) -> None:
        try:
            self.channel.set_blocking(True)
            self.channel.send(messages.Failed(message, hint, details))
        except ChannelClosed:
            sys.stderr.write(f"gracehttp: error: {message}\n{details}\n")


def _service_settings(
    process: ProcessOptions, manifest: Manifest, observers: Observers, probes: Answers
) -> ServiceSettings:
    return ServiceSettings(
        applications=ApplicationSettings(
            lifespan=process.lifespan,
            threads=process.threads,
            multiprocess=manifest.workers > 1,
            request_timeout_seconds=process.request_timeout,
        ),
        warmup=process.warmup,
        rehearses=True,
        request_finished=observers.request_finished,
        probes=probes,
        request_failed=observers.request_failed,
    )


def _given_certificates(manifest: Manifest) -> Mapping[str, bytes] | None:
    """What the supervisor has read from the files of the certificates, if it has."""
    if manifest.certificates is None:
        return None
    contents = read_contents(manifest.certificates)
    os.close(manifest.certificates)
    return contents


@contextlib.contextmanager
def _heartbeat(page: SharedPage, service: Service, process: ProcessOptions, bus: EventBus) -> Iterator[None]:
    heartbeat = Heartbeat(page, service, asyncio.get_running_loop(), hang_timeout_seconds=process.hang_timeout)
    bus.subscribe(heartbeat.on_event)
    heartbeat.begin()
    yield
    heartbeat.end()


def _give_way() -> None:
    """The interpreter takes tens of milliseconds to end. A worker that has drained does that in the time that those
    that serve leave. No process can take back a nice value, so one that starts can't do the same (setpriority(2))."""
    take_usual_turns()
    with contextlib.suppress(OSError):
        os.nice(LAST_NICE)


def _note_imports(manifest: Manifest) -> ImportNotes | None:
    """Begin to note what is imported, if the supervisor has ordered to record it or to compare it."""
    if not manifest.records_code and manifest.code is None:
        return None
    imports = ImportNotes(manifest.code)
    imports.begin()
    return imports


@contextlib.contextmanager
def _account_for_code(imports: ImportNotes, code: int | None, link: SupervisorLink) -> Iterator[None]:
    """Record which code this worker runs, or compare it with that of its generation, as the supervisor
    ordered: `code` is what to compare it with, None to record it."""
    imports.end()
    if code is not None:
        os.close(code)
        link.report_difference(imports.changed(), alone=False)
        yield
        return
    link.report_difference(imports.halves(), alone=True)
    record = imports.write_record()
    link.report(messages.CodeRecorded(Descriptor(record)))
    yield
    os.close(record)  # not before it is surely sent


def _page(manifest: Manifest) -> SharedPage | None:
    """The page of this worker, if it has been given one."""
    if manifest.page is None:
        return None
    page = SharedPage(manifest.page, WORKER_LAYOUT)
    os.close(manifest.page)
    return page
