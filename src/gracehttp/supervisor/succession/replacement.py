"""The supervisor replaces itself: a trial of the next image first, then, in the same process, that image."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.supervisor.succession.execve import become, hold_back_signals, let_signals_come
from gracehttp.supervisor.succession.state import SupervisorState
from gracehttp.supervisor.succession.trial import try_image

_ROUNDS_OF_THE_LOOP = 4


class Replacement:
    """At most one attempt at a time: a newer request supersedes the one before, whose trial may have seen only half
    of a deploy.

    `carry(source)` returns the state at that moment. `on_failure(reason, details, unlogged)` is called when this image
    stays; `reason` is a clause such as "the new image refuses: ...", and `unlogged` the part of the details that the
    log doesn't have yet.
    """

    def __init__(
        self,
        command_line: CommandLine,
        workers: WorkerProcesses,
        *,
        carry: Callable[[str], SupervisorState],
        on_failure: Callable[[str, str, str], None],
    ) -> None:
        self._command_line = command_line
        self._workers = workers
        self._carry = carry
        self._on_failure = on_failure
        self._attempt: asyncio.Task[None] | None = None

    def begin(self, source: str, *, timeout_seconds: float) -> None:
        """Try the image, for at most so long, and become it."""
        self.cancel()
        self._attempt = asyncio.get_running_loop().create_task(self._try_and_become(source, timeout_seconds))

    def cancel(self) -> bool:
        """End the attempt that is under way, without a call of `on_failure`. Returns whether there was one."""
        attempt, self._attempt = self._attempt, None
        return attempt is not None and attempt.cancel()

    async def _try_and_become(self, source: str, timeout_seconds: float) -> None:
        try:
            verdict = await try_image(
                self._command_line.launch(), self._carry(source), self._workers, timeout_seconds=timeout_seconds
            )
            if verdict.ok:
                await self._become(source)
        except OSError as exc:
            self._on_failure(f"the new image can't be executed ({exc})", "", "")
        except Exception as exc:  # noqa: BLE001  a defect must not leave the requester without an answer
            self._on_failure(f"unexpected {type(exc).__name__}: {exc}", "", "")
        else:
            self._on_failure(f"the new image {verdict.reason}", verdict.details, verdict.unlogged)

    async def _become(self, source: str) -> None:
        """Never returns; raises `OSError` if this image goes on, or is cancelled by a stop that came just before."""
        hold_back_signals()
        try:
            for _ in range(_ROUNDS_OF_THE_LOOP):
                # A signal that was caught before is acted on two rounds later (asyncio reads it from a socket in
                # one, and calls the handler in the next): it would be lost with this image.
                await asyncio.sleep(0)
            await self._workers.starter.settled()
            become(self._command_line.by_name(), self._carry(source))
        finally:
            let_signals_come()
