"""All worker processes, by number: their orders, signals and reports, and how each ends. Decides nothing, except that a
worker whose reports can't be read is of no use."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from gracehttp.events import Event, OrdersDelayed, WorkerCut, WorkerOutputDropped, WorkerStarted
from gracehttp.net.shared_page import MAX_WORKERS
from gracehttp.observe.stderr import NonBlockingWriter
from gracehttp.supervisor.guard import guarded
from gracehttp.supervisor.processes.children import Children
from gracehttp.supervisor.processes.command_line import CommandLine, Launch
from gracehttp.supervisor.processes.early_stderr import EarlyStderr
from gracehttp.supervisor.processes.fork_server import StartReports
from gracehttp.supervisor.processes.process import Ending, WorkerProcess, WorkerRecord
from gracehttp.supervisor.processes.starter import Starter, StarterRecord
from gracehttp.supervisor.processes.templates import TemplatesRecord
from gracehttp.system.credentials import Credentials
from gracehttp.values import EMPTY, Descriptor, Value
from gracehttp.wire.channel import ChannelBroken, UnreadableMessage
from gracehttp.wire.channel_watch import ChannelWatch, Loss
from gracehttp.wire.messages import Drain, Failed, Message, Order, Ready

CLOSED_CHANNEL_SECONDS = 0.75
"""How long a worker may live on without its channel. The kernel closes it a moment before the process has ended."""


class ProcessesRecord(Value):
    """All children, to go on with in another process that has the same PID. `watched` are the PIDs of other children: a
    release that knows nothing more of them only has to reap them."""

    workers: tuple[WorkerRecord, ...]
    watched: tuple[int, ...]
    templates: TemplatesRecord | None = None
    code: Mapping[int, Descriptor] = EMPTY
    """Which code each generation runs."""
    launches: Mapping[int, Launch] = EMPTY
    """What starts the workers of each generation."""


class WorkerProcesses:
    """The processes by worker number.

    `on_message(process, message)` is called for each message of a worker, `on_exit(process, ending)` once when its
    process is gone or could not be started.
    """

    def __init__(
        self,
        command_line: CommandLine,
        stderr: int,
        *,
        on_message: Callable[[WorkerProcess, Message], None],
        on_exit: Callable[[WorkerProcess, Ending], None],
        publish: Callable[[Event], None],
        hold_early_stderr: bool,
        credentials: Credentials | None = None,
        record: ProcessesRecord | None = None,
    ) -> None:
        """Begin without processes, or with those that another process carried.

        With `hold_early_stderr`, what children write to stderr while they start is held back, except lines of JSON.
        Workers run with `credentials`; None are those of this process.
        """
        self._loop = asyncio.get_running_loop()
        self.stderr = stderr
        """Where each worker writes once it is ready."""
        self._stderr = NonBlockingWriter(stderr)
        self._publish = publish
        self._on_message = on_message
        self._on_exit = on_exit
        self._hold_early_stderr = hold_early_stderr
        self._processes: dict[int, WorkerProcess] = {}
        self._channels: dict[int, ChannelWatch] = {}
        self.children = Children(record.watched if record else ())
        self.starter = Starter(
            command_line,
            self.children,
            publish,
            stderr=stderr,
            credentials=credentials,
            record=StarterRecord(record.templates, record.code, record.launches) if record else None,
        )
        self._reports = StartReports(self._started, self._failed)
        for one in record.workers if record else ():
            self._add(WorkerProcess.adopt(one, self.pass_on))

    def carry(self) -> ProcessesRecord:
        """Must be called when all is `settled`."""
        pids = {process.pid for process in self._processes.values()}
        held = self.starter.carry()
        return ProcessesRecord(
            workers=tuple(one.carry() for one in self._processes.values()),
            watched=tuple(pid for pid in self.children.pids if pid not in pids),
            templates=held.templates,
            code=held.code,
            launches=held.launches,
        )

    def pid(self, worker: int) -> int:
        """The PID of a worker, 0 if it has no process."""
        process = self._processes.get(worker)
        return process.pid if process else 0

    def doing(self, worker: int) -> str:
        """What a worker was last known to do on its way to be ready, "" if it has no process."""
        process = self._processes.get(worker)
        return process.doing if process else ""

    def build(self, worker: int) -> str:
        """Which build a worker runs, "" if that is not known."""
        process = self._processes.get(worker)
        return process.build if process else ""

    def slot(self, worker: int) -> int | None:
        """The slot of a worker in the ledgers of the permits; None if it has no process."""
        process = self._processes.get(worker)
        return process.slot if process else None

    def slots(self) -> list[int]:
        """The slots of all workers in the ledgers of the permits."""
        return [process.slot for process in self._processes.values()]

    @property
    def none_accepts(self) -> bool:
        """Whether every worker has stopped accepting."""
        return all(process.stopped_accepting for process in self._processes.values())

    def start(self, worker: int, generation: int) -> None:
        """Start the process of `worker`. Raises `OSError`."""
        used = set(self.slots())
        slot = next((free for free in range(MAX_WORKERS) if free not in used), None)
        if slot is None:
            raise OSError(f"there are {MAX_WORKERS} workers already")
        process, ends = WorkerProcess.prepare(worker, generation, slot, self.read_stderr)
        self._add(process)
        with self._removed_if_it_fails(process):
            self.starter.start(process, ends, self._reports)

    def prepare_for_next(self, generation: int) -> None:
        """`generation` serves: prepare for the workers that start from now on."""
        of_it = [process for process in self._processes.values() if process.generation == generation]
        offering = [process for process in of_it if process.offers_spare]
        self.starter.prepare_for_next(next(iter(offering), None))

    def pass_on(self, data: bytes) -> None:
        """Write to the supervisor's stderr what a child wrote to its own. Never blocks."""
        if dropped := self._stderr.claim_dropped():
            self._publish(WorkerOutputDropped(dropped))
        self._stderr.write(data)

    def read_stderr(self, read_end: int) -> EarlyStderr:
        """Read from `read_end` of a pipe what a child writes to stderr while it starts."""
        return EarlyStderr(self._loop, read_end, self.pass_on, hold=self._hold_early_stderr)

    def send(self, worker: int, order: Order) -> None:
        """Send `order` to `worker`, if it lives; a shortage of the system delays it. Descriptors in it stay the
        caller's."""
        process = self._processes.get(worker)
        if process is not None:
            process.leaving |= isinstance(order, Drain)
            self._channels[worker].send(order)

    def send_all(self, order: Order) -> None:
        """Send `order` to every worker."""
        for worker in list(self._processes):
            self.send(worker, order)

    def signal(self, worker: int, number: int) -> bool:
        """Send a signal to `worker`. False if it has no process, and none is on its way."""
        process = self._processes.get(worker)
        if process is None:
            return False
        process.signal(number)
        return True

    def _add(self, process: WorkerProcess) -> None:
        self._processes[process.number] = process
        self._channels[process.number] = ChannelWatch(
            process.channel,
            on_messages=partial(self._receive, process),
            on_lost=partial(self._lost, process),
            on_shortage=lambda reason: self._publish(OrdersDelayed(process.generation, process.number, reason)),
        )
        if process.pid:
            self.children.watch(process.pid, partial(self._ended, process))

    def _receive(self, process: WorkerProcess, received: Sequence[Message]) -> None:
        for message in received:
            if isinstance(message, Ready) and process.has_ended:
                continue  # or older code would be retired for it, before its end is known
            guarded("act on {1.type!r} of worker {0.number}", self._on_message, process, message)

    def _lost(self, process: WorkerProcess, loss: Loss) -> None:
        """A worker that can be told nothing is of no use: its exit will count like any other."""
        match loss:
            case UnreadableMessage():  # whatever this process is, it doesn't speak this protocol
                self._end(process, f"it said what the supervisor can't read ({loss})")
            case ChannelBroken():
                self._end(process, f"its channel to the supervisor broke ({loss})")
            case _:
                self._loop.call_later(CLOSED_CHANNEL_SECONDS, self._end_if_it_lives_on, process)

    def _end_if_it_lives_on(self, process: WorkerProcess) -> None:
        """Its channel is closed, by whatever runs in it."""
        expected = process.leaving or process.failure is not None
        if self._processes.get(process.number) is process and not expected and not process.has_ended:
            self._end(process, "it closed its channel to the supervisor")

    def _end(self, process: WorkerProcess, reason: str) -> None:
        self._publish(WorkerCut(process.generation, process.number, process.pid, reason))
        process.failure = process.failure or Failed(reason, hint="", details="")
        process.signal(signal.SIGKILL)

    @contextlib.contextmanager
    def _removed_if_it_fails(self, process: WorkerProcess) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._remove(process)
            process.discard()
            raise

    def _started(self, process: WorkerProcess, pid: int) -> None:
        process.started(pid)
        self._publish(WorkerStarted(process.generation, process.number, process.pid))
        self.children.watch(pid, partial(self._ended, process))

    def _failed(self, process: WorkerProcess, reason: str) -> None:
        """A fork server could not fork it. In place of the spare process, its command line starts it."""
        self._remove(process)
        process.discard()
        if process.is_of_spare:
            self._start_without_spare(process, reason)
        else:
            self._on_exit(process, Ending(f"could not be started ({reason})"))
        self.children.reap()  # now that no fork is under way, what isn't known is an orphan

    def _start_without_spare(self, process: WorkerProcess, reason: str) -> None:
        """The new process has a channel and a stderr of its own: a process that was forked after all, and too late,
        must not share them."""
        self.starter.spare_failed(reason)
        try:
            new, ends = WorkerProcess.prepare(process.number, process.generation, process.slot, self.read_stderr)
            new.take_signals(process)
            self._add(new)
            with self._removed_if_it_fails(new):
                self.starter.start_without_spare(new, ends, self._reports)
        except OSError as exc:
            self._on_exit(process, Ending(f"could not be started ({exc})"))

    def _remove(self, process: WorkerProcess) -> None:
        self._channels.pop(process.number).close()
        del self._processes[process.number]

    def _ended(self, process: WorkerProcess, status: int) -> None:
        """It was reaped, with this wait status; it won't be found again."""
        if process.failure is None:
            receive = self._channels[process.number].receive
            guarded("receive the last message of worker {0}", lambda _: receive(), process.number)  # it may lie there
        self._remove(process)
        if process.is_of_spare and not process.introduced:
            self.starter.end_spare()  # it may be the cause: the next one starts without
        self._on_exit(process, process.ended(status))
