"""Why a service never came to serve, for its last line. Pure."""

from __future__ import annotations

from gracehttp.errors import StartError
from gracehttp.supervisor.processes.process import Ending, WorkerProcess


class FirstFailure:
    """Keeps the first reason. Its details come with the last line unless the log has them (`errors_are_logged`); what
    the log has told is marked."""

    def __init__(self, *, errors_are_logged: bool) -> None:
        self._errors_are_logged = errors_are_logged
        self._error: StartError | None = None
        self._unlogged = ""

    @property
    def error(self) -> StartError:
        return self._error or StartError("the service could not start.")

    def worker_ended(self, process: WorkerProcess, ending: Ending) -> None:
        """A worker ended before any generation served. If it reported why, its sentence and hint count."""
        if self._error is not None:
            return
        self._unlogged = "" if self._errors_are_logged else ending.unlogged
        if (told := process.failure) is not None:
            details = "" if self._errors_are_logged else told.details
            self._error = StartError(told.message, hint=told.hint, details=details)
            self._error.is_logged = self._errors_are_logged

    def given_up(self, reason: str, hint: str = "") -> None:
        """No generation has served, and none will."""
        if self._error is None:
            self._error = StartError(f"the service could not start: {reason}.", hint=hint, details=self._unlogged)
