"""How the process of a worker starts: forked from a fork server that has what it needs, else by its command line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from gracehttp.events import Event, SpareNotUsed
from gracehttp.supervisor.processes.children import Children
from gracehttp.supervisor.processes.code_records import CodeRecords
from gracehttp.supervisor.processes.command_line import CommandLine, Launch
from gracehttp.supervisor.processes.fork_server import StartReports
from gracehttp.supervisor.processes.launches import Launches
from gracehttp.supervisor.processes.process import WorkerEnds, WorkerProcess
from gracehttp.supervisor.processes.spare import Spare
from gracehttp.supervisor.processes.spawning import spawn
from gracehttp.supervisor.processes.templates import Templates, TemplatesRecord
from gracehttp.system.credentials import Credentials
from gracehttp.values import EMPTY, Descriptor, Value
from gracehttp.wire.lineage import CHANNEL_VARIABLE


class StarterRecord(Value):
    """What a starter holds, for another process that has the same PID."""

    templates: TemplatesRecord | None = None
    code: Mapping[int, Descriptor] = EMPTY
    """Which code each generation runs."""
    launches: Mapping[int, Launch] = EMPTY
    """What starts the workers of each generation."""


class Starter:
    """Starts processes of workers. `templates`, `codes` and `launches` have what belongs to each generation."""

    def __init__(
        self,
        command_line: CommandLine,
        children: Children,
        publish: Callable[[Event], None],
        *,
        stderr: int,
        credentials: Credentials | None = None,
        record: StarterRecord | None = None,
    ) -> None:
        """Begin without any, or with what another process carried. `stderr` is that of a spare process. Workers run
        with `credentials`; None are those of this process."""
        record = record or StarterRecord()
        self._publish = publish
        self._credentials = credentials
        self.templates = Templates(children.watch, publish, record.templates)
        self.codes = CodeRecords(record.code)
        self.launches = Launches(command_line, publish, record.launches)
        self._spare = Spare(
            children.watch,
            publish,
            adopt_orphans=self.templates.adopt_orphans,
            stderr=stderr,
            credentials=credentials,
        )
        children.may_reap_orphans = self._may_reap_orphans

    def carry(self) -> StarterRecord:
        """Must be called when all is `settled`."""
        return StarterRecord(templates=self.templates.carry(), code=self.codes.carry(), launches=self.launches.carry())

    async def settled(self) -> None:
        """Wait until no start is under way: each worker has a PID, or has failed to start."""
        while not (self.templates.are_idle and self._spare.is_idle):
            await self.templates.settled()
            await self._spare.settled()

    def start(self, process: WorkerProcess, ends: WorkerEnds, reports: StartReports) -> None:
        """Start `process`, and close `ends` when it has them, or can't be started. `reports` tell how it went, maybe at
        once. Raises `OSError` if there can't be one more process."""
        with contextlib.ExitStack() as ours:
            ours.callback(ends.close)
            launch = None
            fork_server = self.templates.of(process.generation)
            if fork_server is None:
                launch = self.launches.of(process.generation, process.number)
                fork_server = self._spare.for_launch(launch)
                process.is_of_spare = fork_server is not None
            if fork_server is not None:
                ours.pop_all()  # they are the fork server's
                fork_server.order(process, ends, reports, launch)
                return
            assert launch is not None
            pid = self._spawn(ends, launch)
        reports.started(process, pid)

    def start_without_spare(self, process: WorkerProcess, ends: WorkerEnds, reports: StartReports) -> None:
        """As `start`, for a generation that has no template. Raises `OSError`."""
        with contextlib.closing(ends):
            pid = self._spawn(ends, self.launches.of(process.generation, process.number))
        reports.started(process, pid)

    def spare_failed(self, reason: str) -> None:
        """The spare process could not fork a worker: use it no more."""
        self._spare.end()
        self._publish(SpareNotUsed(reason))

    def _spawn(self, ends: WorkerEnds, launch: Launch) -> int:
        return spawn(
            launch,
            {CHANNEL_VARIABLE: str(ends.channel)},
            pass_fds=(ends.channel,),
            stderr=ends.early_stderr,
            credentials=self._credentials,
        )

    def prepare_for_next(self, like: WorkerProcess | None) -> None:
        """Have a spare process for the workers that start from now on, which can stand for the process of `like`, if
        there is one and it has offered that."""
        if like is not None and like.offers_spare:
            self._spare.renew_soon(self.launches.of(like.generation, like.number))
        else:
            self._spare.end()

    def end_spare(self) -> None:
        """No worker starts from it any more."""
        self._spare.end()

    def forget(self, generation: int) -> None:
        """The last worker of the generation is gone."""
        self.templates.end(generation)
        self.codes.forget(generation)
        self.launches.forget(generation)

    async def ended(self) -> None:
        """Wait until the fork servers are gone, which were ended, or take too long for it."""
        await self.templates.ended()
        await self._spare.ended()

    def _may_reap_orphans(self) -> bool:
        return self.templates.may_reap_orphans and not self._spare.expecting
