"""The life of workers and of the templates that they are forked from."""

from __future__ import annotations

from gracehttp.events.base import Event, Severity, counted, with_details


class WorkerStarted(Event):
    generation: int
    worker: int
    pid: int

    def __str__(self) -> str:
        return f"worker {self.worker} of generation {self.generation} started, pid {self.pid}"


class StartStageBegan(Event):
    """What a worker does now on its way to be ready, such as `importing main:app`."""

    severity = Severity.DEBUG
    generation: int
    worker: int
    pid: int
    doing: str

    def __str__(self) -> str:
        return f"worker {self.worker} of generation {self.generation} is {self.doing}"


class WorkerBecameReady(Event):
    """While a generation starts, `ready` of the `wanted` workers are ready with this one; 0 at other times."""

    generation: int
    worker: int
    pid: int
    seconds: float
    ready: int = 0
    wanted: int = 0

    def __str__(self) -> str:
        who = f"worker {self.worker} of generation {self.generation}"
        progress = f" ({self.ready} of {self.wanted})" if self.wanted > 1 else ""
        return f"{who} is ready after {self.seconds:.2f} s, pid {self.pid}{progress}"


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
        return with_details(_fate(self.generation, self.worker, self.how, self.again_in_seconds), self.details)


class WorkerWrote(Event):
    """What a worker wrote to stderr while it started. Told where the log is JSON; elsewhere it is passed on at once."""

    generation: int
    worker: int
    text: str

    def __str__(self) -> str:
        return with_details(f"worker {self.worker} of generation {self.generation} wrote to stderr:", self.text)


class WorkerOutputDropped(Event):
    severity = Severity.ERROR
    pieces: int

    def __str__(self) -> str:
        what = f"{counted(self.pieces, 'piece')} of what starting workers wrote to stderr"
        return f"dropped {what}: standard error was not read"


class WorkerHangs(Event):
    """It was not ready in time, and is asked where its tasks wait and for the stacks of its threads, which ends it. In
    a log of text they follow as the interpreter writes them, and look like those of a crash."""

    severity = Severity.ERROR
    generation: int
    worker: int
    seconds: float
    doing: str

    def __str__(self) -> str:
        what = f"worker {self.worker} of generation {self.generation} is not ready after {self.seconds:g} s"
        rest = "it is ended, and its stack comes next, to show where the application hangs: the server has not crashed"
        return f"{what}, still {self.doing}: {rest}"


class ReleaseGone(Event):
    """A folder or file of the release of a generation was removed. `instead` is the folder from which the worker
    starts, "" if nothing is there either."""

    severity = Severity.ERROR
    generation: int
    worker: int
    missing: str
    instead: str

    def __str__(self) -> str:
        sentence = f"{self.missing}, from which generation {self.generation} was started, is gone"
        if not self.instead:
            hint = "put it back, or let the link lead to a release that is there, and restart"
            return f"{sentence}, and so is all that its names lead to: worker {self.worker} can't start (Hint: {hint})"
        hint = "restart, so that all workers have the same code; keep the folder of a release while it serves"
        return f"{sentence}: worker {self.worker} starts from {self.instead} instead (Hint: {hint})"


class WorkerHung(Event):
    """A worker that serves shows no progress for `seconds`. `kind` is `loop` if its event loop doesn't turn, `threads`
    if all its threads are at the same requests, and others wait."""

    severity = Severity.ERROR
    generation: int
    worker: int
    pid: int
    kind: str
    seconds: float

    def __str__(self) -> str:
        who = f"worker {self.worker} of generation {self.generation} (pid {self.pid}) hangs"
        what = "its event loop hasn't turned" if self.kind == "loop" else "all its threads are at the same requests"
        return f"{who}: {what} for {self.seconds:.1f} s; a successor starts (hang_timeout)"


class WorkerRecovered(Event):
    severity = Severity.NOTICE
    generation: int
    worker: int
    pid: int

    def __str__(self) -> str:
        return f"worker {self.worker} of generation {self.generation} (pid {self.pid}) hangs no more"


class HungWorkerReplaced(Event):
    """Its successor serves. It is asked for the places where its tasks and threads wait, and ended."""

    severity = Severity.ERROR
    generation: int
    worker: int
    pid: int

    def __str__(self) -> str:
        who = f"worker {self.worker} of generation {self.generation} (pid {self.pid}) has its successor and is ended"
        return f"{who}; its stack comes next, to show where the application hangs: the server has not crashed"


class WorkerDied(Event):
    severity = Severity.ERROR
    generation: int
    worker: int
    how: str
    again_in_seconds: float | None

    def __str__(self) -> str:
        return _fate(self.generation, self.worker, self.how, self.again_in_seconds)


class WorkerExited(Event):
    """The process of a worker is gone, whatever the reason: also one that drained and ended in good order."""

    severity = Severity.DEBUG
    generation: int
    worker: int
    pid: int
    how: str

    def __str__(self) -> str:
        return f"worker {self.worker} of generation {self.generation} (pid {self.pid}) {self.how}"


class WorkerDueForRecycling(Event):
    severity = Severity.NOTICE
    generation: int
    worker: int
    reason: str

    def __str__(self) -> str:
        return f"worker {self.worker} of generation {self.generation} is to be replaced: {self.reason}"


class OrdersDelayed(Event):
    """The supervisor and a worker can't talk to each other: the system is short of something."""

    severity = Severity.ERROR
    generation: int
    worker: int
    reason: str

    def __str__(self) -> str:
        who = f"worker {self.worker} of generation {self.generation}"
        return f"{who} can't be told what to do now ({self.reason}); it is tried again"


class ReportsDelayed(Event):
    """As `OrdersDelayed`, told by the worker."""

    severity = Severity.ERROR
    pid: int
    reason: str

    def __str__(self) -> str:
        return f"worker {self.pid} can't talk to its supervisor now ({self.reason}); it is tried again"


class ChannelLost(Event):
    """The worker's end of the channel to its supervisor is of no use any more, and the supervisor may live."""

    severity = Severity.ERROR
    pid: int
    reason: str

    def __str__(self) -> str:
        return f"the channel of worker {self.pid} to its supervisor broke ({self.reason}): it ends, to be replaced"


class WorkerCut(Event):
    severity = Severity.NOTICE
    generation: int
    worker: int
    pid: int
    reason: str

    def __str__(self) -> str:
        return f"worker {self.worker} of generation {self.generation} (pid {self.pid}) is ended by force: {self.reason}"


class TemplateStarted(Event):
    generation: int
    pid: int

    def __str__(self) -> str:
        return f"the template of generation {self.generation} has imported the application, pid {self.pid}"


class TemplateLost(Event):
    severity = Severity.ERROR
    generation: int
    how: str

    def __str__(self) -> str:
        rest = "its workers serve on; one that is replaced later starts from the code on disk then"
        return f"the template of generation {self.generation} {self.how}: {rest}"


class TemplateOrdersDelayed(Event):
    severity = Severity.ERROR
    generation: int
    reason: str

    def __str__(self) -> str:
        return (
            f"the template of generation {self.generation} can't be told what to do now ({self.reason}); "
            "it is tried again"
        )


class SpareStarted(Event):
    """A process has loaded gracehttp, to fork the workers that start from now on."""

    severity = Severity.DEBUG
    pid: int

    def __str__(self) -> str:
        return f"a spare process has loaded gracehttp for the workers that come, pid {self.pid}"


class SpareLost(Event):
    severity = Severity.NOTICE
    how: str

    def __str__(self) -> str:
        return f"the spare process {self.how}: workers start without one until the next generation serves"


class SpareNotUsed(Event):
    """Workers start by running the command line, until the next generation serves."""

    severity = Severity.DEBUG
    reason: str

    def __str__(self) -> str:
        return f"no spare process is used: {self.reason}"


class SpareOrdersDelayed(Event):
    severity = Severity.ERROR
    reason: str

    def __str__(self) -> str:
        return f"the spare process can't be told what to do now ({self.reason}); it is tried again"


class PreloadUnavailable(Event):
    severity = Severity.NOTICE
    reason: str

    def __str__(self) -> str:
        return f"the application can't be preloaded ({self.reason}); each worker imports it for itself"


class UvloopUnavailable(Event):
    """It is installed, and the kernel or a sandbox refuses what it needs."""

    severity = Severity.NOTICE
    reason: str

    def __str__(self) -> str:
        return f"uvloop can't run on this system ({self.reason}); the event loop is asyncio's"


class ThreadsNotForked(Event):
    severity = Severity.ERROR
    threads: tuple[str, ...]

    def __str__(self) -> str:
        named = ", ".join(self.threads)
        rest = "other workers are forked without them, and locks that they hold stay locked there"
        return (
            f"importing the application started threads ({named}): {rest}; "
            "start them in the lifespan (ASGI), by --startup (WSGI) or in the hook worker_serving instead"
        )


class CodeDiffers(Event):
    """A worker that replaces another one, or comes in addition. A generation whose workers differ before it serves is
    given up. `more` counts the files besides `files`."""

    severity = Severity.ERROR
    generation: int
    worker: int
    files: tuple[str, ...]
    more: int = 0

    def __str__(self) -> str:
        left = len(self.files[3:]) + self.more
        more = f" and {counted(left, 'more file')}" if left else ""
        changed = ", ".join(self.files[:3]) + more
        who = f"worker {self.worker} runs other code than generation {self.generation} started with"
        return f"{who}: {changed} changed since; a restart makes all workers alike (--preload keeps them so)"


def _fate(generation: int, worker: int, how: str, again_in_seconds: float | None) -> str:
    rest = "" if again_in_seconds is None else f"; another one starts in {again_in_seconds:.1f} s"
    return f"worker {worker} of generation {generation} {how}{rest}"
