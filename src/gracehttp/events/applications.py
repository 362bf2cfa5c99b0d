"""What applications do about their lifespan, where nothing waits for it."""

from __future__ import annotations

from gracehttp.events.base import Event, Severity, with_details


class LifespanUnsupported(Event):
    """It has received the startup and raised, which is how an application tells that it knows no lifespan (ASGI)."""

    severity = Severity.ERROR
    application: str
    error: str
    details: str

    def __str__(self) -> str:
        what = f"{self.application} is served without lifespan, because it raised in its startup: {self.error}"
        return with_details(f"{what} (with --lifespan on it would not be served)", self.details)


class LifespanCrashed(Event):
    """`error` may be empty, if the application only said that something failed."""

    severity = Severity.ERROR
    application: str
    error: str
    details: str
    after_shutdown: bool = False

    def __str__(self) -> str:
        rest = "after its shutdown" if self.after_shutdown else "and the application is served on without it"
        reason = f": {self.error}" if self.error else ""
        return with_details(f"the lifespan of {self.application} crashed, {rest}{reason}", self.details)


class LifespanEnded(Event):
    """It returned, without an error."""

    severity = Severity.NOTICE
    application: str

    def __str__(self) -> str:
        return f"the lifespan of {self.application} has ended before its shutdown, and the application is served on"


class LifespanShutdownMissed(Event):
    """`error` is empty if the lifespan just returned."""

    severity = Severity.NOTICE
    application: str
    error: str

    def __str__(self) -> str:
        before = f"it crashed before ({self.error})" if self.error else "it has ended before"
        return f"the lifespan of {self.application} can't be told of the shutdown: {before}"
