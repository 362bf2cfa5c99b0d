"""The spare process: a fork server that has loaded gracehttp before a worker is needed, and no application.

It serves every generation whose workers would load the same as it has. Two places decide whether they would: this one
compares what the supervisor gives to a process (`difference`), the spare process compares files
(`worker.forking.loaded`). If anything goes wrong with it, workers start as they do without one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable

from gracehttp.config.release_links import LINKS_VARIABLE
from gracehttp.events import Event, SpareLost, SpareNotUsed, SpareOrdersDelayed, SpareStarted
from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.processes.debugger import is_attached
from gracehttp.supervisor.processes.fork_server import END_SECONDS, ForkServer, ForkServerFacts
from gracehttp.supervisor.processes.inheritance import Inheritance, inheritance_now
from gracehttp.supervisor.processes.spawning import spawn
from gracehttp.system.credentials import Credentials
from gracehttp.wire.channel import channel_pair
from gracehttp.wire.lineage import SPARE_VARIABLE

DELAY_SECONDS = 2.0
"""How long after a generation serves the spare process starts: the workers that drain need the processor first."""
LOAD_SECONDS = 60.0
"""How long it may load."""
FORK_SECONDS = 2.0
"""How long one fork may take, with a look at some 500 files. Without the spare process it takes less than that."""
_NO_ORPHANS = (
    "the supervisor can't adopt the workers that it would fork; allow prctl(PR_SET_CHILD_SUBREAPER) where a seccomp "
    "filter refuses it, and use --spare off on a system that isn't Linux"
)

_TAKEN_OVER = frozenset({"PWD", LINKS_VARIABLE})
"""Variables that a worker takes over with its order: nothing that is loaded depends on them."""
_FACTS = ForkServerFacts(
    name="the spare process", began=SpareStarted, lost=SpareLost, delayed=SpareOrdersDelayed, unfit=SpareNotUsed
)


def difference(loaded: Launch, wanted: Launch) -> str:
    """Why a process that `loaded` has started can't stand for one that `wanted` would start; "" if it can. The working
    directories may differ."""
    if loaded.executable != wanted.executable:
        return f"{wanted.executable} is to be run, and it is {loaded.executable}"
    if loaded.arguments != wanted.arguments:
        return "the release has another command line"
    before, now = (_compared(launch) for launch in (loaded, wanted))
    if before != now:
        return f"{min(before.items() ^ now.items())[0]} is another one"
    return ""


class Spare:
    """At most one spare process: starts it, decides which workers are forked from it, and ends it."""

    def __init__(
        self,
        watch: Callable[[int, Callable[[int], None]], None],
        publish: Callable[[Event], None],
        *,
        adopt_orphans: Callable[[], bool],
        stderr: int,
        credentials: Credentials | None,
    ) -> None:
        """`watch` is `Children.watch`. `adopt_orphans` is `Templates.adopt_orphans`."""
        self._loop = asyncio.get_running_loop()
        self._watch = watch
        self._publish = publish
        self._adopt_orphans = adopt_orphans
        self._stderr = stderr
        self._credentials = credentials
        self._process: ForkServer | None = None
        self._launch: Launch | None = None
        self._inheritance = Inheritance()
        self._timer: asyncio.TimerHandle | None = None
        self._load_deadline: asyncio.TimerHandle | None = None
        self._next: Launch | None = None
        self._gone = asyncio.Event()
        self._gone.set()

    @property
    def expecting(self) -> bool:
        """See `ForkServer.expecting`."""
        return self._process is not None and self._process.expecting

    def for_launch(self, launch: Launch) -> ForkServer | None:
        """The fork server for a worker that `launch` would start; None if `launch` must start it."""
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
        """After `DELAY_SECONDS`, have a spare process that can stand for `launch`."""
        self._cancel()
        self._next = launch
        self._timer = self._loop.call_later(DELAY_SECONDS, self._renew, launch)

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
        if reason := difference(self._launch, launch):
            return reason
        return "" if inheritance_now() == self._inheritance else "what processes inherit has changed since"

    def _unavailable(self, launch: Launch) -> str:
        """Why there can't be one here, "" if there can."""
        if is_attached():
            return "a debugger is attached, and follows workers that run their command line"
        if missing := launch.missing():
            return f"{missing} is gone"
        return "" if self._adopt_orphans() else _NO_ORPHANS

    def _renew(self, launch: Launch) -> None:
        self._cancel()
        process = self._process
        if process is not None and process.alive:
            if not self._obstacle(launch):
                return
            process.end("the spare process was ended")
        self._loaded()
        if reason := self._unavailable(launch):
            self._publish(SpareNotUsed(reason))
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
        self._process = ForkServer(
            _FACTS, self._publish, channel=channel, their_end=None, pid=pid, fork_seconds=FORK_SECONDS
        )
        self._process.on_start = self._loaded
        self._load_deadline = self._loop.call_later(LOAD_SECONDS, self._process.end, "it took too long to load")
        self._gone = asyncio.Event()
        self._watch(pid, functools.partial(self._reaped, self._process, self._gone))

    def _reaped(self, process: ForkServer, gone: asyncio.Event, status: int) -> None:
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


def _compared(launch: Launch) -> dict[str, str]:
    return {name: value for name, value in launch.variables if name not in _TAKEN_OVER}
