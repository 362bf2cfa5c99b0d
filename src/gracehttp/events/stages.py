"""Stages in the life of a worker, told in the worker itself, and to hooks alone: they stand in no log."""

from __future__ import annotations

from gracehttp.events.base import Event, Severity


class WorkerStage(Event):
    """The process that is told is the worker with this PID."""

    severity = Severity.DEBUG
    generation: int
    worker: int
    pid: int

    def __str__(self) -> str:
        return f"worker {self.worker} of generation {self.generation} is at the stage {type(self).__name__}"


class WorkerForked(WorkerStage):
    """With `preload`, in every worker. The application is imported, and the process was forked from the template, or is
    the first worker, of which the template is a copy: connections that the import has opened are shared with all of
    these. Threads that it started are in the first worker alone (fork(2)). Before its event loop exists."""


class WorkerServing(WorkerStage):
    """The application is started and warm, and the worker is about to report that it is ready."""


class WorkerEnding(WorkerStage):
    """It has drained, the application has ended, and the process exits next."""
