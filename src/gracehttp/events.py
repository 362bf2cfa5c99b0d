"""The facts of the lifecycle, in the past tense. Nothing here logs: `gracehttp.event_bus` tells them to subscribers."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

_MOST_NAMED = 10


class Severity(enum.Enum):
    """How much a fact matters to the person who runs the service."""

    INFO = "info"
    NOTICE = "notice"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. `str(event)` is its sentence; the fields are its data."""

    severity: ClassVar[Severity] = Severity.INFO


@dataclass(frozen=True, slots=True)
class SupervisorStarted(Event):
    severity = Severity.NOTICE
    pid: int
    version: str

    def __str__(self) -> str:
        signals = f"kill -HUP {self.pid} restarts, kill -TERM {self.pid} stops"
        return f"gracehttp {self.version} started, pid {self.pid} ({signals})"


@dataclass(frozen=True, slots=True)
class VariableIgnored(Event):
    """An environment variable that is no option, and looks like one."""

    severity = Severity.NOTICE
    variable: str
    meant: str

    def __str__(self) -> str:
        return f"{self.variable} is set, and is no option; {self.meant} is one"


@dataclass(frozen=True, slots=True)
class ReplacementRequested(Event):
    severity = Severity.NOTICE
    source: str

    def __str__(self) -> str:
        return f"another supervisor requested by {self.source}: trying whether it would start"


@dataclass(frozen=True, slots=True)
class ReplacementGivenUp(Event):
    """`details` is what the next image said, as far as it isn't in the log already."""

    severity = Severity.ERROR
    reason: str
    details: str = ""

    def __str__(self) -> str:
        return _with_details(f"the supervisor stays the same: {self.reason}; nothing was changed", self.details)


@dataclass(frozen=True, slots=True)
class SupervisorReplaced(Event):
    severity = Severity.NOTICE
    pid: int
    version: str
    predecessor: str

    def __str__(self) -> str:
        return f"the supervisor has replaced itself: gracehttp {self.predecessor} by {self.version}, pid {self.pid}"


@dataclass(frozen=True, slots=True)
class ListenerOpened(Event):
    severity = Severity.NOTICE
    address: str
    max_connections: int

    def __str__(self) -> str:
        return f"listening on {self.address}, at most {_counted(self.max_connections, 'connection')}"


@dataclass(frozen=True, slots=True)
class LimitLowered(Event):
    severity = Severity.NOTICE
    address: str
    wanted: int
    effective: int
    descriptors: int
    other_ports: int = 0
    """The other ports of the program, which share what a process may open."""

    def __str__(self) -> str:
        shared = f", shared with {_counted(self.other_ports, 'other port')}" if self.other_ports else ""
        return (
            f"{self.address}: the limit of {_counted(self.wanted, 'connection')} is lowered to {self.effective}, "
            f"because a process may open {self.descriptors} files{shared} "
            f"(raise RLIMIT_NOFILE, with ulimit -Hn or LimitNOFILE=)"
        )


@dataclass(frozen=True, slots=True)
class LimitChanged(Event):
    severity = Severity.NOTICE
    address: str
    before: int
    after: int

    def __str__(self) -> str:
        return f"{self.address}: the limit changed from {self.before} to {_counted(self.after, 'connection')}"


@dataclass(frozen=True, slots=True)
class LimitSplit(Event):
    severity = Severity.NOTICE
    address: str
    share: int

    def __str__(self) -> str:
        return (
            f"{self.address}: this system has no eventfd: the workers share {_counted(self.share, 'connection')} evenly"
        )


@dataclass(frozen=True, slots=True)
class ListenerClosed(Event):
    severity = Severity.NOTICE
    address: str

    def __str__(self) -> str:
        return f"closed {self.address}"


@dataclass(frozen=True, slots=True)
class ControlUnavailable(Event):
    severity = Severity.ERROR
    where: str
    reason: str

    def __str__(self) -> str:
        return f"no control socket at {self.where} ({self.reason}); signals work all the same"


@dataclass(frozen=True, slots=True)
class OptionIgnored(Event):
    """New code asks for something that a supervisor settles once, when it starts."""

    severity = Severity.NOTICE
    option: str
    wanted: str
    kept: str

    def __str__(self) -> str:
        kept = f"the supervisor keeps what it has ({self.kept}) until it is stopped and started"
        return f"the new code asks for another {self.option} ({self.wanted}): {kept}"


@dataclass(frozen=True, slots=True)
class RestartRequested(Event):
    severity = Severity.NOTICE
    generation: int
    source: str

    def __str__(self) -> str:
        return f"restart requested by {self.source}: starting generation {self.generation}"


@dataclass(frozen=True, slots=True)
class WorkerStarted(Event):
    generation: int
    worker: int
    pid: int

    def __str__(self) -> str:
        return f"worker {self.worker} of generation {self.generation} started, pid {self.pid}"


@dataclass(frozen=True, slots=True)
class TemplateStarted(Event):
    generation: int
    pid: int

    def __str__(self) -> str:
        return f"the template of generation {self.generation} has imported the application, pid {self.pid}"


@dataclass(frozen=True, slots=True)
class TemplateLost(Event):
    severity = Severity.ERROR
    generation: int
    how: str

    def __str__(self) -> str:
        rest = "its workers serve on; one that is replaced later starts from the code on disk then"
        return f"the template of generation {self.generation} {self.how}: {rest}"


@dataclass(frozen=True, slots=True)
class PreloadUnavailable(Event):
    severity = Severity.NOTICE
    reason: str

    def __str__(self) -> str:
        return f"the application can't be preloaded ({self.reason}); each worker imports it for itself"


@dataclass(frozen=True, slots=True)
class ThreadsNotForked(Event):
    severity = Severity.ERROR
    threads: tuple[str, ...]

    def __str__(self) -> str:
        named = ", ".join(self.threads)
        rest = "other workers are forked without them, and locks that they hold stay locked there"
        return f"importing the application started threads ({named}): {rest}; start them in the lifespan instead"


@dataclass(frozen=True, slots=True)
class CodeDiffers(Event):
    severity = Severity.ERROR
    generation: int
    worker: int
    files: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {_counted(len(self.files) - 3, 'more file')}" if len(self.files) > 3 else ""
        changed = ", ".join(self.files[:3]) + more
        who = f"worker {self.worker} runs other code than generation {self.generation} started with"
        return f"{who}: {changed} changed since; a restart makes all workers alike (--preload keeps them so)"


@dataclass(frozen=True, slots=True)
class WorkerBecameReady(Event):
    generation: int
    worker: int
    pid: int
    seconds: float

    def __str__(self) -> str:
        who = f"worker {self.worker} of generation {self.generation}"
        return f"{who} is ready after {self.seconds:.2f} s, pid {self.pid}"


@dataclass(frozen=True, slots=True)
class GenerationPromoted(Event):
    severity = Severity.NOTICE
    generation: int
    pids: tuple[int, ...]

    def __str__(self) -> str:
        pids = ", ".join(map(str, self.pids))
        return f"generation {self.generation} serves, pids {pids}"


@dataclass(frozen=True, slots=True)
class GenerationGivenUp(Event):
    """`worker` is the one that failed, if one did; how it did, `WorkerFailedToStart` has told already."""

    severity = Severity.ERROR
    generation: int
    reason: str
    serving: int | None
    worker: int | None = None

    def __str__(self) -> str:
        return self._sentence(self.reason if self.worker is None else f"its worker {self.worker} did not start")

    @property
    def with_reason(self) -> str:
        """The sentence for somebody who has heard nothing else."""
        return self._sentence(self.reason)

    def _sentence(self, reason: str) -> str:
        rest = f"generation {self.serving} serves on" if self.serving is not None else "nothing serves"
        return f"generation {self.generation} was given up: {reason}; {rest}"


@dataclass(frozen=True, slots=True)
class StartCalledOff(Event):
    """A stop was requested before the generation served. That is what was wanted, not a failure."""

    severity = Severity.NOTICE
    generation: int

    def __str__(self) -> str:
        return f"generation {self.generation} does not start: the service was told to stop"


@dataclass(frozen=True, slots=True)
class ProbationStarted(Event):
    severity = Severity.NOTICE
    generation: int
    standing_by: int
    seconds: float

    def __str__(self) -> str:
        rest = f"generation {self.standing_by} stands by"
        return f"generation {self.generation} is on probation for {self.seconds:g} s; {rest}"


@dataclass(frozen=True, slots=True)
class ProbationEnded(Event):
    """Without going back. `reason` is empty if the time was up."""

    severity = Severity.NOTICE
    generation: int
    seconds: float
    reason: str

    def __str__(self) -> str:
        if self.reason:
            return f"the probation of generation {self.generation} ended after {self.seconds:.1f} s: {self.reason}"
        return f"generation {self.generation} has stood its probation of {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class GenerationRolledBack(Event):
    severity = Severity.ERROR
    generation: int
    serving: int
    seconds: float
    reason: str

    def __str__(self) -> str:
        what = f"generation {self.generation} was rolled back after {self.seconds:.1f} s on probation"
        return f"{what}: {self.reason}; generation {self.serving} serves again"


@dataclass(frozen=True, slots=True)
class GenerationRetired(Event):
    severity = Severity.NOTICE
    generation: int
    seconds: float

    def __str__(self) -> str:
        return f"generation {self.generation} is gone, {self.seconds:.2f} s after it was retired"


@dataclass(frozen=True, slots=True)
class WorkerDied(Event):
    severity = Severity.ERROR
    generation: int
    worker: int
    how: str
    again_in_seconds: float | None

    def __str__(self) -> str:
        return _fate(self.generation, self.worker, self.how, self.again_in_seconds)


@dataclass(frozen=True, slots=True)
class WorkerTired(Event):
    severity = Severity.NOTICE
    generation: int
    worker: int
    reason: str

    def __str__(self) -> str:
        return f"worker {self.worker} of generation {self.generation} is to be replaced: {self.reason}"


@dataclass(frozen=True, slots=True)
class WorkerFailedToStart(Event):
    """A worker ended before it served. `details`, such as the traceback of the application, is what isn't in the log
    already; one that wrote a traceback itself has had that passed on, unless the log is JSON."""

    severity = Severity.ERROR
    generation: int
    worker: int
    how: str
    details: str
    again_in_seconds: float | None

    def __str__(self) -> str:
        return _with_details(_fate(self.generation, self.worker, self.how, self.again_in_seconds), self.details)


@dataclass(frozen=True, slots=True)
class WorkerWrote(Event):
    """What a worker wrote to stderr while it started. Told where the log is JSON; elsewhere it is passed on at once."""

    generation: int
    worker: int
    text: str

    def __str__(self) -> str:
        return _with_details(f"worker {self.worker} of generation {self.generation} wrote to stderr:", self.text)


@dataclass(frozen=True, slots=True)
class WorkerHangs(Event):
    """It was not ready in time, and is asked for the stacks of its threads, which ends it. In a log of text they follow
    as the interpreter writes them, and look like those of a crash."""

    severity = Severity.ERROR
    generation: int
    worker: int
    seconds: float
    doing: str

    def __str__(self) -> str:
        what = f"worker {self.worker} of generation {self.generation} is not ready after {self.seconds:g} s"
        rest = "it is ended, and its stack comes next, to show where the application hangs: the server has not crashed"
        return f"{what}, still {self.doing}: {rest}"


@dataclass(frozen=True, slots=True)
class WorkerCut(Event):
    severity = Severity.NOTICE
    generation: int
    worker: int
    pid: int
    reason: str

    def __str__(self) -> str:
        return f"worker {self.worker} of generation {self.generation} (pid {self.pid}) is ended by force: {self.reason}"


@dataclass(frozen=True, slots=True)
class PermitsReclaimed(Event):
    severity = Severity.NOTICE
    address: str
    permits: int

    def __str__(self) -> str:
        are = "is" if self.permits == 1 else "are"
        return f"{self.address}: {_counted(self.permits, 'place')} of a dead worker {are} free again"


@dataclass(frozen=True, slots=True)
class PermitsNotCounted(Event):
    severity = Severity.ERROR
    address: str
    reason: str

    def __str__(self) -> str:
        return f"{self.address}: places of dead workers can't be counted now ({self.reason}); it is tried again"


@dataclass(frozen=True, slots=True)
class StopRequested(Event):
    severity = Severity.NOTICE
    source: str
    forced: bool

    def __str__(self) -> str:
        return f"{'forced stop' if self.forced else 'stop'} requested by {self.source}"


@dataclass(frozen=True, slots=True)
class SupervisorStopped(Event):
    severity = Severity.NOTICE
    pid: int

    def __str__(self) -> str:
        return f"gracehttp stopped, pid {self.pid}"


@dataclass(frozen=True, slots=True)
class SupervisorLost(Event):
    severity = Severity.ERROR
    pid: int

    def __str__(self) -> str:
        return f"the supervisor is gone; worker {self.pid} finishes what is in flight and ends"


@dataclass(frozen=True, slots=True)
class AcceptPaused(Event):
    severity = Severity.ERROR
    address: str
    reason: str
    pause_seconds: float

    def __str__(self) -> str:
        then = f"newcomers wait in the kernel, next try in {self.pause_seconds:g} s"
        return f"{self.address}: accept() failed ({self.reason}); {then}"


@dataclass(frozen=True, slots=True)
class ConnectionsShed(Event):
    """Told at most once a second by each worker."""

    severity = Severity.NOTICE
    listener: int
    address: str
    connections: int

    def __str__(self) -> str:
        return f"{self.address} is full: closed {_counted(self.connections, 'idle connection')} for newcomers that wait"


@dataclass(frozen=True, slots=True)
class DrainStarted(Event):
    connections: int
    timeout_seconds: float

    def __str__(self) -> str:
        return f"draining {_counted(self.connections, 'connection')}, for at most {self.timeout_seconds:g} s"


@dataclass(frozen=True, slots=True)
class DrainFinished(Event):
    seconds: float

    def __str__(self) -> str:
        return f"drained in {self.seconds:.2f} s, no request was cut"


@dataclass(frozen=True, slots=True)
class RequestsCut(Event):
    """A drain ended with requests in flight. `cut` describes each: method, target, age; the sentence names ten."""

    severity = Severity.NOTICE
    seconds: float
    cut: tuple[str, ...]

    def __str__(self) -> str:
        named = "; ".join(self.cut[:_MOST_NAMED])
        more = f"; and {len(self.cut) - _MOST_NAMED} more" if len(self.cut) > _MOST_NAMED else ""
        were = "was" if len(self.cut) == 1 else "were"
        what = f"{_counted(len(self.cut), 'request')} {were} cut"
        return f"drain ended after {self.seconds:.2f} s, {what}: {named}{more}"


@dataclass(frozen=True, slots=True)
class HandoverBroken(Event):
    severity = Severity.ERROR
    reason: str
    connections: int = 1

    def __str__(self) -> str:
        lost = "a connection was" if self.connections == 1 else f"{self.connections} connections were"
        return f"{lost} lost between two generations: {self.reason}"


@dataclass(frozen=True, slots=True)
class SubscriberFailed(Event):
    severity = Severity.ERROR
    subscriber: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subscriber} raised {self.reason}; it is called again, and not reported again"


@dataclass(frozen=True, slots=True)
class StartFailed(Event):
    """The last word of a service that could not start."""

    severity = Severity.ERROR
    reason: str
    hint: str
    details: str
    exit_status: int

    def __str__(self) -> str:
        return self.reason


def _fate(generation: int, worker: int, how: str, again_in_seconds: float | None) -> str:
    rest = "" if again_in_seconds is None else f"; another one starts in {again_in_seconds:.1f} s"
    return f"worker {worker} of generation {generation} {how}{rest}"


def _counted(number: int, what: str) -> str:
    """`1 connection`, `2 connections`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _with_details(sentence: str, details: str) -> str:
    return f"{sentence}\n{details}" if details else sentence
