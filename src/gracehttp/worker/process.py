"""The life of a worker process, from the hello to its supervisor to the end of its drain; and where templates begin."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import errno
import faulthandler
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

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
from gracehttp.net.worker_page import WORKER_LAYOUT
from gracehttp.observe.local_time import use_offsets
from gracehttp.observe.request_failures import log_exit_of_a_task
from gracehttp.system.process_title import set_title
from gracehttp.values import Descriptor, Value
from gracehttp.wire import messages
from gracehttp.wire.channel import Channel, ChannelBroken, ChannelClosed
from gracehttp.worker.breakpoints import leave_ctrl_c_to_the_supervisor
from gracehttp.worker.certificates import read_contents
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
    _print_whole_lines()
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
    )
    offers = [*_offers(process), *(["spare"] if offers_spare else [])]
    return _live(channel, program, offers=offers)


def _live(channel: Channel, program: _Program, *, offers: Sequence[str], is_forked: bool = False) -> int:
    """The life of one worker. A worker that is forked lives the same life, on a channel of its own."""
    leave_signals_to_the_supervisor()
    _open_to_the_end.append(channel)
    return _reporting(channel, program, lambda: _begin(channel, program, offers, is_forked=is_forked))


def _begin(channel: Channel, program: _Program, offers: Sequence[str], *, is_forked: bool) -> int:
    manifest = _introduce(channel, program, offers)
    new_loop = loop_factory(program.process.loop, program.bus.publish)
    imports = _note_imports(manifest)
    if manifest.template is not None:
        _load_applications(channel, program)
        own_channel = _leave_template(channel, manifest, program)
        if own_channel is not None:  # this process was forked: it has the code of its generation, whatever is on disk
            if imports is not None:
                imports.end()
            return _live(own_channel, program, offers=_offers_of_each_worker(program.process), is_forked=True)
    if is_forked or manifest.template is not None:
        # Also the first worker: its template has what the import made, such as connections, as every fork has.
        program.hooks.at_stage(WorkerForked(*_stage(manifest)), program.process.app_dir)
    return _run(channel, manifest, program, imports, new_loop)


def _introduce(channel: Channel, program: _Program, offers: Sequence[str]) -> Manifest:
    """Say hello, and become the worker that the supervisor says."""
    process = program.process
    manifest = introduce(
        channel,
        messages.Hello(
            versions=messages.VERSIONS,
            settings=fleet_settings(process, program.hooks.outside_workers),
            listeners=listen_requests(program.servers),
            fixed=fixed_options(process),
            offers=tuple(offers),
            release=program.release,
            pid=os.getpid(),
            tls_files=watched_files(program.servers),
            build=str(BUILD),
        ),
    )
    _show_role(manifest, program, "worker")
    use_offsets(manifest.utc_offsets)
    program.configure_logging(manifest.tty)
    return manifest


def _stage(manifest: Manifest) -> tuple[int, int, int]:
    """What events of the stages of a worker tell: its generation, its number, its PID."""
    return manifest.generation, manifest.worker, os.getpid()


def _run(
    channel: Channel,
    manifest: Manifest,
    program: _Program,
    imports: ImportNotes | None,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> int:
    """Load the applications, unless that has been done, and serve until all is drained. Returns the exit status."""
    status = EXIT_DONE
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            # A failure is reported, and the time measured, before the runner closes: that waits for tasks that don't
            # let themselves be cancelled, and for threads of the default executor. The log says what held the process
            # up.
            status = _reporting(channel, program, lambda: _serve(runner, channel, manifest, program, imports))
            if status == EXIT_DONE:
                _tell_of_the_end(WorkerEnding(*_stage(manifest)), program)
            _give_way()
            faulthandler.dump_traceback_later(LEAVE_SECONDS, exit=True)
    except RuntimeError:
        if status == EXIT_DONE:
            raise
        # What was wrong is reported: a loop that could not even begin to run (uvloop, without a descriptor for its
        # signals) can't be closed either.
    return status


def _show_role(manifest: Manifest, program: _Program, role: str) -> None:
    if role == "template":
        what, comm = f"template of generation {manifest.generation}", f"gracehttp-t{manifest.generation}"
    else:
        what = f"worker {manifest.worker} of generation {manifest.generation}"
        comm = f"gracehttp-w{manifest.worker}"
    set_title(f"gracehttp: {what} [{title_of(program.process, program.servers)}]", comm)


def _reporting(channel: Channel, program: _Program, call: Callable[[], int | None]) -> int:
    """Call `call`, and report to the supervisor if it fails. Returns the exit status."""
    try:
        return call() or EXIT_DONE
    except ChannelBroken as exc:
        sys.stderr.write(f"gracehttp: error: the channel to the supervisor broke ({exc}).\n")
        return EXIT_COULD_NOT_START
    except ChannelClosed:
        return EXIT_COULD_NOT_START
    except GraceHTTPError as exc:
        return _report(channel, exc.message, program.spell(exc.hint), exc.details)
    except Exception as exc:  # noqa: BLE001  a defect of gracehttp, or of a loop: the requester must see it
        if isinstance(exc, OSError) and exc.errno in (errno.EMFILE, errno.ENFILE):
            sentence = f"a worker needs more open files than it may have: {exc.strerror}."
            return _report(channel, sentence, MORE_FILES, traceback.format_exc())
        return _report(channel, f"unexpected {type(exc).__name__}: {exc}", "", traceback.format_exc())


def _leave_template(channel: Channel, manifest: Manifest, program: _Program) -> Channel | None:
    """See `leave_template`. Raises `StartError`."""
    assert manifest.template is not None
    if others := threads():
        program.bus.publish(ThreadsNotForked(others))

    def become_template() -> None:
        leave_signals_to_the_supervisor()
        _show_role(manifest, program, "template")
        os.dup2(manifest.stderr, 2)
        program.configure_logging(manifest.tty)  # or the log would go on to the stderr of the worker that was copied
        channel.close()
        manifest.close()

    try:
        return leave_template(manifest.template, become_template=become_template)
    except OSError as exc:
        raise StartError(f"the template can't be forked: {exc.strerror}.") from exc


def _load_applications(channel: Channel, program: _Program) -> None:
    """Import them, if that has not been done yet. No loop runs meanwhile, wherever an application is imported. So
    `asyncio.run()` at the top of a module, and a framework that refuses blocking calls within a loop, work alike under
    `serve`, `--preload` and `check`."""
    # It blocks until the stage is sent: nothing listens to the channel yet.
    program.loader.load_all(program.servers, lambda doing: channel.send(messages.StageBegan(doing)))


def _serve(
    runner: asyncio.Runner, channel: Channel, manifest: Manifest, program: _Program, imports: ImportNotes | None
) -> None:
    # An application that asks for the current loop, to use it later, gets the one that will run.
    asyncio.set_event_loop(runner.get_loop())
    _load_applications(channel, program)
    run_to_the_end(runner, _work(channel, manifest, program, imports), log_exit_of_a_task)


async def _work(channel: Channel, manifest: Manifest, program: _Program, imports: ImportNotes | None) -> None:
    process, bus = program.process, program.bus
    page = _page(manifest)
    health = Health()
    probes = answers_on_ports(health, process, supervisor_answers=manifest.probes_are_answered)
    observers = Observers(process, manifest, page, probes)
    service = Service(_service_settings(process, manifest, observers, probes), program.loader, bus.publish, health)
    service.use_ticket_secret(manifest.ticket_secret)
    if manifest.certificates is not None:
        service.take_certificates(read_contents(manifest.certificates))
        os.close(manifest.certificates)
    with (
        SupervisorLink(
            channel,
            service,
            observers.usage,
            observers.error_counter,
            process.drain_timeout,
            bus,
            hooks=program.hooks.outside_workers,
        ) as link,
        contextlib.ExitStack() as at_the_end,
    ):
        await service.start(program.servers, manifest.listeners, link.report_stage)
        link.report_certificates()
        _write_to_stderr_directly(manifest.stderr)
        # The application may have configured logging for itself, and disabled ours.
        program.configure_logging(manifest.tty)
        program.hooks.at_stage(WorkerServing(*_stage(manifest)), process.app_dir)
        if page is not None:
            at_the_end.enter_context(_heartbeat(page, service, process, bus))
        if imports is not None:
            at_the_end.enter_context(_account_for_code(imports, manifest, link))
        link.report(messages.Ready())
        await service.drain()


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
    with contextlib.suppress(OSError):
        os.nice(LAST_NICE)


def _tell_of_the_end(stage: WorkerEnding, program: _Program) -> None:
    try:
        program.hooks.at_stage(stage, program.process.app_dir)
    except StartError as exc:  # the worker has done its work
        logging.getLogger("gracehttp").exception("%s", exc.message, exc_info=exc.__cause__)


def _note_imports(manifest: Manifest) -> ImportNotes | None:
    """Begin to note what is imported, if the supervisor has ordered to record it or to compare it."""
    if not manifest.records_code and manifest.code is None:
        return None
    imports = ImportNotes(manifest.code)
    imports.begin()
    return imports


@contextlib.contextmanager
def _account_for_code(imports: ImportNotes, manifest: Manifest, link: SupervisorLink) -> Iterator[None]:
    """Record which code this worker runs, or compare it with that of its generation, as the supervisor ordered."""
    imports.end()
    if manifest.code is not None:
        os.close(manifest.code)
        link.report_difference(imports.changed(), alone=False)
        yield
        return
    link.report_difference(imports.halves(), alone=True)
    record = imports.write_record()
    link.report(messages.CodeRecorded(Descriptor(record)))
    yield
    os.close(record)  # not before it is surely sent


def _offers(process: ProcessOptions) -> list[str]:
    return [
        *(["template"] if process.preload else []),
        *(["code"] if can_record() else []),
        *_offers_of_each_worker(process),
    ]


def _offers_of_each_worker(process: ProcessOptions) -> list[str]:
    """Also of one that is forked: it has the code of its template, and a page of its own."""
    return ["page"] if process.hang_timeout or has_metrics(process) else []


def _page(manifest: Manifest) -> SharedPage | None:
    """The page of this worker, if it has been given one."""
    if manifest.page is None:
        return None
    page = SharedPage(manifest.page, WORKER_LAYOUT)
    os.close(manifest.page)
    return page


def _report(channel: Channel, message: str, hint: str, details: str) -> int:
    try:
        channel.set_blocking(True)
        channel.send(messages.Failed(message, hint, details))
    except ChannelClosed:
        sys.stderr.write(f"gracehttp: error: {message}\n{details}\n")
    return EXIT_COULD_NOT_START


def _print_whole_lines() -> None:
    """With PYTHONUNBUFFERED, which images of containers set, each argument of a `print` is a write of its own, and
    other workers write in between. So what it asks for is done line by line (`io.TextIOWrapper.reconfigure`)."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if isinstance(stream, io.TextIOWrapper) and stream.write_through and not stream.isatty():
            stream.reconfigure(line_buffering=True, write_through=False)


def _write_to_stderr_directly(stderr: int) -> None:
    """Write to stderr without the supervisor between, which has read it so far to tell why a start failed."""
    sys.stderr.flush()
    os.dup2(stderr, 2)
    os.close(stderr)
