"""Templates: processes that have imported the application of their generation, and fork its workers on demand.

A template holds no connections: losing it loses none. It is a copy of the first worker of its generation, made just
before that one began to serve (`worker.template`). When a template is killed, workers live on; only later ones start
from the code that is on disk then.

Each worker that a template forks becomes a child of the supervisor at once. It is a grandchild of the template, and the
process in between ends. So the kernel gives it the nearest ancestor as parent that is a *subreaper*
(PR_SET_CHILD_SUBREAPER(2const), Linux): the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence

from gracehttp.events import Event, PreloadUnavailable, TemplateLost, TemplateOrdersDelayed, TemplateStarted
from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.processes.process import WorkerEnds, WorkerProcess, describe_exit
from gracehttp.values import Descriptor, Value
from gracehttp.wire.channel import Channel, ChannelBroken, ChannelRecord, UnreadableMessage, channel_pair
from gracehttp.wire.channel_watch import ChannelWatch, Loss
from gracehttp.wire.messages import Fork, Forked, Message, TemplateBegan

_PR_SET_CHILD_SUBREAPER = 36

FORK_SECONDS = 10.0
"""How long one fork may take. It copies page tables, some milliseconds for each gigabyte, so a template that takes this
long hangs."""
END_SECONDS = 2.0
"""How long the supervisor waits, at its own end, for templates that it killed."""


class StartReports(Value):
    """What to call when an ordered worker has started, with its PID, or failed to, with the reason."""

    started: Callable[[WorkerProcess, int], None]
    failed: Callable[[WorkerProcess, str], None]


class TemplateFacts(Value):
    """What it is called in a sentence, and how the log is told that it has begun (its PID), is lost (how it ended),
    can't be told what to do (why), or can't be one (why)."""

    name: str
    began: Callable[[int], Event]
    lost: Callable[[str], Event]
    delayed: Callable[[str], Event]
    unfit: Callable[[str], Event]


def facts_of(generation: int) -> TemplateFacts:
    return TemplateFacts(
        name="the template of its generation",
        began=functools.partial(TemplateStarted, generation),
        lost=functools.partial(TemplateLost, generation),
        delayed=functools.partial(TemplateOrdersDelayed, generation),
        unfit=PreloadUnavailable,
    )


class TemplateRecord(Value):
    """A template that is alive, to go on with in another process that has the same PID, so that it stays a child.

    `pid` is 0 until the template reports, and until then `their_end` is open here too.
    """

    generation: int
    pid: int
    channel: ChannelRecord
    their_end: Descriptor | None


class TemplatesRecord(Value):
    """`had` lists the generations that have, or had, a template. `adopting` tells whether orphans are adopted, which
    outlives execve (PR_SET_CHILD_SUBREAPER(2const))."""

    templates: tuple[TemplateRecord, ...]
    had: tuple[int, ...]
    adopting: bool


class Template:
    """A process that forks workers: that of one generation, or the spare one. Its PID, the channel to it, and the
    workers that are ordered from it."""

    def __init__(
        self,
        facts: TemplateFacts,
        starts: StartReports,
        publish: Callable[[Event], None],
        *,
        channel: Channel,
        their_end: socket.socket | None,
        pid: int = 0,
        fork_seconds: float = FORK_SECONDS,
    ) -> None:
        """`their_end` is None if the process has it already, and `pid` 0 until it tells that itself."""
        self.pid = pid
        self.alive = True
        self.began = False
        """It has told that it can fork."""
        self.idle = asyncio.Event()
        """Set while no order is under way."""
        self.on_start: Callable[[], None] = lambda: None
        """Called once, when it has told that it has begun."""
        self._facts = facts
        self._fork_seconds = fork_seconds
        self._starts = starts
        self._publish = publish
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._their_end = their_end
        self._ordered: deque[tuple[WorkerProcess, WorkerEnds, Launch | None]] = deque()
        self._deadline: asyncio.TimerHandle | None = None
        self._ended = False
        self.idle.set()
        self._watch = ChannelWatch(
            channel,
            on_messages=self._receive,
            on_lost=self._lost,
            on_shortage=lambda reason: publish(facts.delayed(reason)),
        )

    def carry(self, generation: int) -> TemplateRecord:
        """Must be called while it is idle."""
        their_end = Descriptor(self._their_end.fileno()) if self._their_end is not None else None
        return TemplateRecord(generation=generation, pid=self.pid, channel=self._channel.carry(), their_end=their_end)

    def fileno(self) -> int:
        """The end for the process that will become the template. It is closed here once the template reports."""
        assert self._their_end is not None
        return self._their_end.fileno()

    @property
    def expecting(self) -> bool:
        """Whether there may be a child whose PID isn't known yet: the template, or a worker."""
        return self.alive and (not self.pid or bool(self._ordered))

    def order(self, process: WorkerProcess, ends: WorkerEnds, launch: Launch | None = None) -> None:
        """Fork `process`, and give it `ends`, which are closed here when it has them; a spare process also takes over
        what `launch` says."""
        self.idle.clear()
        self._ordered.append((process, ends, launch))
        self._send_order()

    def end(self, reason: str = "its generation is gone") -> None:
        """Kill it: it has nothing to finish. One that has not reported yet reads the end of file instead."""
        self._ended = True
        self._abandon(reason)

    def reaped(self, status: int) -> None:
        """The process was reaped: from now on another process may have its PID."""
        self.pid = 0
        if self.alive:
            self._watch.receive()  # its last message may still lie there
        self._abandon(f"{self._facts.name} is gone")
        if not self._ended:
            self._publish(self._facts.lost(describe_exit(os.waitstatus_to_exitcode(status))))

    def _send_order(self) -> None:
        # One at a time: a template can do no more, and descriptors under way count against RLIMIT_NOFILE (unix(7)).
        if self._deadline is not None or not self._ordered or not self.alive:
            return
        process, ends, launch = self._ordered[0]
        self._deadline = self._loop.call_later(
            self._fork_seconds, self._abandon, f"{self._facts.name} did not fork it within {self._fork_seconds:g} s"
        )
        order = Fork(process.number, Descriptor(ends.channel), Descriptor(ends.early_stderr))
        if launch is not None:
            order = Fork(order.worker, order.channel, order.stderr, launch.directory, launch.variables)
        self._watch.send(order)

    def _receive(self, received: Sequence[Message]) -> None:
        try:
            for message in received:
                self._on_message(message)
        except UnreadableMessage as exc:
            self._lost(exc)

    def _lost(self, loss: Loss) -> None:
        match loss:
            case UnreadableMessage():
                self._abandon(f"{self._facts.name} said what the supervisor can't read ({loss})")
            case ChannelBroken():
                self._abandon(f"the channel to {self._facts.name} broke ({loss})")
            case _:
                self._abandon(f"{self._facts.name} is gone")

    def _on_message(self, message: Message) -> None:
        match message:
            case TemplateBegan(0, reason):
                self.end(reason)
                self._publish(self._facts.unfit(reason))
            case TemplateBegan(pid):
                if self.began:
                    raise UnreadableMessage("it exists already")
                self.began = True
                if self._their_end is not None:
                    self._close_their_end()
                    self.pid = pid
                self._publish(self._facts.began(pid))
                self.on_start()
            case Forked(pid, reason):
                if self._deadline is None:
                    raise UnreadableMessage("it forked what was not ordered")
                self._settle(pid, reason)

    def _settle(self, pid: int, reason: str) -> None:
        """What became of the worker that was ordered first; a PID of 0 means that there is none, for `reason`."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        process, ends, _launch = self._ordered.popleft()
        ends.close()
        if pid:
            self._starts.started(process, pid)
        else:
            self._starts.failed(process, reason)
        if not self._ordered:
            self.idle.set()
        self._send_order()

    def _abandon(self, reason: str) -> None:
        """Order nothing more from it, and kill it."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # a child that was not reaped yet: no other process has its PID
        if not self.alive:
            return
        self.alive = False
        self._watch.close()
        self._channel.close()
        self._close_their_end()
        while self._ordered:
            self._settle(0, reason)

    def _close_their_end(self) -> None:
        if self._their_end is not None:
            self._their_end.close()
            self._their_end = None


class Templates:
    """All of them, by generation. One that died keeps its place: its generation gets no second one, of other code."""

    def __init__(
        self,
        starts: StartReports,
        watch: Callable[[int, Callable[[int], None]], None],
        publish: Callable[[Event], None],
        record: TemplatesRecord | None = None,
    ) -> None:
        """Begin without, or with those that another process carried. `watch` is `WorkerProcesses.watch`."""
        self._starts = starts
        self._watch = watch
        self._publish = publish
        self._templates: dict[int, Template] = {}
        self._had: set[int] = set(record.had if record else ())
        self._ending: set[Template] = set()
        self._none_ending = asyncio.Event()
        self._none_ending.set()
        self._adopting = adopts_orphans_anyway() or (record is not None and record.adopting)
        for one in record.templates if record else ():
            their_end = socket.socket(fileno=one.their_end) if one.their_end is not None else None
            self._add(one.generation, Channel.adopt(one.channel), their_end, one.pid)

    def carry(self) -> TemplatesRecord:
        """To be taken when all is `settled`."""
        return TemplatesRecord(
            templates=tuple(one.carry(number) for number, one in self._templates.items() if one.alive),
            had=tuple(sorted(self._had)),
            adopting=self._adopting,
        )

    @property
    def may_reap_orphans(self) -> bool:
        """Whether a child that isn't known is an orphan of the application, which no other process will reap."""
        return self._adopting and not any(one.expecting for one in self._templates.values())

    def expect(self, generation: int) -> int | None:
        """A descriptor for the first worker of a generation to leave a template at; the descriptor stays ours.

        None if the generation has had its template, or if there can't be one here.
        """
        if generation in self._had:
            return None
        if not self.adopt_orphans():
            self._publish(PreloadUnavailable("this system has no subreapers"))
            return None
        return self._add(generation, *channel_pair()).fileno()

    def adopt_orphans(self) -> bool:
        """Adopt the orphans of our descendants from now on. False where that can't be had."""
        self._adopting = self._adopting or adopt_orphans()
        return self._adopting

    def of(self, generation: int) -> Template | None:
        """The template from which workers can be ordered, also if it has not reported yet."""
        template = self._templates.get(generation)
        return template if template is not None and template.alive else None

    def pid(self, generation: int) -> int | None:
        """The PID of the template of a generation that has one."""
        template = self._templates.get(generation)
        return template.pid if template is not None and template.alive and template.pid else None

    def end(self, generation: int) -> None:
        """The generation is gone."""
        self._had.discard(generation)
        template = self._templates.pop(generation, None)
        if template is None:
            return
        if template.pid:
            self._ending.add(template)
            self._none_ending.clear()
        template.end()

    @property
    def are_idle(self) -> bool:
        """Whether no fork is under way."""
        return all(one.idle.is_set() for one in self._templates.values())

    async def settled(self) -> None:
        """Wait until no fork is under way."""
        while busy := [one for one in self._templates.values() if not one.idle.is_set()]:
            await busy[0].idle.wait()

    async def ended(self) -> None:
        """Wait until those that were ended are gone, or take too long for it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none_ending.wait(), END_SECONDS)

    def _add(self, generation: int, channel: Channel, their_end: socket.socket | None, pid: int = 0) -> Template:
        template = Template(
            facts_of(generation), self._starts, self._publish, channel=channel, their_end=their_end, pid=pid
        )
        template.began = bool(pid)
        self._templates[generation] = template
        self._had.add(generation)
        template.on_start = functools.partial(self._started, template)
        if pid:
            self._started(template)
        return template

    def _started(self, template: Template) -> None:
        self._watch(template.pid, functools.partial(self._reaped, template))

    def _reaped(self, template: Template, status: int) -> None:
        template.reaped(status)
        self._ending.discard(template)
        if not self._ending:
            self._none_ending.set()


# --- becoming the parent of orphans ---


def adopts_orphans_anyway() -> bool:
    """Whether this is the process 1 of a container, which inherits all orphans there."""
    return os.getpid() == 1


def adopt_orphans() -> bool:
    """Adopt the orphans of our descendants from now on, for the life of this process. False where that can't be had."""
    if sys.platform != "linux":
        return False
    import ctypes  # a megabyte that is needed only with --preload

    prctl = ctypes.CDLL(None).prctl
    return bool(prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
