"""The spare process: it has loaded gracehttp before a worker is needed, and forks the workers that then start.

It is a template (`templates`) that knows no application, so it serves every generation that would load the same as it
has. Whether it would is decided in two places: here for what the supervisor gives to a process (`misfit`), and in the
spare process for the files (`worker.loaded`). Whatever goes wrong with it, workers start as they do without one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
from collections.abc import Callable

from gracehttp.config.release_links import LINKS_VARIABLE
from gracehttp.events import Event, SpareLost, SpareNotUsed, SpareOrdersDelayed, SpareStarted
from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.processes.debugger import is_attached
from gracehttp.supervisor.processes.spawning import spawn
from gracehttp.supervisor.processes.templates import END_SECONDS, StartReports, Template, TemplateFacts
from gracehttp.system.credentials import Credentials
from gracehttp.values import Value
from gracehttp.wire.channel import channel_pair
from gracehttp.wire.lineage import SPARE_VARIABLE

LEISURE_SECONDS = 2.0
"""How long after a generation serves the spare process starts: the workers that drain need the processor first."""
LOAD_SECONDS = 60.0
"""How long it may load."""
FORK_SECONDS = 2.0
"""How long one fork may take, with a look at some 500 files. Without the spare process it takes less than that."""

_FREE = frozenset({"PWD", LINKS_VARIABLE})
"""Variables that a worker takes over with its order: nothing that is loaded depends on them."""
_FACTS = TemplateFacts(
    name="the spare process", began=SpareStarted, lost=SpareLost, delayed=SpareOrdersDelayed, unfit=SpareNotUsed
)


class Inheritance(Value):
    """What a process inherits from the one that starts it and an operator may change while that runs: limits
    (prlimit(2)), processors (sched_setaffinity(2)), nice value, scheduling policy (sched(7)), control groups
    (cgroups(7)), and what a core dump has (core(5))."""

    limits: tuple[tuple[int, int], ...] = ()
    processors: frozenset[int] = frozenset()
    nice: int = 0
    groups: str = ""
    oom_score: str = ""
    policy: tuple[int, int] = (0, 0)
    core_filter: str = ""


def inheritance_now() -> Inheritance:
    """That of this process."""
    kinds = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})
    return Inheritance(
        limits=tuple(map(resource.getrlimit, kinds)),
        processors=frozenset(os.sched_getaffinity(0)),
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        groups=_text_of("/proc/self/cgroup"),
        oom_score=_text_of("/proc/self/oom_score_adj"),
        policy=(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority),
        core_filter=_text_of("/proc/self/coredump_filter"),
    )


def misfit(loaded: Launch, wanted: Launch) -> str:
    """Why a process that was started by `loaded` can't stand for one that `wanted` would start; "" if it can. The
    working directory may be another one."""
    if loaded.executable != wanted.executable:
        return f"{wanted.executable} is to be run, and it is {loaded.executable}"
    if loaded.arguments != wanted.arguments:
        return "the release has another command line"
    before, now = (_bound(launch) for launch in (loaded, wanted))
    if before != now:
        return f"{min(before.items() ^ now.items())[0]} is another one"
    return ""


class Spare:
    """At most one spare process: begins it, tells whether a worker may be forked from it, and ends it."""

    def __init__(
        self,
        starts: StartReports,
        watch: Callable[[int, Callable[[int], None]], None],
        publish: Callable[[Event], None],
        *,
        adopt_orphans: Callable[[], bool],
        stderr: int,
        credentials: Credentials | None,
    ) -> None:
        """`watch` is `WorkerProcesses.watch`. `starts.failed` is to start the worker in another way."""
        self._loop = asyncio.get_running_loop()
        self._starts = starts
        self._watch = watch
        self._publish = publish
        self._adopt_orphans = adopt_orphans
        self._stderr = stderr
        self._credentials = credentials
        self._process: Template | None = None
        self._launch: Launch | None = None
        self._inheritance = Inheritance()
        self._timer: asyncio.TimerHandle | None = None
        self._load_deadline: asyncio.TimerHandle | None = None
        self._next: Launch | None = None
        self._gone = asyncio.Event()
        self._gone.set()

    @property
    def expecting(self) -> bool:
        """Whether there may be a child whose PID isn't known yet."""
        return self._process is not None and self._process.expecting

    def for_launch(self, launch: Launch) -> Template | None:
        """What to order a worker from that `launch` would start; None if it must be started by that."""
        process = self._process
        if self._next is not None:
            self.renew_soon(self._next)  # not beside a worker that starts
        if process is None or not process.alive or not process.began:
            return None
        if reason := self._obstacle(launch):
            self.end()
            self._publish(SpareNotUsed(reason))
            return None
        return process

    def renew_soon(self, launch: Launch) -> None:
        """Have one, in some time, by which `launch` can be replaced."""
        self._cancel()
        self._next = launch
        self._timer = self._loop.call_later(LEISURE_SECONDS, self._renew, launch)

    def end(self) -> None:
        """Have none until `renew_soon`."""
        self._cancel()
        self._loaded()
        if self._process is not None:
            self._process.end("the spare process was ended")

    async def ended(self) -> None:
        """End it, and wait until it is gone, or takes too long for it."""
        self.end()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), END_SECONDS)

    @property
    def is_idle(self) -> bool:
        """Whether no fork is under way."""
        return self._process is None or self._process.idle.is_set()

    async def settled(self) -> None:
        """Wait until no fork is under way."""
        if self._process is not None:
            await self._process.idle.wait()

    def _obstacle(self, launch: Launch) -> str:
        assert self._launch is not None
        if reason := misfit(self._launch, launch):
            return reason
        return "" if inheritance_now() == self._inheritance else "what processes inherit has changed since"

    def _renew(self, launch: Launch) -> None:
        self._cancel()
        process = self._process
        if process is not None and process.alive:
            if not self._obstacle(launch):
                return
            process.end("the spare process was ended")
        self._loaded()
        if is_attached() or launch.missing() or not self._adopt_orphans():
            return
        channel, theirs = channel_pair()
        try:
            with theirs:
                environment = {SPARE_VARIABLE: str(theirs.fileno())}
                pid = spawn(
                    launch,
                    environment,
                    pass_fds=(theirs.fileno(),),
                    stderr=self._stderr,
                    credentials=self._credentials,
                )
        except OSError as exc:
            channel.close()
            self._publish(SpareNotUsed(f"it could not be started ({exc.strerror})"))
            return
        self._launch, self._inheritance = launch, inheritance_now()
        self._process = Template(
            _FACTS, self._starts, self._publish, channel=channel, their_end=None, pid=pid, fork_seconds=FORK_SECONDS
        )
        self._process.on_start = self._loaded
        self._load_deadline = self._loop.call_later(LOAD_SECONDS, self._process.end, "it took too long to load")
        self._gone = asyncio.Event()
        self._watch(pid, functools.partial(self._reaped, self._process, self._gone))

    def _reaped(self, process: Template, gone: asyncio.Event, status: int) -> None:
        process.reaped(status)
        gone.set()

    def _loaded(self) -> None:
        if self._load_deadline is not None:
            self._load_deadline.cancel()
            self._load_deadline = None

    def _cancel(self) -> None:
        self._next = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _bound(launch: Launch) -> dict[str, str]:
    return {name: value for name, value in launch.variables if name not in _FREE}


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
