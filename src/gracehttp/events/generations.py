"""Restarts, and how they end."""

from __future__ import annotations

from gracehttp.events.base import Event, Severity


class RestartRequested(Event):
    severity = Severity.NOTICE
    generation: int
    source: str

    def __str__(self) -> str:
        return f"restart requested by {self.source}: starting generation {self.generation}"


class RestartQueued(Event):
    """Another restart is under way, and this one must not end it: it begins when that has ended."""

    severity = Severity.NOTICE
    source: str
    coming: int

    def __str__(self) -> str:
        waits = f"waits until generation {self.coming}, which is starting, serves or is given up"
        return f"restart requested by {self.source}: it {waits} (restart --supersede, or HUP, ends that one)"


class GenerationPromoted(Event):
    severity = Severity.NOTICE
    generation: int
    pids: tuple[int, ...]

    def __str__(self) -> str:
        pids = ", ".join(map(str, self.pids))
        return f"generation {self.generation} serves, pids {pids}"


class GenerationGivenUp(Event):
    """`worker` is the one that failed, if one did; how it did, `WorkerFailedToStart` has told already."""

    severity = Severity.ERROR
    generation: int
    reason: str
    serving: int | None
    worker: int | None = None

    def __str__(self) -> str:
        return self._sentence(self.reason if self.worker is None else f"its worker {self.worker} did not start")

    @property
    def with_reason(self) -> str:
        """The sentence for a reader who has seen no other event, such as the client of the control socket."""
        return self._sentence(self.reason)

    def _sentence(self, reason: str) -> str:
        rest = f"generation {self.serving} serves on" if self.serving is not None else "nothing serves"
        return f"generation {self.generation} was given up: {reason}; {rest}"


class StartRepeated(Event):
    """Nothing serves yet, and the workers of the generation would run different code: files changed meanwhile."""

    severity = Severity.NOTICE
    generation: int
    by: int

    def __str__(self) -> str:
        return f"generation {self.generation} starts again from the beginning, as generation {self.by}"


class StartCalledOff(Event):
    """A stop was requested before the generation served. That is what was wanted, not a failure."""

    severity = Severity.NOTICE
    generation: int

    def __str__(self) -> str:
        return f"generation {self.generation} does not start: the service was told to stop"


class ProbationStarted(Event):
    severity = Severity.NOTICE
    generation: int
    standing_by: int
    seconds: float

    def __str__(self) -> str:
        rest = f"generation {self.standing_by} stands by"
        return f"generation {self.generation} is on probation for {self.seconds:g} s; {rest}"


class ProbationEnded(Event):
    """Without going back. `reason` is empty if the time was up."""

    severity = Severity.NOTICE
    generation: int
    seconds: float
    reason: str

    def __str__(self) -> str:
        if self.reason:
            return f"the probation of generation {self.generation} ended after {self.seconds:.1f} s: {self.reason}"
        return f"generation {self.generation} has stood its probation of {self.seconds:.1f} s"


class GenerationRolledBack(Event):
    severity = Severity.ERROR
    generation: int
    serving: int
    seconds: float
    reason: str

    def __str__(self) -> str:
        what = f"generation {self.generation} was rolled back after {self.seconds:.1f} s on probation"
        return f"{what}: {self.reason}; generation {self.serving} serves again"


class GenerationRetired(Event):
    severity = Severity.NOTICE
    generation: int
    seconds: float

    def __str__(self) -> str:
        return f"generation {self.generation} is gone, {self.seconds:.2f} s after it was retired"
