"""Templates: processes that have imported the application of their generation, and fork its workers on demand.

A template is a copy of the first worker of its generation, made before anything of the application runs
(`worker.forking.template`). When it is killed, later workers of its generation start from the code that is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable

from gracehttp.events import Event, PreloadUnavailable, TemplateLost, TemplateOrdersDelayed, TemplateStarted
from gracehttp.supervisor.processes.fork_server import END_SECONDS, ForkServer, ForkServerFacts
from gracehttp.supervisor.processes.subreaper import adopt_orphans, adopts_orphans_anyway
from gracehttp.values import Descriptor, Value
from gracehttp.wire.channel import Channel, ChannelRecord, channel_pair

FORK_SECONDS = 10.0
"""How long one fork may take. It copies page tables, some milliseconds for each gigabyte, so a template that takes this
long hangs."""


class TemplateRecord(Value):
    """A template that is alive, for another process that has the same PID, so that it stays a child.

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


class Templates:
    """The templates by generation. One that died keeps its place: its generation gets no second one, of other code."""

    def __init__(
        self,
        watch: Callable[[int, Callable[[int], None]], None],
        publish: Callable[[Event], None],
        record: TemplatesRecord | None = None,
    ) -> None:
        """Begin without, or with those that another process carried. `watch` is `Children.watch`."""
        self._watch = watch
        self._publish = publish
        self._templates: dict[int, ForkServer] = {}
        self._had: set[int] = set(record.had if record else ())
        self._ending: set[ForkServer] = set()
        self._none_ending = asyncio.Event()
        self._none_ending.set()
        self._adopting = adopts_orphans_anyway() or (record is not None and record.adopting)
        for one in record.templates if record else ():
            their_end = socket.socket(fileno=one.their_end) if one.their_end is not None else None
            self._add(one.generation, Channel.adopt(one.channel), their_end, one.pid)

    def carry(self) -> TemplatesRecord:
        """Must be called when all is `settled`."""
        return TemplatesRecord(
            templates=tuple(
                TemplateRecord(generation=number, pid=one.pid, channel=one.carry(), their_end=one.their_end)
                for number, one in self._templates.items()
                if one.alive
            ),
            had=tuple(sorted(self._had)),
            adopting=self._adopting,
        )

    @property
    def may_reap_orphans(self) -> bool:
        """Whether a child that isn't known is an orphan of the application, which no other process will reap."""
        return self._adopting and not any(one.expecting for one in self._templates.values())

    def expect(self, generation: int) -> Descriptor | None:
        """A descriptor for the first worker of a generation, which leaves a template at it. It stays this object's.

        None if the generation has had its template, or if there can't be one here.
        """
        if generation in self._had:
            return None
        if not self.adopt_orphans():
            self._publish(PreloadUnavailable("this system has no subreapers"))
            return None
        return self._add(generation, *channel_pair()).their_end

    def adopt_orphans(self) -> bool:
        """Adopt the orphans of our descendants from now on. False where that can't be had."""
        self._adopting = self._adopting or adopt_orphans()
        return self._adopting

    def of(self, generation: int) -> ForkServer | None:
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

    def _add(self, generation: int, channel: Channel, their_end: socket.socket | None, pid: int = 0) -> ForkServer:
        template = ForkServer(
            _facts_of(generation),
            self._publish,
            channel=channel,
            their_end=their_end,
            pid=pid,
            fork_seconds=FORK_SECONDS,
        )
        template.began = bool(pid)
        self._templates[generation] = template
        self._had.add(generation)
        template.on_start = functools.partial(self._started, template)
        if pid:
            self._started(template)
        return template

    def _started(self, template: ForkServer) -> None:
        self._watch(template.pid, functools.partial(self._reaped, template))

    def _reaped(self, template: ForkServer, status: int) -> None:
        template.reaped(status)
        self._ending.discard(template)
        if not self._ending:
            self._none_ending.set()


def _facts_of(generation: int) -> ForkServerFacts:
    return ForkServerFacts(
        name="the template of its generation",
        began=functools.partial(TemplateStarted, generation),
        lost=functools.partial(TemplateLost, generation),
        delayed=functools.partial(TemplateOrdersDelayed, generation),
        unfit=PreloadUnavailable,
    )
