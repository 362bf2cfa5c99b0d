"""How the supervisor receives a new worker: it answers its hello with all that it needs to serve, or with a refusal."""

from __future__ import annotations

import os
from collections.abc import Callable

from gracehttp.errors import GraceHTTPError
from gracehttp.events import Event
from gracehttp.observe.local_time import offsets
from gracehttp.supervisor.certificates.watch import CertificateWatch
from gracehttp.supervisor.control.fixed_options import ignored
from gracehttp.supervisor.fleet import Fleet, Generation, GenerationState
from gracehttp.supervisor.listeners.ports import Ports
from gracehttp.supervisor.metrics.pages import WorkerPages
from gracehttp.supervisor.processes.process import WorkerProcess
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.values import Descriptor
from gracehttp.wire import messages


class Reception:
    """`welcome` answers a hello that the fleet knows of. The other side is `worker.manifest.introduce`.

    `fixed_options()` are those that the supervisor keeps. `answers_probes()` tells whether it has an admin address.
    """

    def __init__(
        self,
        fleet: Fleet,
        workers: WorkerProcesses,
        ports: Ports,
        certificates: CertificateWatch,
        pages: WorkerPages,
        *,
        publish: Callable[[Event], None],
        fixed_options: Callable[[], messages.FixedOptions],
        answers_probes: Callable[[], bool] = lambda: False,
    ) -> None:
        self._fleet = fleet
        self._workers = workers
        self._ports = ports
        self._certificates = certificates
        self._pages = pages
        self._publish = publish
        self._fixed_options = fixed_options
        self._answers_probes = answers_probes

    def welcome(self, process: WorkerProcess, hello: messages.Hello) -> None:
        generation = self._fleet.generation_of(process.number)
        if generation is None:
            return
        self._tell_ignored_options(generation, hello.fixed)
        if self._fleet.ending:
            return
        try:
            self._answer(process, hello, generation)
        except GraceHTTPError as exc:
            self._refuse(process, messages.Refuse(exc.message, exc.hint))
        except OSError as exc:  # without an answer it would wait until it is killed
            sentence = f"the supervisor can't give this worker what it needs: {exc.strerror or exc}."
            self._refuse(process, messages.Refuse(sentence, hint=""))
        except Exception as exc:
            sentence = f"the supervisor failed to welcome this worker ({type(exc).__name__}: {exc})."
            self._refuse(process, messages.Refuse(sentence, hint="its log has the traceback"))
            raise

    def _tell_ignored_options(self, generation: Generation, wanted: messages.FixedOptions | None) -> None:
        """Publish which options the supervisor ignores. The first worker of each generation but the first one causes
        it."""
        is_first = generation.state is GenerationState.STARTING
        if wanted is not None and is_first and self._fleet.serving is not None:
            for event in ignored(wanted, self._fixed_options()):
                self._publish(event)

    def _answer(self, process: WorkerProcess, hello: messages.Hello, generation: Generation) -> None:
        """Send the listeners, what was offered, and `Welcome`."""
        version = max(set(hello.versions) & set(messages.VERSIONS), default=None)
        if version is None:
            self._refuse(process, _other_version(hello))
            return
        for order in self._ports.offer(hello.listeners, generation.number, generation.wanted):
            self._workers.send(process.number, order)
        self._order_what_is_offered(process, hello.offers)
        self._certificates.introduced(generation.number, process.number, hello.tls_files)
        welcome = messages.Welcome(
            version=version,
            generation=generation.number,
            worker=process.number,
            slot=process.slot,
            workers=generation.wanted,
            tty=os.isatty(self._workers.stderr),
            stderr=Descriptor(self._workers.stderr),
            utc_offsets=offsets(),
            probes_are_answered=self._answers_probes(),
        )
        self._workers.send(process.number, welcome)

    def _order_what_is_offered(self, process: WorkerProcess, offers: tuple[str, ...]) -> None:
        """See `messages.Hello.offers`."""
        generation = process.generation
        if "template" in offers and (channel := self._workers.starter.templates.expect(generation)) is not None:
            self._workers.send(process.number, messages.LeaveTemplate(Descriptor(channel)))
        if "page" in offers:
            self._workers.send(process.number, messages.TakePage(self._pages.give(process.number)))
        if "code" in offers:
            record = self._workers.starter.codes.of(generation)
            order = messages.CompareCode(record) if record is not None else messages.RecordCode()
            self._workers.send(process.number, order)

    def _refuse(self, process: WorkerProcess, refusal: messages.Refuse) -> None:
        process.refused = True
        self._workers.send(process.number, refusal)


def _other_version(hello: messages.Hello) -> messages.Refuse:
    """A worker of a release that has another channel can be used only by a supervisor of its own release."""
    ours, theirs = (", ".join(map(str, versions)) for versions in (messages.VERSIONS, hello.versions))
    release = f" of gracehttp {hello.release}" if hello.release else ""
    return messages.Refuse(
        f"this supervisor speaks version {ours} of the channel to its workers, and the worker{release} {theirs}",
        hint="gracehttp restart --supervisor (or kill -USR2) replaces the supervisor by the new release too",
    )
