"""What applications do about their lifespan, where nothing waits for it."""

from __future__ import annotations

from gracehttp.events.base import Event, Severity, with_details


class WarmUpAnswered(Event):
    """The application answered a request of `--warmup` with a 2xx."""

    application: str
    target: str
    status: int
    seconds: float

    def __str__(self) -> str:
        return f"the warm-up request GET {self.target} to {self.application} answered {self.status} {self._time}"

    @property
    def _time(self) -> str:
        return f"after {self.seconds:.2f} s"


class WarmUpMissed(WarmUpAnswered):
    """It answered with a 3xx or 4xx, which is no failure: what stands behind may not have run. `location` is where a
    redirect leads."""

    severity = Severity.WARNING
    location: str = ""

    def __str__(self) -> str:
        leads = f" (to {self.location}, which is not asked for)" if self.location else ""
        sentence = f"the warm-up request GET {self.target} to {self.application} answered {self.status}{leads}"
        hint = "a URL such as https://example.com/info tells it host and scheme too"
        told = f" (Hint: {hint})" if self.target.startswith("/") else ""
        return f"{sentence} {self._time}, so the code behind it may not be warm{told}"


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
